"""Does one set fill the other? Precision, recall, density, coverage; and how many different images
are there? Set-level.

With B_k(x) the ball around a point of a set that just reaches its k-th nearest neighbour within the
set,

    precision = share of samples inside some real ball         recall   = share of real images
        inside some sample's ball
    density   = mean number of real balls around a sample / k  coverage = share of real balls that
                                                               hold a sample

Kynkaanniemi et al. 2019 (precision, recall), Naeem et al. 2020 (density, coverage; equal sets read
density 1 and coverage 1 - 2^-k or more). A point on the rim of a ball is outside, as theirs are: a
copy of a training image lies exactly on the rims of others, and must read the same on every
machine, so a distance counts as below a radius when it is by more than rounding.

Vendi score (Friedman & Dieng 2023): exp of the entropy of the eigenvalues of K / n, with k(x, x) =
1: the effective number of different images, 1 for copies of one, n for n that have nothing in
common.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import InputError
from .finite import check
from .pairs import RELATIVE, between, within
from .two_sample import pool

RIM = 1 - 2 * RELATIVE  # of a radius: what lies between is on the rim


@dataclass(frozen=True)
class Coverage:
    """precision, recall, coverage in [0, 1]; density at least 0, about 1 for equal sets."""

    precision: float
    recall: float
    density: float
    coverage: float


def coverage(samples: Tensor, images: Tensor, *, k: int = 5) -> Coverage:
    """The four measures of samples (B, ...) against real images (N, ...), in pixels or in the
    features passed.

    Memory is about 3 (B + N)^2 doubles. Equal sets of different sizes do not read the same numbers,
    so read them beside those of held-out images in equal number.

    Example:
        >>> import torch
        >>> from archbias.metrics.coverage import coverage
        >>> real = torch.arange(20.0)[:, None]
        >>> same, far = coverage(real, real, k=3), coverage(real + 100, real, k=3)
        >>> same.precision, same.recall, far.precision, far.recall
        (1.0, 1.0, 0.0, 0.0)
    """
    n = len(samples)
    if min(n, len(images)) <= k:
        raise InputError(
            f"coverage with k = {k} needs more than {k} images on each side, got {n} and "
            f"{len(images)}; lower k"
        )
    both = pool(samples, images)
    fake, real = both[:n], both[n:]

    def radii(x: Tensor) -> Tensor:
        return RIM * within(x).kthvalue(k + 1, dim=1).values

    cross, real_radius, fake_radius = between(real, fake), radii(real), radii(fake)
    inside = cross < real_radius[:, None]
    return Coverage(
        precision=float(inside.any(0).double().mean()),
        recall=float((cross < fake_radius[None]).any(1).double().mean()),
        density=float(inside.double().sum(0).mean() / k),
        coverage=float((cross.amin(1) < real_radius).double().mean()),
    )


def vendi(images: Tensor) -> float:
    """Vendi score of (N, ...) images or features with the cosine kernel, in [1, N].

    Cosine of raw pixels is close to 1 for most pairs: centre them first or pass features.

    Example:
        >>> import torch
        >>> from archbias.metrics.coverage import vendi
        >>> round(vendi(torch.eye(5)), 6), round(vendi(torch.ones(5, 5)), 6)
        (5.0, 1.0)
    """
    flat = check(images, "image").double().flatten(1)
    size = flat.norm(dim=1, keepdim=True)
    if not len(flat) or bool((size == 0).any()):
        raise InputError(
            f"the Vendi score needs images that are not all zero, got {len(flat)} with one at 0; "
            "leave it out"
        )
    flat = flat / size
    small = flat @ flat.T if len(flat) <= flat.shape[1] else flat.T @ flat
    value = torch.linalg.eigvalsh(small / len(flat)).clamp(min=0)
    return float(torch.exp(-torch.special.xlogy(value, value).sum()))
