"""A network that has learnt nothing: what a judgement of such a network looks like."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Untrained(nn.Module):
    """Two convolutions of random weights: z (B, 1, H, W), level (B,) -> (B, 1, H, W)."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 8, 3, padding=1)
        self.last = nn.Conv2d(8, 1, 3, padding=1)

    def forward(self, z: Tensor, level: Tensor) -> Tensor:
        told = level.to(z.dtype).reshape(-1, 1, 1, 1) / (1 + level.abs().reshape(-1, 1, 1, 1))
        return self.last((self.first(z) + told).relu())


def untrained() -> nn.Module:
    """The same weights in every process."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Untrained()
