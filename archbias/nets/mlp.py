"""Fully connected networks: what a bottleneck's width does, and a network that sees nothing but a
patch.

    MLP        d -> width -> ... -> width -> d, an activation after every layer but the last, then
               an activation at the end
    PatchMLP   the same network at every pixel, from the k x k patch around it to its colours: a
               convolution of k x k, then 1x1

Levine & Weiss, arXiv 2605.16415, take nine 200-wide layers and a final tanh on images, the width
being the dial from copying to inventing, and 2 -> 64 -> 1 -> 64 -> 2 with LeakyReLU(0.2) in the
plane (`MLP.plane`). The output of a network whose narrowest layer has r units is at most
r-dimensional when it predicts the image.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as f
from torch import Tensor, nn

from .checks import choose, count, odd
from .layers import PADDINGS, Conv, Modulation, embedding, fits
from .network import Network
from .train import Train

ACTIVATIONS = {
    "relu": f.relu,
    "leaky_relu": lambda x: f.leaky_relu(x, 0.2),
    "silu": f.silu,
    "tanh": torch.tanh,
    "none": lambda x: x,
}


@dataclass(frozen=True, kw_only=True)
class MLP(Network):
    """A fully connected network between flattened images.

    width: units of each hidden layer; a tuple gives every layer's.
    depth: number of hidden layers when width is one number.
    activation, end: "relu", "leaky_relu" (0.2), "silu", "tanh" or "none"; after hidden layers, and
        at the end.
    """

    summary: ClassVar[str] = "fully connected; its width dials copying to inventing"

    width: int | tuple[int, ...] = 200
    depth: int = 9
    activation: str = "relu"
    end: str = "tanh"
    predicts: str = "image"
    train: Train = Train(steps=4000, batch=128, learning_rate=1e-3)

    def __post_init__(self) -> None:
        super().__post_init__()
        choose("activation", self.activation, tuple(ACTIVATIONS))
        choose("end", self.end, tuple(ACTIVATIONS))
        count("depth", self.depth, 1, 64)
        for units in self.widths:
            count("width", units, 1, 16384)

    @classmethod
    def plane(cls, bottleneck: int = 1) -> MLP:
        """The network of the plane, 2 -> 64 -> bottleneck -> 64 -> 2, one per noise level."""
        train = Train(steps=3000, batch=256, learning_rate=3e-3)
        return cls(
            width=(64, bottleneck, 64),
            activation="leaky_relu",
            end="none",
            conditioning="per_level",
            train=train,
        )

    @property
    def widths(self) -> tuple[int, ...]:
        """Units of each hidden layer."""
        return (self.width,) * self.depth if isinstance(self.width, int) else tuple(self.width)

    def stacks(self, device: str) -> bool:
        return True

    def module(self, shape: tuple[int, int, int], classes: int = 0) -> nn.Module:
        return MLPModule(self, math.prod(shape), classes)


class MLPModule(nn.Module):
    """forward(u, c, label): see `Network.module`; told the level through a modulation of every
    hidden layer.
    """

    def __init__(self, spec: MLP, d: int, classes: int):
        super().__init__()
        width = 64 if spec.told or classes else 0
        self.activation, self.end = ACTIVATIONS[spec.activation], ACTIVATIONS[spec.end]
        self.embedding = embedding(width, spec.told, classes)
        sizes = (d, *spec.widths, d)
        layers = [nn.Linear(a, b) for a, b in zip(sizes, sizes[1:], strict=False)]
        self.layers = nn.ModuleList(layers)
        for layer in layers[:-1]:
            nn.init.kaiming_normal_(layer.weight)
            nn.init.zeros_(layer.bias)
        self.modulations = nn.ModuleList(
            Modulation(width, b) for b in (spec.widths if width else ())
        )

    def forward(self, u: Tensor, c: Tensor | None = None, label: Tensor | None = None) -> Tensor:
        e = None if self.embedding is None else self.embedding(c, label)
        h = u.flatten(1)
        for i, layer in enumerate(self.layers[:-1]):
            h = layer(h)
            if e is not None:
                h = self.modulations[i](h[:, :, None, None], e)[:, :, 0, 0]
            h = self.activation(h)
        return self.end(self.layers[-1](h)).reshape(u.shape)


@dataclass(frozen=True, kw_only=True)
class PatchMLP(Network):
    """The same fully connected network at every pixel, seeing the `window` x `window` patch around
    it.

    window: odd side of the patch.
    width, depth: units, and number of hidden layers.
    padding: "zeros", "circular", "reflect" or "replicate".
    """

    summary: ClassVar[str] = "one patch for each pixel: local and equivariant"

    window: int = 7
    width: int = 128
    depth: int = 3
    padding: str = "zeros"

    def __post_init__(self) -> None:
        super().__post_init__()
        count("width", self.width, 1, 16384)
        count("depth", self.depth, 1, 64)
        choose("padding", self.padding, tuple(PADDINGS))
        odd("window", self.window, usual=7)

    @property
    def receptive_field(self) -> int:
        return self.window

    @property
    def equivariance(self) -> int | None:
        return 1 if self.padding == "circular" else None

    def module(self, shape: tuple[int, int, int], classes: int = 0) -> nn.Module:
        fits("window", self.window, shape, self.padding)
        return PatchModule(self, shape[0], classes)


class PatchModule(nn.Module):
    """forward(u, c, label): see `Network.module`."""

    def __init__(self, spec: PatchMLP, colours: int, classes: int):
        super().__init__()
        width = 64 if spec.told or classes else 0
        self.embedding = embedding(width, spec.told, classes)
        kernels = [spec.window] + [1] * (spec.depth - 1)
        ins = [colours] + [spec.width] * (spec.depth - 1)
        self.convs = nn.ModuleList(
            Conv(a, spec.width, k, padding=spec.padding, bias=True)
            for a, k in zip(ins, kernels, strict=True)
        )
        self.modulations = nn.ModuleList(
            Modulation(width, spec.width) for _ in range(spec.depth if width else 0)
        )
        self.last = Conv(spec.width, colours, 1, padding=spec.padding, bias=True, gain=0.3)

    def forward(self, u: Tensor, c: Tensor | None = None, label: Tensor | None = None) -> Tensor:
        e = None if self.embedding is None else self.embedding(c, label)
        h = u
        for i, conv in enumerate(self.convs):
            h = conv(h)
            h = f.relu(h if e is None else self.modulations[i](h, e))
        return self.last(h)
