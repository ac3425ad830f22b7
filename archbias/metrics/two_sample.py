"""Are two sets draws of one distribution? Kernel and energy statistics with exact permutation
p-values. Set-level.

    MMD^2    = mean k(x, x') + mean k(y, y') - 2 mean k(x, y)          over pairs x != x'  (Gretton
        et al. 2012, eq. 3)
    energy   = 2 E|x - y| - E|x - x'| - E|y - y'|                      V-statistic, >= 0   (Szekely
        & Rizzo 2013, eq. 5)
    p        = (1 + #{T of shuffled labels >= T}) / (1 + shuffles)

Under the hypothesis that both are draws of one distribution the labels are exchangeable, so p is
valid at any size: P(p <= a) <= a. The kernel's bandwidth comes from the pooled set, which shuffling
leaves alone. The test sees what the space shows it: pass features (`archbias.metrics.features`) to
look elsewhere than at pixels. Distances are those of `pairs`: 0 for equal images. Memory is about
3 (n + m)^2 doubles.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError, nearest
from .finite import check_sets
from .pairs import within


@dataclass(frozen=True)
class TwoSample:
    """A statistic, its permutation p-value in (0, 1], and the statistic under shuffled labels (one
    per shuffle).
    """

    statistic: float
    p: float
    null: np.ndarray = field(repr=False)


def pool(samples: Tensor, images: Tensor, least: int = 2) -> Tensor:
    """Both sets as one (n + m, d) float64 matrix; an InputError unless they are finite, of one
    shape and of at least `least` rows each.
    """
    if samples.shape[1:] != images.shape[1:] or min(len(samples), len(images)) < least:
        raise InputError(
            f"a two-sample comparison needs at least {least} rows on each side of one shape, got "
            f"{tuple(samples.shape)} and {tuple(images.shape)}; resize one set or sample more seeds"
        )
    check_sets(samples, images)
    return torch.cat([samples.double().flatten(1), images.to(samples.device).double().flatten(1)])


def shuffles(n: int, m: int, count: int, seed: int) -> Tensor:
    """(count + 1, n + m) float64 membership of the first set: the true one, then random ones."""
    rng = np.random.default_rng(seed)
    first = np.zeros((count + 1, n + m))
    first[0, :n] = 1
    for k in range(count):
        first[k + 1, rng.permutation(n + m)[:n]] = 1
    return torch.from_numpy(first)


def p_value(values: np.ndarray) -> TwoSample:
    """From the true statistic followed by those of shuffled labels; ties count against the
    difference.
    """
    scale = 1e-12 * max(1e-300, float(np.abs(values).max()))
    p = (1 + (values[1:] >= values[0] - scale).sum()) / len(values)
    return TwoSample(float(values[0]), float(p), values[1:])


def _contrasts(matrix: Tensor, n: int, m: int, count: int, seed: int, unbiased: bool) -> np.ndarray:
    """Mean over AA + mean over BB - 2 mean over AB of a symmetric matrix, for the true and the
    shuffled labels.
    """
    a = shuffles(n, m, count, seed).to(matrix.device)
    b = 1 - a
    left = a @ matrix
    aa, ab = (left * a).sum(1), (left * b).sum(1)
    bb = matrix.sum() - aa - 2 * ab
    pairs = (n * (n - 1), m * (m - 1)) if unbiased else (n * n, m * m)
    return (aa / pairs[0] + bb / pairs[1] - 2 * ab / (n * m)).cpu().numpy()


def energy(samples: Tensor, images: Tensor, *, permutations: int = 999, seed: int = 0) -> TwoSample:
    """Energy distance with its permutation p-value: samples (n, ...), images (m, ...); at least 0,
    0 for identical sets, in pixel units.
    """
    matrix = -within(pool(samples, images, 1))
    n, m = len(samples), len(images)
    return p_value(_contrasts(matrix, n, m, permutations, seed, unbiased=False))


def _rbf(both: Tensor, bandwidth: float | None) -> Tensor:
    d = within(both)
    if bandwidth is None:
        upper = d[torch.triu_indices(len(d), len(d), 1, device=d.device).unbind()]
        bandwidth = float(upper.median()) or 1.0
    return torch.exp(-d.square() / (2 * bandwidth**2))


def _cubic(both: Tensor, bandwidth: float | None) -> Tensor:
    return (both @ both.T / both.shape[1] + 1) ** 3


KERNELS = {"rbf": _rbf, "cubic": _cubic}


def mmd(
    samples: Tensor,
    images: Tensor,
    *,
    kernel: str = "rbf",
    bandwidth: float | None = None,
    permutations: int = 999,
    seed: int = 0,
) -> TwoSample:
    """Unbiased squared maximum mean discrepancy with its permutation p-value; can be slightly below
    0.

    Args:
        samples, images: (n, ...) and (m, ...), at least 2 each.
        kernel: "rbf", exp(-|x - y|^2 / (2 h^2)), or "cubic", (x.y / d + 1)^3, which on Inception
            features is the kernel inception distance (Binkowski et al. 2018).
        bandwidth: h of the rbf kernel; None is the median distance of the pooled set.
    """
    if kernel not in KERNELS:
        raise InputError(f"unknown kernel {kernel!r}; {nearest(kernel, KERNELS)}")
    matrix = KERNELS[kernel](pool(samples, images), bandwidth).fill_diagonal_(0)
    n, m = len(samples), len(images)
    return p_value(_contrasts(matrix, n, m, permutations, seed, unbiased=True))
