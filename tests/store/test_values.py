"""What a cell returns comes back from its file and from the joined store, or is refused by name."""

import datetime
import enum
import math
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from archbias import store
from archbias.errors import InputError
from archbias.store import attributes

DTYPES = [
    *("?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16"),
    *(">i4", ">f8", "U8", "M8[ns]", "M8[s]", "M8[D]", "m8[ns]", "m8[ms]"),
]
text = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=8)
names = st.text(st.characters(min_codepoint=32, exclude_characters="/\\", codec="utf-8"), min_size=1)
names = names.filter(lambda n: len(n.encode()) < 60 and n not in (".", "..", "x", "y"))
names = names.filter(lambda n: not n.startswith("__") and " " not in n)
numbers = st.one_of(
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.booleans(),
    st.integers(-100, 100).map(np.int16),
    st.floats(width=32).map(np.float32),
    st.booleans().map(np.bool_),
    hnp.arrays(st.sampled_from(["i4", "u8", "f4", "f8", "?", "U3"]), hnp.array_shapes(min_dims=0)),
)
anything = st.recursive(
    st.one_of(st.none(), st.text(max_size=12), text.map(str.encode), numbers, st.dates()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.text(max_size=5), inner, max_size=3),
    ),
    max_leaves=6,
)
MEANT = ["dtype", "_FillValue", "scale_factor", "add_offset", "missing_value", "coordinates"]
MEANT += ["calendar", "CLASS", "NAME", "DIMENSION_LIST", "json_x", "grid_mapping", "valid_range"]
attrs = st.dictionaries(st.one_of(names, st.sampled_from(MEANT)), anything, max_size=4)


@st.composite
def datasets(draw) -> xr.Dataset:
    """One labelled and one bare dimension, variables of any kind over none, one or both."""
    labels = draw(
        hnp.arrays(
            st.sampled_from(["i8", "u8", "f4", "f8", "U5", "M8[ns]"]),
            st.integers(0, 3),
            elements=None,
            unique=True,
        )
    )
    if labels.dtype.kind == "U":
        labels = np.array([f"é{i}" for i in range(len(labels))], dtype=str)
    elif labels.dtype.kind in "fM":
        labels = np.arange(len(labels)).astype(labels.dtype)
    sizes = {"x": len(labels), "y": draw(st.integers(0, 3))}
    found = {}
    for name in draw(st.lists(names, min_size=1, max_size=3, unique=True)):
        dims = draw(st.sampled_from([(), ("x",), ("y",), ("y", "x")]))
        dtype = np.dtype(draw(st.sampled_from(DTYPES)))
        elements = text if dtype.kind == "U" else None
        if dtype.kind in "mM":
            elements = st.integers(-10_000, 10_000).map(
                lambda n, d=dtype: np.array(n).astype(d)[()]
            )
        shape = tuple(sizes[d] for d in dims)
        values = draw(hnp.arrays(dtype, shape, elements=elements))
        own = draw(attrs) | store.about(
            draw(text), draw(st.sampled_from(["", "s", "days since 1"]))
        )
        found[name] = (dims, values, own)
    ds = xr.Dataset(found, {"x": ("x", labels, draw(attrs))}, draw(attrs))
    return ds


def same(got: xr.Dataset, wanted: xr.Dataset) -> None:
    """Equal values, dtypes of the kinds that are kept, and attributes in the terms of JSON."""
    assert set(got.variables) == set(wanted.variables)
    assert set(got.coords) == set(wanted.coords)
    for name, var in wanted.variables.items():
        there = got[name].variable
        assert there.dims == var.dims
        if var.dtype.kind in "mMU":
            assert there.dtype.kind == var.dtype.kind
            assert (there.values == var.values.astype(there.dtype)).all()
        else:
            assert there.dtype == var.dtype.newbyteorder("=")
            np.testing.assert_array_equal(there.values, var.values)
        for key, value in var.attrs.items():
            assert repr(there.attrs[key]) == repr(attributes.plain(value, "")), key
    for key, value in wanted.attrs.items():
        assert repr(got.attrs[key]) == repr(attributes.plain(value, "")), key


quick = settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=40)


@quick
@given(ds=datasets(), root=attrs)
def test_every_dtype_and_attribute_comes_back_from_a_cell(tmp_path_factory, ds, root):
    path = tmp_path_factory.mktemp("cell") / "a.nc"
    root = {k: v for k, v in root.items() if k not in ("sha256", "archbias_format")}
    store.write_cell(path, {"g": ds}, root)
    tree = store.read_cell(path)
    same(tree["g"].to_dataset(), ds)
    for key, value in root.items():
        assert repr(tree.attrs[key]) == repr(attributes.plain(value, ""))


@settings(quick, max_examples=15)
@given(ds=datasets(), root=attrs)
def test_every_dtype_and_attribute_comes_back_from_a_store(tmp_path_factory, ds, root):
    folder = tmp_path_factory.mktemp("store")
    root = {k: v for k, v in root.items() if k not in ("sha256", "archbias_format")}
    store.write_cell(folder / "a.nc", {"g": ds}, {})
    assert store.collect([folder / "a.nc"], folder / "store.zarr", root) == {}
    tree = store.open_study(folder)
    same(tree["g"].to_dataset().load(), ds)
    for key, value in root.items():
        assert repr(tree.attrs[key]) == repr(attributes.plain(value, ""))
    # a reader who knows nothing of archbias sees the same numbers, and no warning
    with xr.open_zarr(folder / "store.zarr", group="g") as plain:
        for name, var in ds.variables.items():
            if var.dtype.kind in "mM":
                assert (plain[name].values == var.values.astype(plain[name].dtype)).all()
            elif var.dtype.kind == "U":
                assert plain[name].values.tolist() == var.values.tolist()
            else:
                np.testing.assert_array_equal(plain[name].values, var.values)
    store.publish(tree, folder / "numbers.nc")
    used = {d for v in ds.data_vars.values() for d in v.dims}
    kept = ds if "x" in used else ds.drop_vars("x")
    same(store.open_study(folder / "numbers.nc")["g"].to_dataset().load(), kept)
