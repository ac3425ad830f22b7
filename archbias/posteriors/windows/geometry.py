"""Who may answer for a pixel: for each machine, which source positions q a pixel p listens to, and
through which window.

    ls      q = p; windows clipped at the border
    els     every q; y and phi wrap round the torus. A window as large as an axis covers that axis
            once.
    inside  every q whose window lies inside the image; y wraps, phi need not (the first released
            code of Kamb & Ganguli)
    bbels   q whose window meets the border as p's does: the same row if p is within k // 2 of the
            top or bottom edge, any
            interior row otherwise; the same for columns; windows clipped at the border

Source: Kamb & Ganguli, arXiv 2412.20292, section 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from numbers import Integral

import numpy as np

from ...errors import InputError

KINDS = ("ls", "els", "inside", "bbels")


def check_window(window: int) -> int:
    """An odd, positive integer, or an InputError."""
    if (
        isinstance(window, bool)
        or not isinstance(window, Integral)
        or window < 1
        or window % 2 == 0
    ):
        raise InputError(
            f"a window must be an odd positive integer, so that it has a centre, got {window!r}; "
            "use for example 7"
        )
    return int(window)


@dataclass(frozen=True)
class Geometry:
    """A machine's pairs (p, q) on images of one size.

    kind: one of KINDS. window: k, odd. height, width: of the images.
    """

    kind: str
    window: int
    height: int
    width: int

    def __post_init__(self) -> None:
        check_window(self.window)
        if self.kind == "inside" and self.window > min(self.height, self.width):
            raise InputError(
                f"with wrap=False a window must fit inside the {self.height}x{self.width} image, "
                f"got {self.window}; "
                "make it smaller or use wrap=True"
            )

    @property
    def wraps_y(self) -> bool:
        """Whether windows of y run round the torus."""
        return self.kind in ("els", "inside")

    @property
    def wraps_phi(self) -> bool:
        """Whether windows of training images do."""
        return self.kind == "els"

    @property
    def whole(self) -> bool:
        """Whether every window is the whole torus."""
        return self.wraps_phi and self.window >= max(self.height, self.width)

    def offsets(self, size: int) -> tuple[int, int]:
        """First and last offset of the window along an axis of this size; none leads from one end
        beyond the other.
        """
        half = min(self.window // 2, size - 1)
        return (0, size - 1) if self.wraps_phi and self.window > size else (-half, half)

    def interior(self, size: int) -> tuple[int, int]:
        """Positions along an axis whose window lies inside the image: [first, last)."""
        half = self.window // 2
        return half, max(half, size - half)

    def sources(self, size: int) -> np.ndarray:
        """(size, 2): the source positions [first, last) of each position along one axis."""
        p = np.arange(size)
        if self.kind == "els":
            return np.stack([0 * p, 0 * p + size], 1)
        first, last = self.interior(size)
        if self.kind == "inside":
            return np.stack([0 * p + first, 0 * p + last], 1)
        free = (p >= first) & (p < last) & (self.kind == "bbels")
        return np.stack([np.where(free, first, p), np.where(free, last, p + 1)], 1)

    def shifts(self) -> np.ndarray:
        """(T, 3): every row shift and the rows [first, last) it serves; all rows of a shift are
        contiguous.
        """
        if self.kind == "els":
            return np.array([(d, 0, self.height) for d in range(self.height)])
        rows, out = self.sources(self.height), []
        for d in range(1 - self.height, self.height):
            served = np.flatnonzero(
                (np.arange(self.height) + d >= rows[:, 0])
                & (np.arange(self.height) + d < rows[:, 1])
            )
            if len(served):
                out.append((d, served[0], served[-1] + 1))
        return np.array(sorted(out, key=lambda t: abs(t[0])))

    def band(self) -> tuple[int, int]:
        """Column shifts ever needed, [low, high), counted from -(width - 1)."""
        if self.kind == "els":
            return 0, self.width
        columns = self.sources(self.width)
        p = np.arange(self.width)
        return int((columns[:, 0] - p).min()) + self.width - 1, int(
            (columns[:, 1] - p).max()
        ) + self.width - 1

    def counts(self) -> np.ndarray:
        """(H, W) number of source positions of each pixel, in one training image."""
        rows, columns = (
            np.diff(self.sources(self.height))[:, 0],
            np.diff(self.sources(self.width))[:, 0],
        )
        return rows[:, None] * columns[None]

    def table(self, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Windows as indices along one axis: (size, n) for y, the same for phi, and whether they
        lie inside the image.
        """
        first, last = self.offsets(size)
        at = np.arange(size)[:, None] + np.arange(first, last + 1)
        inside = (at >= 0) & (at < size) | self.wraps_y
        return at % size, at % size, inside

    def extent(self) -> np.ndarray:
        """(H, W) number of pixels in each window."""
        rows, columns = self.table(self.height)[2].sum(1), self.table(self.width)[2].sum(1)
        return rows[:, None] * columns[None]


geometry = lru_cache(maxsize=256)(Geometry)
