"""Networks and functions as they come: wrapped, hooked, scripted, in another dtype, or nothing that
can be adapted.
"""

import warnings
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from archbias import adapters, noise, sample, seeds
from archbias.data import ImageSet
from archbias.errors import InputError
from archbias.posteriors.ideal import Ideal


def images(n=5, shape=(1, 8, 8)):
    return ImageSet.from_array(seeds.normal(range(n), shape).clamp(-3, 3) / 3)


class Net(nn.Module):
    """y -> a convolution of it, with all that networks do on the way."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.c = nn.Conv2d(1, 1, 3, padding=1)

    def forward(self, y, sigma):
        return self.c(y)


class Keeps(Net):
    def forward(self, y, sigma):
        self.last = {"all": [self.c(y)]}
        return self.last["all"][0]


def called(module):
    module(torch.ones(1, 1, 8, 8), torch.ones(1))
    return module


def hooked(norm):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # old, and met in the wild
        net = Net()
        net.c = norm(net.c)
    return called(net)


def nested():
    net = nn.Module()
    net.inner = nn.DataParallel(nn.Conv2d(1, 1, 3, padding=1))
    net.forward = lambda y, sigma: net.inner(y)
    return net


COME = {
    "as it is": Net,
    "DataParallel": lambda: nn.DataParallel(Net()),
    "old weight norm": lambda: hooked(nn.utils.weight_norm),
    "old spectral norm": lambda: hooked(nn.utils.spectral_norm),
    "new weight norm": lambda: hooked(nn.utils.parametrizations.weight_norm),
    "new spectral norm": lambda: hooked(nn.utils.parametrizations.spectral_norm),
    "keeps an activation": lambda: called(Keeps()),
    "traced": lambda: torch.jit.trace(Net().eval(), (torch.ones(2, 1, 8, 8), torch.ones(2))),
    "scripted": lambda: torch.jit.script(Net()),
    "compiled": lambda: torch.compile(Net()),
    "averaged": lambda: torch.optim.swa_utils.AveragedModel(Net()),
}


@pytest.mark.parametrize("how", COME)
def test_a_network_is_adapted_however_it_comes(how):
    """In its own dtype the bits of the network itself, in float64 the same to rounding."""
    module = COME[how]()
    y = seeds.normal(range(2), (1, 8, 8))
    denoiser = adapters.from_module(module, (1, 8, 8))
    plain = getattr(module, "_orig_mod", module).eval()
    with torch.no_grad():
        expected = plain(y, torch.ones(2))
    torch.testing.assert_close(denoiser(y, 1.0), expected)
    torch.testing.assert_close(denoiser(y.double(), 1.0), expected.double(), rtol=1e-5, atol=1e-6)
    for parameter in module.parameters():
        parameter.data.zero_()
    torch.testing.assert_close(denoiser(y, 1.0), expected)


def test_a_wrapper_inside_a_network_is_taken_off():
    class Outer(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.DataParallel(Net())

        def forward(self, y, sigma):
            return self.inner(y, sigma)

    denoiser = adapters.from_module(Outer(), (1, 8, 8))
    assert sorted(denoiser.state()) == ["inner.c.bias", "inner.c.weight"]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_a_network_in_another_dtype_answers_in_that_of_the_input(dtype):
    y = seeds.normal(range(2), (1, 8, 8))
    got = adapters.from_module(Net().to(dtype), (1, 8, 8))(y, 1.0)
    assert got.dtype == torch.float32
    exact = Net()
    exact.c.load_state_dict(Net().to(dtype).float().c.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(got, exact(y, None))


@pytest.mark.parametrize(
    ("returned", "output"),
    [
        (lambda y: SimpleNamespace(sample=2 * y, other=y), None),
        (lambda y: {"sample": 2 * y, "logits": y}, None),
        (lambda y: {"image": 2 * y}, "image"),
        (lambda y: (y, 2 * y), 1),
        (lambda y: SimpleNamespace(x0=2 * y), "x0"),
    ],
)
def test_the_named_part_of_what_a_model_returns(returned, output):
    y = seeds.normal(range(2), (1, 3, 3))

    class Returns(nn.Module):
        def forward(self, y, sigma):
            return returned(y)

    by_module = adapters.from_module(Returns(), (1, 3, 3), output=output)
    by_function = adapters.from_callable(lambda y, s: returned(y), (1, 3, 3), output=output)
    assert torch.equal(by_module(y, 1.0), 2 * y)
    assert torch.equal(by_function(y, 1.0), 2 * y)
    absent = adapters.from_callable(lambda y, s: returned(y), (1, 3, 3), output="nothing")
    with pytest.raises(InputError, match="wanted the part 'nothing'"):
        absent(y, 1.0)


def lazy():
    return nn.Sequential(nn.LazyConv2d(1, 3))


def cannot_be_copied():
    net = Net()
    net.lock = (k for k in range(3))
    return net


REFUSED = {
    "a state dict": (lambda: Net().state_dict(), "its 2 tensors without the code.*load_state_dict"),
    "a function": (lambda: abs, "wanted a torch.nn.Module.*from_callable"),
    "a class": (lambda: Net, "wanted a torch.nn.Module"),
    "one argument": (lambda: nn.Conv2d(1, 1, 1), "called with 2 inputs, got Conv2d.*level=None"),
    "one argument, scripted": (lambda: torch.jit.script(nn.Identity()), "called with 2 inputs"),
    "no weights yet": (lazy, "whose 0.weight has none yet"),
    "no weights at all": (lambda: nn.Conv2d(1, 1, 1, device="meta"), "has none yet"),
    "statistics of the batch": (
        lambda: nn.Sequential(nn.BatchNorm2d(1, track_running_stats=False)),
        "whose 0 normalises by the batch",
    ),
    "what cannot be copied": (cannot_be_copied, "can be copied, got Net .*from_callable"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_no_network_for_a_denoiser_is_refused_in_one_sentence(what):
    make, message = REFUSED[what]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of lazy layers
        module = make()
    with pytest.raises(InputError, match=message):
        adapters.from_module(module, (1, 8, 8))


def test_a_label_that_stands_for_none():
    class Told(nn.Module):
        def forward(self, y, sigma, labels):
            return torch.ones_like(y) * labels[:, None, None, None]

    denoiser = adapters.from_module(Told(), (1, 2, 2), classes=11, null=10)
    y = torch.zeros(2, 1, 2, 2)
    assert denoiser.classes == tuple(range(10))
    assert denoiser(y, 1.0)[:, 0, 0, 0].tolist() == [10, 10]
    assert denoiser(y, 1.0, torch.tensor([3, 4]))[:, 0, 0, 0].tolist() == [3, 4]
    with pytest.raises(InputError, match="label 10"):
        denoiser(y, 1.0, torch.tensor([3, 10]))
    with pytest.raises(InputError, match="null must be one of the 0 labels"):
        adapters.from_callable(lambda y, s: y, (1, 2, 2), null=10)


def test_a_module_is_copied_and_put_in_evaluation_mode():
    module = nn.Sequential(
        nn.Conv2d(1, 1, 3, padding=1), nn.BatchNorm2d(1), nn.Dropout(0.5)
    ).train()
    denoiser = adapters.from_module(module, (1, 5, 5), level=None)
    y = seeds.normal(range(2), (1, 5, 5))
    before = denoiser(y, 1.0)
    assert module.training
    with torch.no_grad():
        module[0].weight.zero_()
    assert torch.equal(denoiser(y, 1.0), before)
    y.requires_grad_()
    denoiser(y, 1.0).sum().backward()
    assert y.grad.abs().sum() > 0
    assert set(denoiser.state()) == {
        f"{k}" for k, _ in [*module.named_parameters(), *module.named_buffers()]
    }


def test_levels_and_labels_reach_a_plain_module():
    class Told(nn.Module):
        def forward(self, x, level, labels):
            return torch.ones_like(x) * (level + 10 * labels)[:, None, None, None]

    denoiser = adapters.from_module(Told(), (1, 2, 2), level=lambda s: s.log() / 4, classes=2)
    out = denoiser(torch.zeros(2, 1, 2, 2), torch.tensor([1.0, torch.e**4]), torch.tensor([0, 1]))
    torch.testing.assert_close(out[:, 0, 0, 0], torch.tensor([0.0, 11.0]))


def edm_heun(net, latents, t_steps):
    """The sampler of Karras et al. 2022, algorithm 1 without churn, written from the paper: net(x,
    t) with t one number.
    """
    x = latents * t_steps[0]
    for t, t_next in zip(t_steps[:-1], t_steps[1:], strict=True):
        d = (x - net(x, t)) / t
        x_next = x + (t_next - t) * d
        if t_next > 0:
            x_next = x + (t_next - t) * (d + (x_next - net(x_next, t_next)) / t_next) / 2
        x = x_next
    return x


def test_an_edm_model_takes_the_edm_trajectory_and_a_denoiser_takes_ours():
    def net(x, sigma):
        sigma = sigma.to(torch.float32).reshape(-1, 1, 1, 1)
        return (x.to(torch.float32) / (1 + sigma**2)).tanh()

    sigmas, n = noise.karras(6), seeds.normal(range(3), (1, 4, 4), dtype=torch.float64)
    denoiser = adapters.from_callable(net, (1, 4, 4))
    assert denoiser(n, 1.0).dtype == torch.float64
    assert "net" in repr(denoiser)
    torch.testing.assert_close(
        sample.heun(denoiser, n, sigmas), edm_heun(net, n, sigmas), rtol=1e-5, atol=1e-5
    )
    ideal = Ideal().fit(images(shape=(1, 4, 4)))
    back = adapters.to_callable(ideal)
    torch.testing.assert_close(edm_heun(back, n, sigmas), sample.heun(ideal, n, sigmas))
    # k-diffusion's and EDM's shapes of sigma
    torch.testing.assert_close(back(n, torch.full((3, 1, 1, 1), 2.0)), ideal(n, 2.0))
    torch.testing.assert_close(back(n, torch.full((3,), 2.0)), ideal(n, 2.0))


def test_a_callable_with_labels():
    denoiser = adapters.from_callable(
        lambda y, s, labels: y * labels[:, None, None, None], (1, 2, 2), classes=3
    )
    y = torch.ones(2, 1, 2, 2)
    assert denoiser(y, 1.0, torch.tensor([2, 0]))[:, 0, 0, 0].tolist() == [2, 0]
    assert denoiser.classes == (0, 1, 2)


def test_what_cannot_be_adapted_says_why():
    module = Net()
    y = torch.zeros(1, 1, 2, 2)
    with pytest.raises(InputError, match="did you mean 'noise'"):
        adapters.from_module(module, (1, 2, 2), predicts="noize")
    with pytest.raises(InputError, match="unknown input"):
        adapters.to_module(adapters.from_module(module, (1, 2, 2)), input="xy")
    with pytest.raises(InputError, match="positive bound"):
        adapters.from_module(module, (1, 2, 2), clip=0)
    with pytest.raises(InputError, match="must return a tensor of shape"):
        adapters.from_callable(lambda y, s: y[..., :1], (1, 2, 2))(y, 1.0)
    with pytest.raises(InputError, match="got tuple"):
        adapters.from_callable(lambda y, s: (y,), (1, 2, 2))(y, 1.0)
    with pytest.raises(InputError, match="positive scale"):
        adapters.from_module(module, (1, 2, 2), scale=0)
    with pytest.raises(InputError, match="repeat must be"):
        adapters.from_module(module, (1, 2, 2), repeat=0)
    with pytest.raises(InputError, match="least and the largest level"):
        adapters.from_module(module, (1, 2, 2), levels=(2.0, 1.0))
    with pytest.raises(InputError, match="unknown level 'sigmas'; did you mean"):
        adapters.from_module(module, (1, 2, 2), level="sigmas")
    with pytest.raises(InputError, match="wanted a function"):
        adapters.from_callable(3, (1, 2, 2))
    denoiser = adapters.from_module(module, (1, 2, 2))
    with pytest.raises(InputError, match="fitted already"):
        denoiser.spec.fit(images())
    with pytest.raises(InputError, match="code of Net"):
        denoiser.spec.rebuild(denoiser.state())
