"""Second moments: what the samples' covariance is, and what the law says so many samples of it
should look like.

A covariance of n samples has at most n - 1 eigenvalues, and its largest ones overshoot. So the
comparison is made at equal n, with the range `archbias.metrics.spectrum.gaussian_band` gives.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from ..metrics import spectrum
from ..store.open import variable
from .colors import NEUTRAL, marker, palette
from .styles import axes_or_new, label_of, new_figure, plain


def covariance_spectrum(
    law: xr.DataArray, samples: xr.DataArray, axes: Axes | None = None, *, label: str = ""
) -> Axes:
    """Eigenvalues of the samples' covariance (dots) inside or outside the band their law allows for
    so many samples.

    Args:
        law: eigenvalues (mode,) of the generated law's covariance.
        samples: (seed, channel, row, column); seeds with NaN are left out.
        label: the family, for colour and title.
    """
    axes = axes_or_new(axes)
    values = samples.transpose("seed", ...).values
    values = values[np.isfinite(values).reshape(len(values), -1).all(1)]
    lam = law.values[np.isfinite(law.values)].astype(float)
    color = palette([label])[label]
    band = spectrum.gaussian_band(
        torch.from_numpy(lam), len(values), repeats=_draws(len(values), len(lam))
    )
    low, middle, high = band.numpy()
    rank = np.arange(1, len(low) + 1)
    found = spectrum.eigenvalues(torch.from_numpy(values)).numpy()
    floor = max(lam.max() * 1e-6, 1e-12)
    axes.fill_between(
        rank,
        np.maximum(low, floor),
        np.maximum(high, floor),
        color=NEUTRAL,
        alpha=0.35,
        linewidth=0,
    )
    axes.plot(
        np.arange(1, len(lam) + 1),
        np.where(lam > floor, lam, np.nan),
        color=NEUTRAL,
        linestyle="--",
        linewidth=1,
    )
    axes.plot(rank, np.where(middle > floor, middle, np.nan), color="0.35", linewidth=0.8)
    axes.plot(
        np.arange(1, len(found) + 1),
        np.where(found > floor, found, np.nan),
        "o",
        color=color,
        markeredgecolor="black",
        markeredgewidth=0.3,
    )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("rank of the eigenvalue")
    axes.set_ylabel("variance (squared pixel value)")
    axes.set_title(plain(label))
    handles = [axes.lines[0], axes.lines[1], axes.collections[0], axes.lines[2]]
    axes.legend(
        handles,
        ["the law", f"law, {len(values)} samples", "its 95 % range", "samples"],
        loc="lower left",
    )
    return axes


def covariance_spectra(tree: xr.DataTree, figure: Figure | None = None) -> Figure:
    """One panel per law whose name is a family with samples: `distributions` (eigenvalue) against
    `samples` (sample).
    """
    law = variable(tree, "distributions/eigenvalue")
    samples = variable(tree, "samples/sample")
    shared = [str(f) for f in law["law"].values if f in samples["family"].values]
    columns = max(1, min(3, len(shared)))
    rows = math.ceil(max(1, len(shared)) / columns)
    figure = figure or new_figure(
        rows * (0.46 if columns > 1 else 0.6) / (1 + 0.35 * (columns - 2) if columns > 2 else 1)
    )
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for k, axes in enumerate(grid.flat):
        if k >= len(shared):
            axes.set_axis_off()
            continue
        covariance_spectrum(
            law.sel(law=shared[k]), samples.sel(family=shared[k]), axes, label=shared[k]
        )
        if k % columns:
            axes.set_ylabel("")
        if k:
            axes.get_legend().remove()
    return figure


def _draws(n: int, d: int) -> int:
    """As many draws as a few seconds allow, 200 at most."""
    return int(np.clip(2e10 / (n * n * d + n**3), 40, 200))


def radial_spectra(ds: xr.Dataset, axes: Axes | None = None, *, draws: int = 400) -> Axes:
    """Radial power of each family's samples relative to the data's, in decibels of the mean power.

    The band is the 95 % range of the same mean over as many training images as there are samples,
    drawn with replacement: a family outside it has power the data lack, or lacks power the data
    have.

    Args:
        ds: power (family, seed, frequency) and data_power (image, frequency), both non-negative.
    """
    axes = axes_or_new(axes, height=0.5)
    families = [str(f) for f in ds["family"].values]
    frequency, n = ds["frequency"].values, ds.sizes["seed"]
    data = ds["data_power"].transpose("image", "frequency").values
    colors = palette(families)
    rng = np.random.default_rng(0)
    means = np.stack([data[rng.integers(0, len(data), n)].mean(0) for _ in range(draws)])
    low, high = np.quantile(means, [0.025, 0.975], axis=0) / data.mean(0)
    axes.fill_between(
        frequency, 10 * np.log10(low), 10 * np.log10(high), color=NEUTRAL, alpha=0.35, linewidth=0
    )
    axes.axhline(0, color="0.6", linewidth=0.8, zorder=0)
    for family in families:
        power = ds["power"].sel(family=family).mean("seed", skipna=True).values / data.mean(0)
        axes.plot(
            frequency,
            10 * np.log10(np.maximum(power, 1e-12)),
            "-",
            marker=marker(family),
            color=colors[family],
            label=plain(family),
        )
    axes.set_ylim(max(-30, axes.get_ylim()[0]), min(30, axes.get_ylim()[1]))
    axes.set_xlabel(label_of(ds["frequency"], "spatial frequency"))
    axes.set_ylabel("power relative to the data (dB)")
    handles = [
        *axes.get_legend_handles_labels()[0],
        Patch(facecolor=NEUTRAL, alpha=0.35, label=f"{n} training images: 95 %"),
    ]
    axes.legend(handles=handles, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return axes
