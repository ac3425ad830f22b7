"""Kinds of file that hold images, one reader each: folders, zips, parquet tables, arrays, IDX.

Every reader returns a `Listing`. Nothing is unpickled, nothing is unpacked to disk, and whatever is
wrong with a file is one sentence. For a new kind copy `zips.py`.
"""

from ..listing import Listing, from_array, numbered
from .arrays import npy, npz, zarr_store
from .folders import folder
from .idx import idx
from .tables import parquet
from .zips import archive

__all__ = [
    "Listing",
    "archive",
    "folder",
    "from_array",
    "idx",
    "npy",
    "npz",
    "numbered",
    "parquet",
    "zarr_store",
]
