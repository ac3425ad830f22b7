"""Are two sets draws of one distribution? Kernel and energy statistics with exact permutation
p-values. Set-level.

    MMD^2    = mean k(x, x') + mean k(y, y') - 2 mean k(x, y)          over pairs x != x'  (Gretton
        et al. 2012, eq. 3)
    energy   = 2 E|x - y| - E|x - x'| - E|y - y'|                      V-statistic, >= 0   (Szekely
        & Rizzo 2013, eq. 5)
    p        = (1 + #{T of shuffled labels >= T}) / (1 + shuffles)

Under the hypothesis that both are draws of one distribution the labels are exchangeable, so p is
valid at any size: P(p <= a) <= a. The kernel's bandwidth comes from the pooled set, which shuffling
leaves alone. The test sees what the
space shows it: pass features (`archbias.metrics.features`) to look elsewhere than at pixels. Memory
is (n + m)^2 doubles.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError, nearest


@dataclass(frozen=True)
class TwoSample:
    """A statistic, its permutation p-value in (0, 1], and the statistic under shuffled labels (one
    per shuffle).
    """

    statistic: float
    p: float
    null: np.ndarray = field(repr=False)


def distances(x: Tensor) -> Tensor:
    """(n, n) float64 L2 distances, exactly 0 on the diagonal."""
    x = x.double().flatten(1)
    x = x - x.mean(0)
    norms = x.square().sum(1)
    squared = (norms[:, None] + norms[None] - 2 * x @ x.T).clamp(min=0)
    return squared.fill_diagonal_(0).sqrt()


def pool(x: Tensor, y: Tensor, least: int = 2) -> Tensor:
    """Both sets as one (n + m, d) float64 matrix, checked."""
    if x.shape[1:] != y.shape[1:] or min(len(x), len(y)) < least:
        raise InputError(
            f"a two-sample comparison needs at least {least} rows on each side of one shape, got "
            f"{tuple(x.shape)} and "
            f"{tuple(y.shape)}; resize one set or sample more seeds"
        )
    return torch.cat([x.double().flatten(1), y.to(x.device).double().flatten(1)])


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


def energy(x: Tensor, y: Tensor, *, permutations: int = 999, seed: int = 0) -> TwoSample:
    """Energy distance with its permutation p-value: x (n, ...), y (m, ...); at least 0, 0 for
    identical sets.
    """
    both = pool(x, y, 1)
    return p_value(_contrasts(-distances(both), len(x), len(y), permutations, seed, unbiased=False))


def _rbf(both: Tensor, bandwidth: float | None) -> Tensor:
    d = distances(both)
    if bandwidth is None:
        upper = d[torch.triu_indices(len(d), len(d), 1, device=d.device).unbind()]
        bandwidth = float(upper.median()) or 1.0
    return torch.exp(-d.square() / (2 * bandwidth**2))


def _cubic(both: Tensor, bandwidth: float | None) -> Tensor:
    return (both @ both.T / both.shape[1] + 1) ** 3


KERNELS = {"rbf": _rbf, "cubic": _cubic}


def mmd(
    x: Tensor,
    y: Tensor,
    *,
    kernel: str = "rbf",
    bandwidth: float | None = None,
    permutations: int = 999,
    seed: int = 0,
) -> TwoSample:
    """Unbiased squared maximum mean discrepancy with its permutation p-value; can be slightly below
    0.

    Args:
        kernel: "rbf", exp(-|x - y|^2 / (2 h^2)), or "cubic", (x.y / d + 1)^3, which on Inception
            features is the kernel inception distance (Binkowski et al. 2018).
        bandwidth: h of the rbf kernel; None is the median distance of the pooled set.
    """
    if kernel not in KERNELS:
        raise InputError(f"unknown kernel {kernel!r}; {nearest(kernel, KERNELS)}")
    matrix = KERNELS[kernel](pool(x, y), bandwidth).fill_diagonal_(0)
    return p_value(_contrasts(matrix, len(x), len(y), permutations, seed, unbiased=True))
