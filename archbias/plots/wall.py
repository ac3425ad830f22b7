"""A wall of pairs: each sample beside its nearest training image, copies framed."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from .colors import COPY
from .grid import picture
from .styles import new_figure


def wall(
    samples: np.ndarray,
    beside: np.ndarray,
    copy: np.ndarray,
    *,
    columns: int = 8,
    figure: Figure | None = None,
) -> Figure:
    """Pairs in reading order.

    Args:
        samples, beside: (B, C, H, W) in [-1, 1]; the right of a pair is `beside`.
        copy: (B,) the pairs that are framed.
        columns: pairs in a row.
        figure: to draw into.
    """
    h, w = samples.shape[2:]
    inner, outer = max(1, w // 28), max(4, w // 4)
    rows, columns = -(-len(samples) // columns), min(columns, len(samples))
    pair = 2 * w + inner
    canvas = np.ones((rows * (h + outer) - outer, columns * (pair + outer) - outer, 3))
    figure = figure or new_figure(canvas.shape[0] / canvas.shape[1] + 0.08)
    axes = figure.subplots()
    for k, (x, near, framed) in enumerate(zip(samples, beside, copy, strict=True)):
        top, left = k // columns * (h + outer), k % columns * (pair + outer)
        canvas[top : top + h, left : left + w] = picture(x)
        canvas[top : top + h, left + w + inner : left + pair] = picture(near)
        if framed:
            box = Rectangle((left, top), pair, h, fill=False, edgecolor=COPY, clip_on=False)
            axes.add_patch(box)
    axes.imshow(canvas, interpolation="nearest", extent=(0, canvas.shape[1], canvas.shape[0], 0))
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    note = "left: sample, right: nearest training image"
    axes.set_xlabel(note + ("; framed: a copy" if np.any(copy) else ""), fontsize="small")
    return figure
