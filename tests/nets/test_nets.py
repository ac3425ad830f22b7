"""Every network: what its Spec states of it is measured on the network itself, and the contract of
a denoiser.
"""

import math
from dataclasses import fields, replace

import pytest
import torch
from torch.func import jvp, vmap

from archbias import noise, sample, seeds
from archbias.data import ImageSet
from archbias.denoise import from_json, to_json
from archbias.errors import InputError
from archbias.nets.dit import DiT, near
from archbias.nets.layers import BiasFreeNorm, attend
from archbias.nets.mlp import MLP, PatchMLP
from archbias.nets.network import Network, fit_replicates
from archbias.nets.resnet import ResNet
from archbias.nets.shallow import Shallow
from archbias.nets.train import Train
from archbias.nets.unet import UNet
from archbias.regressions.linear import Linear
from archbias.regressions.polynomial import Polynomial

SHORT = Train(steps=2, batch=8, learning_rate=0.05, warmup=0)


def brief(spec: Network) -> str:
    """What differs from the defaults."""
    plain = type(spec)()
    names = [
        f.name
        for f in fields(spec)
        if f.name != "train" and getattr(spec, f.name) != getattr(plain, f.name)
    ]
    return " ".join([type(spec).__name__, *(f"{n}={getattr(spec, n)}" for n in names)])


def images(shape=(2, 16, 16), n=12, labels=False) -> ImageSet:
    x = seeds.normal(range(n), shape).tanh()
    return ImageSet.from_array(x, labels=10 * (torch.arange(n) % 3) if labels else None)


def rough(module: torch.nn.Module, seed=0) -> torch.nn.Module:
    """Weights that are nowhere zero, so that nothing the architecture allows is hidden by its
    start.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for p in module.parameters():
            p.data = p.data + 0.1 * torch.randn_like(p)
    return module.double().eval()


def reach(spec: Network, shape) -> int | None:
    """Receptive field measured by autograd: the farthest input pixel any output pixel depends on,
    None if it is at the edge.
    """
    net = rough(spec.module(shape))
    if not isinstance(spec, DiT):
        positive(net)
    c, h, w = shape
    u = torch.rand(1, c, h, w, dtype=torch.float64, requires_grad=True)
    level = torch.zeros(1, dtype=torch.float64) if spec.told else None
    out = net(u, level, None)
    far, step = 0, 8
    for row in range(h // 2 - step // 2, h // 2 + step // 2):
        for column in (w // 2, w // 2 + 1):
            (g,) = torch.autograd.grad(out[0, :, row, column].sum(), u, retain_graph=True)
            rows, columns = g[0].abs().sum(0).nonzero().T
            if not len(rows):
                continue  # every unit on the way is shut
            far = max(far, int((rows - row).abs().max()), int((columns - column).abs().max()))
            if rows.min() == 0 or rows.max() == h - 1:
                return None
    return 2 * far + 1


def positive(net: torch.nn.Module) -> torch.nn.Module:
    """Positive weights: no ReLU is shut, no path cancels another."""
    for p in net.parameters():
        p.data = p.data.abs() * 0.1 + 0.01
    return net


@pytest.mark.parametrize(
    "spec",
    [
        ResNet(depth=8, width=4),
        ResNet(depth=4, width=4, kernel=5, padding="circular"),
        ResNet(depth=5, width=4, padding="reflect", normalisation="bias_free"),
        PatchMLP(window=9, width=8),
        PatchMLP(window=1, width=8, padding="replicate"),
        DiT(patch=2, width=16, depth=2, window=3),
        DiT(patch=4, width=16, depth=1, window=5, place=False),
        UNet(channels=2, levels=1),
        UNet(channels=2, levels=1, upsampling="bilinear", pooling="blur"),
        UNet(
            channels=2,
            levels=1,
            upsampling="nearest",
            pooling="stride",
            skips=False,
            normalisation="none",
        ),
        UNet(channels=2, levels=1, blocks=2, normalisation="batch", padding="circular"),
        UNet(channels=2, levels=2, normalisation="bias_free", padding="replicate"),
        UNet(channels=2, levels=2, pooling="none", normalisation="batch"),
        UNet(
            channels=2,
            levels=2,
            pooling="blur",
            upsampling="bilinear",
            padding="circular",
            normalisation="batch",
        ),
    ],
    ids=brief,
)
def test_receptive_field_is_what_autograd_sees(spec):
    side = 120 if isinstance(spec, UNet) and spec.levels == 2 else 64
    assert reach(spec, (1, side, side)) == spec.receptive_field


def test_the_published_resnet_sees_17_pixels():
    assert ResNet.published().receptive_field == 17


@pytest.mark.parametrize(
    "spec",
    [
        DiT(patch=4, width=16, depth=1),
        UNet(channels=4, levels=1, attention="coarsest", normalisation="none"),
        MLP(width=8, depth=1),
        UNet(channels=4, levels=1, normalisation="group"),
        ResNet(depth=3, width=4, normalisation="group"),
    ],
)
def test_networks_that_see_everything_say_so(spec):
    assert spec.receptive_field is None
    assert reach(spec, (1, 32, 32)) is None


@pytest.mark.parametrize(
    "spec",
    [
        ResNet(depth=4, width=6, padding="circular"),
        ResNet(depth=4, width=6),
        ResNet(depth=4, width=6, padding="replicate"),
        PatchMLP(window=5, width=8, padding="circular"),
        PatchMLP(window=5, width=8),
        MLP(width=8, depth=1),
        DiT(patch=4, width=16, depth=1),
        *(
            UNet(channels=4, levels=levels, padding="circular", pooling=pooling, upsampling=up)
            for levels, pooling, up in [
                (1, "average", "transpose"), (2, "max", "nearest"), (2, "stride", "bilinear"), (2,
                "blur", "bilinear"), (2, "none", "transpose"),
            ]
        ),
        UNet(channels=4, levels=1, padding="circular", attention="coarsest"),
        UNet(channels=4, levels=1),
    ],
    ids=brief,
)  # fmt: skip
def test_equivariance_is_what_shifting_shows(spec):
    """Commutes with shifts by `equivariance` pixels and with no smaller ones; with none at all
    where it is None.
    """
    net = rough(spec.module((1, 16, 16)))
    u = seeds.normal([0], (1, 16, 16), dtype=torch.float64)
    c = torch.zeros(1, dtype=torch.float64)

    def commutes(shift):
        return all(
            torch.allclose(
                net(u.roll(shift, d), c, None), net(u, c, None).roll(shift, d), atol=1e-9, rtol=1e-9
            )
            for d in (2, 3)
        )

    smallest = next((s for s in range(1, 16) if commutes(s)), None)
    assert smallest == spec.equivariance


SMALL = [
    UNet(channels=4, levels=1),
    ResNet(depth=3, width=4),
    MLP(width=8, depth=2),
    PatchMLP(width=8, depth=1),
    DiT(patch=4, width=16, depth=1),
]


@pytest.mark.parametrize("spec", [*SMALL, Shallow()], ids=lambda s: type(s).__name__)
def test_parameter_count_is_that_of_the_network(spec):
    trained = sum(p.numel() for p in spec.module((3, 8, 8)).parameters())
    assert spec.parameters((3, 8, 8)) == trained
    if isinstance(spec, Shallow):
        assert trained == 192 * 192 + 192
    else:
        assert spec.parameters((3, 8, 8), classes=5) > trained


def every(**more) -> list[Network]:
    """One small spec of every kind of network and conditioning."""
    common = {"train": SHORT, **more}
    return [
        UNet(channels=4, levels=1, normalisation="batch", **common),
        UNet(channels=4, levels=1, attention="coarsest", predicts="noise", **common),
        UNet(
            channels=4,
            levels=2,
            normalisation="bias_free",
            conditioning="blind",
            predicts="noise",
            **common,
        ),
        UNet(
            channels=4,
            levels=1,
            normalisation="none",
            conditioning="per_level",
            noise_levels=3,
            predicts="image",
            **common,
        ),
        ResNet(depth=3, width=4, precondition="vp", **common),
        ResNet(
            depth=3,
            width=4,
            normalisation="group",
            conditioning="blind",
            predicts="image",
            **common,
        ),
        MLP(width=8, depth=2, **common),
        PatchMLP(window=3, width=8, **common),
        DiT(patch=4, width=16, depth=1, heads=2, window=3, **common),
    ]


@pytest.mark.parametrize(
    "spec",
    [
        *every(),
        Shallow(noise_levels=3, train=SHORT),
        Shallow(noise_levels=3, components=5, train=SHORT),
    ],
    ids=brief,
)
def test_contract_of_a_denoiser(spec):
    data = images()
    denoiser = spec.fit(data)
    y = 2 * seeds.normal(range(4), data.shape, stream=1)
    sigma = torch.tensor([0.02, 0.5, 3.0, 60.0])
    kept = y.clone()
    out = denoiser(y, sigma)
    assert out.shape == y.shape
    assert out.dtype == torch.float32
    assert torch.equal(y, kept)
    alone = torch.cat([denoiser(y[i : i + 1], float(sigma[i])) for i in range(4)])
    torch.testing.assert_close(alone, out, rtol=1e-4, atol=1e-4)
    double = denoiser(y.double(), sigma.double())
    assert double.dtype == torch.float64
    torch.testing.assert_close(double.float(), out, rtol=1e-3, atol=1e-3)
    again = from_json(type(spec), to_json(spec)).rebuild(denoiser.state())
    assert torch.equal(again(y, sigma), out)
    names = {k.__name__: k for k in (UNet, ResNet, MLP, PatchMLP, DiT, Shallow, Train)}
    assert eval(repr(spec), names) == spec
    assert {"step", "loss", "sigma", "error"} == set(denoiser.history)
    assert len(denoiser.history["step"]) == len(denoiser.history["loss"])


# torch's own forward mode
@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")
@pytest.mark.parametrize("spec", every(), ids=brief)
def test_differentiable_and_under_torch_func(spec):
    data = images()
    denoiser = spec.fit(data)
    y, v = seeds.normal([0, 1], data.shape, dtype=torch.float64)[:, None]
    sigma = torch.tensor([0.7], dtype=torch.float64)
    out, slope = jvp(lambda z: denoiser.denoise(z, sigma), (y,), (v,))
    h = 1e-6
    finite = (denoiser(y + h * v, 0.7) - denoiser(y - h * v, 0.7)) / (2 * h)
    torch.testing.assert_close(slope, finite, rtol=1e-4, atol=1e-5)
    z = y.clone().requires_grad_()
    (g,) = torch.autograd.grad((denoiser(z, 0.7) * v).sum(), z)
    torch.testing.assert_close((g * v).sum(), (slope * v).sum(), rtol=1e-6, atol=1e-8)
    both = vmap(lambda z: denoiser.denoise(z[None], sigma)[0])(torch.cat([y, v]))
    torch.testing.assert_close(both[0], out[0], rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("spec", SMALL, ids=lambda s: type(s).__name__)
def test_labels_matter_and_are_checked(spec):
    data = images(labels=True)
    denoiser = replace(
        spec, class_labels=True, train=Train(steps=20, batch=8, learning_rate=5e-3)
    ).fit(data)
    assert denoiser.classes == (0, 10, 20)
    y = seeds.normal([0, 0], data.shape)
    out = denoiser(y, 1.0, torch.tensor([0, 20]))
    assert not torch.allclose(out[0], out[1])
    with pytest.raises(InputError, match="label 5 has no training image"):
        denoiser(y, 1.0, torch.tensor([0, 5]))
    with pytest.raises(InputError, match="wants labels, got none"):
        denoiser(y, 1.0)
    with pytest.raises(InputError, match="wants images with labels"):
        replace(spec, class_labels=True).fit(images())


def test_predictions_are_the_same_denoiser_written_differently():
    """A network that outputs zero: image gives D = 0, noise D = y, v under VP D = y / (1 +
    sigma^2), under EDM s^2 y / (s^2 + sigma^2).
    """
    data = images()
    y = seeds.normal([3], data.shape, dtype=torch.float64)
    sigma, s2 = 0.6, float(data.images.double().square().mean().float().sqrt().double() ** 2)
    for predicts, precondition, expected in [
        ("image", "edm", 0 * y),
        ("noise", "edm", y),
        ("v", "vp", y / (1 + sigma**2)),
        ("v", "edm", y * s2 / (s2 + sigma**2)),
    ]:
        spec = ResNet(depth=2, width=2, predicts=predicts, precondition=precondition, train=SHORT)
        denoiser = spec.fit(data)
        zero = spec.rebuild(
            {k: v * 0 if k.startswith("net") else v for k, v in denoiser.state().items()}
        )
        torch.testing.assert_close(zero(y, sigma), expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(
    "spec",
    [
        UNet(channels=8, levels=2),
        ResNet(depth=4, width=8),
        DiT(width=32, depth=2),
        MLP(width=32, depth=2),
    ],
)
def test_hardly_trained_networks_stay_bounded_at_the_largest_noise(spec):
    """The default prediction does not multiply the network's error by sigma: samples stay of the
    size of images.
    """
    data = images((1, 16, 16))
    denoiser = replace(spec, train=Train(steps=20, batch=16)).fit(data)
    y = 80.2 * seeds.normal(range(8), data.shape)
    assert denoiser(y, 80.2).abs().max() < 3
    x = sample.ddim(denoiser, seeds.normal(range(8), data.shape), noise.cosine(20))
    assert x.abs().max() < 10


def test_a_network_per_level_uses_the_nearest_level():
    data = images()
    spec = ResNet(
        depth=2,
        width=2,
        conditioning="per_level",
        levels_of="geometric",
        noise_levels=3,
        train=SHORT,
    )
    denoiser = spec.fit(data)
    sigmas = noise.geometric(3)[:-1]
    y = seeds.normal([0], data.shape)
    changed = {k: v + 1 if k.startswith("net.1.") else v for k, v in denoiser.state().items()}
    other = spec.rebuild(changed)
    same = [
        torch.equal(other(y, s), denoiser(y, s))
        for s in (float(sigmas[0]), float(sigmas[1]) * 1.5, float(sigmas[2]))
    ]
    assert same == [True, False, True]


def test_blind_networks_do_not_know_sigma():
    data = images()
    y = seeds.normal([0], data.shape)
    for predicts in ("image", "noise"):
        denoiser = ResNet(
            depth=2, width=2, conditioning="blind", predicts=predicts, train=SHORT
        ).fit(data)
        assert torch.equal(denoiser(y, 0.1), denoiser(y, 7.0))


def test_replicates_are_fits_with_other_seeds():
    data, spec = images(), ResNet(depth=2, width=2, train=SHORT)
    first, second = fit_replicates(spec, data, [0, 9])
    y = seeds.normal([0], data.shape)
    assert torch.equal(first(y, 1.0), spec.fit(data)(y, 1.0))
    assert not torch.allclose(first(y, 1.0), second(y, 1.0))


def test_bias_free_norm_divides_by_the_deviation_of_what_it_saw():
    layer = BiasFreeNorm(3).double()
    x = (
        5
        * seeds.normal(range(4), (3, 6, 6), dtype=torch.float64)
        * torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)[:, None, None]
        + 7
    )
    out = layer(x)
    torch.testing.assert_close(
        out.var((0, 2, 3), correction=0), torch.ones(3, dtype=torch.float64), rtol=1e-4, atol=0
    )
    layer.reset_running_stats()
    layer.momentum = None
    layer(x[:2]), layer(x[2:])
    layer.eval()
    pooled = (x[:2].var((0, 2, 3), correction=0) + x[2:].var((0, 2, 3), correction=0)) / 2
    torch.testing.assert_close(layer(x), x * (pooled + 1e-5).rsqrt()[:, None, None])


def small(n=60) -> ImageSet:
    """Correlated 3x3 images with a mean."""
    x = 0.35 * seeds.normal(range(n), (1, 4, 4))
    x = (x + x.roll(1, 2) + x.roll(1, 3))[:, :, :3, :3] / 2 + 0.2
    return ImageSet.from_array(x.clamp(-1, 1))


def test_the_trained_linear_denoiser_approaches_its_closed_form():
    """A curve: the error of samples against the exact Wiener sampler, seed by seed, falls as
    training grows.
    """
    data, sigmas = small(), noise.cosine(10)
    start = seeds.normal(range(64), data.shape)
    exact = sample.ddim(Linear().fit(data), start, sigmas)
    spread = (exact - exact.mean(0)).square().mean()
    curve = []
    for steps in (5, 30, 200):
        spec = Shallow(
            noise_levels=10,
            train=Train(steps=steps, batch=256, learning_rate=0.02, warmup=0, clip=0.0, ema=0.99),
        )
        got = sample.ddim(spec.fit(data), start, sigmas)
        curve.append(float((got - exact).square().mean() / spread))
    assert curve[0] > 4 * curve[1] > 16 * curve[2], curve
    assert curve[2] < 1e-3


def test_in_principal_coordinates_it_approaches_the_wiener_filter_of_that_rank():
    data, sigmas = small(), noise.cosine(10)
    start = seeds.normal(range(64), data.shape)
    exact = sample.ddim(Linear(rank=4).fit(data), start, sigmas)
    train = Train(steps=200, batch=256, learning_rate=0.02, warmup=0, clip=0.0, ema=0.99)
    spec = Shallow(components=4, noise_levels=10, train=train)
    assert spec.parameters(data.shape) == 4 * 4 + 4
    first, second = fit_replicates(spec, data, [0, 9])
    got = sample.ddim(first, start, sigmas)
    assert (got - exact).square().mean() < 1e-3 * (exact - exact.mean(0)).square().mean()
    torch.testing.assert_close(
        second(start, 1.0), replace(spec, train=replace(train, seed=9)).fit(data)(start, 1.0)
    )
    assert second.history["error"][-1] < second.history["error"][0]
    with pytest.raises(InputError, match="components must be at most 9"):
        Shallow(components=10).fit(data)


def test_a_linear_layer_too_large_to_train_names_the_remedy():
    with pytest.raises(InputError, match="components=200"):
        Shallow().fit(ImageSet.from_array(torch.linspace(-1, 1, 2 * 12288).reshape(2, 3, 64, 64)))


def test_trained_polynomials_approach_their_closed_form():
    """Two pixels, degree 3, all levels: the same functions as `Polynomial` with every
    coordinate.
    """
    n = 400
    angle = torch.linspace(0, 3 * math.pi, n)
    x = torch.stack([angle.cos() * angle, angle.sin() * angle], 1).reshape(n, 1, 1, 2) / 10
    data, sigmas = ImageSet.from_array(x), noise.cosine(5)
    closed = Polynomial(degree=3, components=2).fit(data)
    levels = sigmas[:-1]
    y = data.images[::4]
    errors = []
    for steps in (20, 100, 800):
        train = Train(steps=steps, batch=200, learning_rate=0.03, warmup=0, clip=0.0, ema=0.99)
        got = Shallow(degree=3, noise_levels=5, train=train).fit(data)
        n = seeds.normal(range(len(y)), data.shape, stream=1)
        gaps = [
            (got(y + s * n, s) - closed(y + s * n, s)).square().mean() / closed(y + s * n, s).var()
            for s in levels.tolist()[1:]
        ]
        errors.append(float(torch.stack(gaps).mean()))
    assert errors[0] > errors[1] > errors[2], errors
    assert errors[2] < 0.02


@pytest.mark.parametrize("shape", [(5, 7), (4, 4)])
def test_fused_attention_is_the_plain_formula(shape):
    q, k, v = seeds.normal(range(3), (2, 3, shape[0] * shape[1], 8), dtype=torch.float64)
    mask = near(*shape, 1)
    assert mask.sum(1).tolist()[0] == 4
    torch.testing.assert_close(
        attend(q, k, v, mask, fused=True), attend(q, k, v, mask, fused=False)
    )
    torch.testing.assert_close(attend(q, k, v, fused=True), attend(q, k, v, fused=False))


def test_the_mlp_of_the_plane_and_of_images():
    assert MLP.plane().widths == (64, 1, 64)
    assert MLP.plane().parameters((1, 1, 2)) == (2 * 64 + 64) + (64 + 1) + (64 + 64) + (64 * 2 + 2)
    images_mlp = MLP(conditioning="per_level")
    assert images_mlp.widths == (200,) * 9
    assert (
        images_mlp.parameters((3, 8, 8))
        == 192 * 200 + 200 + 8 * (200 * 200 + 200) + 200 * 192 + 192
    )


@pytest.mark.parametrize(
    "settings",
    [
        (UNet, {"pooling": "mean"}), (UNet, {"levels": 5}), (UNet, {"channels": 1}), (UNet,
        {"padding": "same"}), (UNet, {"blocks": 0}),
        (UNet, {"normalisation": "layer"}), (UNet, {"upsampling": "cubic"}), (UNet,
        {"attention": "all"}), (UNet, {"multiplier": 1.5}),
        (UNet, {"conditioning": "none"}), (UNet, {"predicts": "score"}), (UNet,
        {"precondition": "none"}), (UNet, {"noise_levels": 0}),
        (ResNet, {"conditioning": "blind"}), (ResNet, {"depth": 1}), (ResNet, {"kernel": 4}),
        (ResNet, {"width": 0}),
        (MLP, {"activation": "gelu"}), (MLP, {"width": (3, 0)}), (PatchMLP, {"window": 2}), (DiT,
        {"heads": 3}), (DiT, {"window": 2}),
        (Shallow, {"conditioning": "told"}), (Shallow, {"degree": 0}), (Shallow,
        {"class_labels": True}),
    ],
    ids=str,
)  # fmt: skip
def test_bad_settings_say_what_to_do(settings):
    kind, values = settings
    with pytest.raises(InputError, match=r"; "):
        kind(**values)


@pytest.mark.parametrize(
    ("spec", "shape"),
    [
        (UNet(padding="circular", levels=2), (1, 30, 28)),
        (UNet(padding="reflect", levels=4), (1, 12, 12)),
        (DiT(patch=5), (1, 28, 28)),
        (ResNet(kernel=9, padding="reflect"), (1, 4, 4)),
        (PatchMLP(window=9, padding="reflect"), (1, 4, 4)),
        (Shallow(degree=3), (1, 28, 28)),
    ],
)
def test_images_that_do_not_fit_say_what_to_do(spec, shape):
    with pytest.raises(InputError, match=r"; "):
        spec.module(shape)
