"""The IDX files of MNIST and its kin, gzipped or not.

bytes 0 0 8 d, then d sizes of four bytes, big end first, then the bytes of the array
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from .. import limits
from ..listing import Listing, from_array
from ..reading import plain, reading


def idx(images: Path, labels: Path | None) -> Listing:
    """Images (N, H, W) of bytes and, if there are any, labels (N,)."""
    pixels = _array(images, 3)[..., None]
    return from_array(plain(images), pixels, None if labels is None else _array(labels, 1))


def _array(path: Path, dims: int) -> np.ndarray:
    with reading("an IDX file", path, "download it again"):
        data = limits.unpacked(path)
        if data[:4] != bytes([0, 0, 8, dims]) or len(data) < 4 + 4 * dims:
            raise ValueError(f"no IDX file of bytes with {dims} dimensions")
        shape = tuple(int(v) for v in np.frombuffer(data, ">u4", dims, 4))
        held, wanted = len(data) - 4 - 4 * dims, math.prod(shape)
        if held != wanted:
            raise ValueError(
                f"{held} bytes where its header says {wanted}: cut short or no IDX file of bytes"
            )
        return np.frombuffer(data, np.uint8, offset=4 + 4 * dims).reshape(shape)
