"""Commands that die at any instant, and what is left of them.

    for operation in OPERATIONS:
        fault = Soak(folder).trial(operation, rng)     # None, or what is wrong in words

A child process is forked, does its work and is killed by SIGKILL: after a random time, or before a
random one of its calls that touch files in the folder (which is how one dies between two renames).
Files under their final names must then be whole, and the same command again must leave what an
undisturbed one leaves: the same bits, and nothing else.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import multiprocessing
import os
import re
import shutil
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import numpy as np
from killed import Operation, command, command_run
from PIL import Image

from archbias import store
from archbias.nets import checkpoints
from archbias.store.cell import digest

FORK = multiprocessing.get_context("fork")
PATIENCE = 600.0  # seconds after which a command hangs
# attributes that tell when and how long, not what
PASSING = {"created", "seconds", "commit", "sha256", "host"}
MOMENT = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")
LEFTOVERS = (".part", ".old", ".tmp")
TOUCHING = ("open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.chmod")


# ---- what a folder holds


def fingerprint(folder: Path) -> dict[str, str]:
    """What each file under its final name holds, without the time it was made; "damaged: ..." for
    one that cannot be read. Checkpoints are only asked whether they are whole.
    """
    found = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file() or p.name == "store.zarr"):
        name = path.relative_to(folder).as_posix()
        if "store.zarr/" in name or any(part.startswith(".") for part in Path(name).parts):
            continue
        try:
            found[name] = _of_file(path)
        except Exception as error:
            found[name] = f"damaged: {type(error).__name__}: {error}"
    return found


def _of_file(path: Path) -> str:
    if path.suffix in (".nc", ".zarr"):
        cell = path.parent.name == "cells"
        tree = store.read_cell(path) if cell else store.open_study(path)
        kept = {k: v for k, v in tree.attrs.items() if k not in PASSING}
        return digest(tree.load()) + sha256(repr(sorted(kept.items())).encode()).hexdigest()
    if path.parent.parent.name == "checkpoints":
        if path.suffix == ".safetensors":
            checkpoints.check(path)
        return "whole"
    if path.suffix == ".png":
        with Image.open(path) as image:
            return sha256(np.asarray(image).tobytes()).hexdigest()
    return sha256(MOMENT.sub(b"", path.read_bytes())).hexdigest()


def leftovers(folder: Path) -> list[str]:
    """What no finished command leaves."""
    return sorted(
        p.relative_to(folder).as_posix()
        for p in folder.rglob("*")
        if p.name.endswith(LEFTOVERS) or ".part" in p.suffixes
    )


# ---- one death


@dataclass
class Soak:
    """Trials in a folder; what an undisturbed command leaves is worked out once for each."""

    folder: Path
    url: str = ""
    counts: dict[str, int] = field(default_factory=dict)  # calls of an undisturbed one
    seconds: dict[str, float] = field(default_factory=dict)
    wanted: dict[str, dict[str, str]] = field(default_factory=dict)
    before: dict[str, dict[str, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.finished = self.folder / "finished"
        store.commit()  # asked of git once, not by every child
        for name in asked(lambda: _imported(self.finished)):
            # what every child would import anew; nothing is computed before a fork
            with contextlib.suppress(Exception):
                importlib.import_module(name)

    def know(self, operation: Operation) -> None:
        """Do it undisturbed, twice: what it leaves is what it leaves again."""
        calls = self.folder / "calls"
        for _ in range(2):
            place = self._begun(operation)
            self.before[operation.name] = asked(lambda place=place: fingerprint(place))
            began = time.monotonic()
            _forked(lambda place=place: _counted(operation, place, calls))
            self.seconds[operation.name] = time.monotonic() - began
            self.counts[operation.name] = int(calls.read_text(encoding="ascii"))
            left = asked(lambda place=place: fingerprint(place))
            wrong = _differ(left, self.wanted.setdefault(operation.name, left))
            if wrong or leftovers(place):
                raise RuntimeError(f"{operation.name} undisturbed: {wrong} {leftovers(place)}")

    def trial(self, operation: Operation, rng: np.random.Generator) -> tuple[int, str | None]:
        """Kill it once (or twice), check what is left, do it again, check that; the number of
        kills that found it alive, and what is wrong.
        """
        if operation.name not in self.wanted:
            self.know(operation)
        place, kills, fault = self._begun(operation), 0, None
        for turn in range(2 if operation.twice else 1):
            by_call = (operation.twice and turn == 0) or rng.random() < operation.share
            kills += self._killed(operation, place, by_call, rng)
            fault = fault or self._half_written(operation, place)
        try:
            _forked(lambda: operation.work(place))
        except RuntimeError as error:
            return kills, fault or f"{operation.name} again: {error}"
        again = _differ(
            asked(lambda: fingerprint(place)), self.wanted[operation.name], "after resuming"
        )
        behind = leftovers(place)
        return kills, fault or again or (f"left behind: {', '.join(behind)}" if behind else None)

    def _begun(self, operation: Operation) -> Path:
        place = self.folder / "trial"
        shutil.rmtree(place, ignore_errors=True)
        operation.begin(self.finished, place)
        return place

    def _killed(
        self, operation: Operation, place: Path, by_call: bool, rng: np.random.Generator
    ) -> bool:
        """Whether the child died of it, rather than having finished before."""
        if by_call:
            call = int(rng.integers(1, self.counts[operation.name] + 1))
            child = FORK.Process(target=_doomed, args=(operation, place, call))
            child.start()
        else:
            child = FORK.Process(target=_quiet, args=(operation, place))
            child.start()
            child.join(rng.uniform(0, self.seconds[operation.name]))
            child.kill()
        child.join()
        return child.exitcode == -signal.SIGKILL

    def _half_written(self, operation: Operation, place: Path) -> str | None:
        """Every file is as before or as after; checkpoints, of whatever step, are whole."""
        before, after = self.before[operation.name], self.wanted[operation.name]
        for name, held in asked(lambda: fingerprint(place)).items():
            if held not in (before.get(name), after.get(name), "whole"):
                return f"{operation.name}: {name} is half-written ({held[:80]})"
        return None


def _imported(folder: Path) -> dict[str, str]:
    """Make the finished run; the modules that it and its report needed."""
    before = set(sys.modules)
    command_run(folder)
    command("report", folder)
    (folder / "report.html").unlink()
    return dict.fromkeys(n for n in sys.modules if n not in before)


def _differ(left: dict[str, str], wanted: dict[str, str], when: str = "") -> str | None:
    names = [n for n in {*left, *wanted} if left.get(n) != wanted.get(n)]
    return f"other bits {when}: {', '.join(sorted(names))}" if names else None


def _quiet(operation: Operation, place: Path) -> None:
    operation.work(place)


def _hooked(operation: Operation, place: Path, heard: Callable[[], None]) -> None:
    """Do it, and tell of each of its calls that touch files there."""
    inside = str(place)

    def hook(event: str, arguments: tuple) -> None:
        if event in TOUCHING:
            path = str(arguments[0])
            if path.startswith(inside) and operation.within in path[len(inside) :]:
                heard()

    sys.addaudithook(hook)
    operation.work(place)


def _counted(operation: Operation, place: Path, calls: Path) -> None:
    seen = [0]

    def heard() -> None:
        seen[0] += 1

    _hooked(operation, place, heard)
    calls.write_text(str(seen[0]), encoding="ascii")


def _doomed(operation: Operation, place: Path, call: int) -> None:
    """Do it, and die before the given one of its calls."""
    left = [call]

    def heard() -> None:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    _hooked(operation, place, heard)


def _forked(work: Callable[[], object]) -> None:
    """Do it in a child, so that no thread of it is in this process when it forks again."""
    child = FORK.Process(target=work)
    child.start()
    child.join(PATIENCE)
    if child.exitcode is None:
        child.kill()
        raise RuntimeError("it hangs")
    if child.exitcode:
        raise RuntimeError(f"it ended with {child.exitcode}")


def asked(question: Callable[[], Mapping[str, str]]) -> dict[str, str]:
    """The answer of a child."""
    here, there = FORK.Pipe(duplex=False)
    child = FORK.Process(target=lambda: there.send_bytes(json.dumps(question()).encode()))
    child.start()
    there.close()  # a child that dies closes the last end
    try:
        if not here.poll(PATIENCE):
            child.kill()
            raise RuntimeError("the child that was asked hangs")
        return json.loads(here.recv_bytes())
    except EOFError:
        raise RuntimeError("the child that was asked died") from None
    finally:
        child.join()
