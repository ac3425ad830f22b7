"""The CPU kernel: every window distance by sliding sums, every belief by a streamed softmax.

    L(p, i, q) = (y[O_p] . phi_i[O_q] - ||phi_i[O_q]||^2 / 2) / sigma^2       (the constant ||y||^2 left out)
    D(p)       = sum_{i, q} exp(L - m) phi_i[q] / sum exp(L - m)

For a shift d = q - p the products y[a] . phi[a + d] of pixel pairs are summed over a window that slides first down the
rows, then along the columns, so a pair costs the same at every window. Sixteen training images lie side by side in the
innermost axis, so every loop is a plain one over contiguous numbers, which the compiler vectorises without shuffles.

Sums slide in the dtype of y as it is given here: float64, or float32 where the caller knows that its rounding is far below
sigma^2. Beliefs below the running maximum by more than `cut` are not evaluated; what they could have weighed is counted, so
that the bound is a certificate. With `direct`, for exact float64, windows are summed afresh from squared differences,
which keeps the relative accuracy of 1e-16 that cancellation would cost.

Training images are read once for all rows of a batch, straight from where they lie; scratch is a few megabytes a thread.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit, prange, types
from numba.extending import intrinsic

LANES = 16  # training images side by side
FAR = 1e30  # a logit no source has; lanes without an image get it
NEAR = 4.0  # how far a maximum may move before differences to it are formed anew
FAST = {"nnan", "nsz", "reassoc", "contract", "arcp"}
M, S, E, DROPPED, ACC = 0, 1, 2, 3, 4  # columns of a pixel's statistics: maximum, sum, energy, dropped bound, weighted values


@intrinsic
def _float_from_bits(typing, bits):
    """The float32 whose bits these are; what makes 2^n one shift."""

    def generate(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], context.get_value_type(types.float32))

    return types.float32(types.int32), generate


@intrinsic
def _vectors(typing):
    """Ask the compiler for the widest vectors and for vectorised maxima in the function that calls this.

    Preferences of LLVM: on a processor without 512-bit vectors the first changes nothing.
    """

    def generate(context, builder, signature, arguments):
        for wish in ('"prefer-vector-width"="512"', '"no-nans-fp-math"="true"', '"no-signed-zeros-fp-math"="true"'):
            set.add(builder.function.attributes, wish)  # llvmlite's own `add` knows no string attributes
        return context.get_dummy_value()

    return types.void(), generate


@njit(fastmath=FAST, inline="always")
def exp2(t):
    """2^t in float32 for t <= 0, flat below -100 (no denormal ever slows it down); relative error below 3e-7.

    Written out because a call to the C library does not vectorise.
    """
    t = max(t, np.float32(-100.0))
    n = np.rint(t)
    f = t - n
    p = np.float32(1.5403530393381609e-4)
    p = p * f + np.float32(1.3333558146428443e-3)
    p = p * f + np.float32(9.618129107628477e-3)
    p = p * f + np.float32(5.550410866482158e-2)
    p = p * f + np.float32(2.402265069591007e-1)
    p = p * f + np.float32(6.931471805599453e-1)
    p = p * f + np.float32(1.0)
    return p * _float_from_bits((np.int32(n) + np.int32(127)) << np.int32(23))


@njit(fastmath=FAST, cache=True)
def exp2_of(t):
    """`exp2` over an array, as the kernel computes it."""
    out = np.empty_like(t)
    for i in range(len(t)):
        out[i] = exp2(t[i])
    return out


@njit(cache=True)
def _load(images, members, centre, direct, window, wrap, phi, half, values):
    """Sixteen images into the innermost axis: phi (less the centre) and values (H, C, W*16), half (H, W*16).

    half is ||phi||^2 / 2 summed over the window, FAR where there is no image.
    """
    height, channels, width = phi.shape[0], phi.shape[1], phi.shape[2] // LANES
    for l in range(LANES):
        i = members[l]
        for r in range(height):
            for ch in range(channels):
                for c in range(width):
                    v = images[i, ch, r, c] if i >= 0 else np.float32(0)
                    values[r, ch, c * LANES + l] = v
                    phi[r, ch, c * LANES + l] = np.float64(v) - centre[ch]
    half[:] = 0
    if not direct:
        up, down, left, right = window
        square = np.zeros((height, width * LANES))
        lines = np.zeros((height, width * LANES))
        for r in range(height):
            for ch in range(channels):
                _half_square(square[r], phi[r, ch])
        full = width * LANES
        for r in range(height):
            if r == 0:
                for u in range(up, down + 1):
                    if wrap or 0 <= u < height:
                        _add(lines[0], 0, full, square[u % height], 0)
            else:
                lines[r] = lines[r - 1]
                if wrap or r + down < height:
                    _add(lines[r], 0, full, square[(r + down) % height], 0)
                if wrap or r - 1 + up >= 0:
                    _subtract(lines[r], 0, full, square[(r - 1 + up) % height], 0)
            _box(half[r], lines[r], left, right, wrap)
    for l in range(LANES):
        if members[l] < 0:
            for r in range(height):
                for c in range(width):
                    half[r, c * LANES + l] = FAR


@njit(cache=True)
def _box(out, x, left, right, wrap):
    """Sums of x (W*16) over the columns of each window."""
    width = len(x) // LANES
    total = np.zeros(LANES)
    for c in range(width):
        for u in range(left if c == 0 else right, right + 1):
            if wrap or 0 <= c + u < width:
                new = x[(c + u) % width * LANES :]
                for l in range(LANES):
                    total[l] += new[l]
        if c > 0 and (wrap or c - 1 + left >= 0):
            old = x[(c - 1 + left) % width * LANES :]
            for l in range(LANES):
                total[l] -= old[l]
        at = out[c * LANES :]
        for l in range(LANES):
            at[l] = total[l]


@njit(fastmath=FAST, cache=True)
def _half_square(out, x):
    _vectors()
    for i in range(len(out)):
        out[i] += np.float64(x[i]) * np.float64(x[i]) / 2


@njit(fastmath=FAST, cache=True)
def _enter(v, n0, n1, y, phi, sign):
    """v += sign y . phi over [n0, n1): a row enters the window (1) or leaves it (-1)."""
    _vectors()
    out = v[n0:n1]
    if len(y) == 3:
        a, b, c = sign * y[0], sign * y[1], sign * y[2]
        p, q, r = phi[0, n0:n1], phi[1, n0:n1], phi[2, n0:n1]
        for i in range(len(out)):
            out[i] += a * p[i] + b * q[i] + c * r[i]
    else:
        for ch in range(len(y)):
            a, p = sign * y[ch], phi[ch, n0:n1]
            for i in range(len(out)):
                out[i] += a * p[i]


@njit(fastmath=FAST, cache=True)
def _slide(v, n0, n1, y, phi, old, gone):
    """v += y . phi - old . gone over [n0, n1): one row enters the window, one leaves."""
    _vectors()
    out = v[n0:n1]
    if len(y) == 3:
        a, b, c = y[0], y[1], y[2]
        p, q, r = phi[0, n0:n1], phi[1, n0:n1], phi[2, n0:n1]
        d, e, f = old[0], old[1], old[2]
        t, u, w = gone[0, n0:n1], gone[1, n0:n1], gone[2, n0:n1]
        for i in range(len(out)):
            out[i] += a * p[i] + b * q[i] + c * r[i] - d * t[i] - e * u[i] - f * w[i]
    else:
        for ch in range(len(y)):
            a, p, d, t = y[ch], phi[ch, n0:n1], old[ch], gone[ch, n0:n1]
            for i in range(len(out)):
                out[i] += a * p[i] - d * t[i]


@njit(cache=True)
def _direct(v, n0, n1, y, phi, s):
    """v -= s (y - phi)^2 / 2 over [n0, n1), y not scaled."""
    out = v[n0:n1]
    for ch in range(len(y)):
        a, p = y[ch], phi[ch, n0:n1]
        for i in range(len(out)):
            out[i] -= s * (a - p[i]) * (a - p[i]) / 2


@njit(fastmath=FAST, cache=True)
def _add(d, i0, i1, v, shift):
    _vectors()
    out, x = d[i0:i1], v[i0 + shift : i1 + shift]
    for i in range(len(out)):
        out[i] += x[i]


@njit(fastmath=FAST, cache=True)
def _subtract(d, i0, i1, v, shift):
    _vectors()
    out, x = d[i0:i1], v[i0 + shift : i1 + shift]
    for i in range(len(out)):
        out[i] -= x[i]


@njit(fastmath=FAST, cache=True)
def _move(d, i0, i1, v, shift, w, back):
    _vectors()
    out, x, z = d[i0:i1], v[i0 + shift : i1 + shift], w[i0 + back : i1 + back]
    for i in range(len(out)):
        out[i] += x[i] - z[i]


@njit(fastmath=FAST, cache=True)
def _below(d, half, m, t):
    """t = d - half - m in float32; returns the maximum of d - half."""
    _vectors()
    top = d[0] - half[0]
    for i in range(len(d)):
        x = d[i] - half[i]
        t[i] = np.float32(x - m)
        top = x if x > top else top
    return top


@njit(fastmath=FAST, cache=True)
def _weigh(t, m, values, k0, stat):
    """Add exp2(t - m) and its weighted values, in float32 over one stretch and float64 between stretches."""
    _vectors()
    n = len(t)
    if len(values) == 3:
        p, q, r = values[0, k0 : k0 + n], values[1, k0 : k0 + n], values[2, k0 : k0 + n]
        s = a = b = c = np.float32(0)
        for i in range(n):
            w = exp2(t[i] - m)
            s += w
            a += w * p[i]
            b += w * q[i]
            c += w * r[i]
        stat[S] += s
        stat[ACC] += a
        stat[ACC + 1] += b
        stat[ACC + 2] += c
    else:
        s = np.float32(0)
        for ch in range(len(values)):
            p = values[ch, k0 : k0 + n]
            s = a = np.float32(0)
            for i in range(n):
                w = exp2(t[i] - m)
                s += w
                a += w * p[i]
            stat[ACC + ch] += a
        stat[S] += s


@njit(cache=True)
def _weigh_double(d, half, m, rate, values, k0, stat):
    """The same in float64, with the energy sum w (d - half - m)."""
    for i in range(len(d)):
        t = d[i] - half[i] - m
        w = math.exp(t * rate)
        stat[S] += w
        stat[E] += w * t if w > 0 else 0.0
        for ch in range(len(values)):
            stat[ACC + ch] += w * values[ch, k0 + i]


@njit(cache=True)
def _keep(d, half, members, place, pixels, logits, sources):
    """Insert what beats the weakest of the kept; `place` is the flat position of the first source."""
    last = len(logits) - 1
    for i in range(len(d)):
        x = d[i] - half[i]
        if x > logits[last] and members[i % LANES] >= 0:
            j = last
            while j > 0 and logits[j - 1] < x:
                logits[j] = logits[j - 1]
                sources[j] = sources[j - 1]
                j -= 1
            logits[j] = x
            sources[j] = members[i % LANES] * pixels + place + i // LANES


@njit(cache=True)
def _believe(d, half, values, k0, place, pixels, members, cut, rate, double, t, stat, logits, sources):
    """One stretch of sources, at values k0 and on, into the statistics of one pixel."""
    m = stat[M]
    seen = m if m > -np.inf else 0.0
    top = _below(d, half, d.dtype.type(seen), t)
    if top < m - cut:
        stat[DROPPED] += len(d) * math.exp((top - m) * rate)
    else:
        if top > m:
            if m > -np.inf:
                change = math.exp((m - top) * rate)
                stat[E] = (stat[E] + (m - top) * stat[S]) * change
                stat[S] *= change
                stat[DROPPED] *= change
                for ch in range(len(values)):
                    stat[ACC + ch] *= change
            stat[M] = m = top
        if double:
            _weigh_double(d, half, m, rate, values, k0, stat)
        else:
            if abs(m - seen) > NEAR:
                seen = m
                _below(d, half, d.dtype.type(m), t)
            _weigh(t, np.float32(m - seen), values, k0, stat)
    if len(logits) and top > logits[-1]:
        _keep(d, half, members, place, pixels, logits, sources)


@njit(cache=True)
def _column(d, v, a, width, wrap, low, high, sign):
    """Add (or take away) column a of v: pairs (a, a + shift), stored by shift."""
    row = v[a % width]
    if wrap:
        split = width - a % width
        if sign > 0:
            _add(d, 0, split * LANES, row, (a % width) * LANES)
            _add(d, split * LANES, width * LANES, row, -split * LANES)
        else:
            _subtract(d, 0, split * LANES, row, (a % width) * LANES)
            _subtract(d, split * LANES, width * LANES, row, -split * LANES)
    else:
        j0, j1, shift = max(low, width - 1 - a) * LANES, min(high, 2 * width - 1 - a) * LANES, (a - width + 1) * LANES
        if sign > 0:
            _add(d, j0, j1, row, shift)
        else:
            _subtract(d, j0, j1, row, shift)


@njit(cache=True)
def _exchange(d, v, new, old, width, wrap, low, high):
    """Column `new` enters the window, column `old` leaves it."""
    enter, leave = v[new % width], v[old % width]
    if wrap:
        one, two = width - new % width, width - old % width
        first, second = min(one, two), max(one, two)
        for part in range(3):
            j0 = 0 if part == 0 else first if part == 1 else second
            j1 = first if part == 0 else second if part == 1 else width
            shift = (new % width if j0 < one else -one) * LANES
            back = (old % width if j0 < two else -two) * LANES
            _move(d, j0 * LANES, j1 * LANES, enter, shift, leave, back)
    else:
        shift, back = (new - width + 1) * LANES, (old - width + 1) * LANES
        start = max(low, width - 1 - new)
        middle = min(high, max(start, width - 1 - old))
        _add(d, start * LANES, middle * LANES, enter, shift)
        _move(d, middle * LANES, min(high, 2 * width - 1 - new) * LANES, enter, shift, leave, back)


@njit(cache=True)
def _rows(v, y, a, b, wrap_y, low, high, phi, s, direct, sign):
    """Rows a of y and b of phi enter the window (sign 1) or leave it (-1), pair by pair of columns."""
    width = y.shape[1]
    for c in range(width):
        n0, n1 = _band(c, width, wrap_y, low, high)
        if direct:
            _direct(v[c], n0, n1, y[a, c], phi[b], s)
        else:
            _enter(v[c], n0, n1, y[a, c], phi[b], sign)


@njit(cache=True)
def _band(c, width, wrap_y, low, high):
    """Which columns of phi a column of y ever meets, as flat bounds."""
    if wrap_y:
        return 0, width * LANES
    return max(0, c + low - width + 1) * LANES, min(width, c + high - width + 1) * LANES


@njit(cache=True)
def _block(
    query,
    s,
    phi,
    half,
    values,
    members,
    shifts,
    columns,
    window,
    band,
    wrap_y,
    wrap,
    cut,
    rate,
    direct,
    double,
    scratch,
    stat,
    logits,
    sources,
):
    """All pairs of one query image with sixteen training images; half already times s."""
    v, d, t = scratch
    height, width = query.shape[0], query.shape[1]
    pixels, one = height * width, query.dtype.type(1)
    up, down, left, right = window
    low, high = band
    for k in range(len(shifts)):
        shift, first, last = shifts[k]
        for r in range(first, last):
            if r == first or direct:
                v[:] = 0
                for u in range(up, down + 1):
                    a, b = r + u, r + shift + u
                    if (wrap_y or 0 <= a < height) and (wrap or 0 <= b < height):
                        _rows(v, query, a % height, b % height, wrap_y, low, high, phi, s, direct, one)
            else:
                a, o = r + down, r - 1 + up
                b, g = a + shift, o + shift
                enters = (wrap_y or a < height) and (wrap or b < height)
                leaves = (wrap_y or o >= 0) and (wrap or g >= 0)
                a, b, o, g = a % height, b % height, o % height, g % height
                if enters and leaves:
                    for c in range(width):
                        n0, n1 = _band(c, width, wrap_y, low, high)
                        _slide(v[c], n0, n1, query[a, c], phi[b], query[o, c], phi[g])
                elif enters:
                    _rows(v, query, a, b, wrap_y, low, high, phi, s, direct, one)
                elif leaves:
                    _rows(v, query, o, g, wrap_y, low, high, phi, s, direct, -one)
            q = (r + shift) % height
            for p in range(width):
                if p == 0 or direct:
                    d[:] = 0
                    for u in range(left, right + 1):
                        if wrap_y or 0 <= p + u < width:
                            _column(d, v, p + u, width, wrap, low, high, 1)
                else:
                    new, old = p + right, p - 1 + left
                    enters, leaves = wrap_y or new < width, wrap_y or old >= 0
                    if enters and leaves:
                        _exchange(d, v, new, old, width, wrap, low, high)
                    elif enters:
                        _column(d, v, new, width, wrap, low, high, 1)
                    elif leaves:
                        _column(d, v, old, width, wrap, low, high, -1)
                at, kept, names = stat[r, p], logits[r, p], sources[r, p]
                if wrap:
                    n, m = (width - p) * LANES, p * LANES
                    _believe(
                        d[:n],
                        half[q, m:],
                        values[q],
                        m,
                        q * width + p,
                        pixels,
                        members,
                        cut,
                        rate,
                        double,
                        t[:n],
                        at,
                        kept,
                        names,
                    )
                    if p:
                        _believe(
                            d[n : n + m],
                            half[q, :m],
                            values[q],
                            0,
                            q * width,
                            pixels,
                            members,
                            cut,
                            rate,
                            double,
                            t[:m],
                            at,
                            kept,
                            names,
                        )
                else:
                    q0, q1 = columns[p]
                    i0, n = (q0 - p + width - 1) * LANES, (q1 - q0) * LANES
                    if n > 0:
                        own = half[q, q0 * LANES : q1 * LANES]
                        _believe(
                            d[i0 : i0 + n],
                            own,
                            values[q],
                            q0 * LANES,
                            q * width + q0,
                            pixels,
                            members,
                            cut,
                            rate,
                            double,
                            t[:n],
                            at,
                            kept,
                            names,
                        )


@njit(parallel=True, cache=True)
def scan(
    images,
    members,
    parts,
    y,
    s,
    centre,
    shifts,
    columns,
    window,
    band,
    wrap_y,
    wrap,
    cut,
    unit,
    direct,
    double,
    stats,
    logits,
    sources,
):
    """Statistics of every query pixel, separately for each part of the training set.

    Args:
        images: (N, C, H, W) float32. members: (blocks, 16) image of each lane, -1 for none. parts: (P + 1,) bounds in blocks.
        y: (B, H, W, C) less the centre and, unless direct, times s; its dtype is that of the sliding sums.
        s: (B,) unit / sigma^2; logits are in nats times unit. centre: (C,) subtracted from y and phi, which changes no distance.
        shifts: (T, 3) row shift and the rows it serves. columns: (W, 2) source columns of each column.
        window: row and column offsets, both ends included. band: shifts of columns ever needed, plus W - 1.
        stats: (P, B, H, W, 4 + C), the maximum set to -inf and the rest to 0. logits, sources: (P, B, H, W, K).
    """
    batch, height, width, channels = y.shape
    for part in prange(len(parts) - 1):
        phi = np.empty((height, channels, width * LANES), y.dtype)
        scaled = np.empty((height, width * LANES), y.dtype)
        half = np.empty((height, width * LANES))
        values = np.empty((height, channels, width * LANES), np.float32)
        v = np.empty((width, width * LANES), y.dtype)
        d = np.empty((2 * width - 1) * LANES, y.dtype)
        t = np.empty(width * LANES, np.float32)
        for k in range(parts[part], parts[part + 1]):
            _load(images, members[k], centre, direct, window, wrap, phi, half, values)
            for b in range(batch):
                for r in range(height):
                    for i in range(width * LANES):
                        scaled[r, i] = half[r, i] * s[b]
                _block(
                    y[b], s[b], phi, scaled, values, members[k], shifts, columns, window, band, wrap_y, wrap, cut, 1 / unit,
                    direct, double, (v, d, t), stats[part, b], logits[part, b], sources[part, b],
                )  # fmt: skip
