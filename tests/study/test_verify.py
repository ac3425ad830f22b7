"""A run whose files were damaged is not whole: every file is named with what mends it, and it does.

What `verify` says is compared with what was done to the files, never with its own idea of them.
"""

import hashlib
import json
import shutil

import pytest
import torch
from made_up_runs import SETTINGS, STUDY, flip, ran

from archbias import cli, study
from archbias.denoise import Runtime
from archbias.errors import InputError
from archbias.nets import checkpoints
from archbias.study.verify import verify


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return ran(tmp_path_factory.mktemp("whole") / "run")


@pytest.fixture
def run(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "run")


def files(folder) -> dict[str, str]:
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in folder.rglob("*")
        if p.is_file()
    }


def test_a_whole_run_is_said_to_be_whole_in_one_sentence(run, capsys):
    chunks = [p for p in (run / "store.zarr").rglob("*") if p.is_file() and p.name != "zarr.json"]
    before = files(run)
    assert cli.main(["verify", str(run)]) == 0
    assert capsys.readouterr().out == (
        f"{run} is whole: 6 cells, 1 model, a manifest of 24 images, a store of {len(chunks)} "
        "chunks\n"
    )
    assert files(run) == before


def cut(path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def another_hash(path) -> None:
    """A manifest that is well formed and speaks of another image."""
    told = json.loads(path.read_text())
    told["images"][next(iter(told["images"]))] = "0" * 64
    path.write_text(json.dumps(told))


def another_setting(path) -> None:
    told = json.loads(path.read_text())
    told["settings"]["steps"] += 1
    path.write_text(json.dumps(told))


DAMAGE = {
    "cell flipped": ("cells/mlp.nc", flip),
    "cell cut": ("cells/compare-mlp.nc", cut),
    "cell lost": ("cells/linear.nc", lambda p: p.unlink()),
    "model flipped": ("models/mlp.safetensors", lambda p: flip(p, 0.9)),
    "model header flipped": ("models/mlp.safetensors", lambda p: flip(p, 0.01)),
    "model lost": ("models/mlp.safetensors", lambda p: p.unlink()),
    "manifest cut": ("manifest.json", cut),
    "manifest of another image": ("manifest.json", another_hash),
    "manifest lost": ("manifest.json", lambda p: p.unlink()),
    "record cut": ("run.json", cut),
    "record with another setting": ("run.json", another_setting),
    "record lost": ("run.json", lambda p: p.unlink()),
    "chunk flipped": ("store.zarr/novelty/distance/c/0/0", flip),
    "chunk lost": ("store.zarr/novelty/distance/c/0/0", lambda p: p.unlink()),
    "labels lost": ("store.zarr/novelty/family/c/0", lambda p: p.unlink()),
    "list flipped": ("store.zarr/checksums/zarr.json", flip),
    "store lost": ("store.zarr", shutil.rmtree),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_named_with_what_mends_it_and_that_mends_it(run, whole, name, capsys):
    where, damage = DAMAGE[name]
    damage(run / where)
    before = files(run)
    assert cli.main(["verify", str(run)]) == 1
    said = capsys.readouterr().out
    assert files(run) == before
    assert f"{run / where}: " in said
    assert "is not whole: 1 problem" in said
    assert "archbias run" in said
    if "delete it" in said:
        (run / where).unlink()
    ran(run)
    again = verify(run)
    assert again.whole, again.problems
    assert again.sentence() == verify(whole).sentence().replace(str(whole), str(run))


def test_what_was_not_computed_is_no_whole_run(run):
    (run / "cells" / "linear.nc").unlink()
    (run / "cells" / "linear.error.txt").write_text("ValueError: no\n")
    (problem,) = verify(run).problems
    assert problem.path == run / "cells" / "linear.nc"
    assert "it raised" in problem.what


def test_a_cell_of_another_run_is_named(run, tmp_path):
    other = ran(tmp_path / "other", steps=2)
    shutil.copy(other / "cells" / "linear.nc", run / "cells")
    (problem,) = verify(run).problems
    assert problem.path == run / "cells" / "linear.nc"
    assert "another settings" in problem.what
    shutil.copy(other / "cells" / "linear.nc", run / "cells" / "guest.nc")
    assert "no such cell" in {p.path.name: p.what for p in verify(run).problems}["guest.nc"]


def test_several_problems_are_all_named(run, capsys):
    for where in ("models/mlp.safetensors", "cells/linear.nc", "store.zarr/zarr.json"):
        flip(run / where)
    assert cli.main(["verify", str(run)]) == 1
    said = capsys.readouterr().out
    assert all(name in said for name in ("mlp.safetensors", "linear.nc", "zarr.json"))
    assert "3 problems" in said


def test_files_alone_are_checked_too(run, tmp_path, capsys):
    numbers = tmp_path / "numbers.nc"
    assert cli.main(["export", str(run), str(numbers)]) == 0
    alone = [
        numbers,
        run / "store.zarr",
        run / "models" / "mlp.safetensors",
        run / "manifest.json",
        run / "cells" / "mlp.nc",
    ]
    for path in alone:
        assert cli.main(["verify", str(path)]) == 0, path
    damaged = [numbers, run / "models" / "mlp.safetensors", run / "cells" / "mlp.nc"]
    for path in (*damaged, run / "store.zarr/novelty/distance/c/0/0"):
        flip(path, 0.9)
    (run / "manifest.json").write_text("{}")
    for path in alone:
        assert cli.main(["verify", str(path)]) == 1, path
    with pytest.raises(InputError, match="wanted a run folder"):
        verify(tmp_path)
    assert cli.main(["verify", str(tmp_path / "nowhere")]) == 2


@pytest.mark.parametrize("where", [0.3, 0.7, 0.99])
def test_a_damaged_checkpoint_is_named_and_never_resumed(tmp_path, where):
    spec, images = SETTINGS.families["mlp"], SETTINGS.data.load()
    folder = tmp_path / "run" / "checkpoints" / "mlp"
    wanted = spec.fit(images, runtime=Runtime(checkpoint=folder))
    (file,) = folder.glob("*.safetensors")
    checkpoints.check(file)
    (tmp_path / "run" / "cells").mkdir()
    flip(file, where)
    (problem,) = [p for p in verify(tmp_path / "run").problems if p.path == file]
    assert "damaged" in problem.what or "cannot be read" in problem.what
    got = spec.fit(images, runtime=Runtime(checkpoint=folder))
    assert all(torch.equal(v, got.state()[k]) for k, v in wanted.state().items())
    checkpoints.check(file)  # trained from the start, and kept anew


def test_a_run_of_an_older_archbias_is_whole_but_bears_no_checksum(run):
    record = json.loads((run / "run.json").read_text())
    del record["sha256"], record["images"]["manifest"]
    (run / "run.json").write_text(json.dumps(record))
    verdict = verify(run)
    assert verdict.whole
    assert "no checksum vouches for the manifest" in verdict.sentence()


def test_nothing_of_the_folder_is_executed(run, tmp_path):
    marker = tmp_path / "executed"
    for name in ("study.py", "figures.py", "sitecustomize.py"):
        (run / "models" / name).write_text(f"open({str(marker)!r}, 'w')")
    assert verify(run).whole
    assert not marker.exists()


def test_a_link_out_of_the_folder_is_named_and_not_followed(run, tmp_path):
    shutil.move(run / "models", tmp_path / "elsewhere")
    (run / "models").symlink_to(tmp_path / "elsewhere")
    (problem,) = verify(run).problems
    assert "a link out of the run folder" in problem.what


def test_a_damaged_record_is_never_taken_for_another_run(run):
    """A flipped setting in run.json is damage, not a run with other settings."""
    another_setting(run / "run.json")
    state = study.run(STUDY, SETTINGS, run, threads=torch.get_num_threads())
    assert not state.failed
    assert study.status(run)[0]["settings"]["steps"] == SETTINGS.steps
