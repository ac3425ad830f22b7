"""Second moments of an image set, in the three forms the linear families need; expectations are
over its N images.

principal     mu, U, lam with  cov(x) = U diag(lam) U^T            through the N x d data when d >
    N, never d x d
stationary    R_ce(x) = E_p cov(channel c at p + x, channel e at p)      on the torus, by Fourier
    transform
neighbours    K(p, x)_ce = cov(channel c at p, channel e at p + x)       every pair of pixels less
    than k apart
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ..data.limits import check_memory
from ..errors import InputError

CHUNK = 4096  # images held in float64 at once


class Principal(NamedTuple):
    """mean (C, H, W), basis (d, r) with orthonormal columns, variances (r,) descending and
    positive; all float64.
    """

    mean: Tensor
    basis: Tensor
    variances: Tensor


def span(images: Tensor) -> int:
    """The most dimensions images (N, C, H, W) can vary in, min(N - 1, C H W)."""
    return min(len(images) - 1, images[0].numel())


def check_rank(rank: int, images: Tensor, most: int | None = None) -> None:
    """An InputError unless images (N, C, H, W) can have `rank` principal axes.

    Args:
        most: how many they have; None, before they are computed, how many they can have.
    """
    most = span(images) if most is None else most
    if rank > most:
        raise InputError(
            f"rank must be at most {most}, the dimensions these {len(images)} images span, got "
            f"{rank}; take fewer or more images"
        )


def principal(images: Tensor) -> Principal:
    """Mean, principal axes and variances (divided by N) of images (N, C, H, W).

    Axes whose variance is rounding (at most max(N, d) * eps of the largest) are left out, so r <=
    min(N - 1, d). Memory is about 3 N d doubles, or 3 d^2 where d is smaller than N.
    """
    n, shape = len(images), images.shape[1:]
    d = shape.numel()
    check_memory((3, min(n, d), d), 8, "principal axes", "resize the images or take fewer")
    mean = sum(chunk.double().sum(0) for chunk in images.split(CHUNK)) / n
    if d > n:
        rows = images.double().flatten(1).sub_(mean.flatten())
        q, r = torch.linalg.qr(rows.T)  # (d, n), (n, n): the wide factor is never decomposed itself
        del rows
        u, s, _ = torch.linalg.svd(r)
        keep = s > max(n, d) * torch.finfo(torch.float64).eps * s[0].clamp_min(
            torch.finfo(torch.float64).tiny
        )
        return Principal(mean, q @ u[:, keep], s[keep] ** 2 / n)
    covariance = torch.zeros(d, d, dtype=torch.float64)
    for chunk in images.split(CHUNK):
        rows = (chunk.double() - mean).flatten(1)
        covariance.addmm_(rows.T, rows)
    lam, u = torch.linalg.eigh(covariance / n)
    lam, u = lam.flip(0), u.flip(1)
    keep = lam > max(n, d) * torch.finfo(torch.float64).eps * lam[0].clamp_min(
        torch.finfo(torch.float64).tiny
    )
    return Principal(mean, u[:, keep].contiguous(), lam[keep])


def stationary(images: Tensor) -> tuple[Tensor, Tensor]:
    """(mu (C,), R (C, C, H, W)): the mean and the autocovariance of all translates of images (N, C,
    H, W).
    """
    n, c, h, w = images.shape
    mean = sum(chunk.double().sum((0, 2, 3)) for chunk in images.split(CHUNK)) / (n * h * w)
    power = torch.zeros(h, w, c, c, dtype=torch.complex128)
    for chunk in images.split(256):
        waves = torch.fft.fft2(chunk.double() - mean[:, None, None])
        power += torch.einsum("nchw,nehw->hwce", waves, waves.conj())
    return mean, torch.fft.ifft2(power.permute(2, 3, 0, 1)).real / (n * h * w)


def window_of(r: Tensor, k: int) -> Tensor:
    """(k k C, k k C) covariance of one k x k window, axes (row, column, channel), of a stationary R
    (C, C, H, W).
    """
    c, _, h, w = r.shape
    m = k * k * c
    check_memory((3, m, m), 8, f"the covariance of a {k}x{k} window", "take a smaller window")
    at = torch.arange(k)
    rows, columns = (at[:, None] - at[None, :]) % h, (at[:, None] - at[None, :]) % w
    # (C, C, k, k, k, k), covariance at a - b
    full = r[:, :, rows[:, None, :, None], columns[None, :, None, :]]
    return full.permute(2, 3, 0, 4, 5, 1).reshape(k * k * c, k * k * c)


def neighbours(images: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """(mu (C, H, W), K (H, W, 2k-1, 2k-1, C, C)): the mean, and the covariance of each pixel with
    those less than k away.

    K[p, x + k - 1] = cov(pixel p, pixel p + x); zero where p + x is outside the image.
    """
    n, c, h, w = images.shape
    whole = (h, w, 2 * k - 1, 2 * k - 1, c, c)
    check_memory(whole, 8, "the covariances of neighbours", "take a smaller window")
    mean = sum(chunk.double().sum(0) for chunk in images.split(CHUNK)) / n
    out = torch.zeros(h, w, 2 * k - 1, 2 * k - 1, c, c, dtype=torch.float64)
    for chunk in images.split(CHUNK):
        rows = (chunk.double() - mean).permute(2, 3, 1, 0).reshape(h, w * c, len(chunk))
        for dy in range(min(k, h)):
            # every pixel of row p with every pixel of row p + dy
            pairs = rows[: h - dy] @ rows[dy:].transpose(1, 2) / n
            pairs = pairs.reshape(h - dy, w, c, w, c)
            for dx in range(-min(k, w) + 1, min(k, w)):
                left, right = max(0, -dx), min(w, w - dx)
                at = torch.arange(left, right)
                block = pairs[:, at, :, at + dx, :].movedim(0, 1)  # (h - dy, columns, C, C)
                out[: h - dy, left:right, dy + k - 1, dx + k - 1] += block
                if dy:
                    out[dy:, left + dx : right + dx, k - 1 - dy, k - 1 - dx] += block.transpose(
                        -1, -2
                    )
    return mean, out
