"""Pictures side by side: one column per family, one row per seed, the nearest training image beside each sample.

The same noise starts every picture of a row, so whatever differs along a row is the architecture's doing.
"""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from .colors import COPY, palette
from .styles import new_figure

MISSING = 0.93  # grey of a picture that is not there


def picture(image: np.ndarray) -> np.ndarray:
    """(C, H, W) in [-1, 1] as (H, W, 3) in [0, 1]; values outside are clipped, NaN is pale grey, C other than 3 is averaged."""
    rgb = image if len(image) == 3 else np.repeat(np.mean(image, axis=0, keepdims=True), 3, axis=0)
    rgb = np.clip((np.moveaxis(np.asarray(rgb, float), 0, -1) + 1) / 2, 0, 1)
    return np.where(np.isnan(rgb), MISSING, rgb)


def family_grid(tree: xr.DataTree, seeds: int = 8, figure: Figure | None = None) -> Figure:
    """One column per family, one row per seed; beside each sample its nearest training image, framed when it is a copy.

    Args:
        tree: with `samples` (sample) and, for the neighbours, `novelty` (nearest_image, copy).
        seeds: rows shown, from the first; the count of copies under a family's name is over all seeds of the store.
        figure: to draw into.
    """
    samples = tree["samples"]["sample"].transpose("family", "seed", "channel", "row", "column")
    novelty = tree["novelty"].to_dataset() if "novelty" in tree.children else xr.Dataset()
    near = novelty.get("nearest_image")
    families = [str(f) for f in samples["family"].values]
    shown = samples["seed"].values[:seeds]
    h, w = samples.sizes["row"], samples.sizes["column"]
    inner, outer, below = max(1, w // 28), max(4, w // 4), max(2, w // 14)
    pair = 2 * w + inner if near is not None else w
    canvas = np.ones((len(shown) * (h + below) - below, len(families) * (pair + outer) - outer, 3))
    copied = []
    for j, family in enumerate(families):
        for i, seed in enumerate(shown):
            top, left = i * (h + below), j * (pair + outer)
            canvas[top : top + h, left : left + w] = picture(samples.sel(family=family, seed=seed).values)
            if near is None or family not in near["family"].values:
                continue
            beside = near.sel(family=family, seed=seed).transpose("channel", "row", "column").values
            canvas[top : top + h, left + w + inner : left + pair] = picture(beside)
            if "copy" in novelty and bool(novelty["copy"].sel(family=family, seed=seed) == 1):
                copied.append((left, top))
    width = mpl.rcParams["figure.figsize"][0]
    height = width * canvas.shape[0] / canvas.shape[1] + 5 * mpl.rcParams["font.size"] / 72
    figure = figure or new_figure(inches=height)
    axes = figure.subplots()
    axes.imshow(canvas, interpolation="nearest", extent=(0, canvas.shape[1], canvas.shape[0], 0))
    for left, top in copied:
        axes.add_patch(Rectangle((left, top), pair, h, fill=False, edgecolor=COPY, linewidth=1.5, clip_on=False))
    _names(axes, families, novelty, pair, outer, canvas.shape[0])
    axes.set_yticks([i * (h + below) + h / 2 for i in range(len(shown))], [str(s) for s in shown])
    axes.set_ylabel("seed of the starting noise")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    if near is not None:
        note = (
            "left: sample, right: nearest training image; framed: a copy"
            if copied
            else "left: sample, right: nearest training image"
        )
        axes.set_title(note, pad=2.4 * mpl.rcParams["font.size"])
    return figure


def _names(axes: Axes, families: list[str], novelty: xr.Dataset, pair: int, outer: int, bottom: int) -> None:
    """Family names above the columns, shares of copies below them."""
    axes.xaxis.tick_top()
    centres = [j * (pair + outer) + pair / 2 for j in range(len(families))]
    axes.set_xticks(centres, families)
    for tick, family in zip(axes.get_xticklabels(), families, strict=True):
        tick.set(color=readable(palette(families)[family]), fontweight="bold")
    for centre, family in zip(centres, families, strict=True):
        if "copy" in novelty and family in novelty["family"].values:
            flags = novelty["copy"].sel(family=family).values.astype(float)
            flags = flags[~np.isnan(flags)]
            axes.annotate(
                f"{int(flags.sum())} of {len(flags)} copied",
                (centre, bottom),
                xytext=(0, -3),
                textcoords="offset points",
                ha="center",
                va="top",
                color=COPY if flags.any() else "black",
                fontsize="small",
                annotation_clip=False,
            )


def readable(color: str) -> tuple[float, float, float]:
    """A colour dark enough for text on white."""
    rgb = np.array(mpl.colors.to_rgb(color))
    lightness = rgb @ [0.2126, 0.7152, 0.0722]
    return tuple(rgb * min(1.0, 0.45 / max(lightness, 1e-6)))


def image_grid(images: xr.DataArray, columns: int = 8, axes: Axes | None = None, title: str = "") -> Axes:
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
