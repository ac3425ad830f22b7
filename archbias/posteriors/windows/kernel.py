"""The CPU kernel: every window distance by sliding sums, every belief by a streamed softmax.

    L(p, i, q) = (y[O_p] . phi_i[O_q] - ||phi_i[O_q]||^2 / 2) / sigma^2       (the constant ||y||^2
        left out)
    D(p)       = sum_{i, q} exp(L - m) phi_i[q] / sum exp(L - m)

For a shift d = q - p the products y[a] . phi[a + d] of pixel pairs are summed over a window that
slides first down the rows, then along the columns, so a pair costs the same at every window.
Sixteen training images lie side by side in the innermost axis, so every loop is a plain one over
contiguous numbers, which the compiler vectorises without shuffles.

Sums slide in the dtype of y as it is given here: float64, or float32 where the caller knows that
its rounding is far below sigma^2. Beliefs below the running maximum by more than `cut` are not
evaluated; what they could have weighed is counted, so that the bound is a certificate. With
`direct`, for exact float64, windows are summed afresh from squared differences, which keeps the
relative accuracy of 1e-16 that cancellation would cost.

Training images are read once for all rows of a batch, straight from where they lie; scratch is a
few megabytes a thread.

All of it is one module because the cache of compiled code looks at no other file when it asks
whether a function has changed.
"""

from __future__ import annotations

import math

import numpy as np
from llvmlite import ir
from numba import prange, types
from numba.extending import intrinsic

from ...compiled import njit

LANES = 16  # training images side by side
FAR = 1e30  # a logit no source has; lanes without an image get it
NEAR = 4.0  # how far a maximum may move before differences to it are formed anew
FAST = {"nnan", "nsz", "reassoc", "contract", "arcp"}
# columns of a pixel's statistics: maximum, sum, energy, dropped bound, weighted values
M, S, E, DROPPED, ACC = 0, 1, 2, 3, 4


@intrinsic
def _float_from_bits(typing, bits):
    """The float32 whose bits these are; what makes 2^n one shift."""

    def generate(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], context.get_value_type(types.float32))

    return types.float32(types.int32), generate


@intrinsic
def _double_from_bits(typing, bits):
    """The float64 whose bits these are."""

    def generate(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], context.get_value_type(types.float64))

    return types.float64(types.int64), generate


@intrinsic
def at(typing, array, index):
    """Pointer to the element at a flat index of a contiguous array."""

    def generate(context, builder, signature, arguments):
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.gep(data, [arguments[1]])

    return types.CPointer(array.dtype)(array, types.intp), generate


@intrinsic
def inlined(typing):
    """Inline the function that calls this into its own caller, with the widest vectors and
    vectorised maxima.

    Everything inlined leaves one function to compile. As several, each is compiled twice, alone and
    within its callers, with sums ordered differently, and which one runs depends on whether the
    machine code comes from the cache: numbers would differ in the last digit. Vectors and maxima
    are preferences: on a processor without 512-bit vectors they change nothing.
    """

    def generate(context, builder, signature, arguments):
        for wish in (
            "alwaysinline",
            '"prefer-vector-width"="512"',
            '"no-nans-fp-math"="true"',
            '"no-signed-zeros-fp-math"="true"',
        ):
            # llvmlite's own `add` knows no string attributes
            set.add(builder.function.attributes, wish)
        return context.get_dummy_value()

    return types.void(), generate


@intrinsic
def apart(typing):
    """Promise that what the function that calls this writes through one of its pointers it reads
    through no other.

    Without the promise loops are compiled twice, and a test of addresses chooses the slow one where
    arrays lie within 256 bytes of each other: which it is depends on where the system put them, and
    so would the last digit.
    """

    def generate(context, builder, signature, arguments):
        for argument in builder.function.args:
            if isinstance(argument.type, ir.PointerType):
                argument.add_attribute("noalias")
        return context.get_dummy_value()

    return types.void(), generate


@njit(fastmath=FAST, inline="always")
def exp2(t):
    """2^t in float32 for t <= 0, flat below -100 (no denormal ever slows it down); relative error
    below 3e-7.

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


@njit(fastmath=FAST, inline="always")
def exp2_double(t):
    """The same in float64: flat below -1000, relative error below 1e-15."""
    t = max(t, -1000.0)
    n = np.rint(t)
    f = t - n
    p = 1.3691488853904124e-12
    p = p * f + 2.5678435993488196e-11
    p = p * f + 4.44553827187081e-10
    p = p * f + 7.054911620801121e-09
    p = p * f + 1.0178086009239696e-07
    p = p * f + 1.3215486790144305e-06
    p = p * f + 1.5252733804059838e-05
    p = p * f + 0.00015403530393381606
    p = p * f + 0.0013333558146428441
    p = p * f + 0.009618129107628477
    p = p * f + 0.055504108664821576
    p = p * f + 0.2402265069591007
    p = p * f + 0.6931471805599453
    p = p * f + 1.0
    return p * _double_from_bits((np.int64(n) + np.int64(1023)) << np.int64(52))


@njit
def _load(images, members, centre, direct, window, wrap, phi, half, values):
    """Sixteen images into the innermost axis: phi (less the centre) and values (H, C, W*16), half
    (H, W*16).

    half is ||phi||^2 / 2 summed over the window, FAR where there is no image.
    """
    inlined()
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
        full = width * LANES
        square = np.zeros((height, full))
        lines = np.zeros((height, full))
        for r in range(height):
            for ch in range(channels):
                _half_square(at(square, r * full), at(phi, (r * channels + ch) * full), full)
        for r in range(height):
            if r == 0:
                for u in range(up, down + 1):
                    if wrap or 0 <= u < height:
                        _add(at(lines, 0), 1.0, at(square, u % height * full), full)
            else:
                lines[r] = lines[r - 1]
                if wrap or r + down < height:
                    _add(at(lines, r * full), 1.0, at(square, (r + down) % height * full), full)
                if wrap or r - 1 + up >= 0:
                    _add(at(lines, r * full), -1.0, at(square, (r - 1 + up) % height * full), full)
            _box(half[r], lines[r], left, right, wrap)
    for l in range(LANES):
        if members[l] < 0:
            for r in range(height):
                for c in range(width):
                    half[r, c * LANES + l] = FAR


@njit
def _box(out, x, left, right, wrap):
    """Sums of x (W*16) over the columns of each window."""
    inlined()
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
        own = out[c * LANES :]
        for l in range(LANES):
            own[l] = total[l]


# From here on arrays are pointers (`at`) and numbers of elements: slices would cost more than the
# short loops over them.


@njit(fastmath=FAST)
def _slide(v, f, y, phi, g, z, chi, channels, full, n):
    """V += f y . phi + g z . chi: n pairs of a pixel with each of two rows that enter the window
    (1) or leave it (-1).

    Channels of phi and chi are `full` apart.
    """
    inlined()
    apart()
    if channels == 3:
        a, b, c = f * y[0], f * y[1], f * y[2]
        d, e, h = g * z[0], g * z[1], g * z[2]
        for i in range(n):
            x = a * phi[i] + b * phi[full + i] + c * phi[2 * full + i]
            v[i] += x + d * chi[i] + e * chi[full + i] + h * chi[2 * full + i]
    else:
        for ch in range(channels):
            a, d = f * y[ch], g * z[ch]
            for i in range(n):
                v[i] += a * phi[ch * full + i] + d * chi[ch * full + i]


@njit(fastmath=FAST)
def _half_square(out, x, n):
    """Out += x^2 / 2 in float64."""
    inlined()
    apart()
    for i in range(n):
        out[i] += np.float64(x[i]) * np.float64(x[i]) / 2


@njit
def _direct(v, s, y, phi, channels, full, n):
    """V -= s (y - phi)^2 / 2, y not scaled."""
    inlined()
    apart()
    for ch in range(channels):
        for i in range(n):
            t = y[ch] - phi[ch * full + i]
            v[i] -= s * t * t / 2


@njit(fastmath=FAST)
def _add(d, f, v, n):
    """D += f v, f = 1 or -1."""
    inlined()
    apart()
    for i in range(n):
        d[i] += f * v[i]


@njit(fastmath=FAST)
def _move(d, v, w, n):
    """D += v - w."""
    inlined()
    apart()
    for i in range(n):
        d[i] += v[i] - w[i]


@njit(fastmath=FAST)
def _below(d, half, m, t, n):
    """T = d - half - m in float32; returns the maximum of d - half."""
    inlined()
    apart()
    top = d[0] - half[0]
    for i in range(n):
        x = d[i] - half[i]
        t[i] = x - m
        top = x if x > top else top
    return top


@njit(fastmath=FAST)
def _weigh(t, m, values, channels, full, n, stat):
    """Add exp2(t - m) and its weighted values, in float32 over one stretch and float64 between
    stretches.
    """
    inlined()
    apart()
    if channels == 3:
        s = a = b = c = np.float32(0)
        for i in range(n):
            w = exp2(t[i] - m)
            s += w
            a += w * values[i]
            b += w * values[full + i]
            c += w * values[2 * full + i]
        stat[S] += s
        stat[ACC] += a
        stat[ACC + 1] += b
        stat[ACC + 2] += c
    else:
        s = np.float32(0)
        for ch in range(channels):
            s = a = np.float32(0)
            for i in range(n):
                w = exp2(t[i] - m)
                s += w
                a += w * values[ch * full + i]
            stat[ACC + ch] += a
        stat[S] += s


@njit(fastmath=FAST)
def _weigh_double(d, half, m, rate, values, channels, full, n, stat):
    """The same in float64, with the energy sum w (d - half - m)."""
    inlined()
    apart()
    bits = rate * (1 / math.log(2))
    s = energy = 0.0
    for i in range(n):
        t = d[i] - half[i] - m
        w = exp2_double(t * bits)
        s += w
        energy += w * t
    stat[S] += s
    stat[E] += energy
    for ch in range(channels):
        a = 0.0
        for i in range(n):
            a += exp2_double((d[i] - half[i] - m) * bits) * values[ch * full + i]
        stat[ACC + ch] += a


@njit
def _keep(d, half, members, n, place, pixels, keep, logits, sources):
    """Insert what beats the weakest of the kept; `place` is the flat position of the first
    source.
    """
    inlined()
    apart()
    last = keep - 1
    for i in range(n):
        x = np.float64(d[i] - half[i])
        if x > logits[last] and members[i % LANES] >= 0:
            j = last
            while j > 0 and logits[j - 1] < x:
                logits[j] = logits[j - 1]
                sources[j] = sources[j - 1]
                j -= 1
            logits[j] = x
            sources[j] = members[i % LANES] * pixels + place + i // LANES


@njit
def _believe(
    sums,
    first,
    half,
    values,
    channels,
    full,
    n,
    place,
    pixels,
    members,
    cut,
    rate,
    double,
    t,
    stat,
    keep,
    logits,
    sources,
):
    """N sources, whose sums begin at `first` and whose flat positions at `place`, into the
    statistics of one pixel.
    """
    inlined()
    d, dtype = at(sums, first), sums.dtype.type
    m = stat[M]
    seen = m if m > -np.inf else 0.0
    top = np.float64(_below(d, half, dtype(seen), t, n))
    if top < m - cut:
        stat[DROPPED] += n * math.exp((top - m) * rate)
    else:
        if top > m:
            if m > -np.inf:
                change = math.exp((m - top) * rate)
                stat[E] = (stat[E] + (m - top) * stat[S]) * change
                stat[S] *= change
                stat[DROPPED] *= change
                for ch in range(channels):
                    stat[ACC + ch] *= change
            stat[M] = m = top
        if double:
            _weigh_double(d, half, m, rate, values, channels, full, n, stat)
        else:
            if abs(m - seen) > NEAR:
                seen = m
                _below(d, half, dtype(m), t, n)
            _weigh(t, np.float32(m - seen), values, channels, full, n, stat)
    if keep and top > logits[keep - 1]:
        _keep(d, half, members, n, place, pixels, keep, logits, sources)


@njit
def _column(d, f, v, a, width, wrap, low, high):
    """Column a of v enters the window (f = 1) or leaves it (-1): pairs (a, a + shift), stored by
    shift.
    """
    inlined()
    f, full = d.dtype.type(f), width * LANES
    if wrap:
        a = a % width
        split = a * LANES
        _add(at(d, 0), f, at(v, a * full + split), full - split)
        _add(at(d, full - split), f, at(v, a * full), split)
    else:
        j0, j1 = max(low, width - 1 - a), min(high, 2 * width - 1 - a)
        _add(
            at(d, j0 * LANES),
            f,
            at(v, a % width * full + (j0 + a - width + 1) * LANES),
            (j1 - j0) * LANES,
        )


@njit
def _exchange(d, v, new, old, width, wrap, low, high):
    """Column `new` enters the window, column `old` leaves it."""
    inlined()
    full = width * LANES
    enter, leave = new % width * full, old % width * full
    if wrap:
        one, two = width - new % width, width - old % width
        first, second = min(one, two), max(one, two)
        for part in range(3):
            j0 = 0 if part == 0 else first if part == 1 else second
            j1 = first if part == 0 else second if part == 1 else width
            shift = new % width if j0 < one else -one
            back = old % width if j0 < two else -two
            _move(
                at(d, j0 * LANES),
                at(v, enter + (j0 + shift) * LANES),
                at(v, leave + (j0 + back) * LANES),
                (j1 - j0) * LANES,
            )
    else:
        shift, back = new - width + 1, old - width + 1
        start = max(low, width - 1 - new)
        middle = min(high, max(start, width - 1 - old))
        end = min(high, 2 * width - 1 - new)
        _add(
            at(d, start * LANES),
            d.dtype.type(1),
            at(v, enter + (start + shift) * LANES),
            (middle - start) * LANES,
        )
        _move(
            at(d, middle * LANES),
            at(v, enter + (middle + shift) * LANES),
            at(v, leave + (middle + back) * LANES),
            (end - middle) * LANES,
        )


@njit
def _advance(v, c, y, phi, s, moves, count, fresh, wrap_y, band, direct):
    """Column c of v: pairs (c, column of phi) summed over the window's rows, anew or from those of
    the row before.

    moves: (count, 3) where a row of y and one of phi begin, and whether they enter the window (1),
        leave it (-1) or neither (0);
    an even number unless direct.
    """
    inlined()
    width, channels = y.shape[1:]
    full, dtype = width * LANES, y.dtype.type
    n0, n1 = (
        (0, width)
        if wrap_y
        else (max(0, c + band[0] - width + 1), min(width, c + band[1] - width + 1))
    )
    first, n = n0 * LANES, (n1 - n0) * LANES
    out = at(v, c * full + first)
    if fresh:
        for i in range(n):
            out[i] = 0
    if direct:
        for k in range(count):
            _direct(
                out,
                s,
                at(y, moves[k, 0] + c * channels),
                at(phi, moves[k, 1] + first),
                channels,
                full,
                n,
            )
    else:
        for k in range(0, count, 2):
            one, row = at(y, moves[k, 0] + c * channels), at(phi, moves[k, 1] + first)
            two, other = at(y, moves[k + 1, 0] + c * channels), at(phi, moves[k + 1, 1] + first)
            _slide(
                out,
                dtype(moves[k, 2]),
                one,
                row,
                dtype(moves[k + 1, 2]),
                two,
                other,
                channels,
                full,
                n,
            )


@njit
def _block(
    query, s, phi, half, values, members, shifts, columns, window, band, wrap_y, wrap, cut, rate,
    direct, double, scratch, stats,
    logits, sources,
):  # fmt: skip
    """All pairs of one query image with sixteen training images; half already times s."""
    inlined()
    v, d, t, moves = scratch
    height, width, channels = query.shape
    full, pixels, keep = width * LANES, height * width, logits.shape[-1]
    up, down, left, right = window
    low, high = band
    for k in range(len(shifts)):
        shift, first, last = shifts[k]
        for r in range(first, last):
            fresh, count = r == first or direct, 0
            for u in range(up if fresh else up - 1, down + 1):
                a, b = r + u, r + u + shift
                if (
                    (fresh or u == up - 1 or u == down)
                    and (wrap_y or 0 <= a < height)
                    and (wrap or 0 <= b < height)
                ):
                    moves[count, 0], moves[count, 1] = (
                        a % height * width * channels,
                        b % height * channels * full,
                    )
                    moves[count, 2] = -1 if u == up - 1 else 1
                    count += 1
            if count % 2 and not direct:
                moves[count, 0], moves[count, 1], moves[count, 2] = 0, 0, 0
                count += 1
            q = (r + shift) % height
            for c in range(width):
                _advance(v, c, query, phi, s, moves, count, fresh, wrap_y, band, direct)
            for p in range(width):
                if p == 0 or direct:
                    d[:] = 0
                    for u in range(left, right + 1):
                        if wrap_y or 0 <= p + u < width:
                            _column(d, 1, v, p + u, width, wrap, low, high)
                else:
                    new, old = p + right, p - 1 + left
                    enters, leaves = wrap_y or new < width, wrap_y or old >= 0
                    if enters and leaves:
                        _exchange(d, v, new, old, width, wrap, low, high)
                    elif enters:
                        _column(d, 1, v, new, width, wrap, low, high)
                    elif leaves:
                        _column(d, -1, v, old, width, wrap, low, high)
                pixel = r * width + p
                # sources q0 to q1, whose sums begin at j0; on the torus from p on, then up to p
                for part in range(2 if wrap else 1):
                    if wrap:
                        j0 = part * (width - p)
                        q0, q1 = (p, width) if part == 0 else (0, p)
                    else:
                        q0, q1 = columns[p]
                        j0 = q0 - p + width - 1
                    if q1 > q0:
                        _believe(
                            d, j0 * LANES, at(half, q * full + q0 * LANES), at(values,
                            q * channels * full + q0 * LANES), channels,
                            full, (q1 - q0) * LANES, q * width + q0, pixels, members, cut, rate,
                            double, at(t, 0),
                            at(stats, pixel * stats.shape[-1]), keep, at(logits, pixel * keep),
                            at(sources, pixel * keep),
                        )  # fmt: skip


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
        images: (N, C, H, W) float32. members: (blocks, 16) image of each lane, -1 for none. parts:
            (P + 1,) bounds in blocks.
        y: (B, H, W, C) less the centre and, unless direct, times s; its dtype is that of the
            sliding sums.
        s: (B,) unit / sigma^2; logits are in nats times unit. centre: (C,) subtracted from y and
            phi, which changes no distance.
        shifts: (T, 3) row shift and the rows it serves. columns: (W, 2) source columns of each
            column.
        window: row and column offsets, both ends included. band: shifts of columns ever needed,
            plus W - 1.
        stats: (P, B, H, W, 4 + C), the maximum set to -inf and the rest to 0. logits, sources: (P,
            B, H, W, K).
    """
    batch, height, width, channels = y.shape
    for part in prange(len(parts) - 1):
        inlined()
        phi = np.empty((height, channels, width * LANES), y.dtype)
        scaled = np.empty((height, width * LANES), y.dtype)
        half = np.empty((height, width * LANES))
        values = np.empty((height, channels, width * LANES), np.float32)
        v = np.empty((width, width * LANES), y.dtype)
        d = np.empty((2 * width - 1) * LANES, y.dtype)
        t = np.empty(width * LANES, np.float32)
        moves = np.empty((window[1] - window[0] + 2, 3), np.int64)
        for k in range(parts[part], parts[part + 1]):
            _load(images, members[k], centre, direct, window, wrap, phi, half, values)
            for b in range(batch):
                for r in range(height):
                    for i in range(width * LANES):
                        scaled[r, i] = half[r, i] * s[b]
                _block(
                    y[b], s[b], phi, scaled, values, members[k], shifts, columns, window, band,
                    wrap_y, wrap, cut, 1 / unit,
                    direct, double, (v, d, t, moves), stats[part, b], logits[part, b],
                    sources[part, b],
                )  # fmt: skip
