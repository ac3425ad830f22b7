"""Pictures as tiles of one PNG, and arrays as text: what a scene carries."""

from __future__ import annotations

import base64
import io
import math

import numpy as np
from PIL import Image


class Tiles:
    """Pictures of one size, each kept once; `add` returns the number of a picture."""

    def __init__(self, height: int, width: int):
        self.height, self.width = height, width
        self._numbers: dict[bytes, int] = {}

    def add(self, rgb: np.ndarray) -> int:
        """The number of a picture (H, W, 3) in [0, 1]."""
        pixels = np.ascontiguousarray(np.round(rgb * 255), np.uint8)
        return self._numbers.setdefault(pixels.tobytes(), len(self._numbers))

    def sheet(self) -> dict[str, object]:
        """src, a data URI; columns, how many tiles a row holds; pixels beyond the last are
        black.
        """
        columns = max(1, math.ceil(math.sqrt(len(self._numbers))))
        rows = -(-len(self._numbers) // columns)
        sheet = np.zeros((max(1, rows) * self.height, columns * self.width, 3), np.uint8)
        for data, k in self._numbers.items():
            top, left = k // columns * self.height, k % columns * self.width
            tile = np.frombuffer(data, np.uint8).reshape(self.height, self.width, 3)
            sheet[top : top + self.height, left : left + self.width] = tile
        return {"src": png(sheet), "columns": columns}


def png(rgb: np.ndarray) -> str:
    """A picture (H, W, 3) of bytes as a data URI; without colours it is stored as grey."""
    grey = bool((rgb == rgb[..., :1]).all())
    buffer = io.BytesIO()
    Image.fromarray(rgb[..., 0] if grey else rgb).save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def packed(values: np.ndarray, kind: str) -> str:
    """Numbers as little-endian bytes of a NumPy type, in base64."""
    return base64.b64encode(np.ascontiguousarray(values).astype(f"<{kind}").tobytes()).decode()


def bits(values: np.ndarray) -> str:
    """Truth values in base64, eight to a byte, the first in the lowest bit."""
    return base64.b64encode(np.packbits(values.ravel(), bitorder="little").tobytes()).decode()
