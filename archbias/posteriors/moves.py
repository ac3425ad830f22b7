"""Graded knowledge of place: a source may be moved by delta, the less likely the farther.

    P(delta) ~ exp( -|delta|^2 / (2 rho^2) ),    max |delta_row|, |delta_column| <= radius

rho = 0 keeps every source at its place (`ls`), rho = infinity gives all places within the radius
the same weight (`els`). It is a source distribution in the words of Niedoba, Zwartsenberg & Wood
(*Filtered posterior mean collections*, arXiv 2605.24192), augmented by translations.
"""

from __future__ import annotations

import math
from numbers import Integral

import torch
from torch import Tensor

from .levels import Schedule, check


def moves(rho: float, radius: int) -> list[tuple[int, int, float]]:
    """(row shift, column shift, log prior in nats up to a constant) of every move, none first."""
    if rho == 0:
        return [(0, 0, 0.0)]
    reach = range(-int(radius), int(radius) + 1)
    found = [
        (r, c, 0.0 if math.isinf(rho) else -(r * r + c * c) / (2 * rho * rho))
        for r in reach
        for c in reach
    ]
    return sorted(found, key=lambda m: (m[0] ** 2 + m[1] ** 2, m))


def check_moves(rho: float | Schedule, radius: int | Schedule) -> None:
    """An InputError unless rho is at least 0 (infinite allowed) and radius an integer of at least
    0.
    """
    check("rho", rho, lambda v: v >= 0, "a number of pixels, at least 0")
    check(
        "radius",
        radius,
        lambda v: v >= 0 and isinstance(v, Integral),
        "a whole number of pixels, at least 0",
    )


def free(place: Tensor, move: int, size: int, reach: Tensor) -> Tensor:
    """(size, ...) whether the observer at each place sees no border round it nor round its moved
    source; always where nothing moves along this axis. reach: (size, ...).
    """
    if move == 0:
        return torch.ones_like(reach, dtype=torch.bool)
    here, there = place[:, None], place[:, None] + move
    low, high = torch.minimum(here, there), torch.maximum(here, there)
    return (low - reach >= 0) & (high + reach < size)
