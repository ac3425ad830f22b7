"""Closed-form fits and their laws on 1000 images of 64x64x3: seconds and peak memory, one fresh
process per family.

    python benchmarks/laws.py [--root CELEBA_FOLDER] [--threads 2] [--only TEXT] [--csv FILE]

Without --root the images are smooth random fields, which cost the same. Columns: seconds to fit;
for one noise level (fit and denoise 16 pictures); to sample 16 seeds through ten levels; to find
the law and push the same 16 seeds; largest difference between the two, relative to the largest
pixel (empty where no law is known); processor seconds of all of that (what counts on a busy
machine); peak memory of the whole process in GiB, and what of it is the bare process with the
images loaded.
"""

import argparse
import contextlib
import csv
import json
import os
import resource
import subprocess
import sys
import time

FAMILIES = {
    "linear": ("linear", {}),
    "linear, rank 50": ("linear", {"rank": 50}),
    "equivariant": ("linear", {"constraint": "equivariant"}),
    "local 3": ("linear", {"constraint": "local", "window": 3}),
    "local 7": ("linear", {"constraint": "local", "window": 7}),
    "local 15": ("linear", {"constraint": "local", "window": 15}),
    "local per pixel 3": ("linear", {"constraint": "local_per_pixel", "window": 3}),
    "local per pixel 7": ("linear", {"constraint": "local_per_pixel", "window": 7}),
    "polynomial 3 in 8": ("polynomial", {"degree": 3, "components": 8}),
    "polynomial 2 in 40": ("polynomial", {"degree": 2, "components": 40}),
    "power features": ("power_features", {}),
    "power features, normalized": ("power_features", {"normalize": True}),
    "power patches": ("power_patches", {}),
    "bottleneck, linear": ("bottleneck", {"rank": 50}),
    "bottleneck, mixture": ("bottleneck", {"kind": "mixture", "rank": 50, "components": 8}),
    "bottleneck, confined": ("bottleneck", {"kind": "confined", "rank": 50}),
    "bottleneck, unrestricted": ("bottleneck", {"kind": "unrestricted", "rank": 50}),
}
COLUMNS = [
    "family",
    "fit_s",
    "one_level_s",
    "sample_16_s",
    "law_push_16_s",
    "difference",
    "cpu_s",
    "peak_gib",
    "bare_gib",
]


def images(root):
    """1000 images of 64x64x3: faces from a folder, or random fields smoothed by a Gaussian of 3
    pixels.
    """
    import torch

    from archbias.data import ImageSet, load

    if root:
        return load("celeba", root=root, n=1000, size=64)
    x = torch.randn(1000, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    line = torch.exp(-(torch.arange(-9.0, 10.0) ** 2) / 18)
    for shape in ((1, 1, 1, 19), (1, 1, 19, 1)):
        x = torch.nn.functional.conv2d(
            x.reshape(3000, 1, *x.shape[2:]), line.reshape(shape) / line.sum(), padding="same"
        )
    return ImageSet.from_array(torch.tanh(4 * x.reshape(1000, 3, 64, 64)))


def peak():
    """Largest resident size of this process so far, GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def measure(name, root):
    """One row, in this process."""
    from archbias import FAMILIES as SPECS
    from archbias import noise, sample, seeds
    from archbias.distributions import generated_by

    family, settings = FAMILIES[name]
    data, sigmas = images(root), noise.cosine(10)
    start = seeds.normal(range(16), data.shape)
    row = {"family": name, "bare_gib": peak()}
    clock, cpu = time.perf_counter(), time.process_time()
    denoiser = SPECS[family](**settings).fit(data)
    row["fit_s"] = time.perf_counter() - clock
    denoiser(start, 1.234)
    row["one_level_s"] = time.perf_counter() - clock
    clock = time.perf_counter()
    samples = sample.ddim(denoiser, start, sigmas)
    row["sample_16_s"] = time.perf_counter() - clock
    clock = time.perf_counter()
    row["law_push_16_s"] = row["difference"] = float("nan")
    with contextlib.suppress(LookupError):
        pushed = generated_by(denoiser, sigmas).push(start)
        row["law_push_16_s"] = time.perf_counter() - clock
        stayed = samples.isfinite().flatten(1).all(1)
        row["difference"] = float(
            (samples - pushed)[stayed].abs().max() / samples[stayed].abs().max()
        )
    row["cpu_s"] = time.process_time() - cpu
    row["peak_gib"] = peak()
    return row


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", help="a folder of CelebA images")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", default="", help="families whose name contains this text")
    parser.add_argument("--csv", help="also write the table here")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        print(json.dumps(measure(args.child, args.root)))
        return
    threads = {"OMP_NUM_THREADS": str(args.threads), "MKL_NUM_THREADS": str(args.threads)}
    rows = []
    print("".join(f"{c:>16}" if i else f"{c:<26}" for i, c in enumerate(COLUMNS)), flush=True)
    for name in FAMILIES:
        if args.only not in name:
            continue
        command = [
            sys.executable,
            __file__,
            "--child",
            name,
            *(["--root", args.root] if args.root else []),
        ]
        done = subprocess.run(
            command, env=os.environ | threads, check=True, stdout=subprocess.PIPE, text=True
        )
        row = json.loads(done.stdout.splitlines()[-1])
        rows.append(row)
        print(
            "".join(f"{row[c]:>16.2g}" if i else f"{row[c]:<26}" for i, c in enumerate(COLUMNS)),
            flush=True,
        )
    if args.csv:
        with open(args.csv, "w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main()
