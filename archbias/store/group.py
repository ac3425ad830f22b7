"""One group of a store while cells are joined in it.

check(variables)    whether a cell fits those before
meet(variables)     its labels and types
create(zarr group)  the arrays, once all cells are known
put(variables)      its values, each in its place
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
import zarr

from ..errors import InputError
from .values import TIMES

NAT = np.iinfo(np.int64).min  # of a time


class Group:
    """Labels, types and arrays of one group."""

    def __init__(self) -> None:
        self.labels: dict[str, dict] = {}  # dimension -> label -> position
        self.label_kinds: dict[str, np.dtype] = {}
        self.sizes: dict[str, int] = {}  # dimensions without labels
        self.variables: dict[str, tuple[tuple[str, ...], np.dtype]] = {}
        self.attrs: dict[str, dict[str, Any]] = {}  # variable -> attributes of the first cell
        self.own: dict[str, Any] | None = None  # attributes that all cells agree on
        self.coordinates: dict[str, None] = {}  # those that are no dimensions, in order
        # integers and booleans: the blocks of labels that hold values
        self.filled: dict[str, set[tuple]] = {}
        self.arrays: dict[str, zarr.Array] = {}
        self.held: dict[str, np.ndarray] = {}

    def check(self, variables: Mapping[str, xr.Variable], group: str) -> None:
        """An InputError says why a cell cannot be joined with those before."""
        for name, var in variables.items():
            label = var.dims == (name,)
            dims, dtype = self.variables.get(name, (var.dims, None))
            if (label and name in self.variables) or (not label and name in self.labels):
                raise InputError(
                    f"group {group!r}: {name!r} labels a dimension in one cell and is a variable "
                    "in another; rename one"
                )
            if dims != var.dims:
                raise InputError(
                    f"group {group!r}, variable {name!r}: wanted dimensions {dims} as in the cells "
                    f"before, got {var.dims}; use one order"
                )
            dtype = self.label_kinds.get(name) if label else dtype
            if dtype is not None:
                known, new = (
                    _sort(d, a) for d, a in ((dtype, self.attrs[name]), (var.dtype, var.attrs))
                )
                if known != new:
                    raise InputError(
                        f"group {group!r}, variable {name!r}: wanted {known} as in the cells "
                        f"before, got {new}; use one kind"
                    )

    def meet(self, variables: Mapping[str, xr.Variable], attrs: Mapping[str, Any]) -> None:
        """Enter a cell that fits."""
        attrs = dict(attrs)
        self.coordinates |= dict.fromkeys(str(attrs.pop("coordinates", "")).split())
        agreed = attrs if self.own is None else self.own
        self.own = {k: v for k, v in agreed.items() if k in attrs and repr(attrs[k]) == repr(v)}
        for name, var in variables.items():
            self.attrs.setdefault(name, dict(var.attrs))
            if var.dims == (name,):
                known = self.labels.setdefault(name, {})
                for label in var.values.tolist():
                    known.setdefault(label, len(known))
                dtype = self.label_kinds.get(name, var.dtype)
                self.label_kinds[name] = np.promote_types(dtype, var.dtype)
                continue
            dims = _dims(var)
            for dim, size in zip(dims, var.shape, strict=True):
                if dim not in variables:
                    self.sizes[dim] = max(size, self.sizes.get(dim, 0))
            dtype = self.variables.get(name, (dims, var.dtype))[1]
            self.variables[name] = (dims, np.promote_types(dtype, var.dtype))
            if var.dtype.kind in "biu":
                block = tuple(
                    tuple(variables[d].values.tolist()) if d in variables else n
                    for d, n in zip(dims, var.shape, strict=True)
                )
                self.filled.setdefault(name, set()).add(block)

    def _shape(self, dims: tuple[str, ...]) -> tuple[int, ...]:
        return tuple(len(self.labels[d]) if d in self.labels else self.sizes[d] for d in dims)

    def _holes(self, name: str) -> bool:
        """Whether some place of an integer variable gets no value from any cell."""
        dims, _ = self.variables[name]
        places = [
            [
                np.arange(part) if isinstance(part, int) else [self.labels[d][v] for v in part]
                for d, part in zip(dims, block, strict=True)
            ]
            for block in self.filled[name]
        ]
        # along a dimension that every cell fills, one place stands for all
        shape = self._shape(dims)
        whole = [all(len(p[k]) == n for p in places) for k, n in enumerate(shape)]
        mask = np.zeros([1 if w else n for w, n in zip(whole, shape, strict=True)], bool)
        for place in places:
            kept = [[0] if w else p for w, p in zip(whole, place, strict=True)]
            mask[np.ix_(*kept) if kept else ()] = True
        return bool(mask.size) and not bool(mask.all())

    def create(self, group: zarr.Group, large: int) -> None:
        """Make the arrays; variables up to `large` bytes are held until `flush`."""
        named = {"coordinates": " ".join(self.coordinates)} if self.coordinates else {}
        if self.own or named:
            group.update_attributes((self.own or {}) | named)
        for dim, labels in self.labels.items():
            kind = self.label_kinds[dim]
            values = np.array(list(labels), dtype=str if kind.kind in "OU" else kind)
            _array(group, dim, (dim,), values.shape, kind, self.attrs[dim], values.shape)[...] = (
                values
            )
        for name, (dims, dtype) in self.variables.items():
            shape = self._shape(dims)
            time = _sort(dtype, self.attrs[name]) == "times"
            if dtype.kind in "biu" and not time and self._holes(name):
                dtype = np.dtype(float)  # holes are NaN
            text = dtype.kind in "OU"
            if text or int(np.prod(shape)) * dtype.itemsize <= large:
                start = "" if text else NAT if time else np.nan if dtype.kind in "fc" else 0
                self.held[name] = np.full(shape, start, dtype=object if text else dtype)
            chunks = (
                shape
                if name in self.held
                else tuple(1 if d in self.labels else s for d, s in zip(dims, shape, strict=True))
            )
            self.arrays[name] = _array(group, name, dims, shape, dtype, self.attrs[name], chunks)

    def put(self, variables: Mapping[str, xr.Variable]) -> None:
        """The values of a cell, each where its labels say."""
        for name, var in variables.items():
            if name not in self.arrays:
                continue
            where = [
                np.array([self.labels[d][v] for v in variables[d].values.tolist()], dtype=np.intp)
                if d in variables
                else np.arange(n)
                for d, n in zip(_dims(var), var.shape, strict=True)
            ]
            if name in self.held:
                self.held[name][np.ix_(*where) if where else ()] = var.values
            else:
                self.arrays[name].oindex[tuple(where)] = var.values

    def flush(self) -> None:
        """Write what was held."""
        for name, values in self.held.items():
            self.arrays[name][...] = values.astype(str) if values.dtype == object else values


def _dims(var: xr.Variable) -> tuple[str, ...]:
    """The dimensions of a variable of a file, which are all text."""
    return tuple(str(d) for d in var.dims)


def _sort(dtype: np.dtype, attrs: Mapping[str, Any]) -> str:
    """What values of a type can stand beside."""
    if dtype == np.int64 and any(times.items() <= attrs.items() for times in TIMES.values()):
        return "times"
    return "text" if dtype.kind in "OU" else "numbers"


def _array(
    group: zarr.Group,
    name: str,
    dims: tuple[str, ...],
    shape: tuple[int, ...],
    dtype: np.dtype,
    attrs: dict[str, Any],
    chunks: tuple[int, ...],
) -> zarr.Array:
    text = dtype.kind in "OU"
    time = _sort(dtype, attrs) == "times"
    missing = NAT if time else float("nan") if dtype.kind in "fc" else 0
    return group.create_array(
        name,
        shape=shape,
        dtype=str if text else dtype,
        chunks=tuple(max(1, c) for c in chunks) if shape else "auto",
        dimension_names=dims,
        attributes=attrs,
        fill_value="" if text else dtype.type(missing),
    )
