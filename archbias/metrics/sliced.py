"""Sliced Wasserstein distance: optimal transport along random lines. Set-level.

    SW_q(P, Q)^q = E_theta  int_0^1 |F_theta^-1(u) - G_theta^-1(u)|^q du        theta uniform on the
        sphere

Rabin et al. 2011; in one dimension transport is sorting. Two Gaussians of equal covariance at
distance |m| in R^d have SW_2 = |m| / sqrt(d). Sets of different sizes are handled exactly, by the
steps of both quantile functions. Equal images fall on equal points of a line, to the last bit, so
equal sets are at 0; the lines start at the pooled mean, so an offset common to both costs nothing.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from .. import seeds
from .pairs import distinct
from .two_sample import TwoSample, p_value, pool, shuffles


def directions(d: int, count: int, *, seed: int = 0) -> Tensor:
    """(d, count) float64 unit vectors, uniform on the sphere."""
    theta = seeds.normal([seed], (d, count), stream=200, dtype=torch.float64)[0]
    return theta / theta.norm(dim=0)


def wasserstein_1d(x: Tensor, y: Tensor, order: float = 2.0) -> Tensor:
    """W_q^q of the columns of x (n, K) and y (m, K): (K,)."""
    n, m = len(x), len(y)
    # in units of 1 / (n m)
    cuts = np.unique(np.concatenate([np.arange(n + 1) * m, np.arange(m + 1) * n]))
    left = torch.from_numpy(cuts[:-1]).to(x.device)
    weight = torch.from_numpy(np.diff(cuts) / (n * m)).to(x)
    gap = x.sort(0).values[left // m] - y.sort(0).values[left // n]
    return (weight[:, None] * gap.abs() ** order).sum(0)


def sliced_wasserstein(
    samples: Tensor,
    images: Tensor,
    *,
    order: float = 2.0,
    slices: int = 128,
    permutations: int = 0,
    seed: int = 0,
) -> TwoSample:
    """SW_q of samples (n, ...) and images (m, ...), at least 0, in pixel units, with a permutation
    p-value when `permutations` > 0 (else p = 1, no null).

    Along 128 lines its Monte Carlo error is a few per cent; the lines depend on `seed` alone.
    """
    both = pool(samples, images, 1)
    points, which = distinct(both - both.mean(0))
    line = (points @ directions(both.shape[1], slices, seed=seed).to(both))[which]
    members = shuffles(len(samples), len(images), permutations, seed).bool()
    values = [
        float(wasserstein_1d(line[a], line[~a], order).mean()) ** (1 / order)
        for a in members.to(line.device)
    ]
    return p_value(np.array(values))
