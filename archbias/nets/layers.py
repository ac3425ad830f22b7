"""Pieces of networks: convolutions with a border, normalisation, resampling, the embedding of noise
level and label.

Every piece acts on (B, C, H, W). The modulation by the embedding e is feature-wise, h <- (1 + a(e))
h + b(e), with a and b starting at 0 (Perez et al. 2018); the noise level enters through sines and
cosines of ln(sigma) / 4 and two linear layers.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as f
from torch import Tensor, nn

from ..errors import InputError

PADDINGS = {
    "zeros": "constant",
    "circular": "circular",
    "reflect": "reflect",
    "replicate": "replicate",
}
NORMALISATIONS = ("none", "batch", "group", "bias_free")


def border(x: Tensor, before: int, after: int, padding: str) -> Tensor:
    """X with `before` pixels added above and left, `after` below and right."""
    return f.pad(x, (before, after, before, after), PADDINGS[padding]) if before or after else x


def fits(name: str, side: int, shape: tuple[int, int, int], padding: str) -> None:
    """An InputError where a border other than zeros has too few pixels to continue from, for
    windows of this side.
    """
    if padding != "zeros" and min(shape[1:]) <= side // 2:
        raise InputError(
            f"{name} {side} reaches beyond {shape[1]}x{shape[2]} images; use padding='zeros' or a "
            f"smaller {name}"
        )


class Conv(nn.Module):
    """A kxk convolution (k odd) that keeps the size, with a choice of border; weights start at He's
    scale.
    """

    def __init__(
        self,
        ins: int,
        outs: int,
        kernel: int = 3,
        *,
        padding: str,
        bias: bool,
        dilation: int = 1,
        gain: float = 1.0,
    ):
        super().__init__()
        self.reach, self.padding = dilation * (kernel // 2), padding
        pad = self.reach if padding == "zeros" else 0
        self.conv = nn.Conv2d(ins, outs, kernel, padding=pad, dilation=dilation, bias=bias)
        nn.init.normal_(self.conv.weight, std=gain * math.sqrt(2 / (ins * kernel**2)))
        if self.conv.bias is not None:
            nn.init.zeros_(self.conv.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(
            x if self.padding == "zeros" else border(x, self.reach, self.reach, self.padding)
        )


class BiasFreeNorm(nn.Module):
    """Divide each channel by its standard deviation, times a gain: no mean taken off, nothing
    added.

    With it and no biases a ReLU network is homogeneous, F(a y) = a F(y) for a > 0, when the
    deviations are fixed (evaluation mode). Source: Mohan et al., *Robust and interpretable blind
    image denoising via bias-free CNNs*, ICLR 2020.
    """

    running_var: Tensor
    seen: Tensor

    def __init__(self, channels: int, momentum: float = 0.1):
        super().__init__()
        self.momentum: float | None = momentum
        self.weight = nn.Parameter(torch.ones(channels))
        self.register_buffer("running_var", torch.ones(channels))
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))

    def reset_running_stats(self) -> None:
        self.running_var.fill_(1)
        self.seen.zero_()

    def forward(self, x: Tensor) -> Tensor:
        var = self.running_var
        if self.training:
            var = x.var((0, 2, 3), correction=0)
            with torch.no_grad():
                self.seen.add_(1)
                part = 1 / self.seen if self.momentum is None else self.momentum
                self.running_var.mul_(1 - part).add_(var * part)
        return x * (self.weight * (var + 1e-5).rsqrt())[:, None, None]


class GroupNorm(nn.GroupNorm):
    """Group normalisation whose forward-mode derivative works for channels last in memory: it wants
    them first.
    """

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x if self.training else x.contiguous())


def norm(kind: str, channels: int) -> nn.Module:
    """A normalisation layer; groups of group norm hold at least 4 channels, at most 8 groups."""
    if kind == "batch":
        return nn.BatchNorm2d(channels)
    if kind == "group":
        return GroupNorm(
            next(
                g for g in (8, 4, 2, 1) if channels % g == 0 and channels // g >= min(4, channels)
            ),
            channels,
        )
    return BiasFreeNorm(channels) if kind == "bias_free" else nn.Identity()


class Embedding(nn.Module):
    """Noise level c = ln(sigma) / 4 (B,) and class (B,) as one vector (B, width)."""

    frequencies: Tensor

    def __init__(self, width: int, told: bool, classes: int):
        super().__init__()
        self.told = told
        if told:
            self.register_buffer(
                "frequencies",
                2.0 * math.pi * torch.exp(torch.linspace(math.log(0.1), math.log(4.0), width // 2)),
            )
            self.level = nn.Sequential(
                nn.Linear(2 * (width // 2), width), nn.SiLU(), nn.Linear(width, width)
            )
        if classes:
            self.label = nn.Embedding(classes, width)

    def forward(self, c: Tensor | None, label: Tensor | None) -> Tensor:
        parts = []
        if self.told:
            assert c is not None  # a network that is told its level is given it
            angle = c[:, None] * self.frequencies
            parts.append(self.level(torch.cat([angle.cos(), angle.sin()], 1)))
        if label is not None:
            parts.append(self.label(label))
        return f.silu(sum(parts))


def embedding(width: int, told: bool, classes: int) -> Embedding | None:
    """The embedding, or None when there is nothing to embed."""
    return Embedding(width, told, classes) if told or classes else None


class Modulation(nn.Module):
    """h <- (1 + a(e)) h + b(e); without b for bias-free networks, which stay homogeneous."""

    def __init__(self, width: int, channels: int, shift: bool = True):
        super().__init__()
        self.linear = nn.Linear(width, channels * (2 if shift else 1))
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)
        self.shift = shift

    def forward(self, h: Tensor, e: Tensor) -> Tensor:
        a = self.linear(e)[:, :, None, None]
        if not self.shift:
            return h * (1 + a)
        a, b = a.chunk(2, 1)
        return torch.addcmul(b, h, 1 + a)


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, *, fused: bool) -> Tensor:
    """Softmax attention; fused kernels save memory, but have no forward-mode derivative and are
    used in training alone.
    """
    if fused:
        return f.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    return scores.softmax(-1) @ v


class Attention(nn.Module):
    """Softmax self-attention over all positions, added to its input; 1x1 maps, no place
    encoding.
    """

    def __init__(self, channels: int, heads: int, bias: bool):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Conv2d(channels, 3 * channels, 1, bias=bias)
        self.out = nn.Conv2d(channels, channels, 1, bias=bias)
        nn.init.zeros_(self.out.weight)
        if self.out.bias is not None:
            nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor) -> Tensor:
        b, c, h, w = x.shape
        q, k, v = (
            self.qkv(x)
            .reshape(b, 3, self.heads, c // self.heads, h * w)
            .transpose(-1, -2)
            .unbind(1)
        )
        y = attend(q, k, v, fused=self.training)
        return x + self.out(y.transpose(-1, -2).reshape(b, c, h, w))


def pool(kind: str, channels: int, padding: str) -> nn.Module:
    """Halve height and width (both even)."""
    if kind == "average":
        return nn.AvgPool2d(2)
    if kind == "max":
        return nn.MaxPool2d(2)
    if kind == "stride":
        return nn.Conv2d(channels, channels, 2, stride=2, bias=False)
    return Blur(padding)


class Blur(nn.Module):
    """Every second pixel of the image smoothed by [1 2 1]/4 in both directions (Zhang, ICML
    2019).
    """

    kernel: Tensor

    def __init__(self, padding: str):
        super().__init__()
        self.padding = padding
        tap = torch.tensor([1.0, 2.0, 1.0]) / 4
        self.register_buffer("kernel", tap[:, None] * tap)

    def forward(self, x: Tensor) -> Tensor:
        c = x.shape[1]
        return f.conv2d(
            border(x, 1, 1, self.padding), self.kernel.expand(c, 1, 3, 3), stride=2, groups=c
        )


class Up(nn.Module):
    """Double height and width, and change the number of channels: transposed 2x2, or interpolation
    and a 1x1 map.
    """

    def __init__(self, ins: int, outs: int, kind: str, padding: str):
        super().__init__()
        self.kind = kind
        self.padding = "circular" if padding == "circular" else "replicate"
        self.map: nn.Module = (
            nn.ConvTranspose2d(ins, outs, 2, stride=2, bias=False)
            if kind == "transpose"
            else nn.Conv2d(ins, outs, 1, bias=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.map(x)
        if self.kind == "nearest":
            return f.interpolate(x, scale_factor=2, mode="nearest")
        if self.kind == "bilinear":
            x = f.interpolate(
                border(x, 1, 1, self.padding), scale_factor=2, mode="bilinear", align_corners=False
            )
            return x[:, :, 2:-2, 2:-2]
        return x
