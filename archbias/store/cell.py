"""One finished cell: a NetCDF file with groups, which exists only when it is whole.

What a cell returned is checked, written in memory, read back and compared before the file takes
its name. The file is sealed with the sha256 of its bytes; its root carries that of its values.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ..errors import InputError
from . import attributes, netcdf, values, versions
from .files import unbroken, write_bytes
from .schema import describe


class CorruptCell(Exception):
    """A cell file that cannot be trusted; the run computes it again."""


def digest(tree: xr.DataTree) -> str:
    """sha256 over names, dimensions, types and values of all groups; attributes and storage do not
    count.
    """
    sha = hashlib.sha256()
    for node in sorted(tree.subtree, key=lambda n: n.path):
        for name, var in sorted(node.to_dataset(inherit=False).variables.items()):
            held = np.asarray(var.values)
            if held.dtype.kind in "OUT":
                held = np.array(json.dumps(held.astype(str).tolist()).encode())
            sha.update(f"{node.path}/{name}{var.dims}{var.shape}{held.dtype.kind}".encode())
            sha.update(np.ascontiguousarray(held).tobytes())
    return sha.hexdigest()


def write_cell(path: Path, groups: Mapping[str, xr.Dataset], attrs: Mapping[str, Any]) -> None:
    """Write one finished cell: data sets by group, attributes on the root.

    Every dtype and attribute that NetCDF, Zarr and xarray can carry reads back equal: numbers,
    text, times, and as attributes whatever JSON has (`archbias.store.values`, `attributes`).

    Raises:
        InputError: something cannot be kept; the message names group, variable and attribute.
        OSError: the file cannot be written.
    """
    if not isinstance(groups, Mapping):
        raise InputError(
            f"wanted data sets by the name of their group, got {type(groups).__name__}; return "
            "{'group': xarray.Dataset}"
        )
    kept = {name: describe(values.normal(ds, name)) for name, ds in groups.items()}
    root = attributes.encode(attributes.checked(attrs, "the cell"))
    root |= {versions.KEY: versions.FORMAT, "sha256": digest(_tree(kept))}
    write_bytes(path, netcdf.made(kept, root), seal=True)


def _tree(groups: Mapping[str, xr.Dataset]) -> xr.DataTree:
    try:
        return xr.DataTree.from_dict(dict(groups))
    except (ValueError, KeyError) as error:
        raise InputError(
            f"groups {', '.join(map(repr, groups))}: wanted groups that fit one tree, got "
            f"{error}; rename them"
        ) from error


def read_cell(path: Path) -> xr.DataTree:
    """A finished cell, loaded and checked.

    Raises:
        CorruptCell: the file is damaged or was not written by `write_cell`.
        InputError: a newer archbias wrote it.
    """
    try:
        sealed = unbroken(path)
        if sealed is False:
            raise CorruptCell(f"{path.name} does not match its checksum")
        with netcdf.opened(path) as file:
            attrs = netcdf.attributes(file)
            versions.readable(attrs.get(versions.KEY), str(path))
            tree = xr.DataTree.from_dict(netcdf.read(file))
        tree.attrs = tree.attrs | attributes.decode(attrs)
        whole = sealed or digest(tree) == tree.attrs.get("sha256")
    except (CorruptCell, InputError):
        raise
    except Exception as error:  # h5py raises whatever the damage leads it to
        raise CorruptCell(f"{path.name} cannot be read ({type(error).__name__})") from error
    if not whole:
        raise CorruptCell(f"{path.name} does not match its checksum")
    return tree
