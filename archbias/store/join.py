"""Finished cells joined along their labels into one Zarr store.

Joining streams: no variable above `LARGE` bytes is held in memory, whatever the number of cells.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import h5py
import numpy as np
import xarray as xr
import zarr

from ..errors import InputError
from . import netcdf

LARGE = 64 * 2**20  # bytes; a joined variable above this is filled cell by cell


def collect(
    cells: Sequence[Path],
    store: Path,
    attrs: dict[str, str | int],
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Join cells along their labels into one Zarr store, replacing the old one when the new one is
    whole.

    Labels appear in the order of first appearance. Where no cell has a value, floats are NaN and
    text is empty; integers and booleans with such holes become floats.
    """
    progress = progress or (lambda done, total: None)
    plan: dict[str, _Group] = {}
    for i, path in enumerate(cells):
        with h5py.File(path) as file:
            for name, group in netcdf.groups(file):
                plan.setdefault(name, _Group()).meet(netcdf.variables(group, values=False), i)
        progress(i + 1, 2 * len(cells))
    part = Path(tempfile.mkdtemp(prefix=f".{store.name}.", suffix=".part", dir=store.parent))
    try:
        root = zarr.create_group(part, zarr_format=3, overwrite=True, attributes=dict(attrs))
        for name, group in plan.items():
            group.create(root.require_group(name))
        for i, path in enumerate(cells):
            with h5py.File(path) as file:
                for name, group in netcdf.groups(file):
                    plan[name].put(netcdf.variables(group))
            progress(len(cells) + i + 1, 2 * len(cells))
        for group in plan.values():
            group.flush()
        if store.exists():
            old = Path(tempfile.mkdtemp(prefix=f".{store.name}.", suffix=".old", dir=store.parent))
            store.replace(old / "store")
            part.replace(store)
            shutil.rmtree(old)
        else:
            part.replace(store)
    finally:
        shutil.rmtree(part, ignore_errors=True)


class _Group:
    """One group of the store while it is joined."""

    def __init__(self) -> None:
        self.labels: dict[str, dict] = {}  # dimension -> label -> position
        self.sizes: dict[str, int] = {}  # dimensions without labels
        self.variables: dict[str, tuple[tuple[str, ...], np.dtype, dict]] = {}
        # integers and booleans: block of labels -> how many values it holds
        self.filled: dict[str, dict[tuple, int]] = {}
        self.arrays: dict[str, zarr.Array] = {}
        self.held: dict[str, np.ndarray] = {}
        self.coordinate_attrs: dict[str, dict] = {}

    def meet(self, variables: dict[str, xr.Variable], number: int) -> None:
        for name, var in variables.items():
            if var.dims == (name,):
                known = self.labels.setdefault(name, {})
                for label in var.values.tolist():
                    known.setdefault(label, len(known))
                self.coordinate_attrs.setdefault(name, dict(var.attrs))
        for name, var in variables.items():
            if var.dims == (name,):
                continue
            for dim, size in zip(var.dims, var.shape, strict=True):
                if dim not in variables:
                    self.sizes[dim] = max(size, self.sizes.get(dim, 0))
            dims, dtype, attrs = self.variables.get(name, (var.dims, var.dtype, dict(var.attrs)))
            if dims != var.dims:
                raise InputError(
                    f"variable {name!r} has dimensions {dims} in one cell and {var.dims} in cell "
                    f"{number}; use one order"
                )
            kind = (
                np.dtype(object)
                if dtype.kind in "OU" or var.dtype.kind in "OU"
                else np.promote_types(dtype, var.dtype)
            )
            self.variables[name] = (dims, kind, attrs)
            if var.dtype.kind in "biu":
                block = tuple(
                    tuple(variables[d].values.tolist()) if d in variables else n
                    for d, n in var.sizes.items()
                )
                self.filled.setdefault(name, {})[block] = var.size

    def _shape(self, dims: tuple[str, ...]) -> tuple[int, ...]:
        return tuple(len(self.labels[d]) if d in self.labels else self.sizes[d] for d in dims)

    def create(self, group: zarr.Group) -> None:
        for dim, labels in self.labels.items():
            _array(group, dim, np.array(list(labels)), (dim,), self.coordinate_attrs[dim])
        for name, (dims, dtype, attrs) in self.variables.items():
            shape = self._shape(dims)
            if dtype.kind in "biu" and sum(self.filled[name].values()) < int(np.prod(shape)):
                dtype = np.dtype(float)  # holes are NaN
            attrs = {k: v for k, v in attrs.items() if k != "dtype"}
            text = dtype.kind in "OUT"
            if text or int(np.prod(shape)) * dtype.itemsize <= LARGE:
                start = "" if text else np.nan if dtype.kind == "f" else 0
                self.held[name] = np.full(shape, start, dtype=object if text else dtype)
            chunks = (
                shape
                if name in self.held
                else tuple(1 if d in self.labels else s for d, s in zip(dims, shape, strict=True))
            )
            self.arrays[name] = group.create_array(
                name,
                shape=shape,
                dtype=str if text else dtype,
                chunks=tuple(max(1, c) for c in chunks) if shape else "auto",
                dimension_names=dims,
                attributes=attrs,
                fill_value="" if text else float("nan") if dtype.kind == "f" else dtype.type(0),
            )

    def put(self, variables: dict[str, xr.Variable]) -> None:
        for name, var in variables.items():
            if name not in self.arrays:
                continue
            where = [
                np.array([self.labels[d][v] for v in variables[d].values.tolist()], dtype=int)
                if d in variables
                else np.arange(n)
                for d, n in zip(var.dims, var.shape, strict=True)
            ]
            if name in self.held:
                self.held[name][np.ix_(*where) if where else ()] = var.values
            else:
                self.arrays[name].oindex[tuple(where)] = var.values

    def flush(self) -> None:
        for name, values in self.held.items():
            self.arrays[name][...] = values.astype(str) if values.dtype == object else values


def _array(
    group: zarr.Group, name: str, values: np.ndarray, dims: tuple[str, ...], attrs: dict
) -> None:
    text = values.dtype.kind in "OU"
    array = group.create_array(
        name,
        shape=values.shape,
        dtype=str if text else values.dtype,
        chunks=tuple(max(1, n) for n in values.shape),
        dimension_names=dims,
        attributes={k: v for k, v in attrs.items() if k != "dtype"},
    )
    array[...] = values
