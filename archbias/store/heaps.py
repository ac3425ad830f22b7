"""Global heaps of an HDF5 file, walked before the library walks them.

HDF5 keeps texts of any length in collections of objects, one behind the other:

    "GCOL", version 1, 3 zeros, size (8)                       the collection
    index (2), references (2), 4 zeros, size (8), the bytes    an object, to the next multiple of 8
    index 0                                                    what is free; its size counts itself

A free object of size 0 has no next one, and the library, which does not ask, looks for it for
ever; one that reaches beyond its collection may lead it back. No exception and no signal ends that,
since the interpreter waits too: such a file is refused unread.

Source: HDF5 File Format Specification 3.0, III.E.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

HEADER = struct.Struct("<4sB3xQ")
OBJECT = struct.Struct("<HH4xQ")
SIGNATURE, VERSION = b"GCOL", 1


def check(path: Path) -> None:
    """Refuse a file that HDF5 would read for ever.

    Raises:
        OSError: a list in it has no end.
    """
    if endless(path):
        raise OSError("a list in it has no end")


def endless(path: Path) -> bool:
    """Whether a collection of the file has an object after which comes none."""
    if not path.stat().st_size:
        return False
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        at = data.find(SIGNATURE)
        while at >= 0:
            if at + HEADER.size <= len(data):
                _, version, size = HEADER.unpack_from(data, at)
                if version == VERSION and _stuck(data, at + HEADER.size, at + size):
                    return True
            at = data.find(SIGNATURE, at + 1)
    return False


def _stuck(data: mmap.mmap, place: int, end: int) -> bool:
    while place + OBJECT.size <= end <= len(data):
        index, _, size = OBJECT.unpack_from(data, place)
        step = size if index == 0 else OBJECT.size + (size + 7) // 8 * 8
        if not 0 < step <= end - place:
            return True
        place += step
    return False
