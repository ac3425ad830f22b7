"""Images to fit denoisers to."""

from .catalogue import at_hand, describe, load, prepare, sources
from .download import fetch
from .images import ImageSet
from .manifest import Manifest
from .near import duplicates
from .source import data_root

__all__ = [
    "ImageSet",
    "Manifest",
    "at_hand",
    "data_root",
    "describe",
    "duplicates",
    "fetch",
    "load",
    "prepare",
    "sources",
]
