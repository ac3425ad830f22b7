"""Which prediction says what the denoiser will draw, seed by seed.

A dot is the median over seeds, a bar its 95 % bootstrap interval. Grey bands per family: the
ceiling (how far two trainings of the same network agree with each other) and the floor (a
prediction that knows no architecture, the mean image).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from ..metrics.compare import CEILINGS, FLOORS
from ..metrics.intervals import Interval, bootstrap
from .colors import NEUTRAL, palette
from .intervals import dot, intervals
from .styles import axes_or_new, headline, key, plain, whole

NAMES = {
    "r": "Pearson r",
    "r_squared": "squared Pearson r",
    "explained": "explained share 1 − SSE/SST",
    "amplitude_ratio": "amplitude ratio",
    "mse": "mean squared difference",
    "cosine": "cosine similarity",
}
WINNERS = 3  # predictions a takeaway names
HIGHER = ("r", "r_squared", "explained", "cosine")  # measures of which 1 is the best


def interval(values: xr.DataArray) -> Interval | None:
    """Median and 95 % bootstrap interval over seeds; None where no seed has a value."""
    flat = values.values.astype(float).ravel()
    return bootstrap(flat) if np.isfinite(flat).any() else None


def agreement(
    ds: xr.Dataset,
    measure: str = "r",
    axes: Axes | None = None,
    *,
    ceiling: Sequence[str] = CEILINGS,
    floor: Sequence[str] = FLOORS,
    height: float | None = None,
) -> Axes:
    """One row per family, one dot per predictor; a figure of its own says which comes closest.

    Args:
        ds: `measure` (family, predictor, seed).
        ceiling, floor: predictors drawn as bands; others are dots.
        height: of a figure of its own, as a share of its width.
    """
    predictors = [str(p) for p in ds["predictor"].values]
    dots = [p for p in predictors if p not in (*ceiling, *floor)]
    rows = {
        str(f): {p: interval(ds[measure].sel(family=f, predictor=p)) for p in predictors}
        for f in ds["family"].values
    }
    rows = {f: found for f, found in rows.items() if any(found.values())}
    own = axes is None
    axes = axes_or_new(axes, height=height or 0.16 + 0.085 * len(rows))
    colors = palette(dots)
    for i, found in enumerate(rows.values()):
        for p in (*ceiling, *floor):
            if band := found.get(p):
                _band(axes, band, i, hatched=p in floor)
    frame = ds[measure].to_dataframe(measure).reset_index()
    intervals(frame, measure, "family", "predictor", axes, colors, rows=list(rows))
    for i in range(1, len(rows)):
        axes.axhline(i - 0.5, color="0.9", linewidth=0.6, zorder=0)
    axes.set_yticks(range(len(rows)), [plain(f) for f in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.set_ylabel("")
    axes.set_xlabel(
        f"{NAMES.get(measure, measure)}, sample with prediction ({ds.sizes['seed']} seeds)"
    )
    if measure in HIGHER:
        axes.set_xlim(min(0.0, *axes.get_xlim()), 1.03)
        axes.axvline(1, color="0.6", linewidth=0.6, zorder=0)
    _legend(axes, dots, colors, predictors, ceiling, floor)
    if own:
        title = "How close does each prediction come?"
        answer = takeaway(rows, dots) if measure in HIGHER else ""
        headline(whole(axes), title, answer)
    return axes


def takeaway(rows: Mapping[str, Mapping[str, Interval | None]], dots: Sequence[str]) -> str:
    """Which prediction comes closest to which families, by its median, most families first; a
    family's own law and the family itself do not count.
    """
    best: dict[str, dict[str, float]] = {}
    for family, found in rows.items():
        others = {
            p: v.value for p in dots if (v := found[p]) and p not in (family, f"{family} law")
        }
        if others:
            first = max(others, key=lambda p: others[p])
            best.setdefault(first, {})[family] = others[first]
    parts = []
    for first in sorted(best, key=lambda p: (-len(best[p]), -max(best[p].values()))):
        won = best[first]
        low, high = min(won.values()), max(won.values())
        span = f"{low:.2f}" if len(won) == 1 else f"{low:.2f} to {high:.2f}"
        of = " and ".join(won) if len(won) < 3 else f"{len(won)} of {len(rows)} families"
        parts.append(f"{first} comes closest to {of}: median {span}")
    return "; ".join(parts[:WINNERS]) + "." if parts else ""


def _band(axes: Axes, v: Interval, row: int, hatched: bool) -> None:
    low, high = min(v.low, v.value - 0.004), max(v.high, v.value + 0.004)
    style: dict[str, Any] = (
        {"hatch": "/////", "facecolor": "none", "edgecolor": NEUTRAL}
        if hatched
        else {"facecolor": NEUTRAL, "alpha": 0.4}
    )
    axes.fill_betweenx([row - 0.42, row + 0.42], low, high, linewidth=0, zorder=0.5, **style)
    axes.plot([v.value] * 2, [row - 0.42, row + 0.42], color=NEUTRAL, linewidth=1, zorder=0.6)


def _legend(
    axes: Axes,
    dots: Sequence[str],
    colors: dict[str, str],
    predictors: Sequence[str],
    ceiling: Sequence[str],
    floor: Sequence[str],
) -> None:
    handles: list[Artist] = [dot(p, colors[p]) for p in dots]
    handles += [
        Patch(facecolor=NEUTRAL, alpha=0.4, label=plain(p)) for p in predictors if p in ceiling
    ]
    handles += [
        Patch(facecolor="none", edgecolor=NEUTRAL, hatch="/////", linewidth=0, label=plain(p))
        for p in predictors
        if p in floor
    ]
    key(axes, handles, "predicted by")
