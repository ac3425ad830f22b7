"""One row per seed, family and predictor, with names a person reads."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from made_up_store import SEEDS, tree

import archbias
from archbias import store
from archbias.errors import InputError

STUDIES = Path(__file__).parents[2] / "studies"


def test_one_row_per_seed_family_and_predictor():
    made = tree()
    frame = archbias.tidy(made, "agreement", readable=False)
    r = made["agreement/r"]
    assert len(frame) == r.size
    assert list(frame.columns[:3]) == ["seed", "family", "predictor"]
    for row in frame.sample(20, random_state=0).itertuples():
        place = {"family": row.family, "predictor": row.predictor, "seed": row.seed}
        assert row.r == float(r.sel(place))
    by_pandas = frame.groupby(["family", "predictor"])["r"].mean()
    for (family, predictor), mean in by_pandas.items():
        wanted = float(r.sel(family=family, predictor=predictor).mean())
        assert mean == pytest.approx(wanted)


@pytest.mark.parametrize("file", sorted(STUDIES.glob("*/*.nc")), ids=lambda p: f"{p.parent.name}")
def test_published_agreement_is_one_row_per_seed_family_and_predictor(file):
    made = store.open_study(file)
    groups = [g.strip("/") for g in made.groups if g.endswith("/agreement")]
    assert groups
    for group in groups:
        frame, raw = (archbias.tidy(made, group, readable=way) for way in (True, False))
        labels, ds = ["seed", "family", "predictor"], made[group].to_dataset()
        assert list(frame.columns[:3]) == labels
        assert not frame.duplicated(labels).any()
        assert len(frame) == ds.to_array().notnull().any("variable").sum()
        assert not set(frame.columns) & set(ds.data_vars)  # all have a readable name
        lines = frame.iloc[:: max(1, len(frame) // 20)]
        for row in raw.loc[lines.index].itertuples():
            wanted = float(ds["r"].sel({k: getattr(row, k) for k in labels}))
            assert row.r == wanted or (row.r != row.r and wanted != wanted)


def test_columns_read_as_long_name_and_units():
    made = tree()
    made["novelty"] = xr.DataTree(store.describe(made["novelty"].to_dataset()))
    frame = archbias.tidy(made, "novelty")
    assert "Euclidean distance to the nearest training image (pixel value)" in frame.columns
    assert len(set(frame.columns)) == len(frame.columns)
    assert len(frame) == SEEDS * len(tree()["novelty/family"])
    assert frame.to_csv(index=False).count("\n") == len(frame) + 1


def test_places_that_no_cell_filled_have_no_row(tmp_path):
    for i, (family, seeds) in enumerate({"a": [0, 1], "b": [1]}.items()):
        values = {
            "r": (("family", "seed"), np.ones((1, len(seeds))), store.about("r")),
            "word": (("family", "seed"), np.full((1, len(seeds)), "w"), store.about("word", "")),
        }
        ds = xr.Dataset(values, {"family": [family], "seed": seeds})
        store.write_cell(tmp_path / f"{i}.nc", {"g": ds}, {})
    store.collect([tmp_path / f"{i}.nc" for i in range(2)], tmp_path / "store.zarr", {})
    frame = archbias.tidy(tmp_path, "g")
    assert frame[["seed", "family"]].values.tolist() == [[0, "a"], [1, "a"], [1, "b"]]


def test_a_group_without_dimensions_is_one_row():
    made = xr.DataTree.from_dict({"g": xr.Dataset({"n": ((), 3)})})
    assert archbias.tidy(made, "g").to_dict("records") == [{"n": 3}]


def test_pictures_unknown_groups_and_bare_dimensions_are_refused():
    with pytest.raises(InputError, match=r"'samples' holds pictures \(sample\)"):
        archbias.tidy(tree(), "samples")
    with pytest.raises(InputError, match="did you mean 'agreement'"):
        archbias.tidy(tree(), "agrement")
    bare = xr.DataTree.from_dict({"g": xr.Dataset({"n": ("mode", [1.0, 2.0])})})
    with pytest.raises(InputError, match="got none for mode"):
        archbias.tidy(bare, "g")
