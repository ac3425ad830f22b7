"""CIFAR10: 50 000 photographs of ten kinds of things, 32 x 32 colour.

Read from the official binary archive or its unpacked batches, parquet files, or an npz with
`images` and `labels`. The official Python archive is pickled, and reading a pickle can run code, so
it is refused.

    record = 1 byte label, 1024 bytes red, 1024 green, 1024 blue, rows first
"""

from __future__ import annotations

import tarfile
from pathlib import Path

import numpy as np

from ..errors import InputError
from . import files
from .source import File, Source, pick

RECORD = 1 + 3 * 32 * 32


def find(place: Path) -> files.Listing | None:
    """The training images in a folder or file, or None."""
    if found := pick(place, "data_batch_*.bin", "*/data_batch_*.bin"):
        return _batches(str(found[0].parent), [f.read_bytes() for f in found])
    if found := pick(place, "cifar-10-binary.tar*"):
        return _tar(found[0])
    if found := pick(place, "cifar10*.npz") or (pick(place, "*.npz") if place.is_file() else []):
        return files.npz(found[0])
    if found := pick(place, "train*.parquet", "*/train*.parquet"):
        return files.parquet(found)
    if found := pick(place, "cifar-10-python.tar*", "data_batch_1", "*/data_batch_1"):
        raise InputError(
            f"wanted a CIFAR10 file that can be read safely, got the pickled {found[0]}; "
            f"{SOURCE.remedy(place)}"
        )
    return None


def _tar(path: Path) -> files.Listing:
    try:
        with tarfile.open(path) as tar:
            members = sorted(
                (m for m in tar if m.isfile() and Path(m.name).match("data_batch_*.bin")),
                key=lambda m: m.name,
            )
            return _batches(str(path), [tar.extractfile(m).read() for m in members])
    except (OSError, tarfile.TarError, EOFError) as error:
        raise InputError(
            f"wanted the binary CIFAR10 archive at {path}, got {error}; download it again"
        ) from error


def _batches(origin: str, batches: list[bytes]) -> files.Listing:
    if not batches or any(len(b) == 0 or len(b) % RECORD for b in batches):
        got = ", ".join(str(len(b)) for b in batches) or "no batch"
        raise InputError(
            f"{origin} must hold batches of {RECORD}-byte records, got {got} bytes; download it "
            "again"
        )
    records = np.concatenate([np.frombuffer(b, np.uint8).reshape(-1, RECORD) for b in batches])
    pixels = records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return files.from_array(origin, pixels, records[:, 0])


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
