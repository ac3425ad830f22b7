"""Is this predictor better than that one, seed by seed? Paired tests, and Holm's correction for
asking often.

    difference   d_b = value of the first - value of the second, at the same seed
    wilcoxon     signed ranks of d: no difference if d is symmetric about 0            Wilcoxon
        1945, by SciPy
    signflip     mean of d against all (up to 2^12, else random) flips of its signs     Fisher 1935;
        exact under symmetry
    holm         p_(k) (m - k + 1), made increasing: family-wise error at most alpha     Holm 1979

Seeds undefined (NaN) in either are left out and counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy import stats
from torch import Tensor

from ..errors import InputError, nearest
from .intervals import Interval, bootstrap, per_seed

EXACT = 12  # seeds up to which all 2^n sign flips are taken


@dataclass(frozen=True)
class Paired:
    """difference: median (wilcoxon) or mean (signflip) of first - second with its bootstrap
    interval; p: two-sided.
    """

    difference: Interval
    p: float


def _signflip(d: np.ndarray, flips: int, seed: int) -> float:
    if len(d) <= EXACT:
        signs = np.array(list(product((1.0, -1.0), repeat=len(d))))
        means = np.abs(signs @ d)
        return float((means >= means[0] * (1 - 1e-12)).mean())
    signs = np.random.default_rng(seed).choice((-1.0, 1.0), size=(flips, len(d)))
    return float((1 + (np.abs(signs @ d) >= abs(d.sum()) * (1 - 1e-12)).sum()) / (1 + flips))


def _wilcoxon(d: np.ndarray, flips: int, seed: int) -> float:
    if not d.any():
        return 1.0
    simple = len(d) <= 50 and (d != 0).all() and len(np.unique(np.abs(d))) == len(d)
    return float(
        stats.wilcoxon(d, method="exact" if simple else "asymptotic", correction=not simple).pvalue
    )


TESTS = {"wilcoxon": (_wilcoxon, "median"), "signflip": (_signflip, "mean")}


def paired(
    first: Tensor | np.ndarray,
    second: Tensor | np.ndarray,
    *,
    test: str = "wilcoxon",
    level: float = 0.95,
    flips: int = 9999,
    seed: int = 0,
) -> Paired:
    """Compare two predictors on the same seeds.

    Args:
        first, second: (n,) values of one metric, row by row the same seed.
        test: "wilcoxon" or "signflip".
    """
    if test not in TESTS:
        raise InputError(f"unknown paired test {test!r}; {nearest(test, TESTS)}")
    a, b = per_seed(first), per_seed(second)
    if a.shape != b.shape:
        raise InputError(
            f"a paired test needs the same seeds on both sides, got {len(a)} and {len(b)} values; "
            "align them first"
        )
    f, statistic = TESTS[test]
    d = a - b
    kept = d[~np.isnan(d)]
    p = f(kept, flips, seed) if len(kept) else float("nan")
    return Paired(bootstrap(d, statistic=statistic, level=level, seed=seed), p)


def holm(p: Sequence[float]) -> np.ndarray:
    """Adjusted p-values, in the order given, at most 1; NaN stays NaN and is not counted as a
    test.
    """
    p = np.asarray(p, dtype=float)
    adjusted = np.full_like(p, np.nan)
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known], kind="stable")]
    factors = len(order) - np.arange(len(order))
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * factors))
    return adjusted
