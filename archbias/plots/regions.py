"""Agreement by region of the picture: inside and outside of what is pictured."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .colors import palette
from .grid import picture
from .intervals import dot, intervals
from .styles import new_figure

FADED = 0.15  # what is left of the contrast outside the foreground


def by_region(
    r: xr.DataArray,
    panels: Mapping[str, tuple[xr.DataArray, xr.DataArray, xr.DataArray]],
    predictor: str,
    shown: int = 5,
) -> Figure:
    """Left: median r by region with 95 % intervals. Right: samples, their foreground, and the
    prediction, one row per seed.

    Args:
        r: (family, region, seed).
        panels: by family, samples (seed, channel, row, column), foreground (seed, row, column) and
            predictions like the samples.
        predictor: name of the prediction.
    """
    figure = new_figure(inches=3.6)
    left, right = figure.subfigures(1, 2, squeeze=False, width_ratios=(1, 1.3))[0]
    _intervals(left.subplots(), r, list(panels), predictor)
    axes_row = right.subplots(1, len(panels), squeeze=False)[0]
    for axes, (name, panel) in zip(axes_row, panels.items(), strict=True):
        axes.imshow(_strips(*panel, shown), interpolation="nearest")
        axes.set(xticks=[], yticks=[], title=name)
        axes.set_xlabel(f"network, its foreground, {predictor}", fontsize="small")
        axes.spines[:].set_visible(False)
    return figure


def _intervals(axes: Axes, r: xr.DataArray, families: list[str], predictor: str) -> None:
    regions, colors = list(map(str, r["region"].values)), palette(families)
    frame = r.to_dataframe("r").reset_index()
    intervals(frame, "r", "region", "family", axes, colors, rows=regions, spread=0.5)
    axes.set_yticks(range(len(regions)), regions)
    axes.set_ylim(len(regions) - 0.4, -0.6)
    axes.set_xlabel(f"r with {predictor}, by region")
    axes.set_ylabel("")
    axes.legend(
        handles=[dot(family, colors[family]) for family in families],
        loc="upper center",
        bbox_to_anchor=(0.5, 1.2),
    )


def _strips(
    samples: xr.DataArray, inside: xr.DataArray, predicted: xr.DataArray, shown: int
) -> np.ndarray:
    lines = []
    for seed in samples["seed"].values[:shown]:
        drawn, theory = (
            v.sel(seed=seed).transpose("channel", "row", "column").values
            for v in (samples, predicted)
        )
        own = np.isfinite(drawn).all((1, 2))
        mask = inside.sel(seed=seed).values.astype(bool)[..., None]
        whole = picture(drawn[own])
        trio = (whole, np.where(mask, whole, 1 - FADED * (1 - whole)), picture(theory[own]))
        framed = [np.pad(v, ((1, 1), (1, 1), (0, 0)), constant_values=1) for v in trio]
        lines.append(np.concatenate(framed, 1))
    return np.concatenate(lines)
