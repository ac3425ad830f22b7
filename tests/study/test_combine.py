"""Rows of a study that were computed apart join into what one run of all of them writes."""

import json

import pytest
import xarray as xr
from made_up_runs import ran

import archbias
from archbias import cli, study
from archbias.errors import InputError
from archbias.study import combine

ROWS = ("fashion_mnist resnet", "fashion_mnist unet")
SMALL = {
    "fashion_mnist.n": 20,
    "fashion_mnist.size": 8,
    "seeds": 2,
    "steps": 3,
    "network_steps": 3,
    "windows": (3,),
    "scale_steps": 2,
    "held_out": 0,
    "scales": ("cosine",),
    "mosaic_seeds": 1,
    "fixed": (),
    "kinds": (),
    "families.resnet.train.steps": 2,
    "families.unet.train.steps": 2,
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Folders of three runs: both rows, and each alone."""
    asked, folder = study.load("score_machines"), tmp_path_factory.mktemp("rows")
    for name, which in (("both", ROWS), ("first", ROWS[:1]), ("second", ROWS[1:])):
        settings = asked.configure("toy", SMALL | {"rows": which})
        assert not study.run(asked, settings, folder / name, threads=1).failed
    return folder


def exported(*words) -> xr.DataTree:
    assert cli.main(["export", *map(str, words)]) == 0
    return archbias.open_study(words[1])


def test_rows_join_into_what_one_run_writes(runs, tmp_path):
    whole = exported(runs / "both", tmp_path / "both.nc")
    exported(runs / "second", tmp_path / "second.nc")
    made = exported(runs / "first", tmp_path / "made.nc", "--with", tmp_path / "second.nc")
    assert [n.path for n in made.subtree] == [n.path for n in whole.subtree]
    for node in whole.subtree:
        xr.testing.assert_identical(
            made[node.path].to_dataset(inherit=False).drop_attrs(),
            node.to_dataset(inherit=False).drop_attrs(),
        )
    assert made.attrs["settings"] == whole.attrs["settings"]
    assert made.attrs["sets"] == whole.attrs["sets"]
    assert made.attrs["created"].count("; ") == (
        len({archbias.open_study(runs / n).attrs["created"] for n in ("first", "second")}) - 1
    )
    assert cli.main(["verify", str(tmp_path / "made.nc")]) == 0


def test_what_was_not_computed_alike_is_not_joined(runs, tmp_path, capsys):
    def refused(said, *sources):
        with pytest.raises(InputError, match=said):
            combine.combined(sources, tmp_path / "no.nc")
        assert not (tmp_path / "no.nc").exists()

    refused("both hold 'fashion_mnist resnet'", runs / "first", runs / "both")
    refused("have no rows to join", runs / "first", ran(tmp_path / "made up"))
    asked = study.load("score_machines")
    for name, changes, threads in (
        ("seeds", {"seeds": 1}, 1),
        ("threads", {}, 2),
        ("images", {"fashion_mnist.n": 19}, 1),
    ):
        settings = asked.configure("toy", SMALL | {"rows": ROWS[1:]} | changes)
        study.run(asked, settings, tmp_path / name, threads=threads)
    refused("run.settings.seeds: 2 -> 1", runs / "first", tmp_path / "seeds")
    refused("run.threads: 1 -> 2", runs / "first", tmp_path / "threads")
    refused("run.settings.fashion_mnist.n: 20 -> 19", runs / "first", tmp_path / "images")
    words = ["export", runs / "first", tmp_path / "no.nc", "--with", tmp_path / "nothing.nc"]
    assert cli.main(list(map(str, words))) == 2
    assert "nothing.nc does not exist" in capsys.readouterr().err


def test_images_of_one_name_must_be_the_same(runs):
    one = archbias.open_study(runs / "first").attrs
    other = archbias.open_study(runs / "second").attrs
    told = other | {"sets": json.dumps({"fashion_mnist": "0" * 64})}
    with pytest.raises(InputError, match=r"run\.sets\.fashion_mnist"):
        combine._both(one, told, "a and b")
