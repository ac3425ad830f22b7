"""Everything works where nothing can be kept: read-only code, no home. One line says so."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import archbias

CODE = """
import archbias.compiled as c

@c.njit(cache=True)
def double(x):
    return 2 * x

assert double(21) == 42
import os, numba
print(numba.config.CACHE_DIR)
"""


def test_a_process_that_can_keep_nothing_compiles_into_a_folder_of_its_own(tmp_path):
    package = tmp_path / "archbias"
    package.mkdir()
    source = Path(archbias.__file__).parent
    for name in ("__init__.py", "moved.py", "caches.py", "waiting.py", "compiled.py"):
        shutil.copy(source / name, package)
    script = tmp_path / "script.py"
    script.write_text(CODE, encoding="utf-8")
    (tmp_path / "__pycache__").touch()  # a file where numba's folder would be
    nowhere = {"HOME": "/proc/none", "XDG_CACHE_HOME": "/proc/none", "PYTHONPATH": str(tmp_path)}
    env = {k: v for k, v in os.environ.items() if k != "NUMBA_CACHE_DIR"} | nowhere
    done = subprocess.run(
        [sys.executable, "-B", str(script)], env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("\n") == 1
    assert "NUMBA_CACHE_DIR" in done.stderr
    assert not Path(done.stdout.strip()).exists()  # gone with the process


def powerless() -> list[str]:
    """What to put before a command so that root, too, obeys the rights of files."""
    if os.name != "posix":
        pytest.skip("rights of folders are of POSIX systems")
    if os.geteuid():
        return []
    if shutil.which("setpriv") is None:
        pytest.skip("root writes where nobody may, and setpriv is not here to stop it")
    return ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]


@pytest.mark.slow
def test_every_command_works_from_a_read_only_installation_without_a_home(tmp_path):
    before = powerless()
    source, place = Path(archbias.__file__).parent, tmp_path / "installed"
    shutil.copytree(source, place / "archbias", ignore=shutil.ignore_patterns("__pycache__"))
    folders = [p for p in [place, *place.rglob("*")] if p.is_dir()]
    for folder in folders:
        folder.chmod(0o555)
    study = tmp_path / "killed"
    study.mkdir()
    (study / "study.py").write_text("from killed import STUDY\n", encoding="utf-8")
    nowhere = {"HOME": "/proc/none", "PYTHONPATH": f"{place}:{Path(__file__).parent}"}
    kept = ("NUMBA_CACHE_DIR", "MPLCONFIGDIR", "ARCHBIAS_CACHE", "XDG_CACHE_HOME")
    env = {k: v for k, v in os.environ.items() if k not in kept} | nowhere
    try:
        for words in (
            ["list"],
            ["run", "killed", "--out", "r", "--quiet"],
            ["status", "r"],
            ["figures", "r", "--study", "killed", "--format", "png"],
            ["report", "r", "--study", "killed"],
        ):
            done = subprocess.run(
                [*before, sys.executable, "-B", "-m", "archbias", *words],
                env=env,
                cwd=tmp_path,
                capture_output=True,
                text=True,
                encoding="utf-8",
            )
            assert done.returncode == 0, (words, done.stderr)
            lines = [n for n in done.stderr.splitlines() if not n.startswith("wrote ")]
            assert len(lines) <= 1, lines
            assert all("NUMBA_CACHE_DIR" in line for line in lines)
    finally:
        for folder in folders:
            folder.chmod(0o755)
    assert not list(place.rglob("__pycache__"))
    assert (tmp_path / "r" / "report.html").is_file()
