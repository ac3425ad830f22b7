"""MNIST: 60 000 handwritten digits, 28 x 28 grey, ten labels.

Read from the IDX files (gzipped or not), from an npz with `images` and `labels` (or Keras's
`x_train`, `y_train`), or from parquet files. The training images in their published order.
"""

from __future__ import annotations

from pathlib import Path

from . import files
from .source import File, Source, pick

MIRROR = "https://ossci-datasets.s3.amazonaws.com/mnist/"


def find(place: Path, npz: str = "mnist*.npz") -> files.Listing | None:
    """The training images in a folder or file, or None."""
    if images := pick(place, "*train-images*idx3-ubyte.gz", "*train-images*idx3-ubyte"):
        labels = pick(images[0].parent, "*train-labels*idx1-ubyte.gz", "*train-labels*idx1-ubyte")
        return files.idx(images[0], labels[0] if labels else None)
    if found := pick(place, npz) or (pick(place, "*.npz") if place.is_file() else []):
        return files.npz(found[0])
    if found := pick(place, "train*.parquet", "*/train*.parquet"):
        return files.parquet(found)
    return None


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
