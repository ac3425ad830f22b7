"""How sure is a number: intervals over seeds, and for a share of successes.

    bootstrap   resample the seeds with replacement, take the statistic each time, cut the tails
                (Efron's percentile interval;
                Efron & Tibshirani 1993, ch. 13)
    binomial    Wilson's score interval (Wilson 1927), or Clopper & Pearson's exact one (1934)

NaN stands for "undefined for this seed" (a constant image has no correlation, a sample that
diverged has no value). It is left out of the statistic, counted in `missing` and said wherever the
interval is printed; where nothing is left the value is NaN. Infinity is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from ..errors import InputError
from .finite import words

Statistic = Callable[..., np.ndarray]
STATISTICS: dict[str, Statistic] = {"median": np.median, "mean": np.mean}


@dataclass(frozen=True)
class Interval:
    """A value with the interval it lies in at confidence `level`.

    n: how many seeds or trials it rests on; missing: how many were undefined and left out.
    """

    value: float
    low: float
    high: float
    level: float
    n: int
    missing: int = 0

    @property
    def left_out(self) -> str:
        """What was left out in words, "1 of 30 left out"; empty when nothing was."""
        return words(self.missing, self.n + self.missing)

    def __format__(self, number: str) -> str:
        """The three numbers in this format, three digits by default: f"{interval:.2f}" is 0.97
        [0.95, 0.98], with " (1 of 30 left out)" where seeds were undefined.
        """
        number = number or ".3g"
        text = f"{self.value:{number}} [{self.low:{number}}, {self.high:{number}}]"
        return f"{text} ({self.left_out})" if self.missing else text

    def __str__(self) -> str:
        return format(self)


def _level(level: float) -> float:
    if not 0 < level < 1:
        raise InputError(f"a confidence level lies between 0 and 1, got {level}; use 0.95")
    return level


def per_seed(values: Tensor | np.ndarray | list) -> np.ndarray:
    """Values of seeds as (n,) float64; NaN is undefined, infinity an InputError that names its
    seeds.
    """
    if isinstance(values, Tensor):
        values = values.detach().cpu().numpy()
    values = np.asarray(values, dtype=np.float64).ravel()
    if np.isinf(values).any():
        where = ", ".join(map(str, np.flatnonzero(np.isinf(values))[:5]))
        raise InputError(
            f"values of seeds must be finite, or NaN where undefined, got infinity at {where} of "
            f"{len(values)}; set those to NaN to leave them out"
        )
    return values


def bootstrap(
    *values: Tensor | np.ndarray,
    statistic: str | Callable[..., np.ndarray] = "median",
    level: float = 0.95,
    resamples: int = 4000,
    seed: int = 0,
) -> Interval:
    """Percentile bootstrap interval over seeds.

    Args:
        values: one or more sequences of n values, one per seed; all are resampled together (the
            seed is the unit), and a seed undefined (NaN) in one of them is left out of all.
        statistic: "median", "mean" or a function f(*arrays, axis=-1) of arrays (resamples, n).
        resamples: how many; 4000 fix the limits of a 95 % interval to about 3 % of its width.

    Returns:
        The statistic of the values and its interval. Below about 10 seeds it is too narrow
        (bootstrap undercoverage).

    Example:
        >>> import numpy as np
        >>> from archbias.metrics import intervals
        >>> found = intervals.bootstrap(np.arange(101.0))
        >>> found.value, found.low < 50 < found.high
        (50.0, True)
    """
    f = (
        STATISTICS[statistic]
        if isinstance(statistic, str) and statistic in STATISTICS
        else statistic
    )
    if isinstance(f, str):
        raise InputError(
            f"unknown statistic {statistic!r}; choose from {', '.join(sorted(STATISTICS))} or give "
            "a function"
        )
    arrays = np.stack([per_seed(v) for v in values])
    keep = ~np.isnan(arrays).any(0)
    arrays, missing = arrays[:, keep], int((~keep).sum())
    n = arrays.shape[1]
    if n == 0:
        return Interval(np.nan, np.nan, np.nan, _level(level), 0, missing)
    rng = np.random.default_rng(seed)
    block = max(1, 2_000_000 // n)
    draws = []
    for start in range(0, resamples, block):
        rows = rng.integers(0, n, size=(min(block, resamples - start), n))
        draws.append(f(*(a[rows] for a in arrays), axis=-1))
    tail = (1 - _level(level)) / 2
    low, high = np.quantile(np.concatenate(draws), [tail, 1 - tail])
    return Interval(float(f(*arrays, axis=-1)), float(low), float(high), level, n, missing)


def binomial(successes: int, trials: int, *, level: float = 0.95, exact: bool = False) -> Interval:
    """The share successes / trials with Wilson's interval, or Clopper and Pearson's (`exact`: never
    undercovers).

    With no trials the share is NaN and the interval all of [0, 1].

    Example:
        >>> from archbias.metrics import intervals
        >>> none = intervals.binomial(0, 16)
        >>> none.value, round(none.low, 2), round(none.high, 2)
        (0.0, 0.0, 0.19)
    """
    from scipy.stats import binomtest

    successes, trials = int(successes), int(trials)
    if not 0 <= successes <= trials:
        raise InputError(
            f"successes must lie between 0 and the {trials} trials, got {successes}; count both on "
            "the same seeds"
        )
    if trials == 0:
        return Interval(np.nan, 0.0, 1.0, _level(level), 0)
    limits = binomtest(successes, trials).proportion_ci(
        _level(level), method="exact" if exact else "wilson"
    )
    return Interval(successes / trials, float(limits.low), float(limits.high), level, trials)
