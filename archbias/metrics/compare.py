"""Every comparison carries its scale: the value, how sure it is, how high it could be and how low
it would be for nothing.

    value     metric(sample_b, prediction_b), seed by seed, and its median with a bootstrap interval
              over seeds
    ceiling   metric(sample_b, replicate_b): two networks of one architecture from two training
              seeds agree only so far
    floors    metric(sample_b, p_b) for predictors that know nothing of the architecture: another
              seed's sample, the mean
              image, Wiener
    share     (value - floor) / (ceiling - floor), medians over seeds, the interval from resampling
              seeds jointly

A share above 1 is possible and is no error: the ceiling compares two noisy things. If a sample is s
+ e with s common to replicates and e not, a predictor that knows s alone has r = sqrt(ceiling),
above the ceiling: `shared_ceiling`. Where the ceiling does not clearly exceed the floor the share
is NaN.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError, nearest
from . import agreement
from .intervals import STATISTICS, Interval, Statistic, bootstrap
from .paired import Paired, holm, paired

METRICS = {
    **{k: v for k, v in agreement.METRICS.items() if k != "amplitude_ratio"},
    "ssim": agreement.ssim,
}
LOWER_IS_BETTER = frozenset({"mse"})
ANOTHER_SEED = "another seed"
# predictors of these names bound the others from above
CEILINGS = ("ceiling", "noise ceiling", "replicate")
FLOORS = ("floor", "mean image", ANOTHER_SEED)  # and these from below


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One predictor against samples of the same seeds, with its scale. Values per seed are (B,)
    float64.

    value, ceiling, floors, share: statistic over seeds with its interval; ceiling None without a
        replicate, and then
    share is empty. Floors and shares go by the floor's name.
    """

    metric: str
    statistic: str
    values: Tensor = field(repr=False)
    ceiling_values: Tensor | None = field(repr=False)
    floor_values: dict[str, Tensor] = field(repr=False)
    value: Interval
    ceiling: Interval | None
    floors: dict[str, Interval]
    share: dict[str, Interval]

    @property
    def shared_ceiling(self) -> float:
        """What r a predictor of everything replicates share would reach, sqrt(ceiling); NaN for
        other metrics or without one.
        """
        if self.ceiling is None or self.metric != "r":
            return float("nan")
        return max(self.ceiling.value, 0.0) ** 0.5

    def __str__(self) -> str:
        parts = [f"{self.metric} {self.value}"]
        if self.ceiling is not None:
            parts.append(f"ceiling {self.ceiling}")
        parts += [f"floor ({name}) {floor}" for name, floor in self.floors.items()]
        parts += [f"share above {name} {share}" for name, share in self.share.items()]
        return "; ".join(parts)


def _metric(name: str) -> agreement.Metric:
    if name not in METRICS:
        raise InputError(f"unknown metric {name!r}; {nearest(name, METRICS)}")
    return METRICS[name]


def _like(samples: Tensor, other: Tensor, what: str) -> Tensor:
    """Other as (B, C, H, W): one image stands for every seed."""
    other = torch.as_tensor(other).to(samples.device)
    if other.shape == samples.shape[1:]:
        return other.expand_as(samples)
    if other.shape != samples.shape:
        raise InputError(
            f"{what} must have the samples' shape {tuple(samples.shape)} or be one image "
            f"{tuple(samples.shape[1:])}, got "
            f"{tuple(other.shape)}; use the same seeds for both"
        )
    return other


def compare(
    samples: Tensor,
    prediction: Tensor,
    *,
    replicate: Tensor | None = None,
    floors: Mapping[str, Tensor] | None = None,
    metric: str = "r",
    statistic: str = "median",
    level: float = 0.95,
    resamples: int = 4000,
    seed: int = 0,
) -> Comparison:
    """Samples against their prediction, seed by seed, beside ceiling and floors.

    Args:
        samples: (B, C, H, W), one per seed.
        prediction: same shape, row b from the same seed.
        replicate: samples of a second network that differs in its training seed only; gives the
            ceiling.
        floors: trivial predictions by name, each (B, C, H, W) or one image (C, H, W), for example
            {"mean image": images.images.mean(0), "wiener": law.push(noise)}. "another seed" (row b
            predicted by row b + 1) is added when there are at least 2 seeds.
        metric: one of METRICS.
        statistic: "median" or "mean" over seeds.

    Raises:
        InputError: shapes that do not match, or an unknown metric.

    Example:
        >>> import archbias
        >>> x = archbias.seeds.normal(range(12), (1, 8, 8))
        >>> found = archbias.metrics.compare.compare(x, x, floors={"mean image": x.mean(0)})
        >>> round(found.value.value, 6), sorted(found.floors)
        (1.0, ['another seed', 'mean image'])
    """
    f = _metric(metric)
    if samples.ndim != 4 or not len(samples):
        raise InputError(
            f"samples must have shape (B, C, H, W) with B at least 1, got {tuple(samples.shape)}; "
            "sample some seeds"
        )
    values = f(samples, _like(samples, prediction, "the prediction"))
    ceiling = None if replicate is None else f(samples, _like(samples, replicate, "the replicate"))
    low = {
        name: f(samples, _like(samples, p, f"floor {name!r}")) for name, p in (floors or {}).items()
    }
    if len(samples) > 1 and ANOTHER_SEED not in low:
        low[ANOTHER_SEED] = f(samples, samples.roll(-1, 0))
    return scale(
        values,
        ceiling=ceiling,
        floors=low,
        metric=metric,
        statistic=statistic,
        level=level,
        resamples=resamples,
        seed=seed,
    )


def scale(
    values: Tensor,
    *,
    ceiling: Tensor | None = None,
    floors: Mapping[str, Tensor] | None = None,
    metric: str = "r",
    statistic: str = "median",
    level: float = 0.95,
    resamples: int = 4000,
    seed: int = 0,
) -> Comparison:
    """The same from values per seed, as a store holds them: values, ceiling and every floor are
    (B,), seed by seed.
    """
    _metric(metric)
    if statistic not in STATISTICS:
        raise InputError(
            f"unknown statistic {statistic!r}; choose from {', '.join(sorted(STATISTICS))}"
        )
    low = {name: torch.as_tensor(v) for name, v in (floors or {}).items()}
    for name, v in {"the ceiling": ceiling, **low}.items():
        if v is not None and v.shape != values.shape:
            raise InputError(
                f"{name} must hold one value per seed, {len(values)}, got shape {tuple(v.shape)}; "
                "align the seeds"
            )
    centre, sign = STATISTICS[statistic], -1.0 if metric in LOWER_IS_BETTER else 1.0

    def share(v: np.ndarray, c: np.ndarray, b: np.ndarray, axis: int = -1) -> np.ndarray:
        v, c, b = centre(v, axis=axis), centre(c, axis=axis), centre(b, axis=axis)
        room = c - b
        return np.where(sign * room > 0, (v - b) / np.where(room == 0, 1.0, room), np.nan)

    def interval(*v: Tensor, statistic: str | Statistic = statistic) -> Interval:
        return bootstrap(*v, statistic=statistic, level=level, resamples=resamples, seed=seed)

    return Comparison(
        metric=metric,
        statistic=statistic,
        values=values,
        ceiling_values=ceiling,
        floor_values=low,
        value=interval(values),
        ceiling=None if ceiling is None else interval(ceiling),
        floors={name: interval(v) for name, v in low.items()},
        share={}
        if ceiling is None
        else {name: interval(values, ceiling, v, statistic=share) for name, v in low.items()},
    )


@dataclass(frozen=True)
class Versus:
    """Two predictors on the same seeds: first - second, the raw two-sided p and Holm's over all
    pairs compared.
    """

    first: str
    second: str
    result: Paired
    adjusted_p: float


def versus(
    samples: Tensor,
    predictions: Mapping[str, Tensor],
    *,
    metric: str = "r",
    test: str = "wilcoxon",
    level: float = 0.95,
    seed: int = 0,
) -> list[Versus]:
    """Every pair of predictors, tested seed by seed, p-values corrected by Holm for the number of
    pairs.

    Args:
        predictions: by name, each (B, C, H, W) or one image; at least 2.
        test: "wilcoxon" (signed ranks) or "signflip" (permutation).
    """
    f = _metric(metric)
    if len(predictions) < 2:
        raise InputError(
            f"a comparison between predictors needs at least 2, got {len(predictions)}; give their "
            "predictions by name"
        )
    values = {
        name: f(samples, _like(samples, p, f"prediction {name!r}"))
        for name, p in predictions.items()
    }
    pairs = list(combinations(values, 2))
    results = [paired(values[a], values[b], test=test, level=level, seed=seed) for a, b in pairs]
    adjusted = holm([r.p for r in results])
    return [
        Versus(a, b, r, float(p)) for (a, b), r, p in zip(pairs, results, adjusted, strict=True)
    ]
