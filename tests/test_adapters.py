"""Other people's models: the trajectories of the diffusers library, of an EDM sampler, and there
and back.
"""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from archbias import adapters, noise, sample, seeds
from archbias.data import ImageSet
from archbias.errors import InputError
from archbias.posteriors.ideal import Ideal

diffusers = pytest.importorskip(
    "diffusers", reason="install archbias[diffusers] to compare with that library"
)

KINDS = ["epsilon", "sample", "v_prediction"]


def small_unet(**more):
    torch.manual_seed(1)
    settings = {
        "sample_size": 8,
        "in_channels": 1,
        "out_channels": 1,
        "block_out_channels": (8, 16),
        "layers_per_block": 1,
        "norm_num_groups": 4,
        "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
        "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
        "attention_head_dim": 4,
    }
    return diffusers.UNet2DModel(**settings | more).eval()


def scheduler_of(kind, **more):
    return diffusers.DDIMScheduler(prediction_type=kind, clip_sample=False, **more)


@torch.no_grad()
def library_trajectory(unet, scheduler, x, steps, **step):
    """DDIM as the library runs it, every state, in its own variance-preserving coordinates."""
    scheduler = copy.deepcopy(scheduler)
    scheduler.set_timesteps(steps)
    states = [x]
    for t in scheduler.timesteps:
        states.append(scheduler.step(unet(states[-1], t).sample, t, states[-1], **step).prev_sample)
    return torch.stack(states)


def images(n=5, shape=(1, 8, 8)):
    return ImageSet.from_array(seeds.normal(range(n), shape).clamp(-3, 3) / 3)


# ---- diffusers
# ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("spacing", ["leading", "trailing"])
def test_trajectory_is_that_of_the_library(kind, spacing):
    unet, scheduler, steps = small_unet().double(), scheduler_of(kind, timestep_spacing=spacing), 10
    scheduler.alphas_cumprod = scheduler.alphas_cumprod.double()
    sigmas = adapters.sigmas_of(scheduler, steps)
    n = seeds.normal(range(3), (1, 8, 8), dtype=torch.float64)
    ours = sample.ddim(adapters.from_diffusers(unet, scheduler), n, sigmas, path=True)
    abar = noise.abar_of(sigmas)
    theirs = library_trajectory(unet, scheduler, (1 - abar[0]).sqrt() * n, steps)
    ours = ours * abar.sqrt()[:, None, None, None, None]
    assert sigmas[-1] == 0
    assert (ours - theirs).abs().max() < 1e-12 * theirs.abs().max()


@pytest.mark.parametrize("offset", [0, 1])
def test_trajectory_in_single_precision_that_does_not_end_at_zero(offset):
    unet = small_unet()
    scheduler = scheduler_of(
        "epsilon", beta_schedule="squaredcos_cap_v2", set_alpha_to_one=False, steps_offset=offset
    )
    sigmas = adapters.sigmas_of(scheduler, 20)
    assert len(sigmas) == 20 + offset
    n = seeds.normal(range(2), (1, 8, 8))
    ours = sample.ddim(adapters.from_diffusers(unet, scheduler), n, sigmas)
    abar = noise.abar_of(sigmas).float()
    theirs = library_trajectory(unet, scheduler, (1 - abar[0]).sqrt() * n, 20)[-1]
    assert sigmas[-1] > 0
    assert (abar[-1].sqrt() * ours - theirs).abs().max() < 1e-3 * theirs.abs().max()


def test_clipping_is_that_of_the_library():
    unet, scheduler = small_unet(), diffusers.DDIMScheduler(clip_sample=True)
    sigmas = adapters.sigmas_of(scheduler, 10)
    n = seeds.normal(range(2), (1, 8, 8))
    ours = sample.ddim(adapters.from_diffusers(unet, scheduler, clip=1.0), n, sigmas)
    start = (1 - noise.abar_of(sigmas)[0]).sqrt().float() * n
    theirs = library_trajectory(unet, scheduler, start, 10, use_clipped_model_output=True)[-1]
    assert theirs.abs().max() == 1
    assert (ours - theirs).abs().max() < 1e-4


@pytest.mark.parametrize(
    "name",
    ["DDPMScheduler", "EulerDiscreteScheduler", "DPMSolverMultistepScheduler", "PNDMScheduler"],
)
def test_any_scheduler_with_alphas(name):
    """The schedulers share their alphas, so the same network is the same denoiser under each."""
    unet, scheduler = small_unet(), getattr(diffusers, name)()
    y = seeds.normal(range(2), (1, 8, 8))
    one = adapters.from_diffusers(unet, scheduler)(y, 1.5)
    other = adapters.from_diffusers(unet, diffusers.DDIMScheduler())(y, 1.5)
    torch.testing.assert_close(one, other)


@pytest.mark.parametrize("kind", KINDS)
def test_the_denoised_image_is_what_the_scheduler_calls_the_original_sample(kind):
    unet, scheduler = small_unet().double(), scheduler_of(kind)
    scheduler.set_timesteps(1000)
    x = seeds.normal(range(2), (1, 8, 8), dtype=torch.float64)
    for t in (1, 400, 999):
        abar = scheduler.alphas_cumprod.double()[t]
        with torch.no_grad():
            wanted = scheduler.step(unet(x, t).sample, t, x).pred_original_sample
            got = adapters.from_diffusers(unet, scheduler)(
                x / abar.sqrt(), noise.sigma_of(abar).item()
            )
        torch.testing.assert_close(got, wanted, rtol=1e-5, atol=1e-5)


def test_levels_between_training_steps_are_interpolated():
    told = []

    class Listener(nn.Module):
        config = copy.deepcopy(small_unet().config)

        def forward(self, u, t):
            told.append(t)
            return (torch.zeros_like(u),)

    scheduler = scheduler_of("epsilon")
    grid = noise.sigma_of(scheduler.alphas_cumprod.double())
    denoiser = adapters.from_diffusers(Listener(), scheduler)
    y = torch.zeros(6, 1, 8, 8, dtype=torch.float64)
    between = (grid[10] * grid[11]).sqrt()
    denoiser(y, torch.stack([grid[0], grid[10], between, grid[999], grid[0] / 2, grid[999] * 2]))
    np.testing.assert_allclose(told[0], [0, 10, 10.5, 999, 0, 999], atol=1e-9)
    whole = grid.float()
    denoiser(torch.zeros(1000, 1, 8, 8), whole)
    assert torch.equal(told[1], torch.arange(1000.0))


def test_classes_variance_channels_and_learned_steps():
    unet = small_unet(
        num_class_embeds=3, out_channels=2, time_embedding_type="learned", num_train_timesteps=1000
    )
    scheduler = scheduler_of("epsilon")
    denoiser = adapters.from_diffusers(unet, scheduler)
    y, sigma = (
        seeds.normal(range(2), (1, 8, 8)),
        noise.sigma_of(scheduler.alphas_cumprod)[300].item(),
    )
    labels = torch.tensor([2, 0])
    with torch.no_grad():
        eps = unet(y / (1 + sigma**2) ** 0.5, torch.tensor([300, 300]), class_labels=labels).sample[
            :, :1
        ]
    torch.testing.assert_close(denoiser(y, sigma, labels), y - sigma * eps, rtol=1e-4, atol=1e-4)
    with pytest.raises(InputError, match="class-conditional"):
        denoiser(y, sigma)
    with pytest.raises(InputError, match="label 3"):
        denoiser(y, sigma, torch.tensor([3, 0]))


@pytest.mark.parametrize("kind", KINDS)
def test_a_denoiser_in_the_library_takes_our_trajectory(kind):
    denoiser, scheduler = Ideal().fit(images()), scheduler_of(kind)
    unet = adapters.to_diffusers(denoiser, scheduler)
    sigmas = adapters.sigmas_of(scheduler, 10)
    n = seeds.normal(range(2), (1, 8, 8), dtype=torch.float64)
    ours = sample.ddim(denoiser, n, sigmas)
    theirs = library_trajectory(unet, scheduler, (1 - noise.abar_of(sigmas)[0]).sqrt() * n, 10)[-1]
    assert (ours - theirs).abs().max() < 1e-4


def test_a_denoiser_runs_in_a_pipeline_of_the_library():
    denoiser = Ideal().fit(images())
    scheduler = scheduler_of("epsilon")
    pipeline = diffusers.DDIMPipeline(
        unet=adapters.to_diffusers(denoiser, scheduler), scheduler=scheduler
    )
    pipeline.set_progress_bar_config(disable=True)
    made = pipeline(
        batch_size=2,
        num_inference_steps=10,
        output_type="np",
        generator=torch.Generator().manual_seed(0),
    ).images
    assert made.shape == (2, 8, 8, 1)
    near = min(
        float((torch.from_numpy(made[0, ..., 0]).float() * 2 - 1 - x).abs().max())
        for x in images().images[:, 0]
    )
    assert near < 1e-3  # the ideal denoiser copies a training image


def test_there_and_back_is_the_same_denoiser():
    denoiser, scheduler = Ideal().fit(images()), scheduler_of("v_prediction")
    again = adapters.from_diffusers(adapters.to_diffusers(denoiser, scheduler), scheduler)
    y = seeds.normal(range(3), (1, 8, 8), dtype=torch.float64)
    sigma = noise.sigma_of(scheduler.alphas_cumprod.double())[500].item()
    torch.testing.assert_close(again(y, sigma), denoiser(y, sigma), rtol=1e-6, atol=1e-6)


# ---- plain modules and callables
# ----------------------------------------------------------------------------------


class Wiener(nn.Module):
    """The exact denoiser of N(0, 1) pixels, D = y / (1 + sigma^2), stated in any convention, with
    one parameter.
    """

    def __init__(self, predicts, input):
        super().__init__()
        self.predicts, self.input = predicts, input
        self.one = nn.Parameter(torch.ones(()))

    def forward(self, x, sigma):
        assert x.dtype == self.one.dtype
        s = sigma[:, None, None, None]
        y = x * (1 + s**2).sqrt() if self.input == "vp" else x
        x0 = self.one * y / (1 + s**2)
        eps = (y - x0) / s
        v = eps / (1 + s**2).sqrt() - s / (1 + s**2).sqrt() * x0
        return {"image": x0, "noise": eps, "v": v}[self.predicts]


@pytest.mark.parametrize("input", adapters.INPUTS)
@pytest.mark.parametrize("predicts", adapters.PREDICTIONS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_convention_of_a_plain_module(predicts, input, dtype):
    denoiser = adapters.from_module(
        Wiener(predicts, input), (2, 3, 4), predicts=predicts, input=input
    )
    y = seeds.normal(range(3), (2, 3, 4), dtype=dtype)
    sigma = torch.tensor([0.1, 1.0, 7.0], dtype=dtype)
    got = denoiser(y, sigma)
    assert got.dtype == dtype
    torch.testing.assert_close(got, y / (1 + sigma[:, None, None, None] ** 2))
    torch.testing.assert_close(denoiser(y[1:2], 1.0), got[1:2])
    back = adapters.to_module(denoiser, predicts=predicts, input=input)
    x = y / (1 + sigma[:, None, None, None] ** 2).sqrt() if input == "vp" else y
    torch.testing.assert_close(
        back(x, sigma), Wiener(predicts, input).to(dtype)(x, sigma), rtol=1e-4, atol=1e-4
    )


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


# ---- bad input
# ------------------------------------------------------------------------------


def test_what_cannot_be_adapted_says_why():
    module = Wiener("image", "ve")
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
    with pytest.raises(InputError, match="UNet2DModel"):
        adapters.from_diffusers(module, scheduler_of("epsilon"))
    with pytest.raises(InputError, match="sample_size"):
        adapters.from_diffusers(small_unet(sample_size=None), scheduler_of("epsilon"))
    with pytest.raises(InputError, match="alphas_cumprod"):
        adapters.from_diffusers(small_unet(), diffusers.FlowMatchEulerDiscreteScheduler())
    with pytest.raises(InputError, match="zero terminal signal"):
        adapters.sigmas_of(
            scheduler_of("v_prediction", rescale_betas_zero_snr=True, timestep_spacing="trailing"),
            10,
        )
    denoiser = adapters.from_module(module, (1, 2, 2))
    with pytest.raises(InputError, match="fitted already"):
        denoiser.spec.fit(images())
    with pytest.raises(InputError, match="code of Wiener"):
        denoiser.spec.rebuild(denoiser.state())
