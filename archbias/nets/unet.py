"""UNets that differ in small things only.

One level l = 0, 1, ... halves the image l times and has c m^l channels (c = channels, m =
multiplier). With B = blocks:

    down     B double convolutions 3x3 at levels 0..L-1, each level followed by pooling
    middle   B double convolutions at level L, and attention if asked for
    up       upsampling to level l, joined by the skip of that level, B double convolutions
    out      the last convolution of level 0 goes to the image's channels

Every convolution but the first and the last is followed by normalisation; every one but the last by
modulation with the noise level (if told) and ReLU. With batch normalisation, 2x2 transposed
convolutions and no biases this has, for three colours, L = 3 and m = 2,

    1869 c^2 + 138 c    weights:  120 720, 480 672, 1 918 272, 7 664 256   for c = 8, 16, 32, 64,

the counts published by Levine & Weiss, arXiv 2605.16415 (138 c = 27 c first + 27 c last convolution
+ 84 c of 42 c normalised channels), so that layout is theirs up to an exchange of what no count can
tell; `published` gives their settings.

pooling "none" keeps the full size and dilates the convolutions of level l by 2^l instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, cast

import torch
import torch.nn.functional as f
from torch import Tensor, nn

from ..errors import InputError
from .checks import choose, count
from .layers import NORMALISATIONS, PADDINGS, Attention, Conv, Modulation, Up, embedding, norm, pool
from .network import Network
from .train import Train

POOLINGS = ("average", "max", "stride", "blur", "none")
UPSAMPLINGS = ("transpose", "nearest", "bilinear")


@dataclass(frozen=True, kw_only=True)
class UNet(Network):
    """A UNet; see the head of `archbias.nets.unet`.

    pooling: "average", "max", "stride" (2x2 convolution), "blur", or "none" (dilation).
    levels: number of poolings, 1 to 4.
    channels, multiplier: channels of level 0, and their growth per level.
    blocks: double convolutions per level.
    skips: join each level's features on the way up.
    padding: "zeros", "circular", "reflect" or "replicate". Sides that 2^levels does not divide are
        padded at the bottom and right and cut again; on the torus ("circular") they are refused.
    normalisation: "none", "batch", "group" or "bias_free".
    upsampling: "transpose", "nearest" or "bilinear".
    attention: "none" or "coarsest".

    Example:
        >>> import archbias
        >>> archbias.FAMILIES["unet"](channels=8, levels=1).channels
        8
        >>> archbias.FAMILIES["unet"](pooling="avg")
        Traceback (most recent call last):
            ...
        archbias.errors.InputError: ...
    """

    summary: ClassVar[str] = "pooling, levels, channels, skips, padding, attention"

    pooling: str = "average"
    levels: int = 2
    channels: int = 16
    multiplier: int = 2
    blocks: int = 1
    skips: bool = True
    padding: str = "zeros"
    normalisation: str = "none"
    upsampling: str = "transpose"
    attention: str = "none"
    train: Train = Train(steps=2000, batch=32)

    def __post_init__(self) -> None:
        super().__post_init__()
        choose("pooling", self.pooling, POOLINGS)
        choose("padding", self.padding, tuple(PADDINGS))
        choose("normalisation", self.normalisation, NORMALISATIONS)
        choose("upsampling", self.upsampling, UPSAMPLINGS)
        choose("attention", self.attention, ("none", "coarsest"))
        count("levels", self.levels, 1, 4)
        count("channels", self.channels, 2, 512)
        count("multiplier", self.multiplier, 1, 4)
        count("blocks", self.blocks, 1, 4)

    @classmethod
    def published(cls, channels: int = 64, levels: int = 3) -> UNet:
        """The UNets of Levine & Weiss, noise-blind: one network for each of ten noise levels, given
        sqrt(abar) x + sqrt(1 - abar) n and predicting the clean image.

        What they vary is `skips`, `padding` and `normalisation` ("bias_free" divides by a running
        standard deviation and takes off no mean).
        """
        return cls(
            channels=channels,
            levels=levels,
            normalisation="batch",
            conditioning="per_level",
            predicts="image",
            precondition="vp",
        )

    @property
    def stride(self) -> int:
        """Sides are divided by this at the coarsest level."""
        return 1 if self.pooling == "none" else 2**self.levels

    @property
    def equivariance(self) -> int | None:
        return self.stride if self.padding == "circular" else None

    @property
    def receptive_field(self) -> int | None:
        # statistics of one image reach everywhere
        if self.attention == "coarsest" or self.normalisation == "group":
            return None
        convs = 2 * self.blocks

        def back(low: int, high: int, level: int) -> tuple[int, int]:
            """The input of levels >= `level` that outputs low..high of that level see."""
            d = 2**level if self.pooling == "none" else 1
            if level == self.levels:
                return low - convs * d, high + convs * d
            low, high = low - convs * d, high + convs * d
            if self.pooling == "none":
                deep = back(low, high, level + 1)
            else:
                up = (
                    ((low - 1) // 2, (high + 1) // 2)
                    if self.upsampling == "bilinear"
                    else (low // 2, high // 2)
                )
                deep = back(*up, level + 1)
                deep = (2 * deep[0] - (self.pooling == "blur"), 2 * deep[1] + 1)
            if self.skips:
                deep = (min(deep[0], low), max(deep[1], high))
            return deep[0] - convs * d, deep[1] + convs * d

        spans = [(p, *back(p, p, 0)) for p in range(self.stride)]
        return 2 * max(max(p - low, high - p) for p, low, high in spans) + 1

    def module(self, shape: tuple[int, int, int], classes: int = 0) -> nn.Module:
        _, h, w = shape
        if self.padding == "circular" and (h % self.stride or w % self.stride):
            raise InputError(
                f"circular padding wants sides that {self.stride} divides, got {h}x{w}; "
                f"use ImageSet.resize({-(-h // self.stride) * self.stride}), fewer levels or "
                "another padding"
            )
        coarse = -(-min(h, w) // self.stride)
        reach = (2**self.levels if self.pooling == "none" else 1) if self.padding != "zeros" else 0
        if coarse <= reach:
            raise InputError(
                f"{self.levels} levels leave {coarse} pixels of {h}x{w} images for windows that "
                f"reach {reach} beyond; use fewer levels"
            )
        return UNetModule(self, shape[0], classes)


class Layer(nn.Module):
    """Convolution, normalisation, modulation, ReLU; the first and the last layer of a network are
    less.
    """

    def __init__(
        self,
        spec: UNet,
        ins: int,
        outs: int,
        level: int,
        width: int,
        *,
        normed: bool = True,
        last: bool = False,
    ):
        super().__init__()
        bias = spec.normalisation in ("none", "group")
        dilation = 2**level if spec.pooling == "none" else 1
        gain = 0.3 if last else 1.0
        self.conv = Conv(
            ins,
            outs,
            padding=spec.padding,
            bias=bias and (last or not normed or spec.normalisation == "none"),
            dilation=dilation,
            gain=gain,
        )
        self.norm = norm(spec.normalisation if normed and not last else "none", outs)
        self.modulation = (
            Modulation(width, outs, spec.normalisation != "bias_free")
            if width and not last
            else None
        )
        self.last = last

    def forward(self, x: Tensor, e: Tensor | None) -> Tensor:
        x = self.norm(self.conv(x))
        if self.modulation is not None:
            x = self.modulation(x, e)
        return x if self.last else f.relu(x)


class UNetModule(nn.Module):
    """forward(u, c, label): see `Network.module`."""

    def __init__(self, spec: UNet, colours: int, classes: int):
        super().__init__()
        self.spec = spec
        width = 4 * spec.channels if spec.told or classes else 0
        self.embedding = embedding(width, spec.told, classes)
        sizes = [spec.channels * spec.multiplier**level for level in range(spec.levels + 1)]
        convs = 2 * spec.blocks

        def stack(
            ins: int, outs: int, level: int, *, first: bool = False, colours: int | None = None
        ) -> nn.ModuleList:
            ends = [ins] + [outs] * (convs - 1) + [outs if colours is None else colours]
            return nn.ModuleList(
                Layer(
                    spec,
                    a,
                    b,
                    level,
                    width,
                    normed=not (first and i == 0),
                    last=colours is not None and i == convs - 1,
                )
                for i, (a, b) in enumerate(zip(ends, ends[1:], strict=False))
            )

        inner = [colours, *sizes]
        self.down = nn.ModuleList(
            stack(inner[k], inner[k + 1], k, first=k == 0) for k in range(spec.levels + 1)
        )
        self.attention = (
            Attention(
                sizes[-1],
                next(h for h in (4, 2, 1) if sizes[-1] % h == 0),
                spec.normalisation in ("none", "group"),
            )
            if spec.attention == "coarsest"
            else None
        )
        flat = spec.pooling == "none"
        self.pools = nn.ModuleList(
            nn.Identity() if flat else pool(spec.pooling, c, spec.padding) for c in sizes[:-1]
        )
        self.ups = nn.ModuleList(
            nn.Conv2d(b, a, 1, bias=False) if flat else Up(b, a, spec.upsampling, spec.padding)
            for a, b in zip(sizes, sizes[1:], strict=False)
        )
        join = 2 if spec.skips else 1
        self.up = nn.ModuleList(
            stack(join * c, c, k, colours=colours if k == 0 else None)
            for k, c in enumerate(sizes[:-1])
        )

    def forward(self, u: Tensor, c: Tensor | None = None, label: Tensor | None = None) -> Tensor:
        spec = self.spec
        e = None if self.embedding is None else self.embedding(c, label)
        h, w = u.shape[-2:]
        more = (-h % spec.stride, -w % spec.stride)
        x = f.pad(u, (0, more[1], 0, more[0]), PADDINGS[spec.padding]) if any(more) else u
        skips = []
        for k, layers in enumerate(self.down):
            for layer in cast(nn.ModuleList, layers):
                x = layer(x, e)
            if k < spec.levels:
                skips.append(x)
                x = self.pools[k](x)
        if self.attention is not None:
            x = self.attention(x)
        for k in reversed(range(spec.levels)):
            x = self.ups[k](x)
            if spec.skips:
                x = torch.cat([skips[k], x], 1)
            for layer in cast(nn.ModuleList, self.up[k]):
                x = layer(x, e)
        return x[:, :, :h, :w]
