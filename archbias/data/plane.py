"""Five sets of points in the plane, each an image of two channels and one pixel: (N, 2, 1, 1) in
[-1, 1].

    moons      two interlocking half circles, noise .05 (scikit-learn's make_moons)
    ring       a circle, noise .05 (scikit-learn's make_circles, outer circle alone)
    grid       nine Gaussians on a 3 x 3 grid, one standard deviation .06 of the spacing
    spiral     one arm of 1.5 turns (scikit-learn's make_swiss_roll seen from above), noise .35
    pinwheel   five bent arms (Johnson et al. 2016, *Composing graphical models with neural
               networks*, section 4)

A set is centred and divided by its largest absolute coordinate times 1.05, so that it fits into the
square.
"""

from __future__ import annotations

import math
from numbers import Integral

import numpy as np
import torch
from sklearn.datasets import make_circles, make_moons, make_swiss_roll

from ..errors import InputError, nearest
from .images import ImageSet


def _moons(n: int, rng: np.random.Generator) -> np.ndarray:
    return make_moons(n, noise=0.05, random_state=int(rng.integers(2**31)))[0]


def _ring(n: int, rng: np.random.Generator) -> np.ndarray:
    points, which = make_circles(2 * n, noise=0.05, random_state=int(rng.integers(2**31)))
    return points[which == 0]


def _grid(n: int, rng: np.random.Generator) -> np.ndarray:
    cells = rng.permutation(np.arange(n) % 9)
    return np.stack([cells // 3 - 1, cells % 3 - 1], axis=1) + 0.06 * rng.standard_normal((n, 2))


def _spiral(n: int, rng: np.random.Generator) -> np.ndarray:
    return make_swiss_roll(n, noise=0.35, random_state=int(rng.integers(2**31)))[0][:, [0, 2]]


def _pinwheel(n: int, rng: np.random.Generator) -> np.ndarray:
    points = rng.standard_normal((n, 2)) * [0.3, 0.05] + [1.0, 0.0]
    angle = 2 * math.pi * rng.permutation(np.arange(n) % 5) / 5 + 0.25 * np.exp(points[:, 0])
    cos, sin = np.cos(angle), np.sin(angle)
    return np.stack(
        [points[:, 0] * cos - points[:, 1] * sin, points[:, 0] * sin + points[:, 1] * cos], axis=1
    )


SHAPES = {"moons": _moons, "ring": _ring, "grid": _grid, "spiral": _spiral, "pinwheel": _pinwheel}


def plane(name: str, n: int = 1000, seed: int = 0) -> ImageSet:
    """N points of the set `name` (moons, ring, grid, spiral, pinwheel); the same seed gives the
    same points.
    """
    if name not in SHAPES:
        raise InputError(f"unknown plane set {name!r}; {nearest(name, SHAPES)}")
    if not isinstance(n, Integral) or n < 2:
        raise InputError(f"a plane set wants at least 2 points, got {n!r}; 1000 is usual")
    points = SHAPES[name](n, np.random.default_rng(seed))
    points = points - (points.min(0) + points.max(0)) / 2
    points = points / (1.05 * np.abs(points).max())
    return ImageSet.from_array(torch.from_numpy(points).reshape(n, 2, 1, 1), name=name)
