"""Exact nearest images: time and memory of `metrics.novelty.nearest` by the number of samples and
images.

    python benchmarks/novelty.py                                  1000 samples x 20 000 images of 3
        x 32 x 32
    python benchmarks/novelty.py --samples 10000 --images 200000  the largest case: 2.5 GB of
        images, about 6 TFLOP

It also times all distances within the samples (`metrics.pairs.within`, exact for copies) against
the bare matrix product, once for the samples and once for samples of which every tenth is a copy.

Images are random with the spectrum of natural ones (power falling as 1 / f^2); every tenth sample
is a noisy copy of a known image, which the search must name.
"""

from __future__ import annotations

import argparse
import resource
import time

import torch

from archbias.metrics.novelty import nearest
from archbias.metrics.pairs import within


def natural(count: int, channels: int, size: int, seed: int) -> torch.Tensor:
    """(count, channels, size, size) float32 Gaussian fields of power 1 / f^2, made in blocks."""
    g = torch.Generator().manual_seed(seed)
    f = torch.fft.fftfreq(size)
    fall = 1 / torch.hypot(f[:, None], f[None, :]).clamp(min=1 / size)
    out = torch.empty(count, channels, size, size)
    for i in range(0, count, 2000):
        white = torch.randn(min(2000, count - i), channels, size, size, generator=g)
        out[i : i + 2000] = torch.fft.ifft2(torch.fft.fft2(white) * fall).real
    return out.mul_(0.3 / out[:100].std()).clamp_(-1, 1)


def product(x: torch.Tensor) -> torch.Tensor:
    """Squared distances by one matrix product, wrong for copies: the least such a matrix costs."""
    x = x.double().flatten(1)
    x = x - x.mean(0)
    norms = x.square().sum(1)
    return norms[:, None] + norms[None] - 2 * x @ x.T


def seconds_of(f, x: torch.Tensor) -> float:
    """The least of three calls."""
    times = []
    for _ in range(3):
        start = time.perf_counter()
        f(x)
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--channels", type=int, default=3)
    parser.add_argument("--memory", type=int, default=2**28, help="bytes of working memory")
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    images = natural(args.images, args.channels, args.size, 0)
    samples = natural(args.samples, args.channels, args.size, 1)
    copied = torch.arange(0, args.samples, 10)
    source = torch.randint(
        0, args.images, (len(copied),), generator=torch.Generator().manual_seed(2)
    )
    samples[copied] = images[source] + 0.02 * torch.randn(len(copied), *images.shape[1:])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    found = nearest(samples.to(args.device), images, memory=args.memory)
    seconds = time.perf_counter() - start
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    right = (found.index[copied].cpu() == source).double().mean()
    rate = 2 * args.samples * args.images * images[0].numel() / seconds / 1e9
    print(
        f"{args.samples} samples x {args.images} images of {tuple(images.shape[1:])} on "
        f"{args.device}, {torch.get_num_threads()} threads"
    )
    print(
        f"{seconds:.1f} s, {rate:.1f} GFLOP/s, peak memory grew by {grown:.0f} MiB, copies named "
        f"{right:.0%}, flagged {found.copy.sum()}"
    )
    few = samples[:2000]
    many = few.clone()
    many[::10] = few[0] + 1e-6 * torch.randn(few[::10].shape)
    bare = seconds_of(product, few)
    for name, x in (("samples", few), ("a tenth of them near-copies", many)):
        took = seconds_of(within, x)
        print(
            f"all distances within {len(x)} {name}: {took:.2f} s, {took / bare:.2f} times the bare "
            "product"
        )


if __name__ == "__main__":
    main()
