"""The plane and the line: the density of a generated law against samples of the denoiser, and the
field that carries them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from .colors import color
from .styles import axes_or_new, plain

SHARES = (0.95, 0.8, 0.6, 0.4, 0.2)  # of the mass, enclosed by the levels drawn
SHADES = ("0.9", "0.82", "0.74", "0.66", "0.58")


def density(ds: xr.Dataset, axes: Axes | None = None, *, label: str = "samples") -> Axes:
    """The law as a filled curve (1-D) or filled levels (2-D); samples as a histogram or dots.

    Args:
        ds: density (x,) or (y, x), non-negative, per unit length or area; point (draw,) or (draw,
            axis) with axis x then y; optionally image (n,) or (n, axis), the training points, drawn
            as ticks or crosses.
        label: the family, for the colour of the samples.
    """
    axes = axes_or_new(axes, height=0.6 if ds["density"].ndim == 1 else 0.9)
    points = ds["point"].transpose("draw", ...).values
    points = points[np.isfinite(points).reshape(len(points), -1).all(1)]
    if ds["density"].ndim == 1:
        _line(ds, points, axes, label)
    else:
        _plane(ds, points, axes, label)
    return axes


def _line(ds: xr.Dataset, points: np.ndarray, axes: Axes, label: str) -> None:
    import seaborn

    x, points = ds["x"].values, points.reshape(-1)
    inside = points[(points >= x.min()) & (points <= x.max())]
    bins = np.linspace(x.min(), x.max(), int(np.clip(3 * len(points) ** (1 / 3), 10, 120)) + 1)
    seaborn.histplot(
        x=inside,
        bins=list(bins),
        weights=np.full(len(inside), 1 / len(points)),  # those outside count too
        stat="frequency",
        element="step",
        linewidth=0,
        color=color(label),
        alpha=0.4,
        label=f"{plain(label)} ({len(points)} samples)",
        ax=axes,
    )
    axes.plot(x, ds["density"].values, color="black", label="law")
    if "image" in ds:
        axes.plot(
            ds["image"].values.reshape(-1),
            np.zeros(ds["image"].size),
            "|",
            color="0.3",
            markersize=9,
            label="training set",
        )
    if len(inside) < len(points):
        axes.set_title(f"{len(points) - len(inside)} of {len(points)} samples lie outside")
    axes.set(xlim=(x.min(), x.max()), ylim=(0, None), xlabel="x", ylabel="density")
    axes.legend(loc="best")


def _plane(ds: xr.Dataset, points: np.ndarray, axes: Axes, label: str) -> None:
    field = ds["density"].transpose("y", "x")
    x, y = ds["x"].values, ds["y"].values
    levels = enclosing(field.values)
    inside = (points >= [x.min(), y.min()]).all(1) & (points <= [x.max(), y.max()]).all(1)
    axes.contourf(x, y, field.values, levels=levels, colors=SHADES[-len(levels) :], extend="max")
    few = 400 / max(400, inside.sum())
    axes.scatter(
        points[inside, 0],
        points[inside, 1],
        s=2 + 6 * few,
        color=color(label),
        alpha=0.25 + 0.5 * few,
        linewidth=0,
        label=f"{plain(label)} ({len(points)} samples)",
    )
    if "image" in ds:
        axes.plot(
            *ds["image"].values.reshape(-1, 2).T,
            "x",
            color="black",
            markersize=3.5,
            markeredgewidth=0.8,
            label="training set",
        )
    lost = f", {(~inside).sum()} of {len(points)} outside" if not inside.all() else ""
    axes.set(xlim=(x.min(), x.max()), ylim=(y.min(), y.max()), aspect="equal", xticks=[], yticks=[])
    axes.set_title(f"{plain(label)}: law (grey) and samples{lost}")
    axes.spines[:].set_visible(True)


def enclosing(field: np.ndarray, shares: Sequence[float] = SHARES) -> np.ndarray:
    """Densities that enclose these shares of the mass of the grid, ascending; NaN is left out."""
    ordered = np.sort(field[np.isfinite(field)])[::-1]
    mass = np.cumsum(ordered) / ordered.sum()
    return np.unique(
        [ordered[min(int(np.searchsorted(mass, share)), ordered.size - 1)] for share in shares]
    )


def field(ds: xr.Dataset, axes: Axes | None = None, *, arrows: int = 20) -> Axes:
    """A vector field in the plane: arrows show direction, shade shows length.

    Args:
        ds: field (y, x, axis), axis x then y, for example a score or the velocity (y - D) / sigma;
            optionally point (draw, axis).
        arrows: at most so many along each side.
    """
    axes = axes_or_new(axes, height=0.9)
    step = [max(1, -(-ds.sizes[k] // arrows)) for k in ("y", "x")]
    part = ds.isel(y=slice(step[0] // 2, None, step[0]), x=slice(step[1] // 2, None, step[1]))
    u, v = np.moveaxis(part["field"].transpose("y", "x", "axis").values.astype(float), -1, 0)
    length = np.hypot(u, v)
    scale = np.where(length > 0, length, 1)
    style = {
        "cmap": "Greys",
        "angles": "xy",
        "scale": 1.15 * max(u.shape),
        "width": 0.004,
        "pivot": "mid",
    }
    shade = 0.3 + 0.7 * length / max(length.max(), 1e-300)
    axes.quiver(
        part["x"].values, part["y"].values, u / scale, v / scale, shade, clim=(0, 1), **style
    )
    if "point" in ds:
        axes.plot(
            *ds["point"].transpose("draw", "axis").values.T,
            "x",
            color="black",
            markersize=3.5,
            markeredgewidth=0.8,
        )
    axes.set(
        xlim=np.array(ds["x"].values)[[0, -1]],
        ylim=np.array(ds["y"].values)[[0, -1]],
        aspect="equal",
        xticks=[],
        yticks=[],
    )
    axes.spines[:].set_visible(True)
    return axes
