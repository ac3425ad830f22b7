"""Seconds of one masked score beside the machine's peak, and what averaging mini-batches does.

    python benchmarks/masked.py [--n 1000] [--threads 2] [--images faces.npz] [--out FOLDER]

One query image of 3 x 32 x 32 in float32, masks made before. The peak is that of the same products
alone, on the same machine in the same run: M Z with M (P, P) and Z (P, N), P = 1024 when the
channels share a mask and 3072 when each has its own. Without --images the training set is smooth
random images, which change no cost. The second table needs no timing: on the bundled garments, the
root mean square difference between the exact estimate and the mean of the softmaxes of
mini-batches, as a share of that between the exact estimate and the mean image.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import numpy as np
import torch

import archbias
from archbias import seeds
from archbias.data import ImageSet
from archbias.posteriors.masked import Masked
from archbias.store import provenance

LEVELS = (0.5, 5.0)
SIZES = (64, 256, 512)


def least(repeats: int, *calls) -> list[float]:
    """Least wall seconds of each call, taken in turns, so that a busy machine stretches all."""
    best = [float("inf")] * len(calls)
    for _ in range(repeats + 1):
        for k, call in enumerate(calls):
            start = time.perf_counter()
            call()
            best[k] = min(best[k], time.perf_counter() - start)
    return best


def training(n: int, path: Path | None) -> ImageSet:
    if path is not None:
        return ImageSet.from_array(np.load(path)["images"][:n])
    x = np.random.default_rng(0).uniform(-1, 1, (n, 3, 32, 32)).astype(np.float32)
    for _ in range(3):
        x = (x + np.roll(x, 1, 2) + np.roll(x, 1, 3)) / 3
    return ImageSet.from_array(x / np.abs(x).max())


def costs(data: ImageSet, repeats: int) -> list[str]:
    lines = [
        "| masks | sigma | making the masks | one score | the product alone | share of the peak |",
        "|---|---|---|---|---|---|",
    ]
    for shared in (True, False):
        pixels = 1024 if shared else 3072
        a, b = torch.randn(pixels, pixels), torch.randn(pixels, len(data))
        denoiser = Masked(shared=shared).fit(data)
        for sigma in LEVELS:
            y = data.images[:1] + sigma * seeds.normal([0], data.shape)
            start = time.perf_counter()
            denoiser(y, sigma)
            made = time.perf_counter() - start
            spent, peak = least(
                repeats, lambda y=y, s=sigma, d=denoiser: d(y, s), lambda a=a, b=b: a @ b
            )
            name = "shared" if shared else "one a channel"
            lines.append(
                f"| {name} | {sigma} | {made:.2f} | {spent:.3f} | {peak:.3f} | {peak / spent:.0%} |"
            )
            print(lines[-1], flush=True)
    return lines


def batches() -> list[str]:
    data = archbias.load("fashion_mnist", n=1000)
    denoiser = Masked(mask="energy", share=0.9).fit(data)
    mean = data.images.mean(0)
    lines = [
        "| sigma | " + " | ".join(f"batches of {k}" for k in SIZES) + " |",
        "|---|" + "---|" * len(SIZES),
    ]
    for sigma in (0.1, 0.3, 1.0, 3.0, 10.0):
        y = data.images[:8] + sigma * seeds.normal(range(8), data.shape)
        exact = denoiser(y, sigma)
        wrong = [(denoiser.mini_batches(y, sigma, k) - exact).square().mean().sqrt() for k in SIZES]
        whole = (exact - mean).square().mean().sqrt()
        lines.append(f"| {sigma} | " + " | ".join(f"{w / whole:.3f}" for w in wrong) + " |")
        print(lines[-1], flush=True)
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument(
        "--images", type=Path, help="npz with `images`, (N, 3, 32, 32) floats in [-1, 1]"
    )
    parser.add_argument("--out", type=Path, default=Path("runs/benchmarks"))
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    found = provenance()
    lines = [
        f"# One masked score on {args.n} images, 3 x 32 x 32, {args.threads} threads",
        "",
        *costs(training(args.n, args.images), args.repeats),
        "",
        f"{found['platform']}, load average {os.getloadavg()[0]:.1f}. Wall seconds, the "
        f"least of {args.repeats}. The share of the peak is the time of the product alone, taken "
        "in turns with the score, over that of the score.",
        "",
        "# A mean of mini-batch softmaxes is not the posterior mean",
        "",
        "Root mean square difference from the exact estimate, as a share of the exact estimate's "
        "own distance from the mean image; masks that hold nine tenths of the squared Wiener "
        "weights, 1000 bundled garments, eight of them with noise.",
        "",
        *batches(),
    ]
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "masked.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
