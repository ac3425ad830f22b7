"""Two numbers per sample, one cloud per family: how new against how real.

Bottom: copies. Left: unlike any image. Top right: inventions worth the name.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from ..metrics.intervals import bootstrap
from .colors import marker, palette
from .styles import axes_or_new, label_of, plain


def novelty_realism(ds: xr.Dataset, axes: Axes | None = None) -> Axes:
    """Every seed as a faint dot, the family's median with 95 % bootstrap intervals on top.

    Args:
        ds: novelty (family, seed) and realism (family, seed), larger is newer and more real; their
            long_name and units label the axes. Attributes `novelty_reference` and
            `realism_reference` (for example the medians of held-out images) are drawn as lines.
    """
    axes = axes_or_new(axes, height=0.65)
    families = [str(f) for f in ds["family"].values]
    colors = palette(families)
    for family in families:
        x = ds["realism"].sel(family=family).values.astype(float)
        y = ds["novelty"].sel(family=family).values.astype(float)
        whole = np.isfinite(x) & np.isfinite(y)
        if not whole.any():
            continue
        axes.scatter(
            x[whole],
            y[whole],
            s=8,
            color=colors[family],
            alpha=0.35,
            linewidth=0,
            marker=marker(family),
        )
        u, v = bootstrap(x[whole]), bootstrap(y[whole])
        axes.plot(
            [u.low, u.high], [v.value, v.value], color=colors[family], linewidth=1.5, zorder=3
        )
        axes.plot(
            [u.value, u.value], [v.low, v.high], color=colors[family], linewidth=1.5, zorder=3
        )
        style: dict[str, Any] = {
            "color": colors[family],
            "markeredgecolor": "black",
            "markeredgewidth": 0.5,
            "zorder": 4,
            "linestyle": "none",
        }
        axes.plot([u.value], [v.value], marker(family), markersize=8, label=plain(family), **style)
    for name, draw in (("realism", axes.axvline), ("novelty", axes.axhline)):
        if f"{name}_reference" in ds.attrs:
            draw(
                float(ds.attrs[f"{name}_reference"]),
                color="0.6",
                linestyle=":",
                linewidth=1,
                zorder=0,
            )
    axes.set_xlabel(label_of(ds["realism"], "realism") + "  →")
    axes.set_ylabel(label_of(ds["novelty"], "novelty") + "  →")
    corners = {
        "new and real": (1, 1, "right", "top"),
        "new, not real": (0, 1, "left", "top"),
        "copies": (1, 0, "right", "bottom"),
    }
    for word, (x, y, ha, va) in corners.items():
        axes.annotate(
            word,
            (x, y),
            xycoords="axes fraction",
            ha=ha,
            va=va,
            color="0.5",
            fontstyle="italic",
            fontsize="small",
        )
    axes.margins(0.08)
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return axes
