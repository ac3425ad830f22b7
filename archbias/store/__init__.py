"""The labelled store: one file per finished cell, one Zarr per study, provenance beside every
array.

    RUN/run.json          what this folder is: study, settings, version
    RUN/cells/NAME.nc     one finished cell (NetCDF with groups); it exists only when it is whole
    RUN/store.zarr        all cells joined along their labels: an `xarray.DataTree`

Here live the schema, the files and their formats; one idea a file. What a run is and when a cell is
computed lives in `archbias.study`; fitted denoisers are saved by `archbias.families`. Names are
loaded on first use: `archbias.store.files` and `schema` serve modules that wait for neither xarray
nor zarr.
"""

from importlib import import_module
from typing import Any

from .files import replacing, sweep, write_bytes, write_text
from .provenance import commit, provenance

_FROM = {
    "COORDINATES": "schema",
    "VARIABLES": "schema",
    "CorruptCell": "cell",
    "Problem": "verify",
    "about": "schema",
    "cell_problems": "verify",
    "collect": "join",
    "describe": "schema",
    "digest": "cell",
    "export_problems": "verify",
    "loaded": "open",
    "open_study": "open",
    "publish": "export",
    "read_cell": "cell",
    "store_problems": "verify",
    "without_places": "export",
    "write_cell": "cell",
}

__all__ = ["commit", "provenance", "replacing", "sweep", "write_bytes", "write_text", *_FROM]


def __getattr__(name: str) -> Any:
    """Names whose modules need xarray, on first use."""
    if name in _FROM:
        return getattr(import_module(f".{_FROM[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
