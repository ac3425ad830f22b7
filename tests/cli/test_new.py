"""What `archbias new` writes passes its own test as it is, and keeps the house's lint."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from archbias import cli

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("kind", ["family", "theory", "metric", "study", "package"])
def test_what_is_written_passes_its_test(kind, tmp_path, capsys):
    assert cli.main(["new", kind, "my_idea", str(tmp_path)]) == 0
    written = [Path(line[6:]) for line in capsys.readouterr().out.splitlines() if "wrote" in line]
    assert written
    assert all(path.is_file() for path in written)
    assert not any("$" in path.read_text(encoding="utf-8") for path in written)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    code = [str(path) for path in written if path.suffix == ".py"]
    config = ["--config", str(ROOT / "pyproject.toml"), "--no-cache"]
    for words in (["check", "--ignore", "D"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *words, *config, *code], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", ["My", "1st", "a b", "../x", "class", ""])
def test_a_name_that_cannot_be_one_is_refused_and_nothing_written(name, tmp_path, capsys):
    assert cli.main(["new", "family", name, str(tmp_path)]) == 2
    assert "a name must be" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_file_that_exists_is_kept(tmp_path, capsys):
    (tmp_path / "mine.py").write_text("precious", encoding="utf-8")
    assert cli.main(["new", "family", "mine", str(tmp_path)]) == 2
    assert "exists already" in capsys.readouterr().err
    assert (tmp_path / "mine.py").read_text(encoding="utf-8") == "precious"
    assert not (tmp_path / "test_mine.py").exists()
