"""Pictures of things by how many parts they have: what a local theory does not count.

Left, per kind and maker, the pictures with the most parts. Right, the share with more parts (dark)
and more strands (pale) than a thing of that kind has, with 95 % intervals.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..metrics.intervals import binomial
from .colors import NEUTRAL, palette
from .grid import picture
from .styles import new_figure

LOOKS = {"parts": (-0.18, 1.0), "strands": (0.18, 0.45)}  # offset of the bar, opacity


def excess_parts(
    counted: xr.Dataset,
    pictures: xr.DataArray,
    kinds: Mapping[int, str],
    usual: Mapping[str, Mapping[int, int]],
    shown: int = 7,
) -> Figure:
    """One row per kind.

    Args:
        counted: parts, strands (maker, kind, picture), NaN where a maker has no such picture.
        pictures: (maker, kind, picture, channel, row, column).
        kinds: names of the kinds.
        usual: how many parts and strands a thing of a kind has, {"parts": {kind: number}, ...}.
        shown: pictures of each maker.
    """
    makers = [
        str(m) for m in counted["maker"].values if np.isfinite(counted["parts"].sel(maker=m)).any()
    ]
    numbers = [int(k) for k in counted["kind"].values]
    figure = new_figure(inches=0.6 + 1.75 * len(numbers))
    left, right = figure.subfigures(1, 2, squeeze=False, width_ratios=(1.55, 1))[0]
    grid = left.subplots(len(numbers), 1, squeeze=False)[:, 0]
    bars = right.subplots(len(numbers), 1, squeeze=False, sharex=True)[:, 0]
    colors = palette(makers) | {"training": NEUTRAL}
    for axes, bar, kind in zip(grid, bars, numbers, strict=True):
        _pictures(axes, counted["parts"].sel(kind=kind), pictures.sel(kind=kind), makers, shown)
        axes.set_title(f"{kinds.get(kind, kind)}: most parts first")
        _shares(bar, counted.sel(kind=kind), makers, colors, kind, usual)
    bars[0].set_title("share with excess parts (dark),\nstrands (pale)", fontsize="small")
    bars[-1].set_xlabel("share of pictures, 95 % interval")
    return figure


def _pictures(
    axes: Axes, counted: xr.DataArray, pictures: xr.DataArray, makers: list[str], shown: int
) -> None:
    lines = []
    for maker in makers:
        images = pictures.sel(maker=maker)
        number = counted.sel(maker=maker).values[: images.sizes["picture"]]
        known = np.flatnonzero(np.isfinite(images.isel(channel=0, row=0, column=0).values))
        worst = known[np.argsort(-number[known], kind="stable")][:shown]
        values = [
            picture(images.isel(picture=i).transpose("channel", "row", "column").values[:1])
            for i in worst
        ]
        values += [np.ones_like(values[0])] * (shown - len(values))
        framed = [np.pad(v, ((1, 1), (1, 1), (0, 0)), constant_values=1) for v in values]
        lines.append(np.concatenate(framed, 1))
    axes.imshow(np.concatenate(lines), interpolation="nearest")
    height = lines[0].shape[0]
    axes.set_yticks([(i + 0.5) * height for i in range(len(makers))], makers)
    axes.set_xticks([])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _shares(
    axes: Axes,
    counted: xr.Dataset,
    makers: list[str],
    colors: Mapping[str, str],
    kind: int,
    usual: Mapping[str, Mapping[int, int]],
) -> None:
    for i, maker in enumerate(makers):
        for statistic, (offset, opacity) in LOOKS.items():
            values = counted[statistic].sel(maker=maker).values
            values = values[np.isfinite(values)]
            share = binomial(int((values > usual[statistic].get(kind, 1)).sum()), len(values))
            axes.barh(i + offset, share.value, 0.34, color=colors[maker], alpha=opacity)
            axes.plot([share.low, share.high], [i + offset] * 2, color="black", linewidth=0.9)
    axes.set_yticks(range(len(makers)), makers)
    axes.set_ylim(len(makers) - 0.5, -0.5)
    axes.set_xlim(0, 1)
    axes.tick_params(axis="y", length=0)
