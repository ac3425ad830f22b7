"""Mosaics: which training image each pixel of a sample came from.

At vanishing noise a local machine's sample is a patchwork: every pixel is the centre of some
training image's window (Kamb & Ganguli, arXiv 2412.20292, theorem 4.1). Equal colours are equal
sources; a copy is one colour.
"""

from __future__ import annotations

import colorsys

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from .grid import picture
from .styles import new_figure

UNKNOWN = (0.93, 0.93, 0.93)


def mosaic(ds: xr.Dataset, seeds: int = 6, figure: Figure | None = None) -> Figure:
    """Samples above, their sources below, one column per seed.

    Args:
        ds: sample (seed, channel, row, column) and source (seed, row, column): the number of the
            training image, -1 where there is none; optionally consistent (seed,), the share of
            pixels that equal their source.
        seeds: columns shown, from the first; as many as the page is wide for.
    """
    width = mpl.rcParams["figure.figsize"][0]
    seeds = min(seeds, ds.sizes["seed"], max(2, int(width / 0.8)))
    if figure is None:
        figure = new_figure(
            inches=2 * width / max(seeds, 3) * ds.sizes["row"] / ds.sizes["column"]
            + 5 * mpl.rcParams["font.size"] / 72
        )
    grid = figure.subplots(2, seeds, squeeze=False)
    for k in range(seeds):
        one = ds.isel(seed=k)
        source = one["source"].transpose("row", "column").values
        grid[0, k].imshow(
            picture(one["sample"].transpose("channel", "row", "column").values),
            interpolation="nearest",
        )
        grid[1, k].imshow(paint(source), interpolation="nearest")
        grid[0, k].set_title(f"seed {one['seed'].item()}")
        known = source[source >= 0]
        count, largest = (
            len(np.unique(known)),
            np.bincount(known).max() / source.size if known.size else 0.0,
        )
        words = f"{count} source{'s' * (count != 1)},\nlargest {largest:.0%}"
        if "consistent" in ds:
            words += f",\n{float(one['consistent']):.0%} exact"
        grid[1, k].set_xlabel(words)
    for axes in grid.flat:
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    grid[0, 0].set_ylabel("sample")
    grid[1, 0].set_ylabel("source")
    return figure


def paint(source: np.ndarray) -> np.ndarray:
    """(H, W) source numbers as (H, W, 3) colours: the largest sources in the most distinct hues, -1
    in grey.

    Hues step by the golden angle and lightness alternates over three values, so that sources of
    nearby rank differ in both.
    """
    labels, inverse, counts = np.unique(source, return_inverse=True, return_counts=True)
    colors = np.empty((len(labels), 3))
    known = [i for i in np.lexsort((labels, -counts)) if labels[i] >= 0]
    for place, i in enumerate(known):
        colors[i] = colorsys.hls_to_rgb(
            (0.58 + place * 0.6180339887) % 1, (0.42, 0.68, 0.28)[place % 3], 0.65
        )
    colors[labels < 0] = UNKNOWN
    return colors[inverse].reshape(*source.shape, 3)
