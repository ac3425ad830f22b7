"""What a cell returns comes back from its file and from the joined store, or is refused by name."""

import datetime
import enum
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from hypothesis import HealthCheck, given, settings
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
names = st.text(
    st.characters(min_codepoint=32, exclude_characters="/\\", codec="utf-8"), min_size=1
)
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


def cell(folder: Path, values: object, name: str = "value", **attrs: object) -> Path:
    """A cell of one variable over three seeds."""
    ds = xr.Dataset({name: (("seed",), values, store.about("v") | attrs)}, {"seed": np.arange(3)})
    store.write_cell(folder / "a.nc", {"g": ds}, {})
    return folder / "a.nc"


class Kind(enum.StrEnum):
    ONE = "one"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ([-1.0, 1.0], [-1.0, 1.0]),
        ((1, 2, 3), [1, 2, 3]),
        (np.arange(3, dtype="f4"), [0.0, 1.0, 2.0]),
        (np.arange(4).reshape(2, 2), [[0, 1], [2, 3]]),
        (np.array(2.5), 2.5),
        ([1], [1]),
        ([], []),
        ([1, "a", None], [1, "a", None]),
        (True, True),
        (np.bool_(False), False),
        (None, None),
        ({"a": {"b": [1, 2]}}, {"a": {"b": [1, 2]}}),
        (b"ab", "ab"),
        (np.str_("é"), "é"),
        (Kind.ONE, "one"),
        (2**64, 2**64),
        (-(2**63) - 1, -(2**63) - 1),
        (np.uint64(2**64 - 1), 2**64 - 1),
        (math.inf, math.inf),
        (datetime.date(2024, 2, 29), "2024-02-29"),
        (np.datetime64("2024-02-29"), "2024-02-29"),
        (np.dtype("f4"), "float32"),
        (Path("a") / "b", str(Path("a") / "b")),
        (torch.arange(2), [0, 1]),
        (torch.__version__, str(torch.__version__)),
        (list(range(20_000)), list(range(20_000))),
        ("a\0b", "a\0b"),
        ("\udce9", "\udce9"),
    ],
    ids=repr,
)
@pytest.mark.parametrize("name", ["note", "dtype", "_FillValue", "scale_factor", "units"])
def test_attributes_in_plain_terms(tmp_path, given, kept, name):
    path = cell(tmp_path, [1.0, 2.0, 3.0], **{name: given})
    assert store.read_cell(path)["g"]["value"].attrs[name] == kept
    store.collect([path], tmp_path / "store.zarr", {})
    found = store.open_study(tmp_path)["g"]["value"]
    assert found.attrs[name] == kept
    assert found.values.tolist() == [1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    ("values", "kept"),
    [
        (np.array([b"ab", b"c", b""]), ["ab", "c", ""]),
        (np.array(["ab", None, math.nan], dtype=object), ["ab", "", ""]),
        (pd.Categorical(["u", "v", "u"]), ["u", "v", "u"]),
        (pd.array(["s", None, "t"], dtype="string"), ["s", "", "t"]),
    ],
    ids=["bytes", "objects", "categories", "pandas"],
)
def test_text_of_any_kind_is_text(tmp_path, values, kept):
    path = cell(tmp_path, values)
    assert store.read_cell(path)["g"]["value"].values.tolist() == kept


@pytest.mark.parametrize(
    ("values", "attrs", "said"),
    [
        (np.ones(3, "f8"), {"made": print}, r"group 'g', variable 'value', attribute 'made'"),
        (np.ones(3, "f8"), {"z": 1 + 2j}, r"attribute 'z': wanted text, numbers"),
        (np.ones(3, "f8"), {"b": b"\xff"}, r"attribute 'b'.*not UTF-8"),
        (np.array([b"\xff"] * 3), {}, r"variable 'value': wanted text, got bytes"),
        (np.array([{1}, 2, "a"], dtype=object), {}, r"variable 'value': wanted values of one kind"),
        (np.array(["a\0b"] * 3, dtype=object), {}, r"variable 'value'.*without NUL"),
        (np.zeros(3, "V4"), {}, r"variable 'value': wanted bool, integers"),
        (np.array(["2400"] * 3, "M8[Y]"), {}, r"wanted times within 292 years"),
    ],
    ids=["function", "complex", "bytes", "binary", "mixed", "nul", "void", "far"],
)
def test_what_cannot_be_kept_is_named(tmp_path, values, attrs, said):
    with pytest.raises(InputError, match=said):
        cell(tmp_path, values, **attrs)
    assert list(tmp_path.iterdir()) == []


NAMES = ["a/b", "a\\b", "..", "__x", "", "a\nb", "zarr.json", "x" * 300, 3]


@pytest.mark.parametrize("name", NAMES)
def test_names_that_a_format_cannot_hold_are_refused(tmp_path, name):
    with pytest.raises(InputError, match="rename it"):
        cell(tmp_path, np.ones(3), name=name)


@pytest.mark.parametrize("name", ["", "a\nb", "x" * 300, 3])
def test_names_of_attributes_are_printable_text(tmp_path, name):
    ds = xr.Dataset({"v": ((), 1.0, store.about("v") | {name: 1})})
    with pytest.raises(InputError, match="variable 'v': wanted an attribute's name"):
        store.write_cell(tmp_path / "b.nc", {"g": ds}, {})


def test_what_is_no_data_set_is_refused(tmp_path):
    with pytest.raises(InputError, match="wanted data sets by the name"):
        store.write_cell(tmp_path / "a.nc", [xr.Dataset()], {})
    with pytest.raises(InputError, match=r"group 'g': wanted an xarray\.Dataset, got DataArray"):
        store.write_cell(tmp_path / "a.nc", {"g": xr.DataArray(1.0)}, {})
    twice = pd.MultiIndex.from_product([[1, 2], ["a"]], names=["p", "q"])
    ds = xr.Dataset({"v": ("s", [1.0, 2.0], store.about("v"))})
    ds = ds.assign_coords(xr.Coordinates.from_pandas_multiindex(twice, "s"))
    with pytest.raises(InputError, match="MultiIndex"):
        store.write_cell(tmp_path / "a.nc", {"g": ds}, {})
    ds = xr.Dataset({"v": ("sigma", [1.0, 2.0], store.about("v"))}, {"sigma": [1.0, np.nan]})
    with pytest.raises(InputError, match="labels that name their place"):
        store.write_cell(tmp_path / "a.nc", {"g": ds}, {})


def test_labels_of_nested_groups_stay_with_each_group(tmp_path):
    """A tree keeps a label that parent and child share once; a store joins the groups apart."""
    paths = []
    for i in range(2):
        seeds = {"seed": [2 * (1 - i), 2 * (1 - i) + 1]}
        ds = xr.Dataset({"v": ("seed", np.array(seeds["seed"], float), store.about("v"))}, seeds)
        paths.append(tmp_path / f"{i}.nc")
        store.write_cell(paths[-1], {"g": ds, "g/h": ds.rename(v="w")}, {})
    store.collect(paths, tmp_path / "store.zarr", {})
    found = store.open_study(tmp_path)["g/h"].to_dataset()
    assert found["w"].sel(seed=[0, 1, 2, 3]).values.tolist() == [0, 1, 2, 3]


def test_coordinates_that_are_no_dimensions_stay_coordinates(tmp_path):
    ds = xr.Dataset(
        {"v": ("seed", [1.0, 2.0], store.about("v"))},
        {"seed": [0, 1], "kind": ("seed", ["a", "b"], store.about("kind", ""))},
    )
    store.write_cell(tmp_path / "a.nc", {"g": ds}, {})
    store.collect([tmp_path / "a.nc"], tmp_path / "store.zarr", {})
    for tree in (store.read_cell(tmp_path / "a.nc"), store.open_study(tmp_path)):
        assert set(tree["g"].coords) == {"seed", "kind"}
        assert tree["g"].attrs == {}
