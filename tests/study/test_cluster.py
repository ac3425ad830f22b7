"""Cells on Dask workers: the numbers of a local run, whatever dies."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from test_study import ROOT, command, counting, digests  # noqa: F401 (a fixture)

from archbias.study import cluster

pytestmark = pytest.mark.slow


@pytest.fixture
def scheduler(tmp_path):
    """A scheduler and two workers on loopback, each a process group of its own."""
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    file = tmp_path / "scheduler.json"
    options = {
        "cwd": ROOT,
        "env": env,
        "stdout": subprocess.DEVNULL,
        "stderr": subprocess.DEVNULL,
        "start_new_session": True,
    }
    head = [
        sys.executable,
        "-m",
        "distributed.cli.dask_scheduler",
        "--host",
        "127.0.0.1",
        "--port",
        "0",
        "--no-dashboard",
    ]
    processes = [subprocess.Popen([*head, "--scheduler-file", str(file)], **options)]
    while not file.is_file():
        assert processes[0].poll() is None
        time.sleep(0.1)
    address = json.loads(file.read_text())["address"]
    worker = [
        sys.executable,
        "-m",
        "distributed.cli.dask_worker",
        address,
        "--nthreads",
        "1",
        "--no-nanny",
        "--no-dashboard",
    ]

    def start(name: str) -> None:
        processes.append(
            subprocess.Popen(
                [*worker, "--name", name, "--local-directory", str(tmp_path / name)], **options
            )
        )

    for name in ("one", "two"):
        start(name)
    yield address, processes, start
    for process in processes:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_workers_give_the_numbers_of_a_local_run(counting, tmp_path):
    assert command("run", counting, "--out", tmp_path / "local", "--quiet").returncode == 0
    done = command("run", counting, "--out", tmp_path / "two", "--quiet", "--workers", "2")
    assert done.returncode == 0, done.stderr
    assert digests(tmp_path / "two") == digests(tmp_path / "local")


def test_a_real_study_on_a_scheduler_gives_the_numbers_of_a_local_run(scheduler, tmp_path):
    words = ["studies/families", "--preset", "toy", "--quiet", "--out"]
    done = command("run", *words, tmp_path / "there", "--cluster", scheduler[0])
    assert done.returncode == 0, done.stderr
    assert command("run", *words, tmp_path / "here").returncode == 0
    assert digests(tmp_path / "there") == digests(tmp_path / "here")


def test_a_trained_network_on_workers_has_the_bits_of_a_run_with_as_many_threads(tmp_path):
    """Whatever number of threads the process would have: that of the run counts."""
    words = ["families", "--preset", "toy", "--quiet", "--threads", "1", "--out"]
    env = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"}
    for more in (["two", "--workers", "2"], ["here"]):
        run = [sys.executable, "-m", "archbias.cli", "run", *words, *more]
        subprocess.run(run, cwd=tmp_path, env=env | {"PYTHONPATH": str(ROOT)}, check=True)
    assert digests(tmp_path / "two") == digests(tmp_path / "here")


def test_workers_keep_their_memory_between_the_steps_of_a_training(monkeypatch):
    name = "MALLOC_TRIM_THRESHOLD_"
    monkeypatch.delenv(name, raising=False)
    with cluster._client(1, None, 1) as client:
        assert client.submit(os.environ.get, name).result() is None
        assert client.submit(os.environ.get, "OMP_NUM_THREADS").result() == "1"
    monkeypatch.setenv(name, "99999")  # what the user says stands
    with cluster._client(1, None, 1) as client:
        assert client.submit(os.environ.get, name).result() == "99999"


def test_a_script_without_a_guard_starts_its_workers_once(counting, tmp_path):
    script = f"""
from archbias import study
from archbias.study import cluster
print("begun")
asked = study.load({str(counting)!r})
print(cluster.run(asked, asked.configure("toy"), "run", workers=1).done)
"""
    (tmp_path / "script.py").write_text(script)
    run = [sys.executable, "script.py"]
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(run, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300)
    assert done.stdout.splitlines() == ["begun", "('f0', 'f1')"], done.stderr


def test_a_cell_that_raises_there_is_told_here(counting, scheduler, tmp_path):
    done = command(
        "run",
        counting,
        "--set",
        "fail=1",
        "--out",
        tmp_path / "run",
        "--quiet",
        "--cluster",
        scheduler[0],
    )
    assert done.returncode == 1
    assert "cell f1 failed: ZeroDivisionError: on purpose" in done.stderr
    assert len(digests(tmp_path / "run")) == 2


def test_two_runs_of_a_study_on_one_scheduler_keep_apart(counting, scheduler, tmp_path):
    """A scheduler takes tasks of one key for one task, whoever asks."""
    address, words = scheduler[0], {"a": tmp_path / "a", "b": tmp_path / "b"}
    asked = [sys.executable, "-m", "archbias.cli", "run", str(counting), "--quiet"]
    asked += ["--cluster", address, "--set", "sleep=2"]
    runs = [
        subprocess.Popen([*asked, "--set", f"word={word}", "--out", str(out)], cwd=ROOT)
        for word, out in words.items()
    ]
    assert [run.wait(timeout=120) for run in runs] == [0, 0]
    for out in words.values():
        assert len(list((out / "cells").glob("*.nc"))) == 4


def test_killed_workers_and_clients_lose_nothing_finished(counting, scheduler, tmp_path):
    address, processes, _ = scheduler
    run = tmp_path / "run"
    words = [
        "run",
        str(counting),
        "--set",
        "cells=6",
        "--set",
        "sleep=1.0",
        "--quiet",
        "--cluster",
        address,
        "--out",
    ]
    client = subprocess.Popen([sys.executable, "-m", "archbias.cli", *words, str(run)], cwd=ROOT)
    while not list((run / "cells").glob("*.nc")):
        assert client.poll() is None
        time.sleep(0.05)
    os.killpg(processes[1].pid, signal.SIGKILL)  # a worker in the middle of its second cell
    time.sleep(0.5)
    client.kill()
    client.wait()
    assert command(*words, run).returncode == 0
    assert (
        command(
            "run",
            counting,
            "--set",
            "cells=6",
            "--set",
            "sleep=1.0",
            "--quiet",
            "--out",
            tmp_path / "local",
        ).returncode
        == 0
    )
    assert digests(run) == digests(tmp_path / "local")


def test_no_scheduler_is_one_sentence(counting, tmp_path):
    done = command("run", counting, "--out", tmp_path / "run", "--cluster", "tcp://127.0.0.1:1")
    assert done.returncode == 2
    assert "wanted a Dask scheduler at tcp://127.0.0.1:1" in done.stderr
    done = command(
        "run",
        counting,
        "--out",
        tmp_path / "run",
        "--cluster",
        "tcp://127.0.0.1:1",
        "--workers",
        "2",
    )
    assert "give one of them" in done.stderr
    done = command("run", counting, "--out", tmp_path / "run", "--workers", "0")
    assert done.returncode == 2
    assert "at least 1, got 0" in done.stderr


SHARED = """
import os, time
import xarray as xr
from dataclasses import dataclass
from archbias.study import Cell, Study

@dataclass(frozen=True, kw_only=True)
class Settings:
    cells: int = 6

def cell(i, seconds, after=(), **resources):
    def run(work):
        time.sleep(seconds)
        pid = (("family",), [os.getpid()], {"long_name": "process", "units": "1"})
        return {"who": xr.Dataset({"pid": pid}, {"family": [f"c{i}"]})}
    return Cell(f"c{i}", run, after=after, resources=resources)

def grid(settings):
    first = [cell(0, 0.0), cell(1, 0.0)]
    rest = (cell(i, 1.0, after=("c0",)) for i in range(2, settings.cells + 2))
    return [*first, *rest, cell(99, 0.0, dragon=1), cell(98, 0.0, gpu=2)]

STUDY = Study(name="shared", question="who?", settings=Settings(), cells=grid, presets={})
"""


def test_long_cells_are_shared_by_all_workers(scheduler, tmp_path):
    """Also after short ones; and a resource nobody offers is not waited for on workers without
    names for it.
    """
    from distributed import Client

    with Client(scheduler[0]) as client:
        client.wait_for_workers(2)
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "study.py").write_text(SHARED)
    done = command(
        "run", tmp_path / "shared", "--out", tmp_path / "run", "--quiet", "--cluster", scheduler[0]
    )
    assert done.returncode == 0, done.stderr
    from archbias import store

    pids = (
        store.open_study(tmp_path / "run")["who/pid"]
        .sel(family=[f"c{i}" for i in range(2, 8)])
        .values.tolist()
    )
    assert len(set(pids)) == 2


LATE = """
import time
import xarray as xr
from dataclasses import dataclass
from archbias.study import Cell, Study

@dataclass(frozen=True, kw_only=True)
class Settings:
    seconds: float = 25.0

def cell(i, seconds):
    def run(work):
        (work.folder / f"started{i}").touch()
        time.sleep(seconds)
        it = (("family",), [1], {"long_name": "done", "units": "1"})
        return {"done": xr.Dataset({"it": it}, {"family": [f"c{i}"]})}
    return Cell(f"c{i}", run)

STUDY = Study(
    name="late",
    question="who?",
    settings=Settings(),
    cells=lambda settings: [cell(i, settings.seconds) for i in range(2)],
    presets={},
)
"""


def test_a_worker_that_comes_late_is_given_work(scheduler, tmp_path):
    address, processes, start = scheduler
    os.killpg(processes[-1].pid, signal.SIGKILL)
    processes[-1].wait()
    (tmp_path / "late").mkdir()
    (tmp_path / "late" / "study.py").write_text(LATE)
    run = [
        sys.executable,
        "-m",
        "archbias.cli",
        "run",
        str(tmp_path / "late"),
        "--out",
        str(tmp_path / "run"),
        "--quiet",
    ]
    process = subprocess.Popen([*run, "--cluster", address], cwd=ROOT)
    deadline = time.monotonic() + 120
    while not (tmp_path / "run" / "started0").is_file():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert not (tmp_path / "run" / "started1").is_file()
    start("three")
    while not (tmp_path / "run" / "started1").is_file():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert not (tmp_path / "run" / "cells" / "c0.nc").is_file(), (
        "the second cell began when the first had ended"
    )
    assert process.wait(120) == 0


def test_a_cell_that_kills_its_worker_is_told(tmp_path):
    deadly = LATE.replace("time.sleep(seconds)", "i and __import__('os')._exit(9)")
    (tmp_path / "late").mkdir()
    (tmp_path / "late" / "study.py").write_text(deadly)
    done = command("run", tmp_path / "late", "--out", tmp_path / "run", "--quiet", "--workers", "1")
    assert done.returncode == 1
    assert "cell c1 failed: KilledWorker" in done.stderr
    assert list(digests(tmp_path / "run")) == ["c0.nc"]
