"""What a set statistic reads when there is nothing to see: the same statistic between two parts of
the real data.

    T(samples, real)                       the value
    T(real part of n, the rest)            its null, over random splits: sampling noise and
                                           small-sample bias included

A Frechet distance of 12 between 500 samples and the data means nothing until one knows that 500
real images read 11. The parts are smaller than the real set (n and m - n in place of n and m), so
the null is slightly too wide: a value inside it is not evidence of a difference; one far outside
is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from ..errors import InputError
from .finite import check_sets


@dataclass(frozen=True)
class Nulled:
    """A set statistic beside its null.

    value: T(samples, real). null: T between parts of the real set, one per split.
    sizes: images in the two parts. p: (1 + #{null >= value}) / (1 + splits), for statistics that
        grow with difference;
    approximate, since splits of one set overlap.
    """

    value: float
    null: np.ndarray
    sizes: tuple[int, int]

    @property
    def bias(self) -> float:
        """Median of the null: what equal distributions read at this size."""
        return float(np.median(self.null))

    @property
    def band(self) -> tuple[float, float]:
        """The middle 95 % of the null."""
        low, high = np.quantile(self.null, [0.025, 0.975])
        return float(low), float(high)

    @property
    def p(self) -> float:
        return float((1 + (self.null >= self.value).sum()) / (1 + len(self.null)))

    def __str__(self) -> str:
        low, high = self.band
        return (
            f"{self.value:.4g} (equal sets of {self.sizes[0]} and {self.sizes[1]}: "
            f"{self.bias:.4g} [{low:.4g}, {high:.4g}])"
        )


def against_splits(
    statistic: Callable[[Tensor, Tensor], float],
    samples: Tensor,
    images: Tensor,
    *,
    splits: int = 20,
    seed: int = 0,
) -> Nulled:
    """A set statistic with its null from random splits of the real data.

    Args:
        statistic: f(samples, images) -> number; larger means more different.
        samples: (B, ...). images: real ones, (N, ...) with N at least 2 B for equal sizes; else
            the null's first part is N // 2 images, and says so in `sizes`.
    """
    if len(images) < 4:
        raise InputError(
            f"a null from splits needs at least 4 real images, got {len(images)}; give more"
        )
    check_sets(samples, images)
    size = len(samples) if 2 * len(samples) <= len(images) else len(images) // 2
    rng = np.random.default_rng(seed)
    null = []
    for _ in range(splits):
        order = rng.permutation(len(images))
        null.append(float(statistic(images[order[:size]], images[order[size:]])))
    return Nulled(float(statistic(samples, images)), np.array(null), (size, len(images) - size))
