"""Files of images as listings: what is there, before any pixel is decoded.

A listing knows the ids and labels of everything and reads the positions it is asked for, so that
1000 faces out of 200 000 cost 1000 decodes.

    order    by the parts of the path, each in Unicode's composed form (NFC), by code point

Neither the system, the language nor the form in which a disk keeps its names changes which images
are "the first n".
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from ..errors import InputError
from . import checks
from .reading import plain


@dataclass(frozen=True)
class Listing:
    """What a source holds.

    origin: where it was found, for messages.
    ids: one distinct string per image.
    read: ascending positions -> (name, pixels) one by one, pixels (H, W, C) bytes or floats in [-1,
        1].
    labels: one value per image, as the file has them, or None.
    transform: what was already done to the pixels.
    set: what the images are called in results; the source's name by default.
    found: what was found, in words.
    left_out: what lies beside it and is not read, in words; empty when nothing does.
    lost: pictures among what is left out, in words.
    """

    origin: str
    ids: Sequence[str] = field(repr=False)
    read: Callable[[Sequence[int]], Iterator[tuple[str, np.ndarray]]] = field(repr=False)
    labels: np.ndarray | None = field(default=None, repr=False)
    transform: tuple[str, ...] = ()
    set: str | None = None
    found: str = ""
    left_out: str = ""
    lost: str = ""


def numbered(count: int) -> list[str]:
    """Ids of images that have only a position."""
    return [f"{i:06d}" for i in range(count)]


def composed(name: str) -> str:
    """A file's name in Unicode's composed form, for ids; an InputError when it is not text."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InputError(
            f"file names must be UTF-8 text, got {plain(name)}; rename the file"
        ) from error
    return unicodedata.normalize("NFC", name)


def key(parts: Iterable[str]) -> tuple[str, ...]:
    """The key by which paths are put in order."""
    return tuple(unicodedata.normalize("NFC", part) for part in parts)


def from_array(
    origin: str,
    images: np.ndarray,
    labels: np.ndarray | None = None,
    ids: Sequence[object] | np.ndarray | None = None,
    left_out: str = "",
) -> Listing:
    """Bytes (N, H, W) or (N, H, W, C), or floats (N, H, W) or (N, C, H, W) in [-1, 1]."""
    images = checks.images(images, origin)
    for what, values in (("labels", labels), ("ids", ids)):
        if values is not None and len(values) != len(images):
            raise InputError(
                f"{origin} must hold one of its {what} per image, got {len(values)} for "
                f"{len(images)}; mend the file"
            )
    ids = numbered(len(images)) if ids is None else checks.names(ids, len(images), origin)

    def read(rows: Sequence[int]) -> Iterator[tuple[str, np.ndarray]]:
        for i in rows:
            yield f"{origin} image {ids[i]}", images[i]

    n, h, w, c = images.shape
    found = f"{n} images of {c}x{h}x{w}, {images.dtype}" + (
        ", labels" if labels is not None else ""
    )
    return Listing(origin, ids, read, labels, found=found, left_out=left_out)
