"""From images, a noisy batch and a geometry to beliefs: the CPU kernel with its bookkeeping.

The training set is cut into at most `PARTS` parts, the same ones for any number of threads; their
statistics are joined in order, so the threads change the time and no bit of the result. Rows of a
batch never meet.

Rows with sharp beliefs, as far as it pays, are searched through `screen`; all others slide through
`kernel`. Where a window covers the torus, `orbit` does without windows.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import numba
import numpy as np
import torch
from torch import Tensor

from . import kernel
from .geometry import Geometry
from .orbit import orbit
from .screen import Screen

PARTS = 16
STATISTICS = 2**23  # float64 numbers of statistics held at once (64 MB)
# images whose mean colour is subtracted before products are formed; any number is exact
CENTRE = 256
# numba's workqueue layer ends the process when two Python threads run kernels at once; a kernel
# uses every thread it may, so that taking turns costs nothing
TURN = threading.RLock()


@dataclass(frozen=True)
class Beliefs:
    """What the pixels of a batch believe; numpy arrays of float64.

    mean: (B, C, H, W). log_sum: (B, H, W) of exp(-distance^2 / (2 sigma^2)) over sources, in nats.
    entropy: (B, H, W) in nats, NaN unless asked for. dropped: (B, H, W) upper bound on the relative
        weight left out.
    logits: (B, K, H, W) log weight before normalisation, nats, of the K best sources, best first;
        sources: (B, K, H, W)
    their flat index (image, row, column), -1 where there are fewer than K.
    """

    mean: np.ndarray
    log_sum: np.ndarray
    entropy: np.ndarray
    dropped: np.ndarray
    logits: np.ndarray
    sources: np.ndarray


def lanes(chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Training images in blocks of sixteen, (blocks, 16) padded with -1, and the bounds of the
    parts.
    """
    blocks = -(-len(chosen) // kernel.LANES)
    members = np.full(blocks * kernel.LANES, -1, np.int64)
    members[: len(chosen)] = chosen
    bounds = np.linspace(0, blocks, min(PARTS, blocks) + 1).round().astype(np.int64)
    return members.reshape(blocks, kernel.LANES), bounds


@contextmanager
def threads_of_torch() -> Iterator[None]:
    """One Python thread at a time, as many threads for its kernels as torch uses, and both numbers
    as they were afterwards.

    numba's first parallel call sets the number of the OpenMP library, which torch may share; only
    then is torch's number written, so that another thread's choice is not.
    """
    with TURN:
        threads, ours = torch.get_num_threads(), numba.get_num_threads()
        numba.set_num_threads(max(1, min(threads, cast(Any, numba.config).NUMBA_NUM_THREADS)))
        try:
            yield
        finally:
            numba.set_num_threads(ours)
            if torch.get_num_threads() != threads:
                torch.set_num_threads(threads)


@threads_of_torch()
def believe(
    images: Tensor,
    chosen: np.ndarray,
    y: Tensor,
    sigma: Tensor,
    geometry: Geometry,
    *,
    keep: int = 0,
    tolerance: float | None = None,
) -> Beliefs:
    """Beliefs of every pixel of y over the windows of the chosen training images.

    Args:
        images: (N, C, H, W) float32 on the CPU; may be a memory map. chosen: indices of the images
            that count.
        y: (B, C, H, W) on the CPU. sigma: (B,).
        keep: how many of the best sources to name; more than 0 also asks for the entropy and
            float64 weights.
        tolerance: relative weight that may be left out, 1e-7 for float32 and 1e-16 where weights
            are float64.
    """
    direct = y.dtype == torch.float64
    double = direct or keep > 0
    unit = 1.0 if double else 1 / math.log(2)
    if tolerance is None:
        tolerance = 1e-16 if double else 1e-7
    cut = (
        math.log(len(chosen) * geometry.counts().max() / tolerance) * unit
        if tolerance > 0
        else math.inf
    )
    members, parts = lanes(np.asarray(chosen))
    rows = np.ascontiguousarray(y.detach().double().numpy().transpose(0, 2, 3, 1))
    levels = sigma.detach().double().numpy()
    c, h, w = y.shape[1:]
    screen = Screen(images.numpy(), members, geometry, cut / unit)
    whole = np.full(len(rows), geometry.whole and not double)
    sharp = np.zeros_like(whole) if whole.all() else screen.worth(rows, levels, direct)
    centre = np.zeros(c) if direct else images.numpy()[chosen[:CENTRE]].mean((0, 2, 3), np.float64)
    scale = unit / levels**2
    queries = rows if direct else (rows - centre) * scale[:, None, None, None]
    single = ~np.array(double) & single_is_enough(geometry, rows - centre, levels)
    energy = (
        np.zeros(0)
        if direct
        else window_sum(((rows - centre) ** 2).sum(-1), geometry) / (2 * levels[:, None, None] ** 2)
    )

    def slide(group: np.ndarray) -> tuple[np.ndarray, ...]:
        dtype = np.float32 if single[group[0]] else np.float64
        shape = (len(parts) - 1, len(group), h, w)
        stats = np.zeros((*shape, 4 + c))
        stats[..., kernel.M] = -np.inf
        logits, sources = np.full((*shape, keep), -np.inf), np.full((*shape, keep), -1, np.int64)
        kernel.scan(
            images.numpy(), members, parts, queries[group].astype(dtype),
            scale[group].astype(dtype), centre,
            geometry.shifts(), geometry.sources(w), (*geometry.offsets(h), *geometry.offsets(w)),
            geometry.band(),
            geometry.wraps_y, geometry.wraps_phi, cut, unit, direct, double, stats, logits, sources,
        )  # fmt: skip
        mean, log_sum, entropy, dropped, logits, sources = _join(stats, logits, sources, unit)
        if not direct:
            log_sum, logits = log_sum - energy[group], logits - energy[group][:, None]
        return mean, log_sum, entropy, dropped, logits, sources

    def search(group: np.ndarray) -> tuple[np.ndarray, ...]:
        stats, _, logits, sources = screen(rows[group], levels[group], keep)
        return _join(stats[None], logits[None], sources[None], 1.0)

    def translate(group: np.ndarray) -> tuple[np.ndarray, ...]:
        found = [
            orbit(images.numpy(), np.asarray(chosen), rows[b].transpose(2, 0, 1), levels[b])
            for b in group
        ]
        mean = np.stack([m.transpose(1, 2, 0) for m, _ in found])
        nothing, none = np.zeros((len(group), h, w)), np.zeros((len(group), 0, h, w))
        return (
            mean,
            nothing + np.array([s for _, s in found])[:, None, None],
            nothing,
            nothing,
            none,
            none.astype(np.int64),
        )

    size = max(1, STATISTICS // ((len(parts) - 1) * h * w * (4 + c + 2 * keep)))
    sliding = ~whole & ~sharp
    kinds = (
        (translate, whole),
        (search, sharp),
        (slide, single & sliding),
        (slide, ~single & sliding),
    )
    groups = [
        (f, g[i : i + size])
        for f, g in ((f, np.flatnonzero(k)) for f, k in kinds)
        for i in range(0, len(g), size)
    ]
    order = np.concatenate([group for _, group in groups]).argsort()
    pieces = [compute(group) for compute, group in groups]
    mean, log_sum, entropy, dropped, logits, sources = (
        np.concatenate(p)[order] for p in zip(*pieces, strict=True)
    )
    return Beliefs(
        mean.transpose(0, 3, 1, 2),
        log_sum,
        entropy if double else np.full_like(entropy, np.nan),
        dropped,
        logits,
        sources,
    )


def _join(
    stats: np.ndarray, logits: np.ndarray, sources: np.ndarray, unit: float
) -> tuple[np.ndarray, ...]:
    """Statistics of all parts as one, in order."""
    m = stats[..., kernel.M] / unit
    top = m.max(0)
    f = np.exp(m - top)
    s, e = stats[..., kernel.S], stats[..., kernel.E] / unit
    total = (f * s).sum(0)
    energy = (f * (e + np.where(f > 0, m - top, 0) * s)).sum(0)
    mean = (f[..., None] * stats[..., kernel.ACC :]).sum(0) / total[..., None]
    entropy = np.maximum(np.log(total) - energy / total, 0)
    dropped = (f * stats[..., kernel.DROPPED]).sum(0) / total
    logits, sources = np.moveaxis(logits, 0, -1), np.moveaxis(sources, 0, -1)  # (B, H, W, K, P)
    keep = logits.shape[-2]
    flat, names = logits.reshape(*top.shape, -1), sources.reshape(*top.shape, -1)
    best = np.argsort(-flat, -1, kind="stable")[..., :keep]
    flat, names = np.take_along_axis(flat, best, -1) / unit, np.take_along_axis(names, best, -1)
    return (
        mean,
        top + np.log(total),
        entropy,
        dropped,
        np.moveaxis(flat, -1, 1),
        np.moveaxis(names, -1, 1),
    )


def window_sum(x: np.ndarray, geometry: Geometry) -> np.ndarray:
    """Sum of x (B, H, W) over each pixel's window."""
    for axis, size in ((1, geometry.height), (2, geometry.width)):
        at, _, inside = geometry.table(size)
        matrix = np.zeros((size, size))
        np.add.at(
            matrix, (np.arange(size)[:, None].repeat(at.shape[1], 1), at), inside.astype(float)
        )
        x = np.moveaxis(np.tensordot(x, matrix, (axis, 1)), -1, axis)
    return x


def single_is_enough(geometry: Geometry, rows: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """Which rows may slide their sums in float32: rounding, in nats, estimated below 2e-5 max(1,
    sigma).

    Over a window of n numbers of rms size 0.6 (centred pixels) the products sum to about 0.6 n a +
    4 sigma 0.6 sqrt(n), a the rms of the clean part of y; a slide rounds that some 4 times. The
    score forgives beliefs in proportion to sigma.
    """
    n = rows.shape[-1] * float(geometry.extent().max())
    clean = np.sqrt(np.maximum((rows**2).mean((1, 2, 3)) - sigma**2, 0.36))
    return 4 * 2.0**-24 * (
        0.6 * n * clean + 2.4 * sigma * math.sqrt(n)
    ) / sigma**2 <= 2e-5 * np.maximum(1.0, sigma)
