"""The long checks, which no ordinary run of the tests makes.

    python tests/soak.py --kills 300 --fuzz 10000 --seed 0 --out docs/soak.md

kills: commands killed at random instants (`kills`); the same command again must leave the same
bits. fuzz: damaged files of every kind that is read, and settings that mean nothing
(`damaged_files`, `damaged_runs`), each loaded or refused in one sentence. Exit code 1 when
anything was wrong. Whole batches of damaged files are read in a child, which may die of them: that
is a fault like any other.
"""

# ruff: noqa: E402 (threads are set before anything reads them)
from __future__ import annotations

import argparse
import datetime
import os
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[_name] = "1"  # before they are read: the same sums in every child
sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parent)]

import damaged_files
import damaged_runs
import killed
import kills
import numpy as np

from archbias.nets.timing import machine
from archbias.store import commit

BATCH = 60  # damaged files a child


@dataclass
class Row:
    """One line of a table: what was tried, how often, for how long, and what was wrong."""

    name: str
    tried: int = 0
    seconds: float = 0.0
    faults: list[str] = field(default_factory=list)

    def add(self, tried: int, seconds: float, faults: list[str]) -> None:
        self.tried += tried
        self.seconds += seconds
        self.faults += faults
        for fault in faults:
            print(f"FAULT {self.name}: {fault}", flush=True)


def deaths(count: int, seed: int) -> Iterator[list[Row]]:
    """`count` kills over all operations; the rows after each trial."""
    rng = np.random.default_rng(seed)
    rows = {}
    with tempfile.TemporaryDirectory(prefix="archbias-soak-") as place:
        url = killed.serve()
        soak, operations = kills.Soak(Path(place)), killed.operations(url)
        share = sum(o.part for o in operations.values())
        for name, operation in operations.items():
            row = rows[name] = Row(name)
            while row.tried < round(count * operation.part / share):
                began = time.monotonic()
                died, fault = soak.trial(operation, rng)
                row.add(died, time.monotonic() - began, [fault] if fault else [])
                yield list(rows.values())


def fuzzed(count: int, seed: int) -> list[Row]:
    """`count` cases over files of images, files of runs, and settings."""
    third = count // 3
    # made once, in a child; nothing that computes has run here before a fork
    path = Path(kills.asked(lambda: {"path": str(damaged_runs.finished())})["path"])
    damaged_runs.finished = lambda: path
    runs = damaged_runs.KINDS | damaged_runs.ABRUPT
    return [
        *_files("images, archives, tables", damaged_files.KINDS, third, seed),
        *_files("run folders", runs, third, seed),
        _settings(count - 2 * third, seed),
    ]


def _files(name: str, kinds: dict, count: int, seed: int) -> list[Row]:
    row, cases = Row(name), list(damaged_files.cases(seed, count, kinds))
    for start in range(0, count, BATCH):
        batch, began = cases[start : start + BATCH], time.monotonic()
        try:
            faults = list(kills.asked(lambda batch=batch: _attempts(batch, kinds)).values())
        except RuntimeError as error:
            faults = [f"{error} in cases {start} to {start + len(batch)}"]
        row.add(len(batch), time.monotonic() - began, faults)
    return [row]


def _attempts(batch: list, kinds: dict) -> dict[str, str]:
    with tempfile.TemporaryDirectory(prefix="archbias-fuzz-") as place:
        folder = Path(place) / "cases"
        found = {str(case): damaged_files.attempt(case, folder, kinds) for case in batch}
    return {case: fault for case, fault in found.items() if fault}


def _settings(count: int, seed: int) -> Row:
    row, began = Row("settings"), time.monotonic()
    found = (damaged_runs.configured(damaged_runs.setting(seed + i)) for i in range(count))
    row.add(count, 0, [fault for fault in found if fault])
    row.seconds = time.monotonic() - began
    return row


def page(command: str, deaths: list[Row], cases: list[Row]) -> str:
    """The tables as Markdown."""
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    lines = [
        "# Soak",
        "",
        "Commands killed at random instants, and damaged input, tried at length. Written by",
        "",
        f"```sh\n{command}\n```",
        "",
        f"on {today}, commit {commit()[:12]}, {machine()}.",
        "",
    ]
    if deaths:
        lines += [
            "Each command is killed by SIGKILL after a random time or before a random call that",
            "touches a file. Files under their final names are then as before or as after, and the",
            "same command again leaves the same bits as an undisturbed one, and nothing else.",
            "",
            *_table(("command", "kills", "faults", "seconds"), deaths),
            "",
        ]
    if cases:
        bound = damaged_files.BOUND >> 30
        used = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
        lines += [
            "A damaged file is loaded or refused in one sentence with a remedy: no other error, no",
            f"{damaged_files.PATIENCE:.0f} seconds of the processor, no {bound} GiB of memory, no "
            "file changed.",
            f"The largest process of the soak took {used:.1f} GiB in all.",
            "",
            *_table(("input", "cases", "faults", "seconds"), cases),
            "",
        ]
    return "\n".join(lines)


def _table(heads: tuple[str, ...], rows: list[Row]) -> list[str]:
    total = Row("all", sum(r.tried for r in rows), sum(r.seconds for r in rows))
    total.faults = [f for r in rows for f in r.faults]
    body = [f"| {r.name} | {r.tried} | {len(r.faults)} | {r.seconds:.0f} |" for r in (*rows, total)]
    return [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}", *body]


def main() -> int:
    """Both soaks; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=0, help="how many kills")
    parser.add_argument("--fuzz", type=int, default=0, help="how many damaged inputs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="a Markdown file for the tables")
    a = parser.parse_args()
    words = [f"--{k} {v}" for k in ("kills", "fuzz", "seed") if (v := getattr(a, k)) or k == "seed"]
    command = " ".join(["python tests/soak.py", *words])
    # the kills first: a fork wants a process in which nothing has run
    dead: list[Row] = []
    if a.kills:
        for dead in deaths(a.kills, a.seed):
            print(f"{sum(r.tried for r in dead)} of {a.kills}: {dead[-1]}", flush=True)
    cases = fuzzed(a.fuzz, a.seed) if a.fuzz else []
    text = page(command, dead, cases)
    print(text)
    if a.out:
        a.out.write_text(text, encoding="utf-8")
    return 1 if any(r.faults for r in (*dead, *cases)) else 0


if __name__ == "__main__":
    sys.exit(main())
