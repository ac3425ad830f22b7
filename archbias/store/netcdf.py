"""NetCDF files, made in memory by xarray and read by h5py alone.

A sweep reads thousands of cells: h5py takes a tenth of the time of a lazy tree. HDF5 ends the
process by a signal when the disk is full at closing, so it never writes to the disk itself.
"""

from __future__ import annotations

import contextlib
import io
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr

from ..errors import InputError
from . import heaps, values
from .attributes import plain

_WRITING = threading.Lock()

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


def made(groups: Mapping[str, xr.Dataset], attrs: Mapping[str, Any]) -> memoryview:
    """The bytes of a NetCDF file with these groups, read back and found equal.

    Args:
        groups: normal data sets by name. attrs: of the root, encoded.

    Raises:
        InputError: the groups do not fit one file, or the file would hold something else.
    """
    try:
        tree = xr.DataTree.from_dict({name: values.encode(ds) for name, ds in groups.items()})
        tree.attrs = tree.attrs | dict(attrs)
        # a group of its own needs its own labels to be joined with those of other cells
        with _alone():
            data = tree.to_netcdf(engine="h5netcdf", write_inherited_coords=True)
        with h5py.File(io.BytesIO(data)) as file:
            again = {f"/{name}": ds for name, ds in read(file).items()}
    except MemoryError:
        raise
    except Exception as error:  # xarray and h5netcdf raise whatever a value leads them to
        raise InputError(
            f"groups {', '.join(map(repr, groups))}: wanted data that NetCDF can hold, got "
            f"{type(error).__name__}: {error}; change names or values"
        ) from error
    for name, ds in groups.items():
        _same(ds, again.get(f"/{name.strip('/')}"), name)
    return data


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """One file at a time, and none of Dask's locks: in a task xarray asks the scheduler for the
    lock of a file, by its name, and a file in memory has none.
    """
    dask = sys.modules.get("dask")
    with _WRITING, dask.config.set(scheduler="synchronous") if dask else contextlib.nullcontext():
        yield


def _same(wanted: xr.Dataset, got: xr.Dataset | None, group: str) -> None:
    """An InputError names what a file would not give back."""
    where = f"group {group!r}"
    for name, var in wanted.variables.items():
        there = None if got is None else got.variables.get(name)
        if there is None or there.dims != var.dims or not _equal(there.values, var.values):
            raise InputError(
                f"{where}, variable {name!r}: wanted values that NetCDF gives back, got "
                f"{var.dtype} over {var.dims}, which it does not; rename it or convert it with "
                "astype"
            )
        _kept(var.attrs, there.attrs, f"{where}, variable {name!r}")
    if group.strip("/"):
        _kept(wanted.attrs, {} if got is None else got.attrs, where)


def _equal(a: np.ndarray, b: np.ndarray) -> bool:
    if a.dtype.kind == b.dtype.kind == "U":
        return a.shape == b.shape and bool((a == b).all())
    return (a.dtype, a.shape) == (b.dtype, b.shape) and a.tobytes() == b.tobytes()


def _kept(wanted: Mapping[str, Any], got: Mapping[str, Any], where: str) -> None:
    for key, value in wanted.items():
        if repr(got.get(key)) != repr(value):  # plain values; NaN is like itself
            raise InputError(
                f"{where}, attribute {key!r}: wanted a value that NetCDF gives back, got "
                f"{value!r:.60}; convert it or leave it out"
            )


def opened(path: Path) -> h5py.File:
    """A file to be read.

    Raises:
        OSError: it is no such file, or HDF5 would not come to its end.
    """
    heaps.check(path)
    return h5py.File(path)


def read(file: h5py.File) -> dict[str, xr.Dataset]:
    """The data sets of a file by group, the root as an empty name."""
    return {
        name: values.decode(variables(group), attributes(group) if name else {})
        for name, group in groups(file)
    }


def attributes(holder: h5py.HLObject) -> dict[str, Any]:
    """The attributes of a file, group or variable, in plain values as they are written."""
    found = {}
    for name in holder.attrs:
        if name not in _NETCDF:
            value = holder.attrs[name]
            if isinstance(value, np.ndarray) and value.size == 1:
                value = value.reshape(())[()]  # NetCDF knows no number, only lists of one
            found[name] = "" if isinstance(value, h5py.Empty) else plain(value, repr(name))
    return found


def groups(file: h5py.File) -> list[tuple[str, h5py.Group]]:
    """All groups, the root as an empty name."""
    found: list[tuple[str, h5py.Group]] = [("", file)]
    file.visititems(
        lambda name, item: found.append((name, item)) if isinstance(item, h5py.Group) else None
    )
    return found


def variables(group: h5py.Group, values: bool = True) -> dict[str, xr.Variable]:
    """The variables of one group as they are written; without `values`, those that are no labels
    stay unread (zeros of no size).
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
        boolean = attrs.get("dtype") == "bool"
        if boolean:
            del attrs["dtype"]
        text = h5py.check_string_dtype(item.dtype) is not None
        if values or dims == (name,):  # labels of a nested group hang on its parent's scale
            array = np.asarray(item.asstr()[()] if text else item[()])
            if text:
                array = np.array(array.tolist(), dtype=str).reshape(array.shape)
            elif boolean:
                array = array.astype(bool)
        else:
            dtype = np.dtype(str) if text else np.dtype(bool) if boolean else item.dtype
            array = np.broadcast_to(np.zeros((), dtype), item.shape)
        read[name] = xr.Variable(dims, array, attrs)
    return read
