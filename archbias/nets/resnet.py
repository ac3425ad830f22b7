"""A residual convolutional network at one scale: local and, away from a border,
translation-equivariant.

    h_1 = conv(u),   h_{l+1} = h_l + ReLU(mod(norm(conv(h_l)))),   F = conv(h_{L-1})

L = depth convolutions of k x k in all, so the receptive field is L (k - 1) + 1: 17 for the eight
3x3 layers of 256 channels of Kamb & Ganguli, arXiv 2412.20292, who use no normalisation, pad with
zeros and predict the noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch.nn.functional as f
from torch import Tensor, nn

from .checks import choose, count, odd
from .layers import NORMALISATIONS, PADDINGS, Conv, Modulation, embedding, fits, norm
from .network import Network
from .train import Train


@dataclass(frozen=True, kw_only=True)
class ResNet(Network):
    """A residual network at one scale; see the head of `archbias.nets.resnet`.

    depth: number of convolutions, the first and the last included.
    width: channels.
    kernel: side of the convolutions, odd.
    padding: "zeros", "circular", "reflect" or "replicate".
    normalisation: "none", "batch", "group" or "bias_free".
    """

    summary: ClassVar[str] = "residual network at one scale: depth, width, padding"

    depth: int = 6
    width: int = 48
    kernel: int = 3
    padding: str = "zeros"
    normalisation: str = "none"

    def __post_init__(self) -> None:
        super().__post_init__()
        count("depth", self.depth, 2, 64)
        count("width", self.width, 1, 1024)
        choose("padding", self.padding, tuple(PADDINGS))
        choose("normalisation", self.normalisation, NORMALISATIONS)
        odd("kernel", self.kernel, usual=3)

    @classmethod
    def published(cls, padding: str = "zeros") -> ResNet:
        """The ResNet of Kamb & Ganguli with their training: 300 epochs of 50 000 images in batches
        of 128.
        """
        train = Train(
            steps=117_000,
            batch=128,
            learning_rate=1e-4,
            schedule="exponential",
            decay=0.999965,
            warmup=0,
            ema=0.0,
            clip=0.0,
        )
        return cls(
            depth=8, width=256, padding=padding, predicts="noise", precondition="vp", train=train
        )

    @property
    def receptive_field(self) -> int | None:
        # statistics of one image reach everywhere
        if self.normalisation == "group" and self.depth > 2:
            return None
        return self.depth * (self.kernel - 1) + 1

    @property
    def equivariance(self) -> int | None:
        return 1 if self.padding == "circular" else None

    def module(self, shape: tuple[int, int, int], classes: int = 0) -> nn.Module:
        fits("kernel", self.kernel, shape, self.padding)
        return ResNetModule(self, shape[0], classes)


class ResNetModule(nn.Module):
    """forward(u, c, label): see `Network.module`."""

    def __init__(self, spec: ResNet, colours: int, classes: int):
        super().__init__()
        bias = spec.normalisation in ("none", "group")
        width = 2 * spec.width if spec.told or classes else 0
        self.embedding = embedding(width, spec.told, classes)
        inner, middle = spec.normalisation == "none", spec.depth - 2
        conv = partial(Conv, kernel=spec.kernel, padding=spec.padding)
        self.first = conv(colours, spec.width, bias=bias)
        self.convs = nn.ModuleList(
            conv(spec.width, spec.width, bias=inner, gain=middle**-0.5) for _ in range(middle)
        )
        self.norms = nn.ModuleList(norm(spec.normalisation, spec.width) for _ in range(middle))
        shift = spec.normalisation != "bias_free"
        self.modulations = nn.ModuleList(
            Modulation(width, spec.width, shift) for _ in range(middle if width else 0)
        )
        self.last = conv(spec.width, colours, bias=bias, gain=0.3)

    def forward(self, u: Tensor, c: Tensor | None = None, label: Tensor | None = None) -> Tensor:
        e = None if self.embedding is None else self.embedding(c, label)
        h = self.first(u)
        for i, (conv, normed) in enumerate(zip(self.convs, self.norms, strict=True)):
            inner = normed(conv(h))
            h = h + f.relu(inner if e is None else self.modulations[i](inner, e))
        return self.last(h)
