"""How much a file may unfold to: an archive of 3 MB can hold 3 GB of zeros.

    one encoded picture       256 MiB
    one decoded picture       89 478 485 pixels, where Pillow begins to warn
    what one file holds       10 000 000 images, names, or rows
    unpacked to packed        200 to 1, counted above 16 MiB
    an image set              4 N C H W bytes, at most half of this machine's memory

A real photograph, table or archive of image sets stays far below each; what does not is refused
before it is unfolded, with both numbers.
"""

from __future__ import annotations

import gzip
import math
import os
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

from ..errors import InputError

ENCODED = 256 << 20  # bytes
PIXELS = 89_478_485
COUNT = 10_000_000
RATIO = 200
SMALL = 16 << 20  # bytes below which no ratio is counted
UNKNOWN = 16 << 30  # bytes of memory where the system does not tell
GZIP = b"\x1f\x8b"


@cache
def memory() -> int:
    """Bytes of memory of this machine or of the container it runs in; 16 GiB where neither is
    known.
    """
    found = []
    with suppress(AttributeError, ValueError, OSError):  # Windows has no sysconf
        found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    with suppress(ValueError, OSError):  # no control group, or one without a bound ("max")
        found.append(int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii")))
    return min((v for v in found if v > 0), default=UNKNOWN)


def check_memory(shape: Sequence[int], itemsize: int, what: str, remedy: str) -> None:
    """An InputError that names the memory of an array before it is asked for."""
    needed, have = math.prod(map(int, shape)) * itemsize, memory()
    if needed > have // 2:  # the rest is for whatever is done with it
        size = "x".join(str(int(v)) for v in shape)
        raise InputError(
            f"{what} of {size} would take {gigabytes(needed)} of memory, more than half of the "
            f"{gigabytes(have)} of this machine; {remedy}"
        )


def check_member(name: str, size: int, packed: int, most: int = ENCODED) -> None:
    """An InputError unless a member of an archive unpacks to a likely size.

    Args:
        size, packed: bytes of the member, unpacked and packed, as the archive declares them.
        most: bytes it may have.
    """
    if size > most:
        raise InputError(
            f"{name} declares {gigabytes(size)}, more than the {gigabytes(most)} a member may "
            "have; take it out of the archive"
        )
    if size > SMALL and size > RATIO * packed:
        raise InputError(
            f"{name} unpacks to {size / max(packed, 1):.0f} times its size, more than the {RATIO} "
            "times of real images; take it out of the archive"
        )


def check_count(count: int, where: object) -> None:
    """An InputError when a file declares more rows or members than any image set has."""
    if count > COUNT:
        raise InputError(
            f"{where} declares {count} images, more than the {COUNT} a set may have; split it"
        )


def unpacked(path: Path) -> bytes:
    """The bytes of a file, gzipped or not; an InputError when they unfold beyond the ratio or the
    memory.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(2)
    packed = head == GZIP
    most = min(max(SMALL, RATIO * size), memory() // 2) if packed else size
    with (gzip.open if packed else open)(path, "rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise InputError(
            f"{path} unpacks to more than {gigabytes(most)}, {RATIO} times its size and more than "
            "real images do; download it again"
        )
    return data


def gigabytes(count: int) -> str:
    """Bytes as a person reads them."""
    for unit, size in (("PB", 1e15), ("TB", 1e12), ("GB", 1e9)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count / 1e6:.3g} MB"
