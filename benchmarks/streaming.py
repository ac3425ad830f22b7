"""One score on 60 000 grey images that stay on disk: processor seconds and memory beyond the
training set, against 6000.

    python benchmarks/streaming.py [--n 60000] [--threads 2] [--images images.npy] [--out
    runs/benchmarks]

Images are read through a memory map of float32 (N, 1, H, W); without --images one of random smooth
28 x 28 images is written to a temporary folder. Memory is the largest amount of anonymous memory
seen, looked at every 20 ms, above that before the call: pages of the map belong to the system and
are not counted (Linux only).
"""

from __future__ import annotations

import argparse
import ctypes
import json
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import torch

from archbias.posteriors.windows import believe, geometry
from archbias.store import provenance

MACHINES = (("ls", 5), ("bbels", 5), ("els", 5))
SIGMA, BLOCK = 0.5, 1000


def anonymous() -> float:
    """Anonymous memory of this process, MB."""
    line = next(
        x
        for x in Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        if x.startswith("RssAnon")
    )
    return int(line.split()[1]) / 1024


def measured(call) -> tuple[float, float]:
    """Processor seconds, and MB of anonymous memory beyond what there was."""
    ctypes.CDLL(None).malloc_trim(0)  # what earlier calls freed would be used again, uncounted
    before, done = anonymous(), threading.Event()
    peak = [before]

    def watch() -> None:
        while not done.wait(0.02):
            peak[0] = max(peak[0], anonymous())

    watcher = threading.Thread(target=watch)
    watcher.start()
    start = time.process_time()
    call()
    seconds = time.process_time() - start
    done.set()
    watcher.join()
    return seconds, peak[0] - before


def on_disk(path: Path, n: int) -> Path:
    """Write n random smooth images there, a block at a time."""
    rng = np.random.default_rng(0)
    images = np.lib.format.open_memmap(path, "w+", np.float32, (n, 1, 28, 28))
    for i in range(0, n, BLOCK):
        x = rng.uniform(-1, 1, (min(BLOCK, n - i), 1, 28, 28))
        images[i : i + BLOCK] = (
            sum(np.roll(x, (a, b), (2, 3)) for a in range(3) for b in range(3)) / 3
        )
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=60_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--images", type=Path, help="npy file, (N, 1, H, W) float32 in [-1, 1]")
    parser.add_argument("--out", type=Path, default=Path("runs/benchmarks"))
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        path = args.images or on_disk(Path(folder) / "images.npy", args.n)
        images = torch.from_numpy(np.load(path, mmap_mode="c"))
        y = images[:1] + SIGMA * torch.randn(
            images[:1].shape, generator=torch.Generator().manual_seed(0)
        )
        for kind, window in MACHINES:
            pairs = geometry(kind, window, *y.shape[2:])

            def score(n: int, pairs=pairs):
                return believe(images[:n], np.arange(n), y, torch.tensor([SIGMA]), pairs)

            score(200)  # compiles
            for n in (args.n // 10, args.n):
                seconds, memory = measured(lambda n=n: score(n))
                rows.append(
                    {
                        "machine": kind,
                        "window": window,
                        "n": n,
                        "processor": seconds,
                        "beyond": memory,
                    }
                )
                print(rows[-1], flush=True)
    args.out.mkdir(parents=True, exist_ok=True)
    found = {
        **provenance(),
        "threads": args.threads,
        "images": args.images.name if args.images else "smooth random",
        "rows": rows,
    }
    (args.out / "streaming.md").write_text(table(found))
    (args.out / "streaming.json").write_text(json.dumps(found, indent=1) + "\n")


def table(found: dict) -> str:
    """The numbers as Markdown."""
    lines = [
        "# One score on images that stay on disk",
        "",
        f"{found['platform']}, {found['threads']} threads, images: {found['images']}, 28 x 28 "
        f"grey, float32, sigma {SIGMA}.",
        "",
        "| machine | window | N | processor s | MB beyond the training set |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {r['machine']} | {r['window']} | {r['n']} | {r['processor']:.2f} | {r['beyond']:.0f} |"
        for r in found["rows"]
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
