"""Variants against each other, beside each retrained.

The diagonal is the ceiling: two trainings of one variant.
"""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from .colors import readable
from .styles import new_figure

CEILING = "#D55E00"


def between(r: xr.DataArray, colors: dict[str, str]) -> Figure:
    """Left: median r between variants, the ceiling framed on the diagonal. Right: the same seed by
    seed, sorted.

    Args:
        r: (variant, other, seed), `archbias.metrics.between.between`.
        colors: of each variant, in the order shown.
    """
    names = list(colors)
    figure = new_figure(inches=0.52 * mpl.rcParams["figure.figsize"][0])
    left, right = figure.subplots(1, 2, width_ratios=[1.15, 1])
    _matrix(left, r.median("seed"), names, colors)
    _by_seed(right, r.transpose("variant", "other", "seed").values)
    return figure


def _matrix(axes: Axes, median: xr.DataArray, names: list[str], colors: dict[str, str]) -> None:
    import seaborn

    values = median.transpose("variant", "other").values
    apart = values[~np.eye(len(values), dtype=bool)]
    low, high = np.nanmin(apart, initial=1.0), np.nanmax(values, initial=-1.0)
    words = [[f"{round(float(v), 2) + 0.0:.2f}".replace("0.", ".") for v in row] for row in values]
    seaborn.heatmap(
        values,
        annot=np.array(words),
        fmt="",
        cmap="Blues",
        vmin=low - 0.3 * (high - low),
        vmax=high,
        square=True,
        cbar=False,
        annot_kws={"fontsize": "small"},
        ax=axes,
    )
    for i in range(len(names)):
        frame = Rectangle((i + 0.03, i + 0.03), 0.94, 0.94, fill=False, edgecolor=CEILING)
        axes.add_patch(frame).set_linewidth(2)
    for word in axes.texts:
        x, y = word.get_position()
        word.set_fontweight("bold" if x == y else "normal")
    places = np.arange(len(names)) + 0.5
    axes.set_xticks(places, names, rotation=40, ha="right", rotation_mode="anchor")
    axes.set_yticks(places, names, rotation=0)
    for tick, name in zip(
        [*axes.get_xticklabels(), *axes.get_yticklabels()], 2 * names, strict=True
    ):
        tick.set(color=readable(colors[name]), fontweight="bold")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_title("same seed, median r; framed: retrained")


def _by_seed(axes: Axes, values: np.ndarray) -> None:
    """Values (V, V, seeds): for each seed the range over pairs of variants, their median, and the
    median of the ceilings.
    """
    apart = values[np.triu_indices(len(values), 1)]
    ceiling = np.diagonal(values).T
    ceiling = ceiling[np.isfinite(ceiling).all(1)]
    order = np.argsort(np.median(apart, 0))
    rank = np.arange(1, len(order) + 1)
    axes.vlines(
        rank,
        apart.min(0)[order],
        apart.max(0)[order],
        color="0.8",
        linewidth=2.5,
        label="pairs of variants: range",
    )
    axes.plot(
        rank,
        np.median(apart, 0)[order],
        "o",
        color="#2060A0",
        markersize=3.5,
        label="pairs of variants: median",
    )
    if len(ceiling):
        axes.plot(
            rank,
            np.median(ceiling, 0)[order],
            "_",
            color=CEILING,
            markeredgewidth=1.8,
            label="retrained: median",
        )
    axes.set_xlabel("seed, sorted by agreement")
    axes.set_ylabel("Pearson r of two samples")
    axes.set_ylim(None, 1.0)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), fontsize="small", borderpad=0)
