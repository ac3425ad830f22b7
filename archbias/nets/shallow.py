"""Families without hidden layers, trained: one layer on fixed features, one for each noise level.

    degree 1    D(y) = A_k y + b_k
    degree p    D(y) = sum_{|a| <= p} c_{k,a} psi_a(u)      all Hermite features of the scaled pixels u up to total degree p

The loss is convex and the family that of the closed forms, so gradient descent can only bring it there: for degree 1

    A -> Sigma (Sigma + sigma^2 I)^-1,   b -> (I - A) mu          (archbias.analytic.linear),

for degree p the normal equations of `archbias.analytic.polynomial` with all coordinates; and the samples approach those of the closed
form as training grows. Directions of little variance come last. The scaled input u = y / sqrt(sigma^2 + s^2) has second moment of
order one at every level; a level between two is treated by the network nearest in ln sigma.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from ..analytic.hermite import Basis, total_degree
from ..errors import InputError
from ..train import Train
from .network import Network, count

MOST_FEATURES = 1000


@dataclass(frozen=True, kw_only=True)
class Shallow(Network):
    """The linear (or polynomial) denoiser by gradient descent, one for each of `noise_levels` levels of `levels_of`.

    degree: total degree of the features; above 1 for few pixels only (at most 1000 features).
    """

    summary: ClassVar[str] = "the linear or polynomial denoiser trained by gradient descent; approaches its closed form"

    degree: int = 1
    conditioning: str = "per_level"
    predicts: str = "image"
    noise_levels: int = 20
    train: Train = Train(steps=2000, batch=128, learning_rate=1e-3, warmup=0, clip=0.0, ema=0.99)

    def __post_init__(self) -> None:
        super().__post_init__()
        count("degree", self.degree, 1, 9)
        if self.conditioning == "told":
            raise InputError("Shallow has no layer to be told the level, got conditioning='told'; use 'per_level' or 'blind'")
        if self.class_labels:
            raise InputError("Shallow takes no labels, got class_labels=True; leave it out")

    def stacks(self, device: str) -> bool:
        return True

    def module(self, shape: tuple[int, int, int], classes: int = 0) -> nn.Module:
        d = math.prod(shape)
        if self.degree > 1 and (size := math.comb(d + self.degree, d)) > MOST_FEATURES:
            raise InputError(
                f"a polynomial may have at most {MOST_FEATURES} features, got {size} for degree {self.degree} of {d} pixels; "
                "lower the degree or use fewer pixels"
            )
        return Layer(d, Basis(total_degree(d, self.degree)) if self.degree > 1 else None)


class Layer(nn.Module):
    """A linear layer on flattened images or on their polynomial features, from 0."""

    def __init__(self, d: int, basis: Basis | None):
        super().__init__()
        self.basis = basis
        self.weight = nn.Parameter(torch.zeros(d, d if basis is None else basis.size))
        self.bias = nn.Parameter(torch.zeros(d)) if basis is None else None

    def forward(self, u: Tensor, c: Tensor | None = None, label: Tensor | None = None) -> Tensor:
        h = u.flatten(1)
        if self.basis is None:
            return (h @ self.weight.T + self.bias).reshape(u.shape)
        return (self.basis.features(h) @ self.weight.T).reshape(u.shape)
