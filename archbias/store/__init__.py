"""The labelled store: one file per finished cell, one Zarr per study, provenance beside every
array.
"""

from .cell import (
    COORDINATES,
    VARIABLES,
    CorruptCell,
    about,
    collect,
    commit,
    describe,
    digest,
    open_study,
    provenance,
    publish,
    read_cell,
    replacing,
    sweep,
    write_cell,
    write_text,
)

__all__ = [
    "COORDINATES",
    "VARIABLES",
    "CorruptCell",
    "about",
    "collect",
    "commit",
    "describe",
    "digest",
    "open_study",
    "provenance",
    "publish",
    "read_cell",
    "replacing",
    "sweep",
    "write_cell",
    "write_text",
]
