"""Two runs compared: what differs is named, and numbers are those computed by hand."""

import numpy as np
import pytest
import torch
import xarray as xr
from made_up_runs import ran

from archbias import cli, families, seeds, store
from archbias.errors import InputError
from archbias.study.difference import difference, lost


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    changed = {"families.mlp.train.seed": 1}
    return {
        "a": ran(folder / "a"),
        "again": ran(folder / "again"),
        "seed": ran(folder / "seed", **changed),
        "longer": ran(folder / "longer", seeds=8),
    }


def test_the_same_command_twice_is_said_to_give_the_same_bits(runs, capsys):
    assert cli.main(["diff", str(runs["a"]), str(runs["again"])]) == 0
    said = capsys.readouterr().out.splitlines()
    count = sum(len(n.data_vars) for n in store.open_study(runs["a"]).subtree)
    assert said == [f"{runs['a']} and {runs['again']} hold the same bits: {count} variables"]


def test_one_changed_training_seed_is_named_and_moves_what_was_trained_alone(runs, capsys):
    found = difference(runs["a"], runs["seed"])
    (change,) = found.changes
    assert (change.what, change.first, change.second) == (
        "settings.families.mlp.train.seed",
        0,
        1,
    )
    assert {q.labels[0] for q in found.differing} == {"mlp"}
    assert all(q.same for q in found.quantities if "linear" in q.labels or q.labels == ("wiener",))
    assert cli.main(["diff", str(runs["a"]), str(runs["seed"])]) == 1
    said = capsys.readouterr().out
    assert "settings.families.mlp.train.seed: 0 -> 1" in said
    assert "agreement/r (mlp, wiener): median over 6 seeds" in said


def test_numbers_are_the_medians_and_extremes_of_the_stores(runs):
    found = {(q.name, q.labels): q for q in difference(runs["a"], runs["seed"]).quantities}
    a, b = (store.open_study(runs[k]) for k in ("a", "seed"))
    r = [t["agreement/r"].sel(family="mlp", predictor="wiener").values for t in (a, b)]
    gap = r[1].astype(float) - r[0]
    one = found["agreement/r", ("mlp", "wiener")]
    assert one.difference.value == pytest.approx(np.median(gap), rel=1e-12)
    assert one.difference.low <= one.difference.value <= one.difference.high
    assert one.difference.n == 6
    assert one.largest == pytest.approx(np.abs(gap).max(), rel=1e-12)
    x = [t["samples/sample"].sel(family="mlp").values.astype(float) for t in (a, b)]
    rms = np.sqrt(((x[1] - x[0]) ** 2).reshape(6, -1).mean(1))
    pictures = found["samples/sample", ("mlp",)]
    assert pictures.difference.value == pytest.approx(np.median(rms), rel=1e-12)
    assert pictures.values == x[0].size


def test_runs_of_other_seeds_are_compared_on_those_they_share(runs, capsys):
    found = difference(runs["a"], runs["longer"])
    assert [str(c) for c in found.changes] == ["settings.seeds: 6 -> 8"]
    assert f"only {runs['longer']} has the seeds 6, 7" in found.apart
    assert not found.same
    assert cli.main(["diff", str(runs["a"]), str(runs["longer"])]) == 1
    said = capsys.readouterr().out
    own = [q for q in found.quantities if q.labels == ("mlp",)]
    # a network's rows may round otherwise in a batch of 8 than in one of 6: the processor decides
    mlp = families.load(next((runs["a"] / "models").glob("mlp*")))
    y = seeds.normal(range(8), mlp.shape)
    if torch.equal(mlp(y, 1.0)[:6], mlp(y[:6], 1.0)) and all(q.same for q in own):
        assert "the same bits in what they share" in said
    else:
        assert all(q.largest < 1e-4 for q in own if q.group.startswith("samples"))


def made(path, families, values, **attrs):
    dims = ("family", "seed")
    coordinates = {"family": families, "seed": np.arange(values["v"].shape[1])}
    ds = xr.Dataset({k: (dims, v) for k, v in values.items()}, coordinates)
    ds["seconds"] = (dims, np.random.default_rng().random(values["v"].shape))
    for name in ds.data_vars:
        ds[name].attrs = {"long_name": name, "units": "s" if name == "seconds" else "1"}
    store.write_cell(path / "a.nc", {"g": ds}, {})
    store.collect([path / "a.nc"], path / "store.zarr", {"study": "t", **attrs})
    return path


def test_labels_text_and_undefined_values(tmp_path):
    v = np.arange(6.0).reshape(2, 3)
    text = np.array([["x", "y", "z"]] * 2)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    a = made(tmp_path / "a", ["m", "n"], {"v": v, "t": text}, torch="1", host="here")
    w, other = v.copy(), text.copy()
    w[0], other[0, 1] = [np.nan, np.inf, 2.5], "w"
    b = made(tmp_path / "b", ["m", "k"], {"v": w, "t": other}, torch="2", host="there")
    found = difference(a, b)
    assert [str(c) for c in found.changes] == ["torch: 1 -> 2"]
    assert found.times == ["g/seconds"]
    assert f"only {a} has the family n" in found.apart
    assert f"only {b} has the family k" in found.apart
    numbers, words = (next(q for q in found.quantities if q.variable == k) for k in "vt")
    assert (numbers.labels, numbers.differing, numbers.largest) == (("m",), 3, 0.5)
    assert (numbers.difference.value, numbers.difference.missing) == (0.5, 2)
    assert (words.differing, words.values, words.difference) == (1, 3, None)


def test_labels_that_differ_by_rounding_are_one(tmp_path):
    """As noise levels do on two processors; what they hold is compared, and said."""
    v = np.arange(8.0).reshape(2, 4)
    levels = np.array([0.002, 0.5, 3.0, 80.0])
    for name, sigma in (("a", levels), ("b", np.nextafter(levels, 99)), ("c", levels * 1.001)):
        (tmp_path / name).mkdir()
        one = (("family", "sigma"), v, {"long_name": "v", "units": "1"})
        ds = xr.Dataset({"v": one}, {"family": ["m", "n"], "sigma": sigma})
        store.write_cell(tmp_path / name / "a.nc", {"g": ds}, {})
        store.collect([tmp_path / name / "a.nc"], tmp_path / name / "store.zarr", {"study": "t"})
    found = difference(tmp_path / "a", tmp_path / "b")
    assert [q.values for q in found.quantities] == [4, 4]
    assert all(q.same for q in found.quantities)
    assert found.apart == ["labels sigma of g differ by rounding"]
    assert not found.same
    assert lost(tmp_path / "a", tmp_path / "b") == []
    assert difference(tmp_path / "a", tmp_path / "c").quantities == []
    assert lost(tmp_path / "a", tmp_path / "c") == ["8 values of g/v"]


def test_equal_texts_are_the_same_however_wide_their_array(tmp_path):
    narrow, wide = np.array([["x", "y"]], "<U1"), np.array([["x", "y"], ["longer", "z"]])
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    a = made(tmp_path / "a", ["m"], {"v": np.zeros((1, 2)), "t": narrow})
    b = made(tmp_path / "b", ["m", "n"], {"v": np.zeros((2, 2)), "t": wide})
    (words,) = (q for q in difference(a, b).quantities if q.variable == "t")
    assert words.same


def test_what_is_no_run_is_refused(runs, tmp_path):
    with pytest.raises(InputError, match="wanted a study's store"):
        difference(runs["a"], tmp_path)
