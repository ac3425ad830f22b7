"""Published numbers are computed again from the networks shipped beside them: the same bits, and
what was changed is named.
"""

import json
import shutil
from pathlib import Path

import pytest
import torch
import xarray as xr
from made_up_runs import flip, ran
from safetensors import safe_open

import archbias
from archbias import cli, families, sample, seeds, store, study
from archbias.errors import InputError
from archbias.study import shipped

STUDIES = Path(__file__).parents[2] / "studies"


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A made-up study with its numbers and networks beside it; its run lies there too."""
    folder = tmp_path_factory.mktemp("published") / "made_up"
    folder.mkdir()
    (folder / "study.py").write_text("from made_up_runs import STUDY\n")
    run = ran(folder.parent / "run")
    export(run, folder)
    return folder


def export(run, folder, *more) -> None:
    words = ["export", str(run), str(folder / "results.nc"), "--networks", str(folder), *more]
    assert cli.main(words) == 0


@pytest.fixture
def copied(published, tmp_path):
    return shutil.copytree(published, tmp_path / "study")


def replayed(folder, out, *more) -> int:
    return cli.main(["verify", str(folder), "--replay", "--out", str(out), *more])


def index_of(folder) -> dict:
    return json.loads((folder / "networks.json").read_text(encoding="utf-8"))


def test_the_index_tells_what_a_network_saw_and_how_it_was_trained(published):
    [one] = index_of(published)["networks"]
    images = archbias.load("fashion_mnist", n=24)
    assert (one["name"], one["images"]["hash"], one["images"]["n"]) == ("mlp", images.hash, 24)
    assert one["images"]["terms"] == "MIT, Zalando SE 2017"
    assert one["settings"]["train"]["steps"] == 3
    with safe_open(published / one["file"], framework="pt") as file:
        kept = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
    assert {v.dtype for k, v in kept.items() if k.startswith("net.")} == {torch.float32}
    trained = (k for k in kept if k.startswith("net.") and not k.endswith(".frequencies"))
    assert one["parameters"] == sum(kept[k].numel() for k in trained)
    assert index_of(published)["bytes"] == (published / one["file"]).stat().st_size


def test_a_shipped_network_draws_what_the_run_drew(published):
    network = families.load(published / index_of(published)["networks"][0]["file"])
    start = seeds.normal(range(6), network.shape)
    x = sample.ddim(network, start, archbias.noise.cosine(3))
    kept = archbias.open_study(published.parent / "run")["samples/sample"].sel(family="mlp")
    torch.testing.assert_close(x, torch.from_numpy(kept.values), atol=1e-5, rtol=0)


def test_the_same_bits_without_training_and_again_from_where_it_stopped(
    published, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr("archbias.nets.descent.steps", None)  # whatever trains, raises
    assert replayed(published, tmp_path / "out") == 0
    said = capsys.readouterr()
    assert "rows replayed, all the same bits" in said.out
    assert "results.nc, mlp\n" in said.out
    assert "    agreement/r, wiener: published" in said.out
    assert "nothing is trained" in said.err
    cells = {p: p.stat().st_mtime_ns for p in (tmp_path / "out/results/cells").glob("*.nc")}
    assert cells
    assert replayed(published, tmp_path / "out", "--quiet") == 0
    assert cells == {p: p.stat().st_mtime_ns for p in cells}
    said = capsys.readouterr()
    assert said.out.count("\n") == 1
    assert said.err == ""


def test_a_flipped_bit_of_a_network_is_named(copied, tmp_path, capsys):
    [file] = (copied / "networks").iterdir()
    flip(file)
    assert replayed(copied, tmp_path / "out", "--quiet") == 1
    said = capsys.readouterr().out
    assert said.startswith(f"{file}: it does not match its checksum in networks.json\n")
    assert not (tmp_path / "out").exists()
    assert cli.main(["verify", str(copied)]) == 1
    file.unlink()
    capsys.readouterr()
    assert cli.main(["verify", str(copied)]) == 1
    assert f"{file}: it is missing" in capsys.readouterr().out


def test_a_changed_number_is_named_with_both_values(copied, tmp_path, capsys):
    tree = archbias.open_study(copied / "results.nc").load()
    at = {"family": "mlp", "predictor": "wiener", "seed": 1}
    true = tree["agreement"]["r"].sel(at).item()
    tree["agreement"]["r"].loc[at] = 0.123456
    store.publish(tree, copied / "results.nc")
    assert replayed(copied, tmp_path / "out", "--quiet") == 1
    said = capsys.readouterr().out
    assert (
        "not as published: agreement/r (mlp, wiener), published and replayed at seed 1 0.123456 "
        f"and {true:.6g}\n"
    ) in said
    assert "1 of them not as published" in said
    assert replayed(copied, tmp_path / "out", "--quiet", "--tolerance", "9") == 0


def test_published_numbers_that_are_not_computed_are_named(copied, tmp_path, capsys):
    """A variable, seeds or a group that the study no longer makes are no success."""
    tree = archbias.open_study(copied / "results.nc").load()
    seeds_of = tree["agreement"]["r"].sizes["seed"]
    more = tree["agreement"].to_dataset().pad(seed=(0, 1), constant_values=0.5)
    more = more.assign_coords(seed=range(seeds_of + 1))
    more["gone"] = more["r"].assign_attrs(long_name="of old", units="1")
    tree["agreement"] = xr.DataTree(more)
    tree["older"] = xr.DataTree(more[["gone"]])
    store.publish(tree, copied / "results.nc")
    assert replayed(copied, tmp_path / "out", "--quiet") == 1
    said = capsys.readouterr().out
    count = int(more["r"].isel(seed=-1).notnull().sum())
    assert "published and not computed: the group older" in said
    assert "agreement/gone" in said
    assert f"{count} values of agreement/r" in said


def test_what_needs_no_network_is_replayed_where_none_is_shipped(copied, tmp_path, capsys):
    (copied / "networks.json").unlink()
    assert replayed(copied, tmp_path / "none", "--quiet") == 0
    said = capsys.readouterr().out
    assert "of 1 rows replayed, all the same bits" in said  # the linear family is no network
    assert "not replayed: mlp (its network is not shipped)" in said


def test_one_file_of_numbers_is_replayed_alone(copied, tmp_path, capsys):
    shutil.copy(copied / "results.nc", copied / "longer.nc")
    assert replayed(copied / "longer.nc", tmp_path / "out", "--quiet") == 0
    said = capsys.readouterr().out
    assert said.startswith(f"{copied / 'longer.nc'}: ")
    assert said.count("\n") == 1
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["longer"]
    assert replayed(copied / "absent.nc", tmp_path / "out") == 2
    assert "wanted a file of published numbers, found none at" in capsys.readouterr().err


def test_images_that_are_not_at_hand_are_named(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("ARCHBIAS_DATA", str(tmp_path / "empty"))
    for name, row in (("unet_variants", "base"), ("score_machines", "celeba resnet")):
        assert replayed(name, tmp_path / name, "--quiet", "--rows", row) == 0
        said = capsys.readouterr().out
        assert f"not replayed: {row}" in said
        assert "(needs CelebA)" in said
    assert replayed("score_machines", tmp_path / "x", "--rows", "celeba renset") == 2
    assert "did you mean 'celeba resnet'" in capsys.readouterr().err
    assert replayed("score_machines", tmp_path / "x", "--set", "seeds=3") == 2
    assert "only where images lie" in capsys.readouterr().err
    assert cli.main(["verify", "score_machines", "--rows", "celeba resnet"]) == 2


def test_too_many_bytes_are_refused(published, tmp_path, monkeypatch):
    monkeypatch.setattr(shipped, "MOST", 1000)
    with pytest.raises(InputError, match="MB at most"):
        shipped.write(published.parent / "run", tmp_path)


CHANGES = {
    "score_machines": {
        "rows": ("fashion_mnist resnet", "fashion_mnist unet"),
        "scales": "cosine",
        "seeds": 2,
        "windows": (3, 5),
        "scale_steps": 2,
        "fixed": (),
        "kinds": (),
        "mosaic_seeds": 1,
    },
    "unet_variants": {"conditioning": "told", "channels": 4, "levels": 1, "pooling": "average"},
}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "rows"), [("score_machines", 2), ("unet_variants", 4)])
def test_a_study_with_its_networks_is_replayed_bit_by_bit(name, rows, tmp_path, capsys):
    folder = tmp_path / name
    folder.mkdir()
    shutil.copy(STUDIES / name / "study.py", folder)
    asked = study.load(folder)
    run = tmp_path / "run"
    assert not study.run(asked, asked.configure("toy", CHANGES[name]), run, threads=1).failed
    export(run, folder)
    assert len(index_of(folder)["networks"]) == 4
    assert replayed(folder, tmp_path / "out", "--quiet") == 0
    said = capsys.readouterr().out
    assert f"of {rows} rows replayed, all the same bits" in said
    was, now = (archbias.open_study(p)["agreement"] for p in (run, tmp_path / "out/results"))
    assert (
        now["r"].sortby(["family", "predictor"]).identical(was["r"].sortby(["family", "predictor"]))
    )
    if name == "score_machines":
        kept = [e for e in index_of(folder)["networks"] if "resnet" in e["name"]]
        (folder / "networks.json").write_text(json.dumps({"networks": kept}))
        assert replayed(folder, tmp_path / "one", "--quiet") == 0
        said = capsys.readouterr().out
        assert "of 1 rows replayed, all the same bits" in said
        assert "not replayed: fashion_mnist unet (its network is not shipped)" in said
