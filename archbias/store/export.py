"""The numbers of a store as one NetCDF file, small enough to lie beside a study."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import xarray as xr

from . import attributes, netcdf, values, versions
from .files import write_bytes
from .open import loaded


def publish(tree: xr.DataTree, path: Path) -> None:
    """Write the numbers of a store to one NetCDF file, small enough to lie beside a study and free
    of training images.

    Left out is every variable with a row and a column (pictures, and maps of them), the name of the
    machine and where its images lay. `open_study` reads the file, which is written whole or not at
    all.

    Args:
        tree: of `open_study`. path: the .nc file; its folder is made.

    Raises:
        InputError: something in it cannot be kept.
        OSError: it cannot be written.
    """
    groups = {}
    for node in tree.subtree:
        ds = node.to_dataset(inherit=False)
        ds = ds.drop_vars([k for k, v in ds.data_vars.items() if {"row", "column"} <= set(v.dims)])
        used = {d for v in ds.data_vars.values() for d in v.dims}
        ds = ds.drop_vars([k for k, v in ds.coords.items() if not set(v.dims) <= used])
        if ds.data_vars:
            loaded(ds, node.path)
            groups[node.path] = values.normal(ds, node.path)
    attrs = {k: v for k, v in tree.attrs.items() if k != "host"}
    if "settings" in attrs:
        attrs["settings"] = json.dumps(_without_roots(json.loads(attrs["settings"])))
    root = attributes.encode(attributes.checked(attrs, "the store"))
    root[versions.KEY] = versions.FORMAT
    write_bytes(path, netcdf.made(groups, root), seal=True)


def _without_roots(settings: Any) -> Any:
    """Settings without the folders of images."""
    if isinstance(settings, dict):
        return {k: None if k == "root" else _without_roots(v) for k, v in settings.items()}
    return [_without_roots(v) for v in settings] if isinstance(settings, list) else settings
