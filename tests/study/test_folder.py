"""A run folder is data: nothing in it runs, nothing leaves it, and its record can be lost."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import xarray as xr
from test_study import COUNTING, counting, digests  # noqa: F401 (a fixture)

from archbias import cli, families, load, report, store, study
from archbias.errors import InputError
from archbias.posteriors.ideal import Ideal
from archbias.regressions.linear import Linear
from archbias.store import checksums
from archbias.study import failures


@pytest.fixture
def ran(counting, tmp_path) -> Path:  # noqa: F811
    s = study.load(counting)
    study.run(s, s.settings, tmp_path / "run")
    return tmp_path / "run"


def again(counting, run) -> study.State:  # noqa: F811
    s = study.load(counting)
    return study.run(s, s.settings, run)


def edit(run: Path, **changes) -> None:
    record = json.loads((run / "run.json").read_text())
    del record["sha256"]  # as an older archbias wrote it
    (run / "run.json").write_text(json.dumps(record | changes))


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("counting", "evil"),
        ("evil", "."),
        ("../evil", "../evil"),
        ("ABSOLUTE/evil", "ABSOLUTE/evil"),
        (".", ""),
        ("families", "evil"),
    ],
)
def test_nothing_in_a_run_folder_is_executed(counting, ran, tmp_path, monkeypatch, name, source):  # noqa: F811
    marker = tmp_path / "executed"
    code = f"open({str(marker)!r}, 'w').write('x')\nraise SystemExit\n"
    for place in (ran, ran / "evil", tmp_path / "evil", ran / "cells", ran / "figures"):
        place.mkdir(exist_ok=True)
        for file in ("study.py", "figures.py", "__init__.py", "sitecustomize.py", "evil.py"):
            (place / file).write_text(code)
    name, source = (text.replace("ABSOLUTE", str(tmp_path)) for text in (name, source))
    edit(ran, source=source, study=name)
    zarr = ran / "store.zarr" / "zarr.json"
    root = json.loads(zarr.read_text())
    root["attributes"] |= {"study": name, "source": source}
    zarr.write_text(json.dumps(root))
    shutil.rmtree(ran / "store.zarr" / "checksums")  # a stranger writes the checksums anew
    checksums.write(ran / "store.zarr")
    monkeypatch.chdir(ran)
    run = str(ran)
    for words in (
        ["status", run],
        ["figures", run, "--format", "png"],
        ["tables", run],
        ["report", run],
        ["export", run, str(tmp_path / "numbers.nc")],
        ["figures", "."],
        ["run", str(counting), "--out", run, "--quiet"],
        ["run", str(counting), "--out", run, "--dry-run"],
    ):
        assert cli.main(words) in (0, 2), words
    store.open_study(ran)
    report.write(ran)
    assert not marker.exists()


def test_a_run_of_an_unknown_study_gets_the_standard_figures_and_a_line(ran, counting, capsys):  # noqa: F811
    (counting / "figures.py").write_text(
        "import matplotlib.pyplot as plt\ndef figures(tree):\n    return {'a/b': plt.figure()}\n"
    )
    assert cli.main(["figures", str(ran), "--format", "png"]) == 0
    assert "name its folder: --study DIR" in capsys.readouterr().err
    words = ["figures", str(ran), "--format", "png", "--study", str(counting)]
    assert cli.main(words) == 0
    assert "--study DIR" not in capsys.readouterr().err
    assert [p.name for p in (ran / "figures").iterdir()] == ["a%2Fb.png"]


def test_known_studies_are_found_by_name_alone():
    assert study.of_run("families").name == "families"
    for name in ("../families", "studies/families", str(study.known()["families"]), "", "."):
        assert study.of_run(name) is None
    assert study.load("families").folder == study.known()["families"]


@pytest.mark.parametrize("place", ["cells", "models", "checkpoints", "figures", ".lock"])
def test_a_link_out_of_the_run_folder_is_refused(counting, ran, tmp_path, place):  # noqa: F811
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "mine.txt").write_text("mine")
    if (ran / place).is_dir():
        (ran / place).rename(tmp_path / "kept")
    (ran / place).unlink(missing_ok=True)
    (ran / place).symlink_to(outside / "mine.txt" if place == ".lock" else outside)
    with pytest.raises(InputError, match="a link out of the run folder"):
        again(counting, ran)
    if place == "figures":
        assert cli.main(["figures", str(ran)]) == 2
    assert [p.read_text() for p in outside.iterdir()] == ["mine"]


@pytest.mark.parametrize(
    "text", ["[1, 2]", "{", "7", '"x"', '{"study": "x"}', '{"cells": 3}', "", "\x00", "[" * 10**5]
)
def test_a_damaged_record_is_one_sentence_and_is_made_again(counting, ran, text, capsys):  # noqa: F811
    kept = json.loads((ran / "run.json").read_text())
    cells = digests(ran)
    (ran / "run.json").write_text(text)
    assert cli.main(["status", str(ran)]) == 2
    said = capsys.readouterr().err.replace("\n", " ")
    assert "its finished cells are whole" in said
    assert "study counting" in said
    assert "delete" not in said
    stamps = {p: p.stat().st_mtime_ns for p in (ran / "cells").iterdir()}
    assert cli.main(["run", str(counting), "--out", str(ran)]) == 0
    assert "written again from the finished cells" in capsys.readouterr().err.replace("\n", " ")
    assert json.loads((ran / "run.json").read_text()) == kept
    assert digests(ran) == cells
    assert stamps == {p: p.stat().st_mtime_ns for p in (ran / "cells").iterdir()}


def test_a_lost_record_does_not_let_other_settings_in(counting, ran):  # noqa: F811
    (ran / "run.json").unlink()
    s = study.load(counting)
    with pytest.raises(InputError, match="word = 'a', this run wants 'b'"):
        study.run(s, s.configure(None, {"word": "b"}), ran)
    assert not (ran / "run.json").exists()
    with pytest.raises(InputError, match="its finished cells are whole"):
        study.status(ran)
    assert not again(counting, ran).failed
    assert study.status(ran)[0]["study"] == "counting"


def test_a_record_of_something_else_is_left_alone(counting, tmp_path, capsys):  # noqa: F811
    other = tmp_path / "other"
    other.mkdir()
    (other / "run.json").write_text('{"project": "mine"}')
    for words in (["run", str(counting), "--out", str(other), "--quiet"], ["status", str(other)]):
        assert cli.main(words) == 2
        said = capsys.readouterr().err
        assert "no record of a run" in said
        assert "delete" not in said
    assert [p.name for p in other.iterdir()] == ["run.json"]


LABELS = ["/x", "a/b", "../../out", "..", "CON", "a:b*c?", "[/x]", "\u00e9", "x" * 300]


def test_labels_never_leave_the_run_folder(tmp_path, monkeypatch, capsys):
    """Families' labels that look like paths, devices or markup."""
    (tmp_path / "deep").mkdir()
    monkeypatch.chdir(tmp_path / "deep")
    s = study.load("families")
    few = {"seeds": 2, "steps": 2, "variance_seeds": 0}
    settings = replace(s.configure("toy", few), families={x: Ideal() for x in LABELS})
    assert not study.run(s, settings, "r").failed
    run = Path.cwd() / "r"
    assert all(p.is_relative_to(run) for p in tmp_path.rglob("*") if p.is_file())
    assert {p.parent for p in run.rglob("*.nc")} == {run / "cells"}
    found = store.open_study("r")["samples"]["family"].values.tolist()
    assert found == LABELS
    assert cli.main(["status", "r"]) == 0
    assert cli.main(["run", "families", "--dry-run", "--set", "families.[/x]/y=ideal()"]) == 0
    assert "[/x]/y" in capsys.readouterr().out


def test_every_file_of_a_cell_lies_in_its_folder(counting, tmp_path):  # noqa: F811
    denoiser = Linear().fit(load("digits", n=5))

    def keep(work):
        work.save("../../kept", denoiser)
        assert work.denoiser("../../kept").shape == denoiser.shape
        dims = (("family",), [1.0], {"long_name": "x", "units": "1"})
        return {"g": xr.Dataset({"x": dims}, {"family": ["a"]})}

    def fail(work):
        assert work.runtime.checkpoint.parent == tmp_path / "deep/run/checkpoints"
        raise ValueError("on purpose")

    made = [study.Cell("../../ok", keep), study.Cell("../../../no", fail)]
    s = study.Study("odd", "?", None, lambda _: made)
    state = study.run(s, None, tmp_path / "deep/run")
    assert state.done == ("../../ok",)
    assert state.failed == {"../../../no": "ValueError: on purpose"}
    files = {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*.*") if p.is_file()}
    assert {f for f in files if not f.startswith(("deep/run/", "counting/"))} == set()
    assert "deep/run/models/%2E.%2F..%2Fkept.safetensors" in files
    assert "deep/run/cells/%2E.%2F..%2F..%2Fno.error.txt" in files


def test_cells_that_are_one_file_on_other_systems_are_refused():
    both = [study.Cell("els", print), study.Cell("ELS", print)]
    with pytest.raises(InputError, match="more than upper and lower case"):
        study.Study("s", "?", None, lambda s: both).plan(None)


class Heard(study.Quiet):
    def __init__(self):
        self.said = []

    def say(self, text):
        self.said.append(text)


@pytest.mark.parametrize("harm", ["delete", "flip", "cut"])
def test_a_cell_whose_model_is_gone_or_damaged_is_computed_again(tmp_path, harm):
    count = []

    def keep(work):
        count.append(1)
        work.save("linear", Linear(rank=2).fit(load("digits", n=5)))
        dims = (("family",), [1.0], {"long_name": "x", "units": "1"})
        return {"g": xr.Dataset({"x": dims}, {"family": ["a"]})}

    s, run, heard = (
        study.Study("s", "?", None, lambda _: [study.Cell("c", keep)]),
        tmp_path,
        Heard(),
    )
    study.run(s, None, run)
    before, model = digests(run), run / "models/linear.safetensors"
    study.run(s, None, run, listener=heard)
    assert (count, heard.said) == ([1], [])
    whole = model.read_bytes()
    kept = {k: v.clone() for k, v in families.load(model).state().items()}
    harmed = bytearray(whole)
    harmed[-3] ^= 1
    if harm == "delete":
        model.unlink()
    else:
        model.write_bytes(harmed if harm == "flip" else whole[: len(whole) // 2])
    study.run(s, None, run, listener=heard)
    assert [text.endswith("computing cell c again") for text in heard.said] == [True]
    assert len(count) == 2
    made = families.load(model).state()
    assert all(torch.equal(made[k], kept[k]) for k in kept)
    assert digests(run) == before


def test_other_images_than_the_record_tells_are_refused(tmp_path):
    s = study.load("families")
    settings = s.configure("toy", {"families": {}})
    only = study.Study("few", "?", settings, lambda _: [])
    study.run(only, settings, tmp_path / "run")
    record = json.loads((tmp_path / "run/run.json").read_text())
    edit(tmp_path / "run", images=record["images"] | {"hash": "0" * 64})
    with pytest.raises(InputError, match="computed from images of sha256 000000000000"):
        study.run(only, settings, tmp_path / "run")


def error(message: str) -> BaseException:
    try:
        raise RuntimeError(message)
    except RuntimeError as raised:
        return raised


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ("the reason\nCompile with A_FLAG to see more.", "RuntimeError: the reason"),
        ("\n\n  late\n", "RuntimeError: late"),
        ("", "RuntimeError"),
    ],
)
def test_the_headline_is_the_first_line_with_its_type(message, line):
    import traceback

    raised = error(message)
    assert failures.headline(raised) == line
    assert failures.headline_of(failures.record(raised)) == line
    assert "Traceback" in failures.record(raised)
    if "late" not in message:  # what earlier versions kept
        assert failures.headline_of("".join(traceback.format_exception(raised))) == line


def test_what_is_of_the_disk():
    import errno

    full = OSError(errno.EFBIG, "File too large")
    wrapped = InputError("cannot write")
    wrapped.__cause__ = full
    assert failures.of_the_disk(full)
    assert failures.of_the_disk(wrapped)
    for text in ("write failed: errno = 28, error message", "No space left (os error 28)"):
        assert failures.of_the_disk(OSError(text))
        assert failures.of_the_disk(RuntimeError(text))
    assert not failures.of_the_disk(FileNotFoundError(errno.ENOENT, "none"))
    assert not failures.of_the_disk(ValueError("28"))


@pytest.mark.parametrize("leave", ["raise SystemExit(3)", "import sys; sys.exit()", "exit('bye')"])
def test_a_study_that_leaves_is_told(tmp_path, leave, capsys):
    (tmp_path / "study.py").write_text(leave + "\n")
    assert cli.main(["run", str(tmp_path)]) == 2
    assert "SystemExit" in capsys.readouterr().err
    text = COUNTING.replace("cells=lambda s: [", f"cells=lambda s: exec({leave!r}) or [")
    (tmp_path / "study.py").write_text(text)
    assert cli.main(["run", str(tmp_path)]) == 2
    assert "raised while listing its cells: SystemExit" in capsys.readouterr().err
    text = COUNTING.replace(
        "        time.sleep", f"        if i == 1:\n            {leave}\n        time.sleep"
    )
    (tmp_path / "study.py").write_text(text)
    assert cli.main(["run", str(tmp_path), "--out", str(tmp_path / "run"), "--quiet"]) == 1
    assert "cell f1 failed: SystemExit" in capsys.readouterr().err
    assert study.status(tmp_path / "run")[1].done == ("f0", "f3")


def test_ctrl_c_in_a_cell_ends_the_run_with_130(counting, tmp_path, capsys):  # noqa: F811
    text = COUNTING.replace(
        "time.sleep(settings.sleep)", "i and (_ for _ in ()).throw(KeyboardInterrupt)"
    )
    (counting / "study.py").write_text(text)
    assert cli.main(["run", str(counting), "--out", str(tmp_path / "run"), "--quiet"]) == 130
    assert list(digests(tmp_path / "run")) == ["f0.nc"]
    (counting / "study.py").write_text(COUNTING)
    assert not again(counting, tmp_path / "run").failed


def test_runs_of_earlier_versions_still_open(counting, ran):  # noqa: F811
    """Their record holds a `source`; their cells name no models."""
    edit(ran, source=os.path.relpath(counting, ran))
    stamps = {p: p.stat().st_mtime_ns for p in (ran / "cells").iterdir()}
    assert not again(counting, ran).failed
    assert stamps == {p: p.stat().st_mtime_ns for p in (ran / "cells").iterdir()}
