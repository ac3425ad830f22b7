"""A window that covers the torus is the whole image: all pixels share one belief, over every
translate of every image.

    L(i, d) = (sum_p y[p] . phi_i[p + d] - ||phi_i||^2 / 2) / sigma^2        (the constant ||y||^2
        left out)
    D(y)[p] = sum_{i, d} exp(L - m) phi_i[p + d] / sum exp(L - m)

Both are sums over the torus, computed by FFT in float64: H W log(H W) operations an image instead
of (H W)^2. Their rounding, some 1e-16 ||y|| ||phi|| / sigma^2 nats, is far below what float32 wants
at any noise level in use.
"""

from __future__ import annotations

import numpy as np
from numpy.fft import irfft2, rfft2

GROUP = 64  # images transformed at once, a few megabytes


def orbit(
    images: np.ndarray, chosen: np.ndarray, y: np.ndarray, sigma: float
) -> tuple[np.ndarray, float]:
    """The mean (C, H, W) over translates, and the log of the sum of exp(-distance^2 / (2 sigma^2)).

    Args:
        images: (N, C, H, W) float32. chosen: indices of those that count. y: (C, H, W) float64.
    """
    axes, size = (-2, -1), y.shape[1:]
    query = rfft2(y, axes=axes).conj()
    top, total, mean = -np.inf, 0.0, np.zeros_like(query)
    for i in range(0, len(chosen), GROUP):
        phi = images[chosen[i : i + GROUP]].astype(np.float64)
        waves = rfft2(phi, axes=axes)
        products = irfft2((query * waves).sum(1), size, axes=axes)
        logits = (products - np.square(phi).sum((1, 2, 3))[:, None, None] / 2) / sigma**2
        before, top = top, max(top, logits.max())
        w = np.exp(logits - top)
        change = np.exp(before - top)
        total = total * change + w.sum()
        mean = mean * change + (rfft2(w, axes=axes).conj()[:, None] * waves).sum(0)
    return irfft2(mean, size, axes=axes) / total, top + np.log(total) - np.square(y).sum() / (
        2 * sigma**2
    )
