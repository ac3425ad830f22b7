"""The scale of a network by every protocol that finds it: one panel per network, one line each.

The middle half of the fitted seeds is shaded; the line is the window that is used.
"""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from .noise import locality_scale
from .styles import new_figure

COLORS = {
    "cosine": "#0072B2",
    "monotone": "#D55E00",
    "held-out images": "#007A55",
    "published": "#222222",
}


def scales(panels: Mapping[str, xr.Dataset]) -> Figure:
    """Windows against noise.

    Args:
        panels: by title, scale (family, sigma, fit_seed), the window each seed alone would choose,
            family being the protocol, with the attribute side of the images; used (family, sigma),
            the window that is used, NaN where that is the median of the seeds.
    """
    across = min(3, len(panels))
    down = -(-len(panels) // across)
    figure = new_figure(inches=0.3 + 2.3 * down)
    grid = figure.subplots(down, across, squeeze=False, sharey=True)
    shown = list(grid.flat[: len(panels)])
    for axes in grid.flat[len(panels) :]:
        axes.remove()
    for axes, (title, ds) in zip(shown, panels.items(), strict=True):
        locality_scale(ds[["scale"]], axes)
        axes.set_title(title, fontsize="small")
        # the lines of protocols come first
        for line, shade in zip(axes.lines, axes.collections, strict=False):
            color = COLORS.get(str(line.get_label()), mpl.rcParams["text.color"])
            line.set_color(color)
            shade.set_facecolor(color)
            used = ds["used"].sel(family=line.get_label(), sigma=line.get_xdata()).values
            line.set_ydata(np.where(np.isfinite(used), used, line.get_ydata()))
        axes.get_legend().remove()
        axes.set_xlabel("noise level sigma")
    names = [axes.get_legend_handles_labels() for axes in shown]
    handles, labels = max(names, key=lambda pair: len(pair[0]))
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    top = max(np.nanmax(line.get_ydata()) for axes in shown for line in axes.lines)
    grid[0, 0].set_ylim(0, 1.05 * top)
    for axes in grid[:, 1:].flat:
        axes.set_ylabel("")
    return figure
