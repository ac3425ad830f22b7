"""Two spectra of a set of images: eigenvalues of its covariance, and power by spatial frequency.

What a sample covariance of n images reads is not its population's eigenvalues: they spread. Two
nulls tell that apart:

    Marchenko-Pastur   population s^2 I, d / n -> g: eigenvalues fill s^2 (1 -+ sqrt g)^2 with
                       density
                       sqrt((b - x)(x - a)) / (2 pi g s^2 x)          Marchenko & Pastur 1967
    gaussian_band      population with given eigenvalues: simulate n Gaussian draws, take theirs,
                       many times

Radial power of one image: mean of |FFT|^2 / (H W) over the frequencies of one radius (in cycles per
image side), the image's mean kept at radius 0. Sum over frequencies of |FFT|^2 / (H W) is the sum
of squares (Parseval).
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from .. import seeds
from ..errors import InputError
from . import finite
from .moments import centred


def eigenvalues(images: Tensor) -> Tensor:
    """(min(N - 1, d),) eigenvalues of the covariance (normalised by N - 1), descending, squared
    pixel units.
    """
    flat = centred(images)
    gram = flat @ flat.T if len(flat) <= flat.shape[1] else flat.T @ flat
    rank = min(len(flat) - 1, flat.shape[1])
    return torch.linalg.eigvalsh(gram).flip(0)[:rank].clamp(min=0) / (len(flat) - 1)


def marchenko_pastur_edges(variance: float, n: int, d: int) -> tuple[float, float]:
    """Where the nonzero eigenvalues of n white draws of variance `variance` in d dimensions lie, as
    n and d grow.
    """
    g = d / n
    return variance * (1 - math.sqrt(g)) ** 2, variance * (1 + math.sqrt(g)) ** 2


def marchenko_pastur_quantile(
    u: np.ndarray | list[float], variance: float, n: int, d: int
) -> np.ndarray:
    """Quantiles of the nonzero eigenvalues under the Marchenko-Pastur law, u in [0, 1].

    The density is integrated in x = m - r cos t, which removes its square-root edges.
    """
    low, high = marchenko_pastur_edges(variance, n, d)
    middle, radius = (low + high) / 2, (high - low) / 2
    t = np.linspace(0, np.pi, 4001)
    x = middle - radius * np.cos(t)
    density = np.divide((radius * np.sin(t)) ** 2, x, out=np.zeros_like(x), where=x > 0)
    if low == 0:
        density[0] = 2 * radius  # limit of sin^2 t / (1 - cos t) at t = 0
    mass = np.concatenate([[0], np.cumsum((density[1:] + density[:-1]) / 2)])
    return np.interp(np.asarray(u, dtype=float), mass / mass[-1], x)


def gaussian_band(
    population: Tensor, n: int, *, level: float = 0.95, repeats: int = 100, seed: int = 0
) -> Tensor:
    """What the sample eigenvalues of n Gaussian draws read when the population's are given.

    Args:
        population: (d,) eigenvalues of the law (zeros allowed).
        n: number of draws; the mean is estimated from them, as `eigenvalues` does.

    Returns:
        (3, min(n - 1, d)) lower limit, median and upper limit of each ordered eigenvalue, pointwise
        at `level`.
    """
    finite.check(population.reshape(-1, 1), "eigenvalue")
    population = population.double().flatten().clamp(min=0)
    if n < 2 or not len(population):
        raise InputError(
            f"wanted at least 2 draws and 1 eigenvalue, got {n} and {len(population)}; sample more "
            "seeds"
        )
    rank = min(n - 1, len(population))
    draws = torch.empty(repeats, rank, dtype=torch.float64)
    for k in range(repeats):
        z = (
            seeds.normal([seed], (n, len(population)), stream=1 + k, dtype=torch.float64)[0]
            * population.sqrt().cpu()
        )
        draws[k] = eigenvalues(z)
    tail = (1 - level) / 2
    return torch.quantile(
        draws, torch.tensor([tail, 0.5, 1 - tail], dtype=torch.float64), dim=0
    ).to(population.device)


def bootstrap_band(
    images: Tensor, *, level: float = 0.95, repeats: int = 100, seed: int = 0
) -> Tensor:
    """Spread of the eigenvalues over resampled sets of images, for laws that are not Gaussian.

    Resampling repeats images, which pushes large eigenvalues up a little: the band is recentred on
    the observed ones (basic bootstrap), (3, min(N - 1, d)) lower limit, observed, upper limit;
    lower limits stop at 0.
    """
    observed = eigenvalues(images)
    rng = np.random.default_rng(seed)
    draws = torch.stack(
        [eigenvalues(images[rng.integers(0, len(images), len(images))]) for _ in range(repeats)]
    )
    tail = (1 - level) / 2
    low, high = torch.quantile(
        draws, torch.tensor([tail, 1 - tail], dtype=torch.float64, device=draws.device), dim=0
    )
    return torch.stack([(2 * observed - high).clamp(min=0), observed, 2 * observed - low])


def radial_power(images: Tensor) -> Tensor:
    """Power by spatial frequency, one row per image.

    Args:
        images: (B, C, H, W).

    Returns:
        (B, K) float64, K = min(H, W) // 2 + 1: mean of |FFT|^2 / (H W) over channels and over the
        frequencies whose radius rounds to k cycles per min(H, W) pixels; those beyond the axis
        limit (the corners) are left out. NaN for an image that is not finite.

    Example:
        >>> import torch
        >>> from archbias.metrics.spectrum import radial_power
        >>> radial_power(torch.full((1, 1, 4, 4), 0.5)).tolist()
        [[4.0, 0.0, 0.0]]
    """
    return finite.each(_radial_power, images)


def _radial_power(images: Tensor) -> Tensor:
    h, w = images.shape[-2:]
    side = min(h, w)
    if not len(images):  # a Fourier transform of no rows is an error to some libraries
        return torch.zeros(0, side // 2 + 1, dtype=torch.float64, device=images.device)
    power = torch.fft.fft2(images.double()).abs().square().mean(1) / (h * w)
    fy, fx = (
        torch.fft.fftfreq(s, dtype=torch.float64, device=images.device) * side for s in (h, w)
    )
    radius = torch.hypot(fy[:, None], fx[None, :]).round().long().flatten()
    count = side // 2 + 1
    inside = radius < count
    total = torch.zeros(len(images), count, dtype=torch.float64, device=images.device)
    total.index_add_(1, radius[inside], power.flatten(1)[:, inside])
    return total / torch.bincount(radius[inside], minlength=count)
