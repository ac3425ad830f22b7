"""Training curves: loss against steps."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from .colors import palette
from .styles import axes_or_new, label_of, plain


def training_curves(ds: xr.Dataset, axes: Axes | None = None) -> Axes:
    """The loss of every family, raw behind and its running median in front.

    Args:
        ds: loss (family, step); optionally held_out_loss (family, step), drawn dashed. NaN where a
            family has no entry.
    """
    axes = axes_or_new(axes, height=0.5)
    families = [
        str(f) for f in ds["family"].values if np.isfinite(ds["loss"].sel(family=f).values).any()
    ]
    colors = palette(families)
    for family in families:
        for name, line in (("loss", "-"), ("held_out_loss", "--")):
            if name not in ds:
                continue
            values = ds[name].sel(family=family).values
            known = np.isfinite(values)
            step, values = ds["step"].values[known], values[known]
            half = len(values) // 40
            smooth = running_median(values, half)
            if half:
                axes.plot(step, values, line, color=colors[family], alpha=0.25, linewidth=0.6)
            axes.plot(
                step,
                smooth,
                line,
                color=colors[family],
                label=plain(family) if name == "loss" else None,
            )
    axes.set_yscale("log")
    axes.set_xlabel("training step")
    axes.set_ylabel(label_of(ds["loss"], "loss"))
    if "held_out_loss" in ds:
        axes.set_title("solid: training images, dashed: held-out images")
    axes.legend(loc="best")
    return axes


def running_median(values: np.ndarray, half: int) -> np.ndarray:
    """The median over a window of 2 half + 1 entries, cut at the ends."""
    return np.array(
        [np.median(values[max(0, i - half) : i + half + 1]) for i in range(len(values))]
    )
