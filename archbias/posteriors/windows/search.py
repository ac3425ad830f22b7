"""The compiled search behind `screen`: windows in few coordinates, bounds, and exact distances.

    g = e(y) . e(phi) - (1 - SLACK) ||e(phi)||^2 / 2          of every pair, by products
    d = ||y[O_p] - phi[O_q]||^2                               of those the bound leaves, in float64

A pair is measured when 2 g reaches (1 - SLACK) ||e(y)||^2 less the limit, which follows the weights
found so far.

One module, because the cache of compiled code looks at no other file for what has changed.
"""

from __future__ import annotations

import math

import numpy as np
from numba import prange

from ...compiled import njit
from .kernel import ACC, DROPPED, FAR, FAST, LANES, E, M, S, apart, inlined

RANK = 16  # coordinates of the embedding
# of squared norms: more than products of 16 float32 and the root of a cancelled sum round off
SLACK = 2.0**-17
BYTES = 8  # flags looked at together
GROUP = 8  # blocks embedded at once, some megabytes


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
            a0 * e0[i] + a1 * e1[i] + a2 * e2[i] + a3 * e3[i]
            + a4 * e4[i] + a5 * e5[i] + a6 * e6[i] + a7 * e7[i]
        )  # fmt: skip
        z = (
            b0 * f0[i] + b1 * f1[i] + b2 * f2[i] + b3 * f3[i]
            + b4 * f4[i] + b5 * f5[i] + b6 * f6[i] + b7 * f7[i]
        )  # fmt: skip
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
                                y[b], pixels[k, l], r, p * channels, q, o * channels, rows, span,
                                limit,
                            )  # fmt: skip
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
