"""One finished cell: a NetCDF file with groups, which exists only when it is whole.

Its root carries the sha256 of its contents, so a damaged file is found when it is read.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import h5py
import numpy as np
import xarray as xr

from . import netcdf
from .files import replacing
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
            values = np.asarray(var.values)
            if values.dtype.kind in "OUT":
                values = np.array(json.dumps(values.astype(str).tolist()).encode())
            sha.update(f"{node.path}/{name}{var.dims}{var.shape}{values.dtype.kind}".encode())
            sha.update(np.ascontiguousarray(values).tobytes())
    return sha.hexdigest()


def write_cell(
    path: Path, groups: dict[str, xr.Dataset], attrs: dict[str, str | int | float]
) -> None:
    """Write one finished cell: data sets by group, attributes on the root."""
    tree = xr.DataTree.from_dict(
        {name: describe(ds).drop_encoding() for name, ds in groups.items()}
    )
    tree.attrs = dict(attrs)
    tree = xr.DataTree.from_dict({n.path: plain(n.to_dataset(inherit=False)) for n in tree.subtree})
    tree.attrs["sha256"] = digest(tree)
    with replacing(path) as part:
        tree.to_netcdf(part, engine="h5netcdf")


def plain(ds: xr.Dataset) -> xr.Dataset:
    """Text as objects, which NetCDF has a word for; missing text (None, NaN) is empty."""
    return ds.assign(
        {k: v.astype(object).fillna("") for k, v in ds.variables.items() if v.dtype.kind in "OUT"}
    )


def read_cell(path: Path) -> xr.DataTree:
    """A finished cell, loaded and checked.

    Raises:
        CorruptCell: the file is damaged or was not written by `write_cell`.
    """
    try:
        with h5py.File(path) as file:
            groups = {
                name: xr.Dataset(netcdf.variables(group)) for name, group in netcdf.groups(file)
            }
            tree = xr.DataTree.from_dict(groups)
            tree.attrs = netcdf.attributes(file)
        whole = digest(tree) == tree.attrs.get("sha256")
    except Exception as error:  # h5py raises whatever the damage leads it to
        raise CorruptCell(f"{path.name} cannot be read ({type(error).__name__})") from error
    if not whole:
        raise CorruptCell(f"{path.name} does not match its checksum")
    return tree
