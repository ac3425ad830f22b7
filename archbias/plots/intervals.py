"""Medians with their 95 % bootstrap intervals over seeds, one row per group and one dot per colour.

Drawn by seaborn from a tidy table; the intervals are those of `archbias.metrics.intervals`.
"""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from ..metrics.intervals import bootstrap
from .colors import marker
from .styles import plain


def intervals(
    frame: pd.DataFrame,
    x: str,
    y: str,
    hue: str,
    axes: Axes,
    colors: dict[str, str],
    *,
    rows: Sequence[str],
    spread: float = 0.7,
) -> None:
    """Draw onto axes, whose y runs downwards over `rows`.

    Args:
        frame: columns x (a value of a seed; NaN is left out), y (its row) and hue (its colour).
        colors: by hue, in the order of dots within a row, which take `spread` of its height.
    """
    import seaborn

    if not colors:
        return
    gaps = len(colors) - 1
    seaborn.pointplot(
        frame[frame[hue].isin(list(colors))],
        x=x,
        y=y,
        hue=hue,
        order=list(rows),
        hue_order=list(colors),
        palette=colors,
        estimator=lambda v: bootstrap(np.asarray(v, float)).value,
        errorbar=lambda v: _ends(np.asarray(v, float)),
        dodge=spread * gaps / (gaps + 1) if gaps else False,
        markers=[marker(label) for label in colors],
        markersize=mpl.rcParams["lines.markersize"],
        markeredgecolor="black",
        markeredgewidth=0.4,
        linestyle="none",
        err_kws={"linewidth": 2, "alpha": 0.6, "solid_capstyle": "round"},
        legend=False,
        ax=axes,
    )


def dot(label: str, color: str) -> Line2D:
    """The entry of a legend."""
    return Line2D(
        [],
        [],
        color=color,
        marker=marker(label),
        markeredgecolor="black",
        markeredgewidth=0.4,
        label=plain(label),
        linewidth=2,
    )


def band(
    axes: Axes, x: Sequence[float], values: Sequence[np.ndarray], *, color: str, label: str = ""
) -> None:
    """Medians against a number, a line with a dot each, their intervals shaded.

    Args:
        x: (K,) increasing. values: K arrays, one value per seed; NaN is left out.
        label: in the legend; none without it.
    """
    ends = [bootstrap(np.asarray(v, float)) for v in values]
    middle = [e.value for e in ends]
    axes.plot(x, middle, "o-", markersize=3, color=color, label=label or None)
    axes.fill_between(x, [e.low for e in ends], [e.high for e in ends], color=color, alpha=0.15)


def _ends(values: np.ndarray) -> tuple[float, float]:
    found = bootstrap(values)
    return found.low, found.high
