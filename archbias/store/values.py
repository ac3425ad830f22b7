"""Values that NetCDF, Zarr and xarray read alike.

    normal(group)    what is kept of a data set: NumPy values of a type all three know
    encode(group)    as it is written: times as integers, attributes as `attributes.encode` says
    decode(group)    what `encode` was given

Kept as they are: yes and no, integers, floats of 16 to 64 bits, complex numbers. Text of any kind
becomes NumPy unicode (missing text is empty), dates and durations nanoseconds. Anything else is
refused with its name.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from ..errors import InputError
from . import attributes

SINCE = "nanoseconds since 1970-01-01"
# what a variable of time carries in a file, as CF and xarray say it
TIMES = {
    "M": {"units": SINCE, "calendar": "proleptic_gregorian"},
    "m": {"units": "nanoseconds", "dtype": "timedelta64[ns]"},
}
KINDS = "bool, integers, float16 to float64, complex numbers, text, datetime64 or timedelta64"


def normal(ds: Any, group: Any) -> xr.Dataset:
    """A data set that can be kept, loaded, with plain values and attributes.

    Raises:
        InputError: something in it cannot; the message names group, variable and attribute.
    """
    where = f"group {group!r}"
    if not isinstance(group, str):
        raise InputError(f"{where}: wanted text as the name of a group; rename it")
    if not isinstance(ds, xr.Dataset):
        raise InputError(
            f"{where}: wanted an xarray.Dataset, got {type(ds).__name__}; a cell returns "
            "{group: Dataset}"
        )
    for part in group.strip("/").split("/") if group.strip("/") else ():
        _name(part, f"{where}: wanted a group's name")
    for name in [*ds.variables, *ds.dims]:
        _name(name, f"{where}: wanted a variable's or dimension's name")
    for name in ds.coords:
        if name not in ds.dims and " " in str(name):
            raise InputError(
                f"{where}: wanted names without spaces for coordinates that are not dimensions, "
                f"got {name!r}; rename it or make it a variable"
            )
    for name, index in ds.indexes.items():
        if index.nlevels > 1:
            raise InputError(
                f"{where}: wanted one label per place of {name!r}, got a MultiIndex; call "
                f"ds.reset_index({name!r})"
            )
    found = {}
    for name, var in ds.compute().variables.items():
        at = f"{where}, variable {name!r}"
        values = _values(var, at)
        if var.dims == (name,) and values.dtype.kind in "fcmM" and bool(np.isnan(values).any()):
            raise InputError(
                f"{at}: wanted labels that name their place, got one that is not a number; drop it "
                "or label it"
            )
        found[name] = xr.Variable(var.dims, values, attributes.checked(var.attrs, at))
    kept = xr.Dataset(found, attrs=attributes.checked(ds.attrs, where))
    return kept.set_coords([n for n in ds.coords if n in kept.data_vars])


def _name(name: Any, wanted: str) -> None:
    bad = (
        not isinstance(name, str)
        or not attributes.printable(name)
        or "/" in name
        or "\\" in name
        or name in (".", "..", "zarr.json")
        or name.startswith("__")
        or len(name.encode("utf-8")) > 200  # a file's name in Zarr
    )
    if bad:
        raise InputError(
            f"{wanted} of printable text, without slashes and without '__' before it, got "
            f"{name!r}; rename it"
        )


def _values(var: xr.Variable, at: str) -> np.ndarray:
    """The values of a variable as an array of a kind that is kept."""
    values = np.asarray(var.values)
    kind = values.dtype.kind
    if kind in "OTSU":
        flat = [_text(v, at) for v in values.reshape(-1).tolist()]
        return np.array(flat, dtype=str).reshape(values.shape)
    if kind in "mM":
        name = "datetime64" if kind == "M" else "timedelta64"
        same = values.astype(f"{name}[ns]")
        # years beyond 2262 are no 64-bit count of nanoseconds
        if not np.array_equal(same.astype(values.dtype), values, equal_nan=True):
            raise InputError(
                f"{at}: wanted times within 292 years of 1970, got {values.dtype} beyond; store a "
                "number with its units"
            )
        return same
    if kind in "biufc" and values.dtype.itemsize <= (16 if kind == "c" else 8):
        return values.astype(values.dtype.newbyteorder("="))
    raise InputError(f"{at}: wanted {KINDS}, got {values.dtype}; convert it with astype")


def _text(value: Any, at: str) -> str:
    """One entry of an array of text; missing is empty."""
    if np.ndim(value) == 0 and pd.isna(value):
        return ""
    if isinstance(value, bytes):
        try:
            value = value.decode("utf-8")
        except UnicodeDecodeError:
            raise InputError(
                f"{at}: wanted text, got bytes that are not UTF-8 ({value[:20]!r}); store the "
                "numbers as uint8 or the text value.hex()"
            ) from None
    if not isinstance(value, str):
        raise InputError(
            f"{at}: wanted values of one kind ({KINDS}), got an array of objects with "
            f"{value!r:.60} of {type(value).__name__}; convert it with astype"
        )
    if any(ord(c) == 0 or 0xD800 <= ord(c) < 0xE000 for c in value):
        raise InputError(
            f"{at}: wanted text that can be written as UTF-8 without NUL, got {value!r:.60}; "
            "replace these characters"
        )
    return str.__str__(value)


def encode(ds: xr.Dataset) -> xr.Dataset:
    """A normal data set as it is written; coordinates that are not dimensions are named in an
    attribute, as CF does.
    """
    found = {}
    for name, var in ds.variables.items():
        attrs = attributes.encode(var.attrs)
        values, kind = var.values, var.dtype.kind
        if kind in TIMES:
            values = values.view("i8")
            attrs |= {
                f"{attributes.JSON}{k}": json.dumps(attrs.pop(k))
                for k in TIMES[kind].keys() & attrs.keys()
            }
            attrs |= TIMES[kind]
        found[name] = (var.dims, values, attrs)
    besides = [str(n) for n in ds.coords if n not in ds.dims]
    named = {"coordinates": " ".join(besides)} if besides else {}
    return xr.Dataset(found, attrs=attributes.encode(ds.attrs) | named)


def decode(variables: dict[str, xr.Variable], attrs: dict[str, Any]) -> xr.Dataset:
    """The data set of what was read from a file, values in memory."""
    found = {}
    for name, var in variables.items():
        held = dict(var.attrs)
        values = var.values
        for kind, times in TIMES.items():
            if values.dtype == np.int64 and times.items() <= held.items():
                values = values.view(f"{kind}8[ns]")
                held = {k: v for k, v in held.items() if k not in times}
        found[name] = xr.Variable(var.dims, values, attributes.decode(held))
    attrs = dict(attrs)
    besides = str(attrs.pop("coordinates", "")).split()
    ds = xr.Dataset(found, attrs=attributes.decode(attrs))
    return ds.set_coords([n for n in besides if n in ds.data_vars])
