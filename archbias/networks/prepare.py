"""Training images prepared as a published network saw them.

    mnist       the 60 000 training digits as they are
    faces       CelebA: rows 29 to -29 and columns 9 to -9 of the aligned 218x178, the mean of the
                three colours, averages of blocks

On files halved to 109x89 the same square is rows 14 to 94 and columns 4 to 84, and half the block.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from .. import data
from ..data import ImageSet
from ..errors import InputError

# whole files: rows, columns from and the side; halved files: the same
SQUARES = {(218, 178): (29, 9, 160), (109, 89): (14, 4, 80)}


def mnist(
    *,
    root: str | Path | None = None,
    n: int | None = None,
    seed: int | None = None,
    ids: Sequence[str] | None = None,
) -> ImageSet:
    """MNIST's training images, (N, 1, 28, 28) in [-1, 1]."""
    return data.load("mnist", root=root, n=n, seed=seed, ids=ids)


def faces(
    *,
    side: int,
    root: str | Path | None = None,
    n: int | None = None,
    seed: int | None = None,
    ids: Sequence[str] | None = None,
) -> ImageSet:
    """CelebA in grey, (N, 1, side, side) in [-1, 1]; side divides 160."""
    colour = data.load("celeba", root=root, n=n, seed=seed, ids=ids, crop="none")
    if colour.shape[1:] not in SQUARES:
        h, w = colour.shape[1:]
        raise InputError(
            f"wanted aligned faces of 218x178 or halved to 109x89, got {h}x{w}; give "
            "img_align_celeba as it is published"
        )
    top, left, whole = SQUARES[colour.shape[1:]]
    block, over = divmod(whole, side)
    if over or not block:
        raise InputError(
            f"wanted faces of {side}x{side}, got a square of {whole}x{whole} in files of "
            f"{colour.shape[1]}x{colour.shape[2]}; give the files as published, 218x178"
        )
    x = colour.images[:, :, top : top + whole, left : left + whole].double().mean(1, keepdim=True)
    x = x.unflatten(2, (side, block)).unflatten(4, (side, block)).mean((3, 5))
    done = (
        f"rows {top} to {top + whole}, columns {left} to {left + whole}",
        "mean of the colours",
        f"average of {block}x{block} blocks, floats",
    )
    return ImageSet.from_array(
        x,
        ids=colour.ids,
        labels=colour.labels,
        name=colour.name,
        transform=[*colour.transform, *done],
    )


faces40: Callable[..., ImageSet] = partial(faces, side=40)
faces160: Callable[..., ImageSet] = partial(faces, side=160)
