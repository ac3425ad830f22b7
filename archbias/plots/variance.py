"""What survives the architecture: variance of samples along the data's principal directions, against the closed-form law.

A Gaussian law of variance v gives v chi^2_{n-1} / (n - 1) from n samples; the band is that interval at 95 %.
"""

from __future__ import annotations

import xarray as xr
from matplotlib.axes import Axes
from scipy.stats import chi2

from .palette import marker, palette
from .style import axes_or_new


def mode_variance(ds: xr.Dataset, axes: Axes | None = None) -> Axes:
    """Relative variance along each principal direction, one line per family, the law's band behind.

    Args:
        ds: group spectrum: mode_variance (family, mode), data_variance (mode,), law_variance (law, mode), n_variance (family).
    """
    axes = axes_or_new(axes)
    families = [str(f) for f in ds["family"].values]
    colors = palette(families)
    modes, data = ds["mode"].values, ds["data_variance"].values
    for law in map(str, ds["law"].values):
        ratio = ds["law_variance"].sel(law=law).values / data
        n = int(ds["n_variance"].max())
        low, high = (chi2.ppf(q, n - 1) / (n - 1) for q in (0.025, 0.975))
        axes.fill_between(modes, ratio * low, ratio * high, color=colors.get(law, "0.5"), alpha=0.25, linewidth=0)
        axes.plot(modes, ratio, color=colors.get(law, "0.5"), linewidth=2.5, alpha=0.5, label=f"law of {law}")
    for family in families:
        ratio = ds["mode_variance"].sel(family=family).values / data
        axes.plot(modes, ratio, marker(family), color=colors[family], markersize=3, linestyle="none", label=family)
    axes.axhline(1, color="0.4", linewidth=0.8, zorder=0)
    axes.set(xscale="log", yscale="log", xlabel="principal direction of the data", ylabel="variance of samples / of data")
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    return axes
