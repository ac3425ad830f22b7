"""A disk that takes no more bytes is an OSError, the process lives, and nothing half stays.

RLIMIT_FSIZE stands for a full disk wherever no small file system can be mounted: the system refuses
the write that would pass it, with EFBIG in place of ENOSPC.
"""

import subprocess
import sys

import numpy as np
import pytest
import torch
import xarray as xr

from archbias import FAMILIES, ImageSet, families, store

resource = pytest.importorskip("resource", reason="limits of file size are of POSIX systems")

LIMITED = """
import resource, sys
from pathlib import Path
import numpy as np, torch, xarray as xr
from archbias import FAMILIES, ImageSet, families, store

folder, limit = Path(sys.argv[1]), int(sys.argv[2])
values = np.random.default_rng(0).standard_normal((1, 40_000))
seeds = {"family": ["a"], "seed": np.arange(40_000)}
ds = xr.Dataset({"distance": (("family", "seed"), values)}, seeds)
tree = store.open_study(folder)
fitted = FAMILIES["ideal"]().fit(ImageSet.from_array(torch.rand(200, 1, 8, 8) * 2 - 1))
writers = {
    "cell": lambda: store.write_cell(folder / "b.nc", {"novelty": ds}, {}),
    "store": lambda: store.collect([folder / "a.nc"], folder / "store.zarr", {"round": 2}),
    "export": lambda: store.publish(tree, folder / "numbers.nc"),
    "model": lambda: families.save(fitted, folder / "m.safetensors"),
    "text": lambda: store.write_text(folder / "run.json", "x" * 200_000),
}
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
for name, write in writers.items():
    try:
        write()
    except OSError as error:
        print(name, type(error).__name__, error.errno)
"""


def prepared(folder) -> None:
    values = np.random.default_rng(0).standard_normal((1, 40_000))
    ds = xr.Dataset(
        {"distance": (("family", "seed"), values)}, {"family": ["a"], "seed": np.arange(40_000)}
    )
    store.write_cell(folder / "a.nc", {"novelty": ds}, {})
    store.collect([folder / "a.nc"], folder / "store.zarr", {"round": 1})


def test_a_limit_of_file_size_is_an_error_and_leaves_nothing(tmp_path):
    prepared(tmp_path)
    before = sorted(p.name for p in tmp_path.iterdir())
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path), "20000"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    names = [line.split()[0] for line in done.stdout.splitlines()]
    assert names == ["cell", "store", "export", "model", "text"]
    assert sorted(p.name for p in tmp_path.iterdir()) == before
    tree = store.open_study(tmp_path)
    assert tree.attrs["round"] == 1
    assert tree["novelty/distance"].load().size == 40_000


def test_a_full_file_system_is_an_error_and_leaves_nothing(tmp_path):
    mount = tmp_path / "small"
    mount.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(mount)]
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    except OSError as error:
        pytest.skip(f"no mount command: {error}")
    if done.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {done.stderr.strip()}")
    try:
        (mount / "fill").write_bytes(b"x" * 900_000)
        values = np.random.default_rng(0).standard_normal((1, 40_000))
        ds = xr.Dataset({"distance": (("family", "seed"), values)}, {"family": ["a"]})
        images = ImageSet.from_array(torch.rand(1000, 1, 16, 16) * 2 - 1)
        for write in (
            lambda: store.write_cell(mount / "b.nc", {"novelty": ds}, {}),
            lambda: families.save(FAMILIES["ideal"]().fit(images), mount / "m.safetensors"),
            lambda: store.write_text(mount / "run.json", "x" * 300_000),
        ):
            with pytest.raises(OSError, match="No space left"):
                write()
        assert [p.name for p in mount.iterdir()] == ["fill"]
    finally:
        subprocess.run(["umount", str(mount)], check=True)


KILLED = """
import os, signal, sys
from pathlib import Path
from archbias.store import replacing

with replacing(Path(sys.argv[1])) as part:
    part.write_bytes(b"half")
    print("writing", flush=True)
    sys.stdin.readline()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_writer_left_goes_and_what_a_living_one_writes_stays(tmp_path):
    path = tmp_path / "report.html"
    words = [sys.executable, "-c", KILLED, str(path)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as living:
        assert living.stdout.readline() == b"writing\n"
        store.write_text(path, "whole")
        parts = [p.name for p in tmp_path.iterdir() if p != path]
        assert len(parts) == 1  # not swept under a living writer
        living.communicate(b"\n")
    assert living.returncode == -9
    assert len(list(tmp_path.iterdir())) == 2
    store.write_text(path, "whole again")
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


STUDY = """
from dataclasses import dataclass
import numpy as np, xarray as xr
from archbias.study import Cell, Study

@dataclass(frozen=True)
class Settings:
    n: int = 40_000

def grid(s):
    def run(work):
        values = np.random.default_rng(0).standard_normal((1, s.n))
        labels = {"family": ["a"], "seed": np.arange(s.n)}
        return {"novelty": xr.Dataset({"distance": (("family", "seed"), values)}, labels)}
    return [Cell("only", run)]

STUDY = Study(name="s", question="q?", settings=Settings(), cells=grid)
"""

RUN = """
import resource, sys
limit = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
from archbias.cli import main
sys.exit(main(sys.argv[2:]))
"""


def test_a_run_on_a_full_disk_ends_with_one_sentence_and_resumes(tmp_path):
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "study.py").write_text(STUDY, encoding="utf-8")
    words = ["run", str(tmp_path / "s"), "--out", str(tmp_path / "r"), "--quiet"]

    def run(limit: int) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", RUN, str(limit), *words],
            capture_output=True,
            text=True,
            check=False,
        )

    full = run(50_000)
    assert full.returncode == 2, full.stderr
    assert "File too large" in full.stderr.replace("\n", " ")
    assert "Traceback" not in full.stderr
    assert not [p for p in (tmp_path / "r").rglob("*") if p.name.endswith((".part", ".nc"))]
    assert run(resource.RLIM_INFINITY).returncode == 0
    assert store.open_study(tmp_path / "r")["novelty/distance"].load().size == 40_000
