"""Pictures side by side: one column per family, one row per seed, the nearest training image beside
each sample.

The same noise starts every picture of a row, so whatever differs along a row is the architecture's
doing.
"""

from __future__ import annotations

import math
import textwrap
from typing import Any

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from .colors import COPY, palette, readable
from .styles import new_figure, plain

NARROWEST = 0.62  # inches for a family
MISSING = 0.93  # grey of a picture that is not there


def picture(image: np.ndarray) -> np.ndarray:
    """(C, H, W) in [-1, 1] as (H, W, 3) in [0, 1]; values outside are clipped, NaN is pale grey, C
    other than 3 is averaged.
    """
    rgb = image if len(image) == 3 else np.repeat(np.mean(image, axis=0, keepdims=True), 3, axis=0)
    rgb = np.clip((np.moveaxis(np.asarray(rgb, float), 0, -1) + 1) / 2, 0, 1)
    return np.where(np.isnan(rgb), MISSING, rgb)


def family_grid(tree: xr.DataTree, seeds: int = 8, figure: Figure | None = None) -> Figure:
    """One column per family, one row per seed; beside each sample its nearest training image,
    framed when it is a copy.

    Families that would be narrower than `NARROWEST` go into further bands below.

    Args:
        tree: with `samples` (sample) and, for the neighbours, `novelty` (nearest_image, copy).
        seeds: rows shown, from the first; the count of copies under a family's name is over all
            seeds of the store.
        figure: to draw into.
    """
    samples = tree["samples"]["sample"].transpose("family", "seed", "channel", "row", "column")
    novelty = tree["novelty"].to_dataset() if "novelty" in tree.children else xr.Dataset()
    families = [str(f) for f in samples["family"].values]
    width, size = mpl.rcParams["figure.figsize"][0], mpl.rcParams["font.size"]
    bands = math.ceil(len(families) * NARROWEST / width)
    per_band = math.ceil(len(families) / bands)
    names = _fitted(families, room=72 * width / per_band * 0.95, size=0.62 * size)
    rows = min(seeds, samples.sizes["seed"])
    pairs = 2 if "nearest_image" in novelty else 1
    picture_height = (
        0.88
        * width
        / (per_band * (pairs + 0.25))
        * (samples.sizes["row"] / samples.sizes["column"] + 0.06)
    )
    words = (3.5 + max(name.count("\n") for name in names)) * 1.3 * size / 72
    figure = figure or new_figure(inches=bands * (rows * picture_height + words) + 2 * size / 72)
    colors = palette(families)
    copied = False
    for k, axes in enumerate(figure.subplots(bands, 1, squeeze=False)[:, 0]):
        part = slice(k * per_band, (k + 1) * per_band)
        copied |= _band(
            axes,
            samples.isel(family=part, seed=slice(rows)),
            novelty,
            names[part],
            colors,
            per_band,
        )
    if "nearest_image" in novelty:
        note = "left: sample, right: nearest training image" + (
            "; framed: a copy" if copied else ""
        )
        figure.suptitle(note, x=0.01, ha="left", fontsize=mpl.rcParams["axes.titlesize"])
    return figure


def _band(
    axes: Axes,
    samples: xr.DataArray,
    novelty: xr.Dataset,
    names: list[str],
    colors: dict[str, str],
    columns: int,
) -> bool:
    """Draw some families over the width of `columns`; says whether a copy was among them."""
    near = novelty.get("nearest_image")
    h, w = samples.sizes["row"], samples.sizes["column"]
    inner, outer, below = max(1, w // 28), max(4, w // 4), max(2, w // 14)
    pair = 2 * w + inner if near is not None else w
    families, shown = [str(f) for f in samples["family"].values], samples["seed"].values
    canvas = np.ones((len(shown) * (h + below) - below, columns * (pair + outer) - outer, 3))
    frames = []
    for j, family in enumerate(families):
        for i, seed in enumerate(shown):
            top, left = i * (h + below), j * (pair + outer)
            canvas[top : top + h, left : left + w] = picture(
                samples.sel(family=family, seed=seed).values
            )
            if (
                near is None
                or family not in near["family"].values
                or seed not in near["seed"].values
            ):
                continue
            beside = near.sel(family=family, seed=seed).transpose("channel", "row", "column").values
            canvas[top : top + h, left + w + inner : left + pair] = picture(beside)
            if "copy" in novelty and bool(novelty["copy"].sel(family=family, seed=seed) == 1):
                frames.append((left, top))
    axes.imshow(canvas, interpolation="nearest", extent=(0, canvas.shape[1], canvas.shape[0], 0))
    line = min(1.5, 1.1 * mpl.rcParams["figure.figsize"][0] * 72 * below / canvas.shape[1])
    for left, top in frames:
        axes.add_patch(
            Rectangle(
                (left, top), pair, h, fill=False, edgecolor=COPY, linewidth=line, clip_on=False
            )
        )
    axes.xaxis.tick_top()
    axes.set_xticks(
        [j * (pair + outer) + pair / 2 for j in range(len(families))], names, fontweight="bold"
    )
    longest = max(len(line) for name in names for line in name.splitlines())
    room = mpl.rcParams["figure.figsize"][0] * 72 * 0.85 * (pair + outer) / canvas.shape[1]
    for j, (tick, family) in enumerate(zip(axes.get_xticklabels(), families, strict=True)):
        tick.set(
            color=readable(colors[family]),
            fontsize=min(mpl.rcParams["font.size"], room / (0.58 * longest)),
        )
        if "copy" in novelty and family in novelty["family"].values:
            _count(
                axes,
                novelty["copy"].sel(family=family).values,
                j * (pair + outer) + pair / 2,
                canvas.shape[0],
                room,
            )
    axes.set_yticks([i * (h + below) + h / 2 for i in range(len(shown))], [str(s) for s in shown])
    axes.set_ylabel("seed of the noise")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return bool(frames)


def _count(axes: Axes, flags: np.ndarray, x: float, y: float, room: float) -> None:
    """How many of all seeds are copies, below a column."""
    flags = flags.astype(float)
    flags = flags[~np.isnan(flags)]
    text = f"{int(flags.sum())} of {len(flags)} copied"
    if len(text) * 0.5 * mpl.rcParams["font.size"] > room:
        text = f"{int(flags.sum())}/{len(flags)}"
    style: dict[str, Any] = {
        "ha": "center",
        "va": "top",
        "color": COPY if flags.any() else "black",
        "fontsize": "small",
    }
    axes.annotate(
        text, (x, y), xytext=(0, -3), textcoords="offset points", annotation_clip=False, **style
    )


def _fitted(names: list[str], room: float, size: float) -> list[str]:
    """Names broken between words into lines of at most `room` points, letters being `size` wide."""
    return [
        textwrap.fill(plain(n), max(6, int(room / size)), break_long_words=False) for n in names
    ]


def image_table(
    images: np.ndarray,
    rows: list[str],
    columns: list[str],
    axes: Axes,
    colors: dict[str, str] | None = None,
) -> Axes:
    """Pictures by row and column, named at the left and on top.

    Args:
        images: (rows, columns, C, H, W) in [-1, 1]; NaN is pale grey.
        rows, columns: their names; those of columns lean where they are many.
        colors: of columns.
    """
    h, w = images.shape[-2:]
    gap = max(1, w // 14)
    canvas = np.ones((len(rows) * (h + gap) - gap, len(columns) * (w + gap) - gap, 3))
    for i, j in np.ndindex(images.shape[:2]):
        top, left = i * (h + gap), j * (w + gap)
        canvas[top : top + h, left : left + w] = picture(images[i, j])
    axes.imshow(canvas, interpolation="nearest", extent=(0, canvas.shape[1], canvas.shape[0], 0))
    lean: dict[str, Any] = (
        {"rotation": 40, "ha": "left", "rotation_mode": "anchor"} if len(columns) > 5 else {}
    )
    axes.xaxis.tick_top()
    names = [plain(name) for name in columns]
    axes.set_xticks([j * (w + gap) + w / 2 for j in range(len(columns))], names, **lean)
    axes.set_yticks([i * (h + gap) + h / 2 for i in range(len(rows))], rows)
    for tick, name in zip(axes.get_xticklabels(), columns, strict=True):
        tick.set(color=readable((colors or {}).get(name, "black")), fontsize="small")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return axes


def image_grid(
    images: xr.DataArray, columns: int = 8, axes: Axes | None = None, title: str = ""
) -> Axes:
    """The first pictures of an array (any, channel, row, column) in rows of `columns`."""
    first = images.transpose(..., "channel", "row", "column").values[: columns * 8]
    h, w = first.shape[2:]
    rows = -(-len(first) // columns)
    canvas = np.ones((rows * (h + 1) - 1, columns * (w + 1) - 1, 3))
    for k, image in enumerate(first):
        top, left = k // columns * (h + 1), k % columns * (w + 1)
        canvas[top : top + h, left : left + w] = picture(image)
    axes = axes if axes is not None else new_figure(rows / columns).subplots()
    axes.imshow(canvas, interpolation="nearest")
    axes.set(xticks=[], yticks=[], title=title)
    axes.spines[:].set_visible(False)
    return axes
