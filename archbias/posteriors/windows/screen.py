"""Sharp beliefs: most sources are ruled out by a bound on their distance, the others are measured
exactly.

    e(x) = (r - 1 cosine coefficients of the window x, norm of what they leave),    ||e(x) - e(z)||
    <= ||x - z||

Cosines over channels, rows and columns are orthonormal, and norms obey the triangle inequality, so
e never lengthens a
distance, whichever coefficients are taken: those of most energy in the training windows. They are
separable: embedding a training window costs some tens of k, and comparing two of them r products,
at every k.

A source that cannot come nearer than the nearest one found so far by `cut` nats, less the log of
the weight found so far, is
left out: all of them together weigh less than the tolerance, and `dropped` counts them. Every other
distance is summed afresh in float64 from squared differences. Pixels meet the training images in
the same order whatever the threads, the batch and the other pixels do.

Windows clipped at the border are zero outside on both sides, since only windows that meet the
border alike are compared.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numba import prange
from numpy.lib.stride_tricks import sliding_window_view

from ...compiled import njit
from .geometry import Geometry
from .kernel import ACC, DROPPED, FAR, FAST, LANES, E, M, S, apart, inlined

RANK = 16  # coordinates of the embedding
FREQUENCIES = 8  # cosines along an axis that may be chosen
# of the squared norms: more than float32 products of 16 coordinates and the root of a cancelled sum
# round off
SLACK = 2.0**-17
BYTES = 8  # flags looked at together
GROUP = 8  # blocks embedded at once, some megabytes

SAMPLE = 16  # training images whose windows say which coefficients count
STEP = 5  # rows and columns between the pixels that try a search
BLOCKS = 8  # of training images, fewer are not worth a trial
# Nanoseconds on one core, measured; they decide what is used, never what is found.
SLIDE, TORUS = 0.6, 0.9  # a slid pair, and where training windows wrap
EMBED, BOUND = 60.0, 0.65  # a training window embedded, a pair bounded
MEASURE, TERM = 75.0, 0.9  # a distance measured, and each number of its window


def cosines(n: int) -> np.ndarray:
    """(n, n) orthonormal rows: sqrt(2 / n) cos(pi f (j + 1/2) / n), the first divided by sqrt 2
    (DCT-II).
    """
    rows = np.cos(np.pi / n * np.arange(n)[:, None] * (np.arange(n) + 0.5)) * math.sqrt(2 / n)
    rows[0] /= math.sqrt(2)
    return rows


def padded(x: np.ndarray, geometry: Geometry, wrap: bool) -> np.ndarray:
    """(n, H, W, C) -> (n, H + rows - 1, W + columns - 1, C): the window of (r, c) begins at (r, c);
    zeros outside, or the torus.
    """
    (up, down), (left, right) = geometry.offsets(geometry.height), geometry.offsets(geometry.width)
    return np.pad(x, ((0, 0), (-up, down), (-left, right), (0, 0)), "wrap" if wrap else "constant")


def coordinates(
    images: np.ndarray, centre: np.ndarray, geometry: Geometry
) -> tuple[np.ndarray, float]:
    """The RANK - 1 coefficients (channel, row and column frequency) of most energy, sorted, and the
    windows' mean squared norm.

    images: a sample (n, C, H, W) of the training set, looked at on a grid of positions.
    """
    x = padded(images.transpose(0, 2, 3, 1) - centre, geometry, geometry.wraps_phi)
    rows, columns = x.shape[1] - geometry.height + 1, x.shape[2] - geometry.width + 1
    # n r c channels rows columns
    windows = sliding_window_view(x, (rows, columns), (1, 2))[:, 1::5, 1::5]
    found = np.einsum(
        "nrcxyz,ax,by,dz->nrcabd",
        windows, cosines(x.shape[3]), cosines(rows)[:FREQUENCIES], cosines(columns)[:FREQUENCIES],
        optimize=True,
    )  # fmt: skip
    energy = np.square(found).mean((0, 1, 2))
    best = np.sort(np.argsort(-energy, axis=None, kind="stable")[: RANK - 1])
    return np.stack(np.unravel_index(best, energy.shape), 1), float(
        np.square(windows).sum((3, 4, 5)).mean()
    )


@njit(fastmath=FAST)
def _weighted(out, x, f):
    """Out += f x."""
    inlined()
    apart()
    for i in range(len(out)):
        out[i] += f * x[i]


@njit(fastmath=FAST)
def _squares(out, x):
    """Out += x^2."""
    inlined()
    apart()
    for i in range(len(out)):
        out[i] += x[i] * x[i]


@njit(fastmath=FAST)
def _finish(total, e, h):
    """The last coordinate from the squared norms of the windows, total, and of their coefficients,
    h; then h = (1 - SLACK) ||e||^2 / 2.
    """
    inlined()
    apart()
    last = len(e) - 1
    for i in range(len(h)):
        kept = 0.0
        for j in range(last):
            kept += np.float64(e[j, i]) * np.float64(e[j, i])
        rest = np.float32(math.sqrt(max(total[i] - h[i], 0.0)))
        e[last, i] = rest
        h[i] = (kept + np.float64(rest) * np.float64(rest)) * (1 - SLACK) / 2


@njit(cache=True)
def embed(x, chosen, row_waves, column_waves, e, h):
    """Windows of sixteen images in coordinates.

    Args:
        x: (H + rows - 1, C, (W + columns - 1) * 16) float64, padded, channels already turned to
            cosine coefficients.
        chosen: (J, 3) coefficients, sorted. row_waves, column_waves: cosines of the window's two
            axes.
        e: (H, RANK, W * 16) float32, coordinates, those beyond J stay 0. h: (H, W * 16) float64, (1
            - SLACK) ||e||^2 / 2.
    """
    inlined()
    height, full = h.shape
    rows, columns = row_waves.shape[1], column_waves.shape[1]
    for r in range(height):
        line, total, one = np.zeros(x.shape[2]), np.zeros(full), np.empty(full)
        for u in range(rows):
            for ch in range(x.shape[1]):
                _squares(line, x[r + u, ch])
        for v in range(columns):
            _weighted(total, line[v * LANES : v * LANES + full], 1.0)
        h[r] = 0
        for j in range(len(chosen)):
            ch, f, g = chosen[j]
            if j == 0 or ch != chosen[j - 1, 0] or f != chosen[j - 1, 1]:
                line[:] = 0
                for u in range(rows):
                    _weighted(line, x[r + u, ch], row_waves[f, u])
            one[:] = 0
            for v in range(columns):
                _weighted(one, line[v * LANES : v * LANES + full], column_waves[g, v])
            _squares(h[r], one)
            e[r, j] = one
        _finish(total, e[r], h[r])


@njit(fastmath=FAST)
def _bounds(a, e, h, i0, i1, g):
    """G = a . e - h over [i0, i1), the half of what is to be compared with a squared distance;
    returns the largest.
    """
    inlined()
    apart()
    n = i1 - i0
    a0, a1, a2, a3, a4, a5, a6, a7 = a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7]
    b0, b1, b2, b3, b4, b5, b6, b7 = a[8], a[9], a[10], a[11], a[12], a[13], a[14], a[15]
    e0, e1, e2, e3, e4, e5, e6, e7 = (
        e[0, i0:i1], e[1, i0:i1], e[2, i0:i1], e[3, i0:i1], e[4, i0:i1], e[5, i0:i1], e[6, i0:i1],
        e[7, i0:i1],
    )  # fmt: skip
    f0, f1, f2, f3, f4, f5, f6, f7 = (
        e[8, i0:i1], e[9, i0:i1], e[10, i0:i1], e[11, i0:i1], e[12, i0:i1], e[13, i0:i1], e[14,
        i0:i1], e[15, i0:i1],
    )  # fmt: skip
    half = h[i0:i1]
    top = np.float32(-FAR)
    for i in range(n):
        x = (
            a0 * e0[i]
            + a1 * e1[i]
            + a2 * e2[i]
            + a3 * e3[i]
            + a4 * e4[i]
            + a5 * e5[i]
            + a6 * e6[i]
            + a7 * e7[i]
        )
        z = (
            b0 * f0[i]
            + b1 * f1[i]
            + b2 * f2[i]
            + b3 * f3[i]
            + b4 * f4[i]
            + b5 * f5[i]
            + b6 * f6[i]
            + b7 * f7[i]
        )
        x = x + z - half[i]
        g[i] = x
        top = x if x > top else top
    return top


@njit(fastmath=FAST)
def _pick(g, n, least, flags, words, picked):
    """Where g >= least, the largest first; returns how many. words: the flags by eights, so that
    most are passed over together.
    """
    inlined()
    for i in range(n):
        flags[i] = g[i] >= least
    found, best = 0, 0
    for i in range(n // BYTES):
        if words[i]:
            for j in range(i * BYTES, (i + 1) * BYTES):
                picked[found] = j
                found += flags[j]
    for i in range(found):
        best = i if g[picked[i]] > g[picked[best]] else best
    picked[0], picked[best] = picked[best], picked[0]
    return found


@njit(fastmath=FAST)
def _measure(y, x, r, c, q, o, rows, span, limit):
    """Squared distance of the windows at (r, c) of y and (q, o) of x; no further than the row that
    passes the limit.
    """
    inlined()
    total = 0.0
    for u in range(rows):
        for i in range(span):
            t = y[r + u, c + i] - np.float64(x[q + u, o + i])
            total += t * t
        if total > limit:
            break
    return total


@njit
def _limit(stat, kept, cut, scale):
    """Squared distance beyond which a source need not be measured."""
    inlined()
    if stat[M] == -np.inf:
        return np.inf
    least = stat[M] - cut + math.log(max(stat[S], 1.0))
    if len(kept):
        least = min(least, kept[-1])
    return -least / scale


@njit
def _least(norm, limit):
    """What `_bounds` must reach for a source within the limit; sources that are none stay
    below it.
    """
    inlined()
    return max(np.float32((norm - limit) / 2), np.float32(-FAR / 2))


@njit
def _add(t, pixels, at, channels, stat):
    """One source of logit t and the values pixels[at : at + channels] into the statistics; whether
    it is the best so far.
    """
    inlined()
    m = stat[M]
    nearer = t > m
    if nearer:
        if m > -np.inf:
            change = math.exp(m - t)
            stat[E] = (stat[E] + (m - t) * stat[S]) * change
            for j in (S, DROPPED):
                stat[j] *= change
            for j in range(ACC, len(stat)):
                stat[j] *= change
        stat[M] = m = t
    w = math.exp(t - m)
    stat[S] += w
    stat[E] += w * (t - m)
    for ch in range(channels):
        stat[ACC + ch] += w * pixels[at + ch]
    return nearer


@njit
def _insert(t, source, logits, sources):
    """Among the best, if it beats the weakest of them; whether it does."""
    inlined()
    j = len(logits) - 1
    if t <= logits[j]:
        return False
    while j > 0 and logits[j - 1] < t:
        logits[j] = logits[j - 1]
        sources[j] = sources[j - 1]
        j -= 1
    logits[j] = t
    sources[j] = source
    return True


@njit
def _load(images, members, centre, colours, wrap, up, left, x, pixels):
    """Sixteen images, padded: x as `embed` wants it, pixels (16, H + rows - 1, (W + columns - 1) *
    C) as they are.
    """
    inlined()
    channels, height, width = images.shape[1:]
    for r in range(x.shape[0]):
        row = r + up
        if wrap or 0 <= row < height:
            for c in range(x.shape[2] // LANES):
                column = c + left
                if wrap or 0 <= column < width:
                    for l in range(LANES):
                        i = max(members[l], 0)
                        for ch in range(channels):
                            pixels[l, r, c * channels + ch] = images[
                                i, ch, row % height, column % width
                            ]
                        for a in range(channels):
                            total = 0.0
                            for ch in range(channels):
                                total += colours[a, ch] * (
                                    pixels[l, r, c * channels + ch] - centre[ch]
                                )
                            x[r, a, c * LANES + l] = total


@njit(parallel=True, cache=True)
def search(
    images, members, y, queries, norms, scale, centre, waves, chosen, sources_of, offsets, wrap,
    cut, step, stats, counts,
    logits, sources,
):  # fmt: skip
    """Statistics of every query pixel over the whole training set.

    Args:
        images: (N, C, H, W) float32. members: (blocks, 16) image of each lane, -1 for none.
        y: (B, H + rows - 1, (W + columns - 1) * C) float64, padded. queries: (B, H, W, RANK)
            float32, its windows embedded.
        norms: (B, H, W) (1 - SLACK) ||query||^2. scale: (B,) 1 / (2 sigma^2); logits are in nats.
        centre: (C,) subtracted before embedding. waves: cosines of channels, rows and columns.
            chosen: see `embed`.
        sources_of: ((H, 2), (W, 2)) source rows and columns of each row and column. offsets: first
            row and column of windows.
        cut: nats. step: only every such row and column of y.
        stats: (B, H, W, 4 + C), the maximum set to -inf and the rest to 0. counts: (B, H, W)
            sources of the last block measured.
        logits, sources: (B, H, W, K).
    """
    channels, height, width = images.shape[1:]
    colours, row_waves, column_waves = waves
    rows_of, columns_of = sources_of
    rows, columns = row_waves.shape[1], column_waves.shape[1]
    span, full = columns * channels, width * LANES
    above, beside = height + rows - 1, width + columns - 1
    pixels = np.zeros((GROUP, LANES, above, beside * channels), np.float32)
    e, h = (
        np.zeros((GROUP, height, RANK, full), np.float32),
        np.zeros((GROUP, height, full), np.float32),
    )
    lines = (height + step - 1) // step
    for first in range(0, len(members), GROUP):
        group = members[first : first + GROUP]
        for k in prange(len(group)):
            inlined()
            x, half = np.zeros((above, channels, beside * LANES)), np.zeros((height, full))
            _load(images, group[k], centre, colours, wrap, offsets[0], offsets[1], x, pixels[k])
            embed(x, chosen, row_waves, column_waves, e[k], half)
            h[k] = half
            for i in range(full):
                if group[k, i % LANES] < 0:
                    h[k, :, i] = FAR
        for line in prange(len(y) * lines):
            inlined()
            b, r = line // lines, line % lines * step
            g, flags = np.empty(full, np.float32), np.zeros(full, np.bool_)
            words, picked = flags.view(np.uint64), np.empty(full + 1, np.int64)
            for k in range(len(group)):
                present = (group[k] >= 0).sum()
                counts[b, r] = 0
                for q in range(rows_of[r, 0], rows_of[r, 1]):
                    for p in range(0, width, step):
                        q0, q1 = columns_of[p]
                        if q1 <= q0:
                            continue
                        stat, kept = stats[b, r, p], logits[b, r, p]
                        limit = _limit(stat, kept, cut, scale[b])
                        least = _least(norms[b, r, p], limit)
                        top = _bounds(queries[b, r, p], e[k, q], h[k, q], q0 * LANES, q1 * LANES, g)
                        left_out = (q1 - q0) * present
                        found = (
                            _pick(g, (q1 - q0) * LANES, least, flags, words, picked)
                            if top >= least
                            else 0
                        )
                        for i in range(found):
                            if g[picked[i]] < least:  # the limit has moved
                                continue
                            l, o = picked[i] % LANES, q0 + picked[i] // LANES
                            d = _measure(
                                y[b],
                                pixels[k, l],
                                r,
                                p * channels,
                                q,
                                o * channels,
                                rows,
                                span,
                                limit,
                            )
                            counts[b, r, p] += 1
                            if d > limit:
                                continue
                            left_out -= 1
                            t, at = -d * scale[b], (o - offsets[1]) * channels
                            nearer = _add(t, pixels[k, l, q - offsets[0]], at, channels, stat)
                            if len(kept):
                                name = (group[k, l] * height + q) * width + o
                                nearer |= _insert(t, name, kept, sources[b, r, p])
                            if nearer:
                                limit = _limit(stat, kept, cut, scale[b])
                                least = _least(norms[b, r, p], limit)
                        stat[DROPPED] += left_out * math.exp(-cut) * stat[S]


@dataclass(frozen=True)
class Screen:
    """`search` for one training set and one geometry.

    images: (N, C, H, W) float32. members: (blocks, 16) image of each lane, -1 for none. cut: nats.
    """

    images: np.ndarray
    members: np.ndarray
    geometry: Geometry
    cut: float

    @cached_property
    def embedding(self) -> tuple[np.ndarray, np.ndarray, float]:
        """Centre (C,), coefficients (J, 3) and mean squared norm of windows, from SAMPLE training
        images, evenly spread.
        """
        used = self.members[self.members >= 0]
        sample = self.images[used[:: -(-len(used) // SAMPLE)]].astype(np.float64)
        centre = sample.mean((0, 2, 3))
        return centre, *coordinates(sample, centre, self.geometry)

    def worth(self, rows: np.ndarray, sigma: np.ndarray, direct: bool) -> np.ndarray:
        """(B,) whether to search rather than slide, for each row by itself.

        Tried are a few pixels in two blocks of the training set; the share they measure of their
        pairs in the second says what a search would cost. Where most windows lie within the cut of
        each other nothing is tried at all.
        """
        g, (up, down) = self.geometry, self.geometry.offsets(self.geometry.height)
        pairs = g.counts().sum()
        slid = np.diff(g.shifts()[:, 1:]).sum() * g.width * (g.band()[1] - g.band()[0])
        budget = (
            slid * (TORUS if g.wraps_phi else SLIDE) * (down - up + 1 if direct else 1)
            - EMBED * g.height * g.width
            - BOUND * pairs
        )
        if budget <= 0 or len(self.members) < BLOCKS:
            return np.zeros(len(rows), bool)
        out = 4 * sigma**2 * self.cut < self.embedding[2]
        if out.any():
            _, counts, _, _ = self(
                rows[out],
                sigma[out],
                step=STEP,
                blocks=slice(0, len(self.members) // 2 + 1, len(self.members) // 2),
            )
            share = counts.sum((1, 2)) / (LANES * g.counts()[::STEP, ::STEP].sum())
            out[out] = share * pairs * (MEASURE + TERM * g.extent().max() * rows.shape[-1]) < budget
        return out

    def __call__(
        self,
        rows: np.ndarray,
        sigma: np.ndarray,
        keep: int = 0,
        step: int = 1,
        blocks: slice = slice(None),
    ):
        """Statistics, sources measured in the last block, logits and sources (see `search`) of
        images (B, H, W, C).
        """
        g, (batch, height, width, channels) = self.geometry, rows.shape
        centre, chosen, _ = self.embedding
        (up, down), (left, right) = g.offsets(height), g.offsets(width)
        waves = (
            cosines(channels),
            cosines(down - up + 1)[:FREQUENCIES],
            cosines(right - left + 1)[:FREQUENCIES],
        )
        queries, norms = self._embed(rows, waves)
        y = padded(rows, g, g.wraps_y)
        stats = np.zeros((batch, height, width, ACC + channels))
        stats[..., M] = -np.inf
        shape = (batch, height, width, keep)
        found = (
            stats,
            np.zeros(shape[:3], np.int64),
            np.full(shape, -np.inf),
            np.full(shape, -1, np.int64),
        )
        search(
            self.images, self.members[blocks], y.reshape(*y.shape[:2], -1), queries, norms,
            1 / (2 * sigma**2), centre, waves,
            chosen, (g.sources(height), g.sources(width)), (up, left), g.wraps_phi, self.cut, step,
            *found,
        )  # fmt: skip
        return found

    def _embed(
        self, rows: np.ndarray, waves: tuple[np.ndarray, ...]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Windows of images (B, H, W, C): coordinates (B, H, W, RANK) and (1 - SLACK) times their
        squared norms.
        """
        batch, height, width, _ = rows.shape
        centre, chosen, _ = self.embedding
        out, norms = (
            np.empty((batch, height, width, RANK), np.float32),
            np.empty((batch, height, width)),
        )
        for i in range(0, batch, LANES):
            x = padded(
                (rows[i : i + LANES] - centre) @ waves[0].T, self.geometry, self.geometry.wraps_y
            )
            x = np.pad(x, ((0, LANES - len(x)), (0, 0), (0, 0), (0, 0))).transpose(1, 3, 2, 0)
            e, h = (
                np.zeros((height, RANK, width * LANES), np.float32),
                np.empty((height, width * LANES)),
            )
            embed(np.ascontiguousarray(x).reshape(*x.shape[:2], -1), chosen, *waves[1:], e, h)
            out[i : i + LANES] = e.reshape(height, RANK, width, LANES).transpose(3, 0, 2, 1)[
                : batch - i
            ]
            norms[i : i + LANES] = (
                2 * h.reshape(height, width, LANES).transpose(2, 0, 1)[: batch - i]
            )
        return out, norms
