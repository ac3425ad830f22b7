"""Families without hidden layers, trained: one layer on fixed features, one for each noise level.

    degree 1    D(y) = A_k y + b_k
    degree p    D(y) = sum_{|a| <= p} c_{k,a} psi_a(u)      all Hermite features of the scaled
                                                            pixels u up to total degree p

The loss is convex and the family that of the closed forms, so gradient descent can only bring it
there: for degree 1

    A -> Sigma (Sigma + sigma^2 I)^-1,   b -> (I - A) mu          (archbias.regressions.linear),

for degree p the normal equations of `archbias.regressions.polynomial` with all coordinates; and the
samples approach those of the closed form as training grows. Directions of little variance come
last. The scaled input u = y / sqrt(sigma^2 + s^2) has second moment of order one at every level; a
level between two is treated by the network nearest in ln sigma.

A layer on d pixels has d^2 weights a level. With `components` = r it acts on the leading principal
coordinates of the images,

    D(y) = mu + U_r F(U_r^T (y - mu)),   U_r (d, r) fixed,   F trained: r^2 weights a level

so it approaches the rank-r Wiener filter, `Linear(rank=r)`, which is the full one when r reaches
the dimensions the images span.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from ..data import ImageSet
from ..denoise import Denoiser
from ..errors import InputError
from ..regressions import moments
from ..regressions.hermite import Basis, total_degree
from .checks import count
from .network import Network, NetworkDenoiser
from .train import Train

MOST_FEATURES = 1000
MOST_WEIGHTS = 2**28  # over all levels; training holds about six numbers for each


@dataclass(frozen=True, kw_only=True)
class Shallow(Network):
    """The linear (or polynomial) denoiser by gradient descent, one for each of `noise_levels`
    levels of `levels_of`.

    degree: total degree of the features; above 1 for few pixels or components only (at most 1000
        features).
    components: principal coordinates it acts on; None: all pixels.
    """

    summary: ClassVar[str] = "the linear or polynomial denoiser, by gradient descent"

    degree: int = 1
    components: int | None = None
    conditioning: str = "per_level"
    predicts: str = "image"
    noise_levels: int = 20
    train: Train = Train(steps=2000, batch=128, learning_rate=1e-3, warmup=0, clip=0.0, ema=0.99)

    def __post_init__(self) -> None:
        super().__post_init__()
        count("degree", self.degree, 1, 9)
        if self.components is not None:
            count("components", self.components, 1, 100_000)
        if self.conditioning == "told":
            raise InputError(
                "Shallow has no layer to be told the level, got conditioning='told'; use "
                "'per_level' or 'blind'"
            )
        if self.class_labels:
            raise InputError("Shallow takes no labels, got class_labels=True; leave it out")

    def stacks(self, device: str) -> bool:
        return True

    def chart(self, images: ImageSet) -> tuple[ImageSet, dict[str, Tensor]]:
        if self.components is None:
            d = math.prod(images.shape)
            if self.degree == 1 and (size := len(self.sigmas()) * d * d) > MOST_WEIGHTS:
                raise InputError(
                    f"linear layers on {d} pixels at {len(self.sigmas())} levels have {size:.1e} "
                    "weights, wanted at most "
                    f"{MOST_WEIGHTS:.1e}; train in principal coordinates, with for example "
                    "components=200"
                )
            return images, {}
        mean, axes, _ = moments.principal(images.images)
        if self.components > axes.shape[1]:
            raise InputError(
                f"components must be at most {axes.shape[1]}, the dimensions these {len(images)} "
                "images span, "
                f"got {self.components}; take fewer, or more images"
            )
        axes = axes[:, : self.components].contiguous()
        z = ((images.images.double() - mean).flatten(1) @ axes).float()
        return replace(images, images=z[:, None, None]), {"plane.mean": mean, "plane.axes": axes}

    def rebuild(self, state: dict[str, Tensor]) -> Denoiser:
        return (
            NetworkDenoiser(self, state) if self.components is None else PlaneDenoiser(self, state)
        )

    def parameters(self, shape: tuple[int, int, int], classes: int = 0) -> int:
        return super().parameters(
            shape if self.components is None else (1, 1, self.components), classes
        )

    def module(self, shape: tuple[int, int, int], classes: int = 0) -> nn.Module:
        d = math.prod(shape)
        if self.degree > 1 and (size := math.comb(d + self.degree, d)) > MOST_FEATURES:
            raise InputError(
                f"a polynomial may have at most {MOST_FEATURES} features, got {size} for degree "
                f"{self.degree} of {d} pixels; "
                "lower the degree, use fewer pixels, or set components"
            )
        return Layer(d, Basis(total_degree(d, self.degree)) if self.degree > 1 else None)


class PlaneDenoiser(Denoiser):
    """D(y) = mu + U F(U^T (y - mu)); state: plane.mean mu (C, H, W), plane.axes U (d, r), and that
    of F.
    """

    spec: Shallow

    def __init__(self, spec: Shallow, state: dict[str, Tensor]):
        super().__init__(spec, tuple(state["plane.mean"].shape), state)
        within = {k: v for k, v in state.items() if not k.startswith("plane.")}
        self.within = NetworkDenoiser(replace(spec, components=None), within)

    @property
    def history(self) -> dict[str, Tensor]:
        """The training record; the loss is per principal coordinate, the error per pixel."""
        return self.within.history

    def denoise(self, y: Tensor, sigma: Tensor, labels: Tensor | None = None) -> Tensor:
        t = self.tensors(y)
        mean, axes = t["plane.mean"], t["plane.axes"]
        z = self.within.denoise(((y - mean).flatten(1) @ axes)[:, None, None], sigma)
        return mean + (z[:, 0, 0] @ axes.T).reshape(y.shape)


class Layer(nn.Module):
    """A linear layer on flattened images or on their polynomial features, from 0."""

    def __init__(self, d: int, basis: Basis | None):
        super().__init__()
        self.basis = basis
        self.weight = nn.Parameter(torch.zeros(d, d if basis is None else basis.size))
        self.bias = nn.Parameter(torch.zeros(d)) if basis is None else None

    def forward(self, u: Tensor, c: Tensor | None = None, label: Tensor | None = None) -> Tensor:
        h = u.flatten(1)
        if self.basis is not None:
            return (self.basis.features(h) @ self.weight.T).reshape(u.shape)
        assert self.bias is not None
        return (h @ self.weight.T + self.bias).reshape(u.shape)
