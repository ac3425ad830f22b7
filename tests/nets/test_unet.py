"""UNet variants: the published parameter counts, every variant runs at every size, and homogeneity
of the bias-free kind.
"""

import itertools

import pytest
import torch

from archbias import seeds
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
