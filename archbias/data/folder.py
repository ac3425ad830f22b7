"""Your own images: the files of a folder, or of its subfolders, whose names are then the labels; a
zip or parquet as well.
"""

from __future__ import annotations

from pathlib import Path

from . import files
from .source import Source


def find(place: Path) -> files.Listing:
    """The image files there."""
    if place.suffix == ".zip":
        return files.archive(place)
    if place.suffix == ".parquet":
        return files.parquet([place])
    return files.folder(place)


SOURCE = Source(
    name="folder",
    summary="a folder of image files",
    licence="yours",
    home="your disk",
    cite="none",
    find=find,
    manual="give root=DIR, a folder of .jpg or .png files",
)
