"""CIFAR10: 50 000 photographs of ten kinds of things, 32 x 32 colour.

Read from the official binary archive or its unpacked batches, parquet files, or an npz with
`images` and `labels`. The official Python archive is pickled, and reading a pickle can run code, so
it is refused.

    record = 1 byte label, 1024 bytes red, 1024 green, 1024 blue, rows first
"""

from __future__ import annotations

import fnmatch
import io
import tarfile
from pathlib import Path, PurePosixPath

import numpy as np

from ..errors import InputError
from . import formats, limits
from .reading import plain, reading
from .source import File, Source, only, pick

RECORD = 1 + 3 * 32 * 32
WANTED = "the binary CIFAR10 batches"
AGAIN = "download it again"


def find(place: Path) -> formats.Listing | None:
    """The training images in a folder or file, or None."""
    if found := pick(place, "data_batch_*.bin", "*/data_batch_*.bin"):
        with reading(WANTED, found[0].parent, AGAIN):
            return _batches(found[0].parent, [limits.unpacked(f) for f in found])
    if found := pick(place, "cifar-10-binary.tar*"):
        return _tar(only(found))
    if found := pick(place, "cifar10*.npz") or (pick(place, "*.npz") if place.is_file() else []):
        return formats.npz(only(found))
    if found := pick(place, "train*.parquet", "*/train*.parquet"):
        return formats.parquet(found)
    if found := pick(place, "cifar-10-python.tar*", "data_batch_1", "*/data_batch_1"):
        raise InputError(
            f"wanted a CIFAR10 file that can be read safely, got the pickled {plain(found[0])}; "
            f"{SOURCE.remedy(place)}"
        )
    return None


def _tar(path: Path) -> formats.Listing:
    # unpacked in memory, where its size is known to stay below the limits, and never to disk
    with (
        reading(WANTED, path, AGAIN),
        tarfile.open(fileobj=io.BytesIO(limits.unpacked(path)), mode="r:") as tar,
    ):
        members = sorted((m for m in tar if m.isfile() and _is_batch(m.name)), key=lambda m: m.name)
        files = [tar.extractfile(m) for m in members]
        return _batches(path, [file.read() for file in files if file is not None])


def _is_batch(name: str) -> bool:
    return fnmatch.fnmatchcase(PurePosixPath(name).name, "data_batch_*.bin")


def _batches(path: Path, batches: list[bytes]) -> formats.Listing:
    if not batches or any(len(b) == 0 or len(b) % RECORD for b in batches):
        got = ", ".join(str(len(b)) for b in batches[:8]) or "no batch"
        raise InputError(
            f"{plain(path)} must hold batches of {RECORD}-byte records, got {got} bytes; {AGAIN}"
        )
    records = np.concatenate([np.frombuffer(b, np.uint8).reshape(-1, RECORD) for b in batches])
    pixels = records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return formats.from_array(plain(path), pixels, records[:, 0])


SOURCE = Source(
    name="cifar10",
    summary="CIFAR10, 50000 photographs of 3x32x32",
    licence="not stated by its authors: do not redistribute",
    home="https://www.cs.toronto.edu/~kriz/cifar.html",
    cite="Krizhevsky, Learning multiple layers of features from tiny images, 2009",
    find=find,
    files=(
        File(
            "cifar-10-binary.tar.gz",
            "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
            "md5:c32a1d4ab5d03f1284b67883e8d87530",
            170,
        ),
    ),
)
