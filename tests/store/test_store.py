"""The store: whole or absent, checked, joined without losing a label."""

import errno
import json

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from archbias import store
from archbias.errors import InputError


def group(family: str, seeds=range(3), value: float = 1.0) -> xr.Dataset:
    n = len(list(seeds))
    return xr.Dataset(
        {
            "distance": (("family", "seed"), np.full((1, n), value)),
            "nearest_id": (("family", "seed"), np.array([[f"{family}-{i}" for i in range(n)]])),
            "copy": (("family", "seed"), np.arange(n)[None] % 2 == 0),
        },
        {"family": [family], "seed": np.array(list(seeds))},
    )


def test_a_cell_reads_back_with_names_units_and_attributes(tmp_path):
    store.write_cell(tmp_path / "a.nc", {"novelty": group("linear")}, {"spec": "x"})
    tree = store.read_cell(tmp_path / "a.nc")
    xr.testing.assert_equal(tree["novelty"].to_dataset(), group("linear"))
    assert tree.attrs["spec"] == "x"
    for variable in tree["novelty"].variables.values():
        assert variable.attrs["long_name"]
        assert "units" in variable.attrs


def test_a_variable_nobody_described_is_refused(tmp_path):
    with pytest.raises(InputError, match="'mystery'"):
        store.write_cell(tmp_path / "a.nc", {"x": xr.Dataset({"mystery": ("seed", [1.0])})}, {})
    assert list(tmp_path.iterdir()) == []


def test_joined_labels_are_never_cut_to_the_first_cells_length(tmp_path):
    names = ["wie", "wiener", "a much longer label of a family", "é"]
    paths = []
    for i, name in enumerate(names):
        paths.append(tmp_path / f"{i}.nc")
        store.write_cell(paths[-1], {"novelty": group(name, value=float(i))}, {})
    store.collect(paths, tmp_path / "store.zarr", {"study": "t"})
    ds = store.open_study(tmp_path)["novelty"].to_dataset()
    assert ds["family"].values.tolist() == names
    assert ds["nearest_id"].sel(family="wiener").values.tolist() == [
        "wiener-0",
        "wiener-1",
        "wiener-2",
    ]
    for i, name in enumerate(names):
        assert (ds["distance"].sel(family=name) == i).all()
    again = tmp_path / "again.nc"
    # what was read from a store can be written again
    store.write_cell(again, {"novelty": ds.load()}, {})
    assert store.read_cell(again)["novelty"]["family"].values.tolist() == names


@settings(deadline=None, max_examples=15)
@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(0, 5)), min_size=1, max_size=6, unique=True
    )
)
def test_joining_places_every_value_and_leaves_holes_empty(tmp_path_factory, cells):
    folder = tmp_path_factory.mktemp("join")
    paths = []
    for i, (family, seed) in enumerate(cells):
        paths.append(folder / f"{i}.nc")
        store.write_cell(paths[-1], {"novelty": group(family, [seed], value=i + 0.5)}, {})
    store.collect(paths, folder / "store.zarr", {})
    ds = store.open_study(folder)["novelty"].to_dataset()
    for i, (family, seed) in enumerate(cells):
        assert ds["distance"].sel(family=family, seed=seed) == i + 0.5
    assert int(ds["distance"].notnull().sum()) == len(cells)
    assert int((ds["nearest_id"] != "").sum()) == len(cells)


def test_holes_of_integers_show_even_where_cells_repeat_a_block(tmp_path):
    """As data_variance, which every family's cell carries, would if it were an integer."""
    about = store.about("n")
    for i, (name, where) in enumerate({"n": [0, 1], "m": [0, 1, 2, 3]}.items()):
        ds = xr.Dataset({name: (("mode",), np.arange(1, len(where) + 1), about)}, {"mode": where})
        for copy in range(2):
            store.write_cell(tmp_path / f"{2 * i + copy}.nc", {"g": ds}, {})
    store.collect([tmp_path / f"{i}.nc" for i in range(4)], tmp_path / "store.zarr", {})
    ds = store.open_study(tmp_path)["g"]
    np.testing.assert_array_equal(ds["n"], [1, 2, np.nan, np.nan])
    np.testing.assert_array_equal(ds["m"], [1, 2, 3, 4])
    assert ds["m"].dtype.kind == "i"


def test_dimensions_of_no_length_are_joined(tmp_path):
    """One training image has no principal direction."""
    ds = xr.Dataset(
        {"law_variance": (("law", "mode"), np.zeros((1, 0)))},
        {"law": ["linear"], "mode": np.arange(0)},
    )
    store.write_cell(tmp_path / "a.nc", {"spectrum": ds}, {})
    store.collect([tmp_path / "a.nc"], tmp_path / "store.zarr", {})
    assert store.open_study(tmp_path)["spectrum"].sizes == {"law": 1, "mode": 0}


def test_a_label_given_twice_is_refused_and_missing_text_is_empty(tmp_path):
    twice = xr.concat([group("linear"), group("linear")], "family")
    # joined, the last would overwrite the first
    with pytest.raises(InputError, match="family = 'linear' twice"):
        store.write_cell(tmp_path / "a.nc", {"novelty": twice}, {})
    apart = xr.concat([group("a", range(2)), group("b", range(3))], "family", join="outer")
    store.write_cell(tmp_path / "b.nc", {"novelty": apart[["nearest_id"]]}, {})
    assert store.read_cell(tmp_path / "b.nc")["novelty"]["nearest_id"].values.tolist()[0] == [
        "a-0",
        "a-1",
        "",
    ]


def test_large_variables_are_filled_cell_by_cell(tmp_path, monkeypatch):
    monkeypatch.setattr(store.join, "LARGE", 100)
    rng = np.random.default_rng(0)
    values = rng.standard_normal((3, 4, 1, 5, 5)).astype("f4")
    for i in range(3):
        ds = xr.Dataset(
            {"sample": (("family", "seed", "channel", "row", "column"), values[i : i + 1])},
            {"family": [str(i)], "seed": range(4)},
        )
        store.write_cell(tmp_path / f"{i}.nc", {"samples": ds}, {})
    store.collect([tmp_path / f"{i}.nc" for i in range(3)], tmp_path / "store.zarr", {})
    np.testing.assert_array_equal(store.open_study(tmp_path)["samples/sample"].values, values)


@pytest.mark.parametrize("where", [0.3, 0.5, 0.7, 0.9])
def test_a_damaged_cell_is_found(tmp_path, where):
    path = tmp_path / "a.nc"
    ds = xr.Dataset({"distance": ("seed", np.random.default_rng(0).standard_normal(20_000))})
    store.write_cell(path, {"novelty": ds}, {})
    data = bytearray(path.read_bytes())
    data[int(where * len(data))] ^= 1
    path.write_bytes(data)
    with pytest.raises(store.CorruptCell):
        store.read_cell(path)


def test_a_cut_cell_is_found(tmp_path):
    path = tmp_path / "a.nc"
    store.write_cell(path, {"novelty": group("linear")}, {})
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(store.CorruptCell):
        store.read_cell(path)


def test_a_store_replaces_the_old_one_whole_or_not_at_all(tmp_path, monkeypatch):
    store.write_cell(tmp_path / "a.nc", {"novelty": group("linear")}, {})
    store.collect([tmp_path / "a.nc"], tmp_path / "store.zarr", {"round": 1})

    def fail(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as m:
        m.setattr(store.group.Group, "flush", fail)
        with pytest.raises(OSError, match="No space"):
            store.collect([tmp_path / "a.nc"], tmp_path / "store.zarr", {"round": 2})
    assert store.open_study(tmp_path).attrs["round"] == 1
    store.collect([tmp_path / "a.nc"], tmp_path / "store.zarr", {"round": 3})
    assert store.open_study(tmp_path).attrs["round"] == 3
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.nc", "store.zarr"]


def test_opening_nothing_says_what_to_do(tmp_path):
    with pytest.raises(InputError, match="archbias run"):
        store.open_study(tmp_path)


def test_the_digest_sees_values_names_and_dimensions():
    tree = xr.DataTree.from_dict({"novelty": group("linear")})
    same = xr.DataTree.from_dict({"novelty": group("linear")})
    assert store.digest(tree) == store.digest(same)
    assert store.digest(tree) != store.digest(
        xr.DataTree.from_dict({"novelty": group("linear", value=1 + 1e-16 + 1e-15)})
    )
    assert store.digest(tree) != store.digest(xr.DataTree.from_dict({"other": group("linear")}))
    assert store.digest(tree) != store.digest(
        xr.DataTree.from_dict({"novelty": group("linear").rename(seed="step")})
    )


def test_published_numbers_are_the_store_without_its_pictures(tmp_path):
    seed = {"family": ["a"], "seed": [0, 1]}
    picture = {
        "sample": (
            ("family", "seed", "row", "column"),
            np.zeros((1, 2, 3, 3)),
            {"long_name": "x", "units": ""},
        )
    }
    number = {
        "r": (
            ("family", "seed"),
            np.array([[0.25, np.nan]]),
            {"long_name": "correlation", "units": "1"},
        )
    }
    words = {
        "nearest": (
            ("family", "seed"),
            np.array([["one", "two"]]),
            {"long_name": "nearest image", "units": ""},
        )
    }
    tree = xr.DataTree.from_dict(
        {
            "samples": xr.Dataset(picture, seed | {"row": [0, 1, 2]}),
            "agreement": xr.Dataset(number, seed),
            "mixed": xr.Dataset(picture | words, seed | {"row": [0, 1, 2]}),
        }
    )
    settings = {
        "data": {"name": "celeba", "root": "/home/me/faces", "n": 3},
        "families": [{"root": "there"}],
        "weights": "/home/me/weights",
        "others": ["~/faces", "C:\\faces", "mean/image"],
    }
    tree.attrs = {"settings": json.dumps(settings), "host": "mine", "version": "1"}
    store.publish(tree, tmp_path / "numbers.nc")
    found = store.open_study(tmp_path / "numbers.nc")
    assert sorted(found.groups) == ["/", "/agreement", "/mixed"]
    xr.testing.assert_identical(found["agreement"].to_dataset(), tree["agreement"].to_dataset())
    xr.testing.assert_identical(found["mixed"].to_dataset(), xr.Dataset(words, seed))
    assert "host" not in found.attrs
    assert found.attrs["version"] == "1"
    assert json.loads(found.attrs["settings"]) == {
        "data": {"name": "celeba", "root": None, "n": 3},
        "families": [{"root": None}],
        "weights": None,
        "others": [None, None, "mean/image"],
    }
