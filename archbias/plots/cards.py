"""Bias cards: every trait of every family at one glance, families that resemble each other side by
side.

Traits are standardised over families (z-scores), families ordered by average linkage of Euclidean
distance between them; the printed numbers are the measured ones.
"""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.cluster import hierarchy

from .colors import palette, readable
from .styles import label_of, new_figure, plain


def bias_cards(ds: xr.Dataset, figure: Figure | None = None) -> Figure:
    """A clustered heat map, one row per family, one column per trait.

    Args:
        ds: numbers (family,), or (family, sigma) for a column per noise level; anything else is
            left out. Traits are named by their long_name. NaN (not measured) is left white.
    """
    import seaborn

    traits = _traits(ds)
    names = list(traits)
    families = [str(f) for f in ds["family"].values]
    table = np.stack(list(traits.values()), axis=1)
    z = standardised(table)
    order, tree = clustered(z)
    size = mpl.rcParams["font.size"] / 72
    figure = figure or new_figure(inches=(3.0 * len(families) + 9) * size)
    left, right = figure.subplots(1, 2, width_ratios=[1, 6])
    _dendrogram(left, tree, len(families))
    seaborn.heatmap(
        z[order],
        annot=table[order],
        fmt=".2g",
        cmap="PuOr",
        vmin=-2,
        vmax=2,
        annot_kws={"fontsize": "small"},
        cbar_kws={"shrink": 0.8, "label": "standard deviations\nfrom the mean family"},
        ax=right,
    )
    right.set_xticks(np.arange(len(names)) + 0.5, names)
    right.set_yticks(np.arange(len(order)) + 0.5, [plain(families[i]) for i in order], rotation=0)
    colors = palette(families)
    right.tick_params(length=0)
    for tick, i in zip(right.get_yticklabels(), order, strict=True):
        tick.set(color=readable(colors[families[i]]), fontweight="bold")
    for tick in right.get_xticklabels():
        tick.set(rotation=35, ha="right", rotation_mode="anchor")
    return figure


def _traits(ds: xr.Dataset) -> dict[str, np.ndarray]:
    """Columns by title, one number per family in each."""
    found = {}
    for name, variable in ds.data_vars.items():
        if variable.dtype.kind not in "fiub" or not {"family"} <= set(variable.dims) <= {
            "family",
            "sigma",
        }:
            continue
        title = label_of(variable, str(name))
        if "sigma" in variable.dims:
            for sigma in variable["sigma"].values:
                found[f"{title}, sigma {sigma:.3g}"] = variable.sel(sigma=sigma).values.astype(
                    float
                )
        else:
            found[title] = variable.values.astype(float)
    return found


def standardised(table: np.ndarray) -> np.ndarray:
    """Columns with mean 0 and standard deviation 1 over their finite entries; a constant column is
    0.
    """
    with np.errstate(invalid="ignore"):
        finite = np.where(np.isfinite(table), table, np.nan)
        known = np.isfinite(finite)
        count = np.maximum(known.sum(0), 1)
        mean = np.nansum(finite, 0) / count
        spread = np.sqrt(np.nansum((finite - mean) ** 2, 0) / count)
    return (finite - mean) / np.where(spread > 1e-12 * np.maximum(np.abs(mean), 1), spread, np.inf)


def clustered(z: np.ndarray) -> tuple[list[int], dict | None]:
    """The order of rows by average linkage, and the tree's lines as SciPy gives them; missing
    entries count as the mean.
    """
    if len(z) < 3:
        return list(range(len(z))), None
    links = hierarchy.linkage(np.nan_to_num(z), "average", optimal_ordering=True)
    tree = hierarchy.dendrogram(links, no_plot=True)
    return tree["leaves"], tree


def _dendrogram(axes: Axes, tree: dict | None, n: int) -> None:
    axes.set_axis_off()
    if tree is None:
        return
    for across, along in zip(tree["dcoord"], tree["icoord"], strict=True):
        axes.plot(across, [v / 10 for v in along], color="0.4", linewidth=0.9)
    axes.set_ylim(n, 0)
    axes.invert_xaxis()


def reach(field: xr.DataArray) -> xr.DataArray:
    """Distance from the centre, in pixels, within which half of the energy lies: (family, sigma).

    Args:
        field: (family, sigma, row, column) energy by offset, the pixel itself in the centre.
    """
    maps = field.transpose("family", "sigma", "row", "column")
    y, x = np.indices(maps.shape[2:])
    far = np.hypot(y - (y.max()) / 2, x - (x.max()) / 2).ravel()
    order = np.argsort(far, kind="stable")
    inside = maps.values.reshape(*maps.shape[:2], -1)[..., order].cumsum(-1)
    first = far[order][(inside >= 0.5 * inside[..., -1:]).argmax(-1)]
    first = np.where(np.isfinite(inside[..., -1]), first, np.nan)
    return maps.isel(row=0, column=0, drop=True).copy(data=first)


def looking(field: xr.DataArray) -> str:
    """How far families look at the highest and at the lowest noise level, in a sentence."""
    found = reach(field).sortby("sigma")
    found = found.isel(sigma=np.isfinite(found.values).any(0)).median("family")
    if not found.sizes["sigma"]:
        return ""
    low, high = (found.isel(sigma=k) for k in (0, -1))
    return (
        f"Half of what moves a pixel lies within {float(high):.1f} pixels of it at sigma "
        f"{float(high['sigma']):.2g}, within {float(low):.1f} at {float(low['sigma']):.2g}."
    )


def receptive_fields(field: xr.DataArray, figure: Figure | None = None) -> Figure:
    """Where each family looks: a map per family (rows) and noise level (columns), each scaled to
    its own maximum.

    Args:
        field: (family, sigma, row, column) share of energy by offset, the pixel itself in the
            centre. Shades are of its square root, so that a weak surround is seen.
    """
    families, sigmas = [str(f) for f in field["family"].values], field["sigma"].values
    width, size = mpl.rcParams["figure.figsize"][0], mpl.rcParams["font.size"] / 72
    figure = figure or new_figure(
        inches=min(1.1, 0.8 * width / len(sigmas)) * 1.1 * len(families) + 3 * size
    )
    grid = figure.subplots(len(families), len(sigmas), squeeze=False)
    colors = palette(families)
    for i, family in enumerate(families):
        for j, sigma in enumerate(sigmas):
            values = np.sqrt(
                field.sel(family=family, sigma=sigma).transpose("row", "column").values
            )
            axes = grid[i, j]
            axes.imshow(
                values,
                cmap="Greys",
                vmin=0,
                vmax=np.nanmax(values, initial=1e-300),
                interpolation="nearest",
            )
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(True)
            if not i:
                axes.set_title(f"sigma {sigma:.3g}")
            if not j:
                axes.set_ylabel(
                    plain(family),
                    color=readable(colors[family]),
                    fontweight="bold",
                    rotation=0,
                    ha="right",
                    va="center",
                )
    return figure
