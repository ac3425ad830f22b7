"""L2 distances between all pairs of two sets, right where it matters here: between copies.

    d^2 = |a|^2 + |b|^2 - 2 a.b      one matrix product; a, b the rows minus a common mean
    d^2 = sum (x - y)^2              by differences, for every pair the product cannot tell apart

The product loses what two near images differ by: its error is up to

    |error of d^2| <= 2 (d + 4) u (|a| + |b|)^2      u the unit roundoff (Higham 2002, eq. 3.5)

which for equal images is all of d^2. A pair is taken from the product only where that bound is
below `RELATIVE` of its d^2; all others are measured by differences of the rows as they were given.
So equal images are at 0 exactly, and every other distance is right to `RELATIVE`, whatever the
offset and the scale of the images and whatever library multiplies the matrices.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

RELATIVE = 1e-9  # of d^2, what the product may be wrong by
MEMORY = 2**26  # bytes of differences held at once
Scale = TypeVar("Scale", Tensor, float)


def rounding(d: int, scale: Scale, dtype: torch.dtype) -> Scale:
    """The largest error of |a|^2 + |b|^2 - 2 a.b in `dtype`, twice Higham's bound for safety.

    Args:
        d: entries of a row.
        scale: (|a| + |b|)^2.
    """
    return 2 * (d + 4) * torch.finfo(dtype).eps * scale


def between(x: Tensor, y: Tensor) -> Tensor:
    """(n, m) float64 L2 distances of the rows of x (n, ...) and y (m, ...); 0 for equal rows."""
    x, y = x.double().flatten(1), y.to(x.device).double().flatten(1)
    if not len(x) or not len(y):
        return x.new_zeros(len(x), len(y))
    centre = (x.mean(0) * len(x) + y.mean(0) * len(y)) / (len(x) + len(y))
    a, b = x - centre, y - centre
    a2, b2 = a.square().sum(1), b.square().sum(1)
    squared = torch.addmm(b2[None, :], a, b.T, alpha=-2).add_(a2[:, None])
    scale = (a2.sqrt()[:, None] + b2.sqrt()[None, :]).square_()
    doubtful = squared * RELATIVE <= rounding(x.shape[1], scale, torch.float64)
    for rows, columns in _slices(doubtful, x.shape[1]):
        squared[rows, columns] = apart(x[rows], y[columns])
    return squared.sqrt_()


def within(x: Tensor) -> Tensor:
    """(n, n) float64 L2 distances of the rows of one set, exactly symmetric."""
    d = between(x, x)
    return torch.minimum(d, d.T)


def apart(x: Tensor, y: Tensor) -> Tensor:
    """(n,) float64 squared distances of the rows of x and y (n, d), row by row, by differences."""
    gap = (x.double() - y.double()).square_()
    if len(gap) == 1:  # torch sums a lone long row in parts, one for each thread
        return gap.repeat(2, 1).sum(1)[:1]
    return gap.sum(1)


def distinct(x: Tensor) -> tuple[Tensor, Tensor]:
    """The different rows of x (n, d) and, for each row, which of them it is (n,).

    Whatever is computed from the first and read through the second is the same to the last bit for
    equal rows, which a matrix product of x itself does not promise.
    """
    rows = np.ascontiguousarray((x + 0.0).cpu().numpy())  # -0 becomes 0: they are equal
    keys = rows.view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1]))).ravel()
    _, first, which = np.unique(keys, return_index=True, return_inverse=True)
    return x[torch.from_numpy(first).to(x.device)], torch.from_numpy(which.ravel()).to(x.device)


def _slices(where: Tensor, d: int) -> Iterator[tuple[Tensor, Tensor]]:
    """The places that are true, as rows and columns, so many at once that their differences fit."""
    pairs = where.nonzero()
    for part in pairs.split(max(2, MEMORY // (24 * max(d, 1)))):
        yield part[:, 0], part[:, 1]
