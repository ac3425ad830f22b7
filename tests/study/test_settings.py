"""Values of the command line, and paths, at every door of a study."""

import os
import pickle
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from archbias import cli, load, store, study
from archbias.errors import InputError
from archbias.study import Images
from archbias.study.settings import changed


@dataclass(frozen=True, kw_only=True)
class Settings:
    data: Images = Images()
    word: str = "a"
    maybe: str | None = None
    count: int = 3
    size: int | None = None
    rate: float = 0.5
    flag: bool = True
    words: tuple[str, ...] = ("a", "b")
    numbers: tuple[int, ...] = (1, 2)


def after(text: str):
    key, value = next(iter(cli.changes_of([text]).items()))
    reached = changed(Settings(), key, value)
    for part in key.split("."):
        reached = getattr(reached, part)
    return reached


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("word=007", "007"),
        ("word=1e3", "1e3"),
        ("word=0x10", "0x10"),
        ("word=1_000", "1_000"),
        ("word=true", "true"),
        ("word=none", "none"),
        ("word=[1]", "[1]"),
        ("word='3'", "3"),
        ("word=", ""),
        ("word=a=b", "a=b"),
        ("maybe=none", None),
        ("maybe=None", None),
        ("maybe='none'", "none"),
        ("maybe=007", "007"),
        ("maybe=12", "12"),
        ("count=7", 7),
        ("size=9", 9),
        ("size=none", None),
        ("rate=1e3", 1000.0),
        ("rate=2", 2.0),
        ("flag=false", False),
        ("words=007", ("007",)),
        ("words=12", ("12",)),
        ("words=['x','y']", ("x", "y")),
        ("numbers=4", (4,)),
        ("numbers=4,5", (4, 5)),
        ("data.root=007", "007"),
        ("data.name=1e3", "1e3"),
        ("data.n=7", 7),
    ],
)
def test_texts_are_read_for_the_setting_they_are_meant_for(text, value):
    got = after(text)
    assert (got, type(got)) == (value, type(value))


def test_a_text_for_a_group_is_its_first_setting():
    assert changed(Settings(), "data", cli.changes_of(["data=1e3"])["data"]).data.name == "1e3"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("count=many", "'count' must be int like its default 3, got 'many'"),
        ("count=1.5", "must be int"),
        ("count=true", "must be int"),
        ("count=none", "must be int"),
        ("count=", "must be int like its default 3, got ''"),
        ("size=many", "must be int or None"),
        ("flag=1", "must be bool"),
        ("data.root=", "got an empty text"),
        ("rate=nan?", "must be float"),
    ],
)
def test_values_of_another_type_are_refused(text, message):
    with pytest.raises(InputError, match=message):
        after(text)


def test_numbers_of_numpy_are_numbers():
    reached = changed(Settings(), "count", np.int64(4))
    assert (reached.count, type(reached.count)) == (4, int)
    assert changed(Settings(), "rate", np.float32(0.25)).rate == 0.25


def test_empty_and_undecodable_names_on_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="2"):
        cli.main(["run", "families", "--out", ""])
    assert "wanted a path" in capsys.readouterr().err
    bad = os.fsdecode(b"caf\xe9")
    assert cli.main(["run", "families", "--set", f"families.{bad}=ideal()"]) == 2
    assert "a name in UTF-8" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_tilde_is_the_home_of_the_user(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    (tmp_path / "home/mine").mkdir(parents=True)
    (tmp_path / "home/mine/study.py").write_text(EMPTY)
    np.savez(tmp_path / "home/set.npz", images=load("digits", n=4).images.numpy())
    words = ["~/mine", "--set", "data=array", "--set", "data.root=~/set.npz", "--set", "data.n=4"]
    assert cli.main(["run", *words, "--quiet", "--out", "~/run"]) == 0
    assert cli.main(["status", "~/run"]) == 0
    assert cli.main(["report", "~/run", "--study", "~/mine"]) == 0
    s = study.load("~/mine")
    settings = s.configure(None, cli.changes_of(words[2::2]))
    assert study.run(s, settings, "~/run").done == ("one",)
    assert study.status("~/run")[1].done == ("one",)
    assert list((tmp_path / "here").iterdir()) == []


EMPTY = """
from dataclasses import dataclass
import xarray as xr
from archbias.study import Cell, Images, Study

@dataclass(frozen=True, kw_only=True)
class Settings:
    data: Images = Images()

def cells(settings):
    def run(work):
        x = (("family",), [1.0], {"long_name": "x", "units": "1"})
        return {"g": xr.Dataset({"x": x}, {"family": ["a"]})}
    return [Cell("one", run)]

STUDY = Study(name="mine", question="?", settings=Settings(), cells=cells)
"""


@pytest.mark.parametrize("name", [b"caf\xe9", "caf\u00e9".encode(), "cafe\u0301".encode(), b"a\nb"])
def test_run_folders_with_any_name_the_system_takes(tmp_path, name, capsys):
    (tmp_path / "study.py").write_text(EMPTY)
    out = os.path.join(str(tmp_path), os.fsdecode(name))
    words = ["--set", "data=digits", "--set", "data.n=5"]
    assert cli.main(["run", str(tmp_path), *words, "--out", out]) == 0
    assert cli.main(["status", out]) == 0
    assert cli.main(["report", out, "--study", str(tmp_path)]) == 0
    assert cli.main(["export", out, os.path.join(out, "numbers.nc")]) == 0
    assert store.open_study(out)["g/x"].values.tolist() == [1.0]
    assert sorted(p.name for p in Path(out).glob("*.nc")) == ["numbers.nc"]
    capsys.readouterr()


def test_a_relative_root_becomes_absolute_when_it_travels(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez("set.npz", images=load("digits", n=4).images.numpy())
    here = Images(name="array", root="set.npz", n=4)
    assert here.root == "set.npz"
    there = pickle.loads(pickle.dumps({"nested": (here,)}))["nested"][0]
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert there.root == str(tmp_path / "set.npz")
    assert len(there.load()) == 4
    assert pickle.loads(pickle.dumps(Images())) == Images()
