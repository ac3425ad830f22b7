"""FashionMNIST: 60 000 pictures of clothes, 28 x 28 grey, ten labels; the first 1000 come with the
package.

Read from the same kinds of file as MNIST. Without a root, the bundled images (MIT licence, Zalando
SE 2017).
"""

from __future__ import annotations

from dataclasses import replace
from importlib.resources import as_file, files
from pathlib import Path

from . import mnist
from .formats import Listing, npz
from .source import File, Source

HOME = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"


def bundled() -> Listing:
    """The first 1000 training images, from the package itself."""
    with as_file(files("archbias.data") / "bundled" / "fashion_mnist_1000.npz") as path:
        return replace(npz(path), origin="the first 1000, bundled with archbias")


def find(place: Path) -> Listing | None:
    """The training images in a folder or file, or None."""
    return mnist.find_idx(place, "fashion_mnist", "FashionMNIST", "fashion*mnist*.npz")


SOURCE = Source(
    name="fashion_mnist",
    summary="FashionMNIST, 60000 pictures of clothes of 1x28x28 (the first 1000 bundled)",
    licence="MIT, Zalando SE 2017",
    home="https://github.com/zalandoresearch/fashion-mnist",
    cite="Xiao, Rasul & Vollgraf, Fashion-MNIST, arXiv 1708.07747",
    find=find,
    embedded=bundled,
    embedded_count=1000,
    files=(
        File(
            "train-images-idx3-ubyte.gz",
            HOME + "train-images-idx3-ubyte.gz",
            "md5:8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            26.4,
        ),
        File(
            "train-labels-idx1-ubyte.gz",
            HOME + "train-labels-idx1-ubyte.gz",
            "md5:25c81989df183df01b3e8a0aad5dffbe",
            0.03,
        ),
    ),
)
