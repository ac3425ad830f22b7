"""The runner: resume after any death with the same numbers, refuse what does not belong, tell what
failed.
"""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import xarray as xr

from archbias import cli, store, study
from archbias.errors import InputError

ROOT = Path(__file__).parents[2]

COUNTING = """
import time
from dataclasses import dataclass
import numpy as np, xarray as xr
from archbias.study import Cell, Study

@dataclass(frozen=True, kw_only=True)
class Settings:
    cells: int = 4
    sleep: float = 0.0
    fail: str = ""
    word: str = "a"

def make(settings, i):
    def run(work):
        time.sleep(settings.sleep)
        if settings.fail == str(i):
            raise ZeroDivisionError("on purpose")
        values = np.random.default_rng(i).standard_normal((1, 5))
        distance = (("family", "seed"), values)
        one = xr.Dataset({"distance": distance}, {"family": [f"f{i}"], "seed": range(5)})
        return {"novelty": one}
    return Cell(f"f{i}", run, after=(f"f{i-1}",) if i == 2 else ())

STUDY = Study(name="counting", question="How far?", settings=Settings(),
              cells=lambda s: [make(s, i) for i in range(s.cells)], presets={"toy": {"cells": 2}})
"""


@pytest.fixture
def counting(tmp_path) -> Path:
    folder = tmp_path / "counting"
    folder.mkdir()
    (folder / "study.py").write_text(COUNTING)
    return folder


def command(*words, **options) -> subprocess.CompletedProcess:
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-m", "archbias.cli", *map(str, words)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=env,
        **options,
    )


def digests(run: Path) -> dict[str, str]:
    return {
        p.name: store.read_cell(p).attrs["sha256"] for p in sorted((run / "cells").glob("*.nc"))
    }


def test_a_run_is_joined_and_a_second_run_computes_nothing(counting, tmp_path):
    s = study.load(counting)
    state = study.run(s, s.settings, tmp_path / "run")
    assert state == study.State(("f0", "f1", "f2", "f3"), (), {})
    tree = store.open_study(tmp_path / "run")
    assert tree["novelty/distance"].shape == (4, 5)
    assert tree.attrs["study"] == "counting"
    assert json.loads(tree.attrs["settings"])["cells"] == 4
    stamps = {p: p.stat().st_mtime_ns for p in (tmp_path / "run/cells").iterdir()}
    study.run(s, s.settings, tmp_path / "run")
    assert stamps == {p: p.stat().st_mtime_ns for p in (tmp_path / "run/cells").iterdir()}


def test_killed_with_9_and_run_again_ends_with_the_same_values(counting, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    words = [counting, "--set", "sleep=0.4", "--quiet", "--out"]
    process = subprocess.Popen(
        [sys.executable, "-m", "archbias.cli", "run", *map(str, words), str(killed)],
        cwd=ROOT,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while not (killed / "cells/f1.nc").is_file():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert len(digests(killed)) < 4
    assert command("run", *words, killed).returncode == 0
    assert command("run", *words, whole).returncode == 0
    assert digests(killed) == digests(whole)
    assert len(digests(whole)) == 4
    assert [p.name for p in killed.rglob("*.part")] == []


def test_what_a_killed_run_was_writing_is_swept_by_the_next(counting, tmp_path):
    s, run = study.load(counting), tmp_path / "run"
    study.run(s, s.settings, run)
    files = [
        run / "cells/.f1.nc.ab12.part",
        run / "models/.unet.safetensors.part",
        run / "checkpoints/f1/.unet.safetensors.part",
    ]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("half")
    for folder in (".store.zarr.cd34.part", ".store.zarr.ef56.old"):
        (run / folder / "samples").mkdir(parents=True)
    kept = run / "notes.part"
    kept.write_text("mine")
    study.run(s, s.settings, run)
    assert kept.read_text() == "mine"
    assert not [p for p in run.rglob(".*") if p.suffix in (".part", ".old")]
    assert store.open_study(run)["novelty/distance"].shape == (4, 5)


def test_checkpoints_of_a_cell_that_was_written_go_with_the_next_run(counting, tmp_path):
    s, run = study.load(counting), tmp_path / "run"
    study.run(s, s.settings, run)
    left, others = run / "checkpoints/f1", run / "checkpoints/of another"
    for place in (left, others):  # as after a kill between the cell and its checkpoints' end
        place.mkdir(parents=True)
        (place / "step.safetensors").write_bytes(b"x")
    study.run(s, s.settings, run)
    assert not left.exists()
    assert others.exists()


def test_training_killed_with_9_resumes_to_the_same_values(tmp_path):
    """The real thing: a network killed while it trains; the rest of its steps and its samples are
    bit for bit the same.
    """
    words = [
        "studies/families",
        "--preset",
        "toy",
        "--quiet",
        "--set",
        "families.unet.train.steps=120",
        "--out",
    ]
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "archbias.cli", "run", *words, str(killed)],
        cwd=ROOT,
        env=env,
        start_new_session=True,
    )
    deadline = time.monotonic() + 300
    while (
        not list((killed / "checkpoints/unet").glob("*"))
        and not (killed / "cells/unet.nc").is_file()
    ):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert command("run", *words, killed).returncode == 0
    assert command("run", *words, whole).returncode == 0
    assert digests(killed) == digests(whole)


def test_a_cell_that_raises_is_told_and_the_others_finish(counting, tmp_path):
    done = command("run", counting, "--set", "fail=1", "--out", tmp_path / "run", "--quiet")
    assert done.returncode == 1
    assert "cell f1 failed: ZeroDivisionError: on purpose" in done.stderr
    assert "Traceback" in (tmp_path / "run/cells/f1.error.txt").read_text()
    _, state = study.status(tmp_path / "run")
    assert state.done == ("f0", "f3")
    assert state.waiting == ("f2",)  # it reads f1
    assert list(state.failed) == ["f1"]
    assert "failed   f1" in command("status", tmp_path / "run").stdout


def test_a_damaged_cell_is_computed_again_and_said(counting, tmp_path):
    s = study.load(counting)
    study.run(s, s.settings, tmp_path / "run")
    before = digests(tmp_path / "run")
    (tmp_path / "run/cells/f3.nc").write_bytes(b"half")
    done = command("run", counting, "--out", tmp_path / "run")
    assert done.returncode == 0
    assert "f3.nc cannot be read" in done.stderr
    assert "computing cell f3 again" in done.stderr
    assert digests(tmp_path / "run") == before


def test_a_folder_of_another_run_is_refused(counting, tmp_path):
    run = tmp_path / "run"
    assert command("run", counting, "--out", run, "--quiet").returncode == 0
    done = command("run", counting, "--out", run, "--set", "word=b", "--quiet")
    assert done.returncode == 2
    assert "settings word = 'a', this run wants 'b'; choose another --out" in done.stderr
    record = json.loads((run / "run.json").read_text())
    del record["sha256"]  # as an older archbias wrote it
    (run / "run.json").write_text(json.dumps(record | {"version": "0.0.1"}))
    done = command("run", counting, "--out", run, "--quiet")
    assert done.returncode == 2
    assert "'0.0.1'" in done.stderr


def test_a_record_that_lacks_a_setting_had_its_default(counting, tmp_path):
    """Runs of a version with fewer settings go on."""
    run = tmp_path / "run"
    assert command("run", counting, "--out", run, "--quiet").returncode == 0
    record = json.loads((run / "run.json").read_text(encoding="utf-8"))
    assert record["settings"].pop("word") == "a"
    del record["sha256"]  # as an older archbias wrote it
    (run / "run.json").write_text(json.dumps(record), encoding="utf-8")
    done = command("run", counting, "--out", run, "--set", "word=b", "--quiet")
    assert "settings word = 'a', this run wants 'b'" in done.stderr
    assert command("run", counting, "--out", run, "--quiet").returncode == 0


def test_a_study_crops_photographs_of_several_sizes(tmp_path):
    """The remedy that loading them names exists at a study's door."""
    import numpy as np
    from PIL import Image

    for i, shape in enumerate([(20, 30, 3), (31, 24, 3)]):
        x = np.random.default_rng(i).integers(0, 256, shape, dtype=np.uint8)
        Image.fromarray(x).save(tmp_path / f"{i}.png")
    images = study.Images(name="folder", root=str(tmp_path), n=2, size=8)
    with pytest.raises(InputError, match="crop='centre'"):
        images.load()
    cropped = dataclasses.replace(images, crop="centre").load()
    assert cropped.shape == (3, 8, 8)


def test_two_runs_on_one_folder_never_meet(counting, tmp_path):
    run = tmp_path / "run"
    first = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "archbias.cli",
            "run",
            str(counting),
            "--set",
            "sleep=1.5",
            "--quiet",
            "--out",
            str(run),
        ],
        cwd=ROOT,
    )
    while not (run / "run.json").is_file():
        assert first.poll() is None
        time.sleep(0.05)
    second = command("run", counting, "--set", "sleep=1.5", "--quiet", "--out", run)
    assert second.returncode == 2
    assert "another run is writing" in second.stderr
    assert first.wait() == 0
    assert len(digests(run)) == 4


def test_the_plan_shows_cells_cost_and_what_is_done(counting, tmp_path):
    done = command("run", counting, "--dry-run", "--out", tmp_path / "run")
    assert done.returncode == 0
    assert done.stdout.count("to do") == 4
    assert "default settings" not in done.stdout
    # its cells' cost is a constant
    assert "default settings" in command("run", counting, "--dry-run", "--preset", "toy").stdout
    assert not (tmp_path / "run").exists()
    s = study.load(counting)
    study.run(s, s.settings, tmp_path / "run")
    assert "to do" not in command("run", counting, "--dry-run", "--out", tmp_path / "run").stdout
    done = command("run", counting, "--set", "word=b", "--dry-run", "--out", tmp_path / "run")
    assert done.returncode == 2  # as the run itself would say: those cells are none of its own
    assert "word = 'a', this run wants 'b'" in done.stderr


def test_the_plan_claims_nothing_of_cells_that_the_default_settings_do_not_have(counting):
    named = COUNTING.replace('Cell(f"f{i}"', 'Cell(f"{settings.word}{i}"')
    named = named.replace('(f"f{i-1}",)', '(f"{settings.word}{i-1}",)')
    assert named.count("settings.word") == 2
    (counting / "study.py").write_text(named)
    for words, told in ((("--preset", "toy"), True), (("--set", "word=b"), False)):
        done = command("run", counting, "--dry-run", *words)
        assert done.returncode == 0
        assert ("default settings" in done.stdout) == told


def test_a_run_refused_for_its_images_leaves_no_folder(tmp_path):
    for wrong in ("data=celebA", "data.n=-3", "data.n=5000"):
        assert (
            cli.main(
                [
                    "run",
                    "studies/families",
                    "--quiet",
                    "--set",
                    wrong,
                    "--out",
                    str(tmp_path / "run"),
                ]
            )
            == 2
        )
    assert not (tmp_path / "run").exists()


def test_settings_change_by_dotted_names():
    s = study.load(ROOT / "studies/families")
    changed = s.configure(
        "toy", {"data": "mnist", "data.n": 7, "families.linear, rank 20.rank": 3, "steps": 9}
    )
    assert changed.data == study.Images(name="mnist", n=7, size=14)
    assert changed.families["linear, rank 20"].rank == 3
    assert changed.steps == 9
    with_machine = s.configure(None, {"families.els": "els(window=5)"})
    assert with_machine.families["els"].window == 5


@pytest.mark.parametrize("seed", [None, 3])
def test_unseen_images_are_none_of_those_seen(seed):
    images = study.Images(n=30, seed=seed)
    unseen = images.unseen(20)
    assert len(unseen) == len(set(unseen.ids)) == 20
    assert not set(unseen.ids) & set(images.load().ids)
    if seed is None:
        assert unseen.ids == study.Images(n=50).load().ids[30:]


def test_none_is_taken_where_the_type_admits_it():
    s = study.load(ROOT / "studies/families")
    changed = s.configure("toy", {"data.size": None, "families.linear, rank 20.rank": None})
    assert changed.data.size is None
    assert changed.families["linear, rank 20"].rank is None
    with pytest.raises(InputError, match=r"'data\.n' must be int"):
        s.configure("toy", {"data.n": None})


@pytest.mark.parametrize(
    ("preset", "change", "message"),
    [
        ("tiny", {}, "no preset 'tiny'; "),
        (None, {"step": 5}, "'step'.*did you mean 'steps'"),
        (None, {"data.m": 5}, "'data.m'"),
        (None, {"families.unit.levels": 2}, "unknown entry 'unit'; did you mean 'unet'"),
        (None, {"families.unet.level": 2}, "did you mean 'levels'"),
        (None, {"steps": "many"}, "must be int"),
        (None, {"steps.x": 1}, "no settings of its own"),
        (None, {"families.x": "elz"}, "unknown family 'elz'; did you mean 'els'"),
        (None, {"families.x": "els(windw=3)"}, "no setting 'windw'; did you mean 'window'"),
        (None, {"families.x": "els("}, "NAME or NAME"),
    ],
)
def test_bad_settings_name_the_nearest_good_ones(preset, change, message):
    s = study.load(ROOT / "studies/families")
    with pytest.raises(InputError, match=message):
        s.configure(preset, change)


def test_studies_that_raise_exit_with_2_and_a_line(tmp_path):
    (tmp_path / "study.py").write_text("x = 1\nraise KeyError('boom')\n")
    done = command("run", tmp_path, "--quiet")
    assert done.returncode == 2
    assert "KeyError: 'boom' (study.py, line 2)" in done.stderr
    (tmp_path / "study.py").write_text("STUDY = 3\n")
    assert "must define STUDY" in command("run", tmp_path).stderr
    assert "found no study.py" in command("run", tmp_path / "nowhere").stderr
    (tmp_path / "study.py").write_text(
        "from archbias.study import *\nSTUDY = Study(name='s', question='', settings=Images(), "
        "cells=lambda s: 1 / 0)"
    )
    done = command("run", tmp_path, "--out", tmp_path / "run")
    assert done.returncode == 2
    assert "ZeroDivisionError" in done.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_no_permission_is_one_sentence(counting, tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    assert command("run", counting, "--out", tmp_path / "locked/run").returncode == 2


def test_a_path_that_cannot_be_a_folder_is_one_sentence(counting, tmp_path):
    (tmp_path / "file").write_text("")
    done = command("run", counting, "--out", tmp_path / "file/run")
    assert done.returncode == 2
    assert "cannot write the run folder" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_full_disk_ends_with_2_and_the_run_goes_on_later(counting, tmp_path, monkeypatch, capsys):
    import errno

    from archbias.store import files

    real, synced = os.fsync, []

    def full(handle):
        synced.append(handle)
        if len(synced) == 5:  # in the middle of the cells
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(handle)

    with monkeypatch.context() as m:
        m.setattr(files.os, "fsync", full)
        assert cli.main(["run", str(counting), "--out", str(tmp_path / "run"), "--quiet"]) == 2
    assert "(No space left on device); free space or" in capsys.readouterr().err
    assert 0 < len(digests(tmp_path / "run")) < 4
    assert not list((tmp_path / "run").rglob("*.part"))
    assert cli.main(["run", str(counting), "--out", str(tmp_path / "run"), "--quiet"]) == 0
    assert len(digests(tmp_path / "run")) == 4


def test_other_images_under_the_same_settings_are_refused(tmp_path):
    """The manifest in the run folder makes `the same subset` a fact: a changed file is found and
    named.
    """
    import numpy as np

    x = np.random.default_rng(0).uniform(-1, 1, (12, 1, 8, 8)).astype("f4")
    np.savez(tmp_path / "set.npz", images=x)
    words = [
        "studies/families",
        "--preset",
        "toy",
        "--quiet",
        "--set",
        "data=array",
        "--set",
        f"data.root={tmp_path}/set.npz",
    ]
    words += [
        "--set",
        "data.n=12",
        "--set",
        "data.size=None",
        "--set",
        "families.unet.levels=1",
        "--set",
        "families.linear, rank 20.rank=5",
        "--set",
        "families.shallow.components=5",
        "--out",
        tmp_path / "run",
    ]
    done = command("run", *words)
    assert done.returncode == 0, done.stderr
    x[7] *= 0.5
    np.savez(tmp_path / "set.npz", images=x)
    done = command("run", *words)
    assert done.returncode == 2
    assert "first that differs" in done.stderr


@dataclasses.dataclass(frozen=True, kw_only=True)
class SeveralSets:
    """Settings that read several sets of images, each from a place of its own."""

    places: dict = dataclasses.field(default_factory=dict)

    def hashes(self):
        there = {k: Path(p) for k, p in self.places.items() if Path(p).is_file()}
        return {k: path.read_text(encoding="utf-8") for k, path in there.items()}


def test_other_images_of_one_of_several_sets_are_refused(tmp_path):
    places = {k: str(tmp_path / k) for k in ("faces", "digits", "absent")}
    for name in ("faces", "digits"):
        (tmp_path / name).write_text(f"{name} as they were", encoding="utf-8")
    asked, out = SeveralSets(places=places), tmp_path / "run"
    several = study.Study("several", "?", SeveralSets(), lambda s: [study.Cell("a", _nothing)])
    assert study.run(several, asked, out).done
    told = json.loads((out / "run.json").read_text(encoding="utf-8"))
    assert told["sets"].keys() == {"faces", "digits"}
    (tmp_path / "faces").unlink()  # not at hand, so nothing is said of it
    assert study.run(several, asked, out).done
    (tmp_path / "faces").write_text("other faces", encoding="utf-8")
    with pytest.raises(InputError, match="images of faces of sha256 faces as the, got other faces"):
        study.run(several, asked, out)
    (out / "run.json").unlink()  # its cells know it too
    with pytest.raises(InputError, match="images of faces"):
        study.run(several, asked, out)


def test_an_old_traceback_is_gone_while_its_cell_is_computed_again(tmp_path):
    """A worker that dies leaves none of its own, and must not be told by another's."""
    log = study.error_path(tmp_path, "a")
    store.write_text(log, "ValueError: of yesterday")
    seen = []

    def run(work):
        seen.append(log.exists())
        return _nothing(work)

    again = study.Study("again", "?", SeveralSets(), lambda s: [study.Cell("a", run)])
    assert study.run(again, SeveralSets(), tmp_path).done
    assert seen == [False]


def _nothing(work):
    one = ("family", [1.0], store.about("one", "1"))
    return {"none": xr.Dataset({"a": one}, {"family": ["a"]})}


def test_cells_that_wait_for_each_other_are_refused():
    a = study.Cell("a", lambda work: {}, after=("b",))
    b = study.Cell("b", lambda work: {}, after=("a",))
    with pytest.raises(InputError, match="a -> b -> a"):
        study.Study("s", "?", None, lambda s: [a, b]).plan(None)
    with pytest.raises(InputError, match="unknown cell 'c'"):
        study.Study(
            "s", "?", None, lambda s: [study.Cell("a", lambda work: {}, after=("c",))]
        ).plan(None)
    with pytest.raises(InputError, match="distinct"):
        study.Study(
            "s", "?", None, lambda s: [study.Cell("a", print), study.Cell("a", print)]
        ).plan(None)


def test_the_small_commands_answer(tmp_path):
    listed = command("list").stdout
    for name in ("ideal", "bbels", "linear", "polynomial", "unet"):
        assert name in listed
    assert "torch" in command("doctor").stdout
    assert "fashion_mnist" in command("data", "list").stdout
    assert "MIT" in command("data", "show", "fashion_mnist").stdout
    done = command("data", "show", "fashion")
    assert done.returncode == 2
    assert "did you mean 'fashion_mnist'" in done.stderr
    assert (
        command(
            "run", "studies/families", "--device", "cuda:99", "--out", tmp_path / "r"
        ).returncode
        == 2
    )
    assert command("status", tmp_path).returncode == 2


@pytest.mark.slow
def test_real_faces_run_through_the_same_study(real_data, tmp_path):
    root = real_data / "celeba" / "img_align_celeba"
    words = [
        "studies/families",
        "--preset",
        "toy",
        "--quiet",
        "--set",
        "data=celeba",
        "--set",
        f"data.root={root}",
    ]
    done = command("run", *words, "--set", "data.size=32", "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    sample = store.open_study(tmp_path / "run")["samples/sample"]
    assert sample.shape == (5, 4, 3, 32, 32)
    assert torch.isfinite(torch.from_numpy(sample.values)).all()


def test_figures_are_of_the_runs_own_study_and_of_what_is_there(counting, tmp_path, capsys):
    s = study.load(counting)
    state = study.run(s, s.configure(None, {"fail": "1"}), tmp_path / "run")
    assert state.failed
    assert cli.main(["figures", str(tmp_path / "run"), "--study", "studies/mosaic"]) == 2
    assert "wanted the study 'counting'" in capsys.readouterr().err.replace("\n", " ")
    (counting / "figures.py").write_text("def figures(tree):\n    return {'x': tree['samples']}\n")
    words = ["figures", str(tmp_path / "run"), "--study", str(counting)]
    # the standard figures, here none
    with pytest.warns(UserWarning, match="want what this store lacks"):
        assert cli.main(words) == 0
    assert "no figure" in capsys.readouterr().err
    assert cli.main(["tables", str(tmp_path / "run")]) == 0


def test_a_missing_file_is_the_failure_of_its_cell_and_the_others_go_on(counting, tmp_path):
    """OSError is also what urllib, Pillow and sockets raise: only a disk that takes nothing more
    ends the run.
    """
    from dataclasses import replace

    def absent(work):
        Path("/no/such/file").read_bytes()

    s = study.load(counting)
    settings = s.configure()
    first, *others = s.cells(settings)
    state = study.run(
        replace(s, cells=lambda _: [replace(first, run=absent), *others]),
        settings,
        tmp_path / "run",
    )
    assert state.failed == {
        first.name: "FileNotFoundError: [Errno 2] No such file or directory: '/no/such/file'"
    }
    assert len(state.done) == sum(first.name not in c.after for c in others)


def test_numbers_without_tables_say_what_they_hold(tmp_path, capsys):
    import xarray as xr

    xr.DataTree.from_dict({"law": xr.Dataset({"x": ("seed", [1.0])})}).to_netcdf(
        tmp_path / "law.nc", engine="h5netcdf"
    )
    xr.Dataset({"x": ("seed", [1.0])}).to_netcdf(tmp_path / "other.nc", engine="h5netcdf")
    for name, message in (
        ("law", "holds law"),
        ("other", "has no group"),
        ("missing", "does not exist"),
    ):
        assert cli.main(["tables", str(tmp_path / f"{name}.nc")]) == 2
        assert message in capsys.readouterr().err
    assert cli.main(["export", str(tmp_path / "other.nc"), str(tmp_path / "copy.nc")]) == 2
    assert not (tmp_path / "copy.nc").exists()


def test_numbers_are_exported_to_netcdf_only(counting, tmp_path, capsys):
    s = study.load(counting)
    study.run(s, s.settings, tmp_path / "run")
    assert cli.main(["export", str(tmp_path / "run"), str(tmp_path / "numbers.nc")]) == 0
    exported, kept = (
        store.open_study(tmp_path / name)["novelty"].to_dataset() for name in ("numbers.nc", "run")
    )
    assert exported["distance"].equals(kept["distance"])
    assert cli.main(["export", str(tmp_path / "run"), str(tmp_path / "numbers.csv")]) == 2
    assert "numbers.nc" in capsys.readouterr().err.replace("\n", "")
    assert not (tmp_path / "numbers.csv").exists()
