"""Your own images: the files of a folder, or of its subfolders, whose names are then the labels; a
zip or parquet as well.
"""

from __future__ import annotations

from pathlib import Path

from . import formats
from .source import Source


def find(place: Path) -> formats.Listing:
    """The image files there."""
    kind = place.suffix.lower() if place.is_file() else ""
    if kind == ".zip":
        return formats.archive(place)
    if kind == ".parquet":
        return formats.parquet([place])
    return formats.folder(place)


SOURCE = Source(
    name="folder",
    summary="a folder of image files",
    licence="yours",
    home="your disk",
    cite="none",
    find=find,
    manual="give root=DIR, a folder of .jpg or .png files",
)
