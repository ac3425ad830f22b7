"""What changes with the noise: the locality scale of a network, the beliefs of a machine, any value
per noise level.

The noise axis runs as the sampler does, from much (left) to none (right).
"""

from __future__ import annotations

import xarray as xr
from matplotlib.axes import Axes

from .colors import marker, palette
from .styles import axes_or_new, label_of, plain


def against_noise(values: xr.DataArray, axes: Axes | None = None) -> Axes:
    """Median over seeds against noise level, one line per family, the middle half of the seeds
    shaded.

    Args:
        values: (sigma,) with family and seed where they vary; other dimensions are treated as
            seeds. Its long_name and units label the axis. Levels of 0 are left out.
    """
    import seaborn

    axes = axes_or_new(axes, height=0.5)
    values = values.sel(sigma=values["sigma"] > 0)
    if "family" not in values.dims:
        values = values.expand_dims(
            family=[str(values.coords["family"].values) if "family" in values.coords else ""]
        )
    families = [str(f) for f in values["family"].values]
    colors = palette(families)
    sigma = values["sigma"].values
    frame = values.astype(float).to_dataframe("value").reset_index()
    for family in families:
        seaborn.lineplot(
            frame[frame["family"] == family].dropna(subset="value"),
            x="sigma",
            y="value",
            estimator="median",
            errorbar=("pi", 50) if len(values.dims) > 2 else None,
            err_kws={"linewidth": 0},
            marker=marker(family),
            markersize=3.5,
            markeredgecolor="auto",  # the line's own, not white
            color=colors[family],
            label=plain(family),
            legend=False,
            ax=axes,
        )
    axes.set_xscale("log")
    axes.set_xlim(sigma.max() * 1.2, sigma.min() / 1.2)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_xlabel("noise level sigma (pixel value), falling as the sampler goes")
    axes.set_ylabel(label_of(values, str(values.name or "value")))
    if any(families):
        axes.legend(loc="best")
    return axes


def locality_scale(ds: xr.Dataset, axes: Axes | None = None) -> Axes:
    """The window whose score machine a network resembles most, against noise.

    Args:
        ds: scale (sigma,) in pixels, with family (network or protocol) and seed where they vary;
            the attribute `side` is the image's side, drawn as the level at which the machine sees
            everything.
    """
    axes = against_noise(ds["scale"], axes)
    axes.set_ylim(0, None)
    axes.set_ylabel("best window (pixels)")
    if "side" in ds.attrs:
        axes.axhline(float(ds.attrs["side"]), color="0.6", linestyle=":", linewidth=1)
        axes.annotate(
            "whole image",
            (axes.get_xlim()[1], float(ds.attrs["side"])),
            ha="right",
            va="bottom",
            color="0.4",
            fontsize="small",
        )
    return axes
