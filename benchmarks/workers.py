"""What a worker process costs a training: images/s of one UNet in this process, in a worker of
`--workers`, and in a worker with the memory setting that Dask gives by itself.

    python benchmarks/workers.py [--steps 60] [--out runs/benchmarks]

One thread each, one after the other, in three turns; medians, and their ratio to this process. Dask
has workers return freed memory at once (`MALLOC_TRIM_THRESHOLD_`), so that every step of a training
asks the system for its pages again; workers of archbias keep it.
"""

from __future__ import annotations

import argparse
import os
import statistics
from pathlib import Path

import cloudpickle
import dask
import distributed  # noqa: F401 (brings Dask's settings)
import torch
import training

from archbias import seeds
from archbias.data import ImageSet
from archbias.nets.train import Train
from archbias.nets.unet import UNet
from archbias.store import provenance
from archbias.study import cluster

TRIM = "MALLOC_TRIM_THRESHOLD_"


def images_a_second(steps: int) -> float:
    """Training alone, with one thread."""
    torch.set_num_threads(1)
    images = ImageSet.from_array(seeds.normal(range(1000), (3, 32, 32)).tanh())
    return training.ours(UNet(channels=16, train=Train(batch=32)), images, "cpu", steps)


def in_a_worker(steps: int, trim: str | None) -> float:
    """The same in a worker; trim: what `MALLOC_TRIM_THRESHOLD_` is there."""
    if trim is not None:
        os.environ[TRIM] = trim
    try:
        with cluster._client(1, None, 1) as client:
            return client.submit(images_a_second, steps, pure=False).result()
    finally:
        os.environ.pop(TRIM, None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--out", type=Path, default=Path("runs/benchmarks"))
    args = parser.parse_args()
    cloudpickle.register_pickle_by_value(training)  # workers do not know this folder
    theirs = str(dask.config.get(f"distributed.nanny.pre-spawn-environ.{TRIM}"))
    ways = {
        "this process": lambda: images_a_second(args.steps),
        "a worker": lambda: in_a_worker(args.steps, None),
        f"a worker with {TRIM}={theirs}": lambda: in_a_worker(args.steps, theirs),
    }
    turns = [{name: way() for name, way in ways.items()} for _ in range(3)]
    rates = {name: statistics.median(turn[name] for turn in turns) for name in ways}
    here = rates["this process"]
    rows = [f"| {name} | {rate:.0f} | {rate / here:.2f} |" for name, rate in rates.items()]
    load = f"load average {os.getloadavg()[0]:.1f} at the end"
    head = [
        "# A training in a worker: images/s, UNet of 16 channels, 3 x 32 x 32, batch 32, float32",
        "",
        f"{provenance()['platform']}, 1 thread, torch {torch.__version__}, {load}. Wall time.",
        "Medians of three turns.",
        "",
        "| where | images/s | ratio |",
        "|---|---|---|",
    ]
    print("\n".join(rows))
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "workers.md").write_text("\n".join(head + rows) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
