"""NetCDF files read by h5py alone.

Cells are ordinary NetCDF, but a sweep reads thousands of them: h5py takes a tenth of the time of a
lazy tree.
"""

from __future__ import annotations

import h5py
import numpy as np
import xarray as xr

# attributes by which HDF5 carries NetCDF
_NETCDF = {
    "CLASS",
    "NAME",
    "REFERENCE_LIST",
    "DIMENSION_LIST",
    "_Netcdf4Dimid",
    "_Netcdf4Coordinates",
    "_FillValue",
    "_NCProperties",
}


def attributes(holder: h5py.HLObject) -> dict[str, object]:
    """A group's or variable's own attributes, without those of the file format."""
    names = [n for n in holder.attrs if n not in _NETCDF]
    return {n: v.item() if isinstance(v := holder.attrs[n], np.generic) else v for n in names}


def groups(file: h5py.File) -> list[tuple[str, h5py.Group]]:
    """The groups that hold variables, the root as an empty name."""
    found: list[tuple[str, h5py.Group]] = []
    file.visititems(
        lambda name, item: found.append((name, item)) if isinstance(item, h5py.Group) else None
    )
    return [
        (name, g)
        for name, g in [("", file), *found]
        if any(isinstance(v, h5py.Dataset) for v in g.values())
    ]


def variables(group: h5py.Group, values: bool = True) -> dict[str, xr.Variable]:
    """The variables of one group; without `values`, data variables of more than one dimension stay
    unread (zeros of no size).
    """
    read = {}
    for name, item in group.items():
        if not isinstance(
            item, h5py.Dataset
        ) or b"dimension but not a netCDF variable" in np.bytes_(item.attrs.get("NAME", b"")):
            continue
        scale = "REFERENCE_LIST" in item.attrs or item.attrs.get("CLASS") == b"DIMENSION_SCALE"
        dims = (name,) if scale else tuple(d[0].name.rsplit("/", 1)[-1] for d in item.dims)
        attrs = attributes(item)
        kind = attrs.pop("dtype", None)
        text = h5py.check_string_dtype(item.dtype) is not None
        if values or scale:
            array = np.asarray(item.asstr()[()] if text else item[()])
            array = (
                np.array(array.tolist(), dtype=str).reshape(array.shape)
                if text
                else array.astype(bool)
                if kind == "bool"
                else array
            )
        else:
            dtype = np.dtype(str) if text else np.dtype(bool) if kind == "bool" else item.dtype
            array = np.broadcast_to(np.zeros((), dtype), item.shape)
        read[name] = xr.Variable(dims, array, attrs)
    return read
