"""What a sweep costs beside its computing: cells of no work, run, looked at, resumed and joined.

    python benchmarks/sweep.py [CELLS]        10 000 by default; a tenth of it first, so that growth
                                              can be seen

Prints, for both sizes, milliseconds per cell for the first run (write, checksum, rename, join), for
a second run that finds everything done (read and check), and for `status`; the size of the store;
and the peak memory of the process.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from archbias import store
from archbias.study import Cell, Study, run, status


@dataclass(frozen=True, kw_only=True)
class Settings:
    cells: int = 1000


def fake(i: int) -> Cell:
    def work(_: object) -> dict[str, xr.Dataset]:
        values = np.random.default_rng(i).standard_normal((1, 1, 16))
        labels = {"family": [f"unet {i:05d}"], "predictor": ["els"], "seed": np.arange(16)}
        return {
            "agreement": xr.Dataset(
                {name: (tuple(labels), values) for name in ("r", "explained", "mse")}, labels
            )
        }

    return Cell(f"c{i:05d}", work, seconds=0.001)


def measure(count: int) -> dict[str, float]:
    study = Study(
        "sweep",
        "What does the runner cost?",
        Settings(cells=count),
        lambda s: [fake(i) for i in range(s.cells)],
    )
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "run"
        clock = [time.perf_counter()]
        run(study, study.settings, folder)
        clock.append(time.perf_counter())
        run(study, study.settings, folder)
        clock.append(time.perf_counter())
        status(folder)
        clock.append(time.perf_counter())
        joined = store.open_study(folder)["agreement/r"].shape[0]
        size = sum(p.stat().st_size for p in (folder / "store.zarr").rglob("*") if p.is_file())
    first, second, look = np.diff(clock)
    assert joined == count
    return {
        "cells": count,
        "first run, ms per cell": 1e3 * first / count,
        "second run, ms per cell": 1e3 * second / count,
        "status, ms": 1e3 * look,
        "store, kB": size / 1e3,
        "peak memory, MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
    }


if __name__ == "__main__":
    largest = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    rows = [measure(n) for n in (max(1, largest // 10), largest)]
    for name in rows[0]:
        print(f"{name:<26}" + "".join(f"{row[name]:>12.2f}" for row in rows))
    print(
        f"memory grew by {rows[1]['peak memory, MB'] - rows[0]['peak memory, MB']:.1f} MB for ten "
        "times the cells"
    )
