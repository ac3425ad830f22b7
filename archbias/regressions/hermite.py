"""Orthonormal Hermite polynomials, and their exact moments under data plus Gaussian noise.

    h_k(t) = He_k(t) / sqrt(k!)                      orthonormal under N(0, 1)
    psi_a(t) = prod_j h_{a_j}(t_j)                   a = (a_1, ..., a_r), |a| = a_1 + ... + a_r
    d psi_a / d t_j = sqrt(a_j) psi_{a - e_j}

Noise never has to be sampled. With t = alpha w + sqrt(1 - alpha^2) n per coordinate, n standard
normal,

    E_n[He_k(t)] = alpha^k He_k(w)                                              (Mehler)
    He_i He_j = sum_m C(i, m) C(j, m) m! He_{i+j-2m}                            (linearisation)

so every E[psi_a(t) psi_b(t)] with |a|, |b| <= p is a sum of the data's Hermite moments mu_c =
E[He_c(w)], |c| <= 2p, each shrunk by alpha^c. Those moments are all a polynomial fit of degree p
can know of the data, at every noise level.

Source of the identities: Abramowitz & Stegun, *Handbook of Mathematical Functions*, ch. 22;
linearisation: Feldheim 1938.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import torch
from torch import Tensor

from ..compiled import njit


def values(t: Tensor, degree: int) -> Tensor:
    """h_0(t), ..., h_degree(t) on a new last axis: shape of t -> (*, degree + 1)."""
    rows = [torch.ones_like(t), t]
    for k in range(1, degree):
        rows.append((t * rows[k] - math.sqrt(k) * rows[k - 1]) / math.sqrt(k + 1))
    return torch.stack(rows[: degree + 1], dim=-1)


def total_degree(r: int, degree: int) -> np.ndarray:
    """Every multi-index a of r entries with |a| <= degree, in order of |a|: (K, r), K = C(r +
    degree, degree).
    """
    rows = []
    for size in range(degree + 1):
        for chosen in itertools.combinations_with_replacement(range(r), size):
            rows.append(np.bincount(chosen, minlength=r) if size else np.zeros(r, dtype=np.int64))
    return np.array(rows, dtype=np.int64).reshape(len(rows), r)


def pure_powers(r: int, degree: int) -> np.ndarray:
    """The multi-indices of one coordinate alone: 0, then k e_j for k = 1..degree and each j: (1 + r
    degree, r).
    """
    eye = np.eye(r, dtype=np.int64)
    return np.concatenate(
        [np.zeros((1, r), dtype=np.int64), *(k * eye for k in range(1, degree + 1))]
    )


class Basis:
    """The functions psi_a for a given set of multi-indices.

    indices: (K, r), closed under lowering (with a comes a - e_j).
    """

    def __init__(self, indices: np.ndarray):
        self.indices = indices
        self.size, self.r = indices.shape
        self.degree = int(indices.sum(1).max(initial=0))
        used = max(int((indices > 0).sum(1).max(initial=0)), 1)
        coordinate = np.zeros((self.size, used), dtype=np.int64)
        power = np.zeros((self.size, used), dtype=np.int64)
        for k, a in enumerate(indices):
            (where,) = np.nonzero(a)
            coordinate[k, : len(where)], power[k, : len(where)] = where, a[where]
        self._coordinate, self._power = torch.from_numpy(coordinate), torch.from_numpy(power)
        place = {a.tobytes(): k for k, a in enumerate(indices)}
        eye = np.eye(self.r, dtype=np.int64)
        # lower[j]: for each a the place of a - e_j, or -1 where a_j = 0.
        self.lower = [
            np.array([place[(a - e).tobytes()] if a[j] else -1 for a in indices])
            for j, e in enumerate(eye)
        ]
        self.first = [place.get(e.tobytes(), -1) for e in eye]

    def features(self, t: Tensor) -> Tensor:
        """psi_a(t): (B, r) -> (B, K), differentiable."""
        if not self.r:
            return t.new_ones((len(t), 1))
        table = values(t, self.degree)
        coordinate, power = self._coordinate.to(t.device), self._power.to(t.device)
        out = table[:, coordinate[:, 0], power[:, 0]]
        for slot in range(1, coordinate.shape[1]):
            out = out * table[:, coordinate[:, slot], power[:, slot]]
        return out

    def derivative(self, coefficients: np.ndarray, j: int) -> np.ndarray:
        """Coefficients of d/dt_j of sum_a coefficients_a psi_a: (K, m) -> (K, m), in the same
        basis.
        """
        out = np.zeros_like(coefficients)
        has = self.lower[j] >= 0
        out[self.lower[j][has]] = coefficients[has] * np.sqrt(self.indices[has, j])[:, None]
        return out


class MomentBasis(Basis):
    """The full set |a| <= degree in r coordinates, with exact expectations from Hermite moments up
    to order 2 degree.
    """

    def __init__(self, r: int, degree: int):
        super().__init__(total_degree(r, degree))
        self.wide = total_degree(r, 2 * degree)
        self._root_factorial = _root_factorial(self.indices)
        # Places of a + b in `wide`. The key is linear in a, so keys of sums are sums of keys.
        key = np.random.default_rng(0).integers(1, 2**62, size=r, dtype=np.uint64)
        wide_keys = self.wide.astype(np.uint64) @ key
        order = np.argsort(wide_keys)
        keys = self.indices.astype(np.uint64) @ key
        self.sum = order[np.searchsorted(wide_keys[order], keys[:, None] + keys[None, :])]
        self._inverse = np.full(len(self.wide), -1)
        self._inverse[self.sum[:, 0]] = np.arange(self.size)

    def moments(self, w: Tensor) -> Tensor:
        """mu_c = mean of He_c(w) over the rows of w (N, r), for each c of `wide`: (L,)."""
        if not self.r:
            return torch.ones(1, dtype=torch.float64)
        table = values(w.double(), 2 * self.degree).permute(1, 2, 0).contiguous().numpy()
        return torch.from_numpy(_means(table, self.wide) * _root_factorial(self.wide))

    def shrink(self, alpha: np.ndarray) -> np.ndarray:
        """alpha^c for each c of `wide`: (L,)."""
        return np.prod(alpha[None, :] ** self.wide, axis=1) if self.r else np.ones(1)

    def gram(self, moments: np.ndarray, alpha: np.ndarray) -> np.ndarray:
        """E[psi_a(t) psi_b(t)], t = alpha w + sqrt(1 - alpha^2) n: (K, K)."""
        shrunk = moments * self.shrink(alpha)
        out = np.zeros((self.size, self.size))
        degrees = self.indices.sum(1)
        # m: how many pairs of factors are contracted in each coordinate
        for k, m in enumerate(self.indices):
            # a - m runs over the first n indices
            n = int((degrees <= self.degree - degrees[k]).sum())
            place = self._places(k, n)
            a = self.indices[place]
            choose = np.prod(_binomial(a, m[None, :]), axis=1)
            factor = choose * self._root_factorial[k] / self._root_factorial[place]
            out[np.ix_(place, place)] += np.outer(factor, factor) * shrunk[self.sum[:n, :n]]
        return out

    def cross(self, moments: np.ndarray, alpha: np.ndarray) -> np.ndarray:
        """E[w_j psi_a(t)] = alpha^a (mu_{a+e_j} + a_j mu_{a-e_j}) / sqrt(a!): (K, r)."""
        out = np.empty((self.size, self.r))
        for j in range(self.r):
            up = moments[self.sum[:, self.first[j]]]
            down = np.where(
                self.lower[j] >= 0, moments[self.sum[np.maximum(self.lower[j], 0), 0]], 0.0
            )
            out[:, j] = up + self.indices[:, j] * down
        return out * (self.shrink(alpha)[self.sum[:, 0]] / self._root_factorial)[:, None]

    def _places(self, k: int, n: int) -> np.ndarray:
        """Where a' + m sits among the indices, for the first n indices a' and m = indices[k]."""
        return self._inverse[self.sum[:n, k]]


@njit(cache=True)
def _means(table: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """Mean over n of prod_j table[j, indices[c, j], n] for each c: table (r, q, N), indices
    (L, r).
    """
    out, product = np.empty(len(indices)), np.empty(table.shape[2])
    for c in range(len(indices)):
        product[:] = 1.0
        for j in range(indices.shape[1]):
            if indices[c, j]:
                product *= table[j, indices[c, j]]
        out[c] = product.mean()
    return out


def _root_factorial(indices: np.ndarray) -> np.ndarray:
    """sqrt(a!) = prod_j sqrt(a_j!) for each multi-index: (K, r) -> (K,)."""
    return np.sqrt([float(math.prod(map(math.factorial, a))) for a in indices.tolist()])


def _binomial(n: np.ndarray, k: np.ndarray) -> np.ndarray:
    """C(n, k) elementwise for small integers, 0 where k > n."""
    top = int(max(n.max(initial=0), k.max(initial=0))) + 1
    table = np.array([[math.comb(i, j) for j in range(top)] for i in range(top)], dtype=np.float64)
    return table[n, k]
