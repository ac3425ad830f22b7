"""UNet variants: the published parameter counts, every variant runs at every size, and homogeneity
of the bias-free kind.
"""

import itertools
from dataclasses import replace

import pytest
import torch
from torch import nn

from archbias import families, seeds
from archbias.data import ImageSet
from archbias.nets.network import fit_replicates
from archbias.nets.scaling import parts
from archbias.nets.train import Train
from archbias.nets.unet import UNet


@pytest.mark.parametrize(
    ("channels", "count"), [(8, 120_720), (16, 480_672), (32, 1_918_272), (64, 7_664_256)]
)
def test_published_parameter_counts(channels, count):
    """Levine & Weiss, arXiv 2605.16415: three levels, 64x64 colour images."""
    spec = UNet.published(channels=channels)
    assert spec.parameters((3, 64, 64)) == count
    assert spec.conditioning == "per_level"
    assert spec.predicts == "image"
    assert spec.noise_levels == 10


@pytest.mark.parametrize(("levels", "count"), [(1, 93_248), (2, 458_560), (3, 1_918_272)])
def test_published_parameter_counts_by_poolings(levels, count):
    assert UNet.published(channels=32, levels=levels).parameters((3, 64, 64)) == count


def test_the_published_layers():
    """Averages of 2x2 down, 2x2 transposed up, 3x3 without bias and ReLU between; the input is
    variance preserving and neither network nor input tells the level."""
    spec = UNet.published(channels=8, levels=2)
    net = spec.module((3, 16, 16))
    kinds = {type(m) for m in net.modules() if not list(m.children())} - {nn.Identity}
    assert kinds == {nn.Conv2d, nn.BatchNorm2d, nn.AvgPool2d, nn.ConvTranspose2d}
    for m in net.modules():
        if isinstance(m, nn.Conv2d):
            assert (m.kernel_size, m.bias) == ((3, 3), None)
        if isinstance(m, nn.AvgPool2d):
            assert (m.kernel_size, m.stride) == (2, 2)
        if isinstance(m, nn.ConvTranspose2d):
            assert (m.kernel_size, m.stride, m.bias) == ((2, 2), (2, 2), None)
    y, sigma = seeds.normal(range(2), (3, 16, 16)), torch.tensor([0.5, 3.0])
    u, told, skip, _ = parts(spec, y, sigma, torch.tensor(0.4))
    torch.testing.assert_close(u, y / (1 + sigma**2).sqrt()[:, None, None, None])
    assert told is None
    assert skip is None


@pytest.mark.parametrize("normalisation", ["batch", "bias_free"])
@pytest.mark.parametrize("skips", [True, False])
def test_one_network_a_level_trained_side_by_side_is_one_denoiser(tmp_path, normalisation, skips):
    images = ImageSet.from_array(seeds.normal(range(12), (1, 8, 8)).tanh())
    spec = replace(
        UNet.published(channels=2, levels=1),
        skips=skips,
        padding="circular",
        normalisation=normalisation,
        noise_levels=3,
        train=Train(steps=4, batch=4),
    )
    together = fit_replicates(spec, images, [0], stack=True)[0]
    apart = fit_replicates(spec, images, [0], stack=False)[0]
    families.save(together, tmp_path / "kept.safetensors")
    kept = families.load(tmp_path / "kept.safetensors")
    y, sigmas = seeds.normal(range(3), (1, 8, 8)), torch.tensor(spec.sigmas())
    got = together(y, sigmas.float())
    assert torch.equal(kept(y, sigmas.float()), got)
    torch.testing.assert_close(apart(y, sigmas.float()), got, rtol=1e-3, atol=1e-3)
    for row, sigma in enumerate(spec.sigmas()):  # each level meets its own network alone
        others = {
            k: v * 0 if k.startswith("net.") and not k.startswith(f"net.{row}.") else v
            for k, v in together.state().items()
        }
        alone = spec.rebuild(others)(y[row : row + 1], sigma)
        torch.testing.assert_close(alone, got[row : row + 1])


GRID = list(
    itertools.product(
        ("average", "max", "stride", "blur", "none"),
        (1, 3),
        (True, False),
        ("zeros", "circular", "reflect", "replicate"),
        ("none", "batch", "group", "bias_free"),
        ("transpose", "nearest", "bilinear"),
    )
)


@pytest.mark.parametrize("pooling", ["average", "max", "stride", "blur", "none"])
def test_every_variant_keeps_the_shape(pooling):
    u = seeds.normal([0, 1], (1, 16, 16))
    for variant in (v for v in GRID if v[0] == pooling):
        _, levels, skips, padding, normalisation, upsampling = variant
        spec = UNet(
            pooling=pooling, levels=levels, skips=skips, padding=padding,
            normalisation=normalisation, upsampling=upsampling,
            channels=2,
        )  # fmt: skip
        if pooling == "none" and levels == 3 and padding != "zeros":
            continue  # windows of dilation 8 in 16 pixels: tested where they are refused
        out = spec.module((1, 16, 16))(u, torch.zeros(2), None)
        assert out.shape == u.shape, variant
        assert out.isfinite().all(), variant


@pytest.mark.parametrize("side", [28, 29, 89])
@pytest.mark.parametrize("padding", ["zeros", "reflect", "replicate"])
def test_odd_sizes(side, padding):
    spec = UNet(levels=3, channels=2, padding=padding)
    u = seeds.normal([0], (1, side, side + 2))
    assert spec.module((1, side, side + 2))(u, torch.zeros(1), None).shape == u.shape


@pytest.mark.parametrize(
    "variant",
    [("average", "transpose"), ("max", "nearest"), ("stride", "bilinear"), ("none", "transpose")],
)
def test_bias_free_networks_are_homogeneous(variant):
    """F(a u) = a F(u) for a > 0 (Mohan et al. 2020)."""
    pooling, upsampling = variant
    spec = UNet(
        channels=4,
        levels=2,
        pooling=pooling,
        upsampling=upsampling,
        normalisation="bias_free",
        conditioning="blind",
        predicts="noise",
    )
    net = spec.module((1, 16, 16)).double()
    u = seeds.normal(range(3), (1, 16, 16), dtype=torch.float64)
    for _ in range(3):
        net(u, None, None)  # statistics
    net.eval()
    out = net(u, None, None)
    assert out.abs().max() > 1e-3
    torch.testing.assert_close(net(37.0 * u, None, None), 37.0 * out, rtol=1e-9, atol=1e-12)


def test_skips_carry_detail():
    """Without skips the output is a function of the coarsest level alone: here 2x2 pixels of 4
    channels.
    """
    u = seeds.normal([0], (1, 16, 16), dtype=torch.float64).requires_grad_()
    net = (
        UNet(channels=2, multiplier=1, levels=3, skips=False, normalisation="none")
        .module((1, 16, 16))
        .double()
    )
    for p in net.parameters():
        p.data = p.data.abs() + 0.01
    out = net(u, torch.zeros(1, dtype=torch.float64), None).flatten()
    rank = torch.linalg.matrix_rank(
        torch.stack([torch.autograd.grad(o, u, retain_graph=True)[0].flatten() for o in out])
    )
    assert rank <= 2 * 2 * 2
