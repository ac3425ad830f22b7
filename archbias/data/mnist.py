"""MNIST: 60 000 handwritten digits, 28 x 28 grey, ten labels.

Read from the IDX files (gzipped or not, also where torchvision keeps them, MNIST/raw), from an npz
with `images` and `labels` (or Keras's `x_train`, `y_train`), or from parquet files. The training
images in their published order.
"""

from __future__ import annotations

from pathlib import Path

from ..errors import InputError
from . import formats
from .source import File, Source, only, pick

MIRROR = "https://ossci-datasets.s3.amazonaws.com/mnist/"
# the first labels as published: the files of the two sets have the same names
FIRST = {
    "mnist": (5, 0, 4, 1, 9, 2, 1, 3, 1, 4),
    "fashion_mnist": (9, 0, 0, 3, 0, 2, 7, 2, 5, 5),
}


def find(place: Path) -> formats.Listing | None:
    """The training images in a folder or file, or None."""
    return find_idx(place, "mnist", "MNIST", "mnist*.npz")


def find_idx(place: Path, name: str, folder: str, npz: str) -> formats.Listing | None:
    """The training images of MNIST or of a set in its format.

    Args:
        name: the set, so that the other one is refused.
        folder: torchvision's folder for it.
        npz: pattern of its npz file.
    """
    listing = None
    for inner in (place, place / folder / "raw", place / "raw"):
        images = pick(inner, "*train-images*idx3-ubyte.gz", "*train-images*idx3-ubyte")
        if images and listing is None:
            beside = images[0].parent
            labels = pick(beside, "*train-labels*idx1-ubyte.gz", "*train-labels*idx1-ubyte")
            listing = formats.idx(only(images), only(labels) if labels else None)
    if listing is None and (
        found := pick(place, npz) or (pick(place, "*.npz") if place.is_file() else [])
    ):
        listing = formats.npz(only(found))
    if listing is None and (found := pick(place, "train*.parquet", "*/train*.parquet")):
        listing = formats.parquet(found)
    return None if listing is None else _not_the_other(listing, name)


def _not_the_other(listing: formats.Listing, name: str) -> formats.Listing:
    """The listing, unless its labels are those of the other set."""
    if listing.labels is not None:
        first = tuple(listing.labels[:10].tolist())
        for other, known in FIRST.items():
            if other != name and first == known:
                raise InputError(
                    f"wanted {name}, got {other} in {listing.origin}; load it as {other!r}"
                )
    return listing


SOURCE = Source(
    name="mnist",
    summary="MNIST, 60000 handwritten digits of 1x28x28",
    licence="CC BY-SA 3.0",
    home="http://yann.lecun.com/exdb/mnist/",
    cite="LeCun, Cortes & Burges, The MNIST database of handwritten digits, 1998",
    find=find,
    files=(
        File(
            "train-images-idx3-ubyte.gz",
            MIRROR + "train-images-idx3-ubyte.gz",
            "md5:f68b3c2dcbeaaa9fbdd348bbdeb94873",
            9.9,
        ),
        File(
            "train-labels-idx1-ubyte.gz",
            MIRROR + "train-labels-idx1-ubyte.gz",
            "md5:d53e105ee54ea40749a09fcbcd1e9432",
            0.03,
        ),
    ),
)
