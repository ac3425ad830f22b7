"""The linear denoiser, trained: D(y) = A_k y + b_k, one matrix for each noise level, fitted by gradient descent.

Its family is that of the closed form (Wiener), so training can only bring it there:

    A -> Sigma (Sigma + sigma^2 I)^-1,   b -> (I - A) mu

and its samples approach those of `archbias.analytic.linear` as training grows. In the scaled input u = y / sqrt(sigma^2 + s^2) the
features have second moment at most of order one at every level; between levels the nearest in ln sigma is used.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from ..errors import InputError
from ..train import Train
from .network import Network


@dataclass(frozen=True, kw_only=True)
class Shallow(Network):
    """The linear denoiser by gradient descent, one for each of `noise_levels` levels of the schedule `levels_of`."""

    summary: ClassVar[str] = "the linear denoiser trained by gradient descent, one per noise level; approaches `linear`"

    conditioning: str = "per_level"
    predicts: str = "image"
    noise_levels: int = 20
    train: Train = Train(steps=2000, batch=128, learning_rate=1e-3, warmup=0, clip=0.0, ema=0.99)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.conditioning == "told":
            raise InputError(
                "Shallow is linear in y and cannot be told the level, got conditioning='told'; use 'per_level' or 'blind'"
            )

    def stacks(self, device: str) -> bool:
        return True

    def module(self, shape: tuple[int, int, int], classes: int = 0) -> nn.Module:
        if classes:
            raise InputError("Shallow takes no labels, got class_labels=True; leave it out")
        return Affine(shape)


class Affine(nn.Module):
    """A y + b on flattened images, from A = 0 and b = 0."""

    def __init__(self, shape: tuple[int, int, int]):
        super().__init__()
        d = shape[0] * shape[1] * shape[2]
        self.weight = nn.Parameter(torch.zeros(d, d))
        self.bias = nn.Parameter(torch.zeros(d))

    def forward(self, u: Tensor, c: Tensor | None = None, label: Tensor | None = None) -> Tensor:
        return (u.flatten(1) @ self.weight.T + self.bias).reshape(u.shape)
