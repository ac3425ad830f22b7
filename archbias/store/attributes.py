"""Attributes that NetCDF, Zarr and xarray read alike.

    plain(value)     what is kept of a value: text, numbers, True, None, lists, dicts
    encode(attrs)    as it is written: text, a 64-bit integer, a finite float, or a list of one kind
    decode(attrs)    what `encode` was given

What one of the three formats has no word for (nothing, yes and no, a dict, an empty or mixed list,
NaN), and names to which one of them gives a meaning of its own (`dtype`, `_FillValue`,
`scale_factor`), is written as JSON text under the name with `json_` before it. Readers other than
`archbias.open_study` see that text and change no value by it.
"""

from __future__ import annotations

import contextlib
import datetime
import enum
import json
import math
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

import numpy as np

from ..errors import InputError

JSON = "json_"
LONGEST = 1000  # numbers in an attribute's list; HDF5 takes no more than 64 kB as they are

# names by which xarray, NetCDF or HDF5 change what the values mean
MEANT = {
    "add_offset",
    "calendar",
    "CLASS",
    "coordinates",
    "DIMENSION_LIST",
    "dtype",
    "grid_mapping",
    "missing_value",
    "NAME",
    "REFERENCE_LIST",
    "scale_factor",
}


def plain(value: Any, where: str) -> Any:
    """A value in the terms of JSON: numbers of NumPy, dates, paths and bytes become Python's own.

    Args:
        where: what holds it, for the message: "group 'g', variable 'v', attribute 'a'".

    Raises:
        InputError: it has no such form.
    """
    if value is None or isinstance(value, bool | np.bool_):
        return None if value is None else bool(value)
    if isinstance(value, str):
        return str.__str__(value)  # of a subclass too, such as torch.__version__
    if isinstance(value, bytes):
        with contextlib.suppress(UnicodeDecodeError):
            return value.decode("utf-8")
        raise InputError(
            f"{where}: wanted text, got bytes that are not UTF-8 ({value[:20]!r}); give value.hex()"
        )
    if isinstance(value, enum.Enum):
        return plain(value.value, where)
    if isinstance(value, np.datetime64 | np.timedelta64 | datetime.timedelta | PurePath | np.dtype):
        return str(value)
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        return float(value)
    if isinstance(value, Mapping):
        if any(not isinstance(k, str | int | float | bool) for k in value):
            bad = next(k for k in value if not isinstance(k, str | int | float | bool))
            raise InputError(
                f"{where}: wanted a dict with text as keys, got the key {bad!r}; name it by text"
            )
        return {str(k): plain(v, where) for k, v in value.items()}
    if isinstance(value, list | tuple | range):
        return [plain(v, where) for v in value]
    if hasattr(value, "__array__"):  # arrays, tensors, pandas and xarray objects
        array = np.asarray(value)
        if array.dtype.kind in "mM":
            array = array.astype(str)
        if array.dtype.kind in "biufSUT":
            return plain(array.tolist(), where)
    raise InputError(
        f"{where}: wanted text, numbers, or lists and dicts of them, got "
        f"{type(value).__module__}.{type(value).__qualname__}; convert it or leave it out"
    )


def checked(attrs: Mapping[Any, Any], where: str) -> dict[str, Any]:
    """Attributes in plain terms; an InputError names the one that cannot be kept."""
    found = {}
    for name, value in attrs.items():
        if not isinstance(name, str) or not printable(name):
            raise InputError(
                f"{where}: wanted an attribute's name of printable text, got {name!r}; rename it"
            )
        found[str.__str__(name)] = plain(value, f"{where}, attribute {name!r}")
    return found


def printable(text: str) -> bool:
    """Whether a name can be written everywhere: not empty, no control characters, valid Unicode."""
    return 0 < len(text) <= 200 and not any(ord(c) < 32 or 0xD800 <= ord(c) < 0xE000 for c in text)


def encode(attrs: Mapping[str, Any]) -> dict[str, Any]:
    """Checked attributes as all formats take them."""
    return {
        (name if native else f"{JSON}{name}"): (value if native else json.dumps(value))
        for name, value in attrs.items()
        for native in [_native(name, value)]
    }


def decode(attrs: Mapping[str, Any]) -> dict[str, Any]:
    """What `encode` was given, from any of the formats; other attributes in plain terms."""
    found = {}
    for name, value in attrs.items():
        if name.startswith(JSON) and isinstance(value, str):
            with contextlib.suppress(ValueError):
                found[name.removeprefix(JSON)] = json.loads(value)
                continue
        found[name] = plain(value, f"attribute {name!r}")
    return found


def _native(name: str, value: Any) -> bool:
    if name in MEANT or name.startswith(("_", JSON)) or "/" in name:
        return False
    if isinstance(value, str):
        # "days since 1970-01-01" would turn numbers into dates
        dates = name == "units" and " since " in value
        return not dates and not any(ord(c) == 0 or 0xD800 <= ord(c) < 0xE000 for c in value)
    if isinstance(value, list):
        kinds = {type(v) for v in value}
        return (
            2 <= len(value) <= LONGEST
            and len(kinds) == 1
            and kinds <= {int, float}
            and all(_native("", v) for v in value)
        )
    if isinstance(value, float):
        return math.isfinite(value)
    return type(value) is int and -(2**63) <= value < 2**63
