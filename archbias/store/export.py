"""The numbers of a store as one NetCDF file, small enough to lie beside a study."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import xarray as xr

from . import attributes, netcdf, values, versions
from .files import write_bytes
from .open import loaded


def publish(tree: xr.DataTree, path: Path) -> None:
    """Write the numbers of a store to one NetCDF file, small enough to lie beside a study and free
    of training images.

    Left out is every variable with a row and a column (pictures, and maps of them), the name of the
    machine and where its images and weights lay. `open_study` reads the file, which is written
    whole or not at all.

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
        attrs["settings"] = without_places(attrs["settings"])
    root = attributes.encode(attributes.checked(attrs, "the store"))
    root[versions.KEY] = versions.FORMAT
    write_bytes(path, netcdf.made(groups, root), seal=True)


def without_places(settings: str) -> str:
    """Settings, as JSON, without the folders of images and weights."""
    return json.dumps(_without_places(json.loads(settings)))


def _without_places(settings: Any) -> Any:
    """Settings without the folders of images and weights: roots, and whatever is a path of this
    machine.
    """
    if isinstance(settings, dict):
        return {k: None if k == "root" else _without_places(v) for k, v in settings.items()}
    if isinstance(settings, list):
        return [_without_places(v) for v in settings]
    return None if isinstance(settings, str) and _place(settings) else settings


def _place(text: str) -> bool:
    """Whether a text is a path that means something on one machine alone, of any system."""
    kinds = (PurePosixPath(text), PureWindowsPath(text))
    return text.startswith("~") or any(path.is_absolute() for path in kinds)
