"""Low moments of two sets of images: mean, covariance, skewness, kurtosis. All are measures of a
whole set.

    mean_error        |m_s - m_x| / sqrt(tr S_x)                   in units of the data's spread;
        noise floor about n^(-1/2)
    covariance_error  |S_s - S_x|_F / |S_x|_F                      relative Frobenius
    skewness          E[z^3],  kurtosis  E[z^4] - 3                per pixel, z standardised; 0 for
    a Gaussian

Covariances S are never formed when there are fewer images than pixels: with centred data matrices A
(n, d) and B (m, d),

    |A'A/n - B'B/m|_F^2 = |AA'|^2/n^2 - 2 |AB'|^2/(n m) + |BB'|^2/m^2

For nearly equal covariances these cancel; there the difference itself is formed, in coordinates of
the span of both sets.

S is normalised by n - 1. With n samples of a Gaussian the expected squared error of a covariance is
((tr S)^2 + |S|^2) / (n - 1), `covariance_noise`: for images it is large, so read `covariance_error`
beside it or beside `archbias.metrics.nulls.against_splits`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import InputError
from .finite import check, check_sets

NEAR = 1e-6  # of the squared norm, below which a squared difference is measured as one


def centred(images: Tensor) -> Tensor:
    """(N, d) float64, minus the mean image."""
    if len(images) < 2:
        raise InputError(
            f"a covariance needs at least 2 images, got {len(images)}; sample more seeds"
        )
    flat = check(images, "image").double().flatten(1)
    return flat - flat.mean(0)


def mean_error(samples: Tensor, images: Tensor) -> float:
    """Distance of the mean images over the root total variance of `images`, at least 0."""
    check_sets(samples, images)
    spread = centred(images).square().sum() / (len(images) - 1)
    a, b = samples.double().flatten(1), images.double().flatten(1)
    origin = b.mean(0)
    difference = (a - origin).mean(0) - (b - origin).mean(0)
    return float(difference.norm() / spread.sqrt())


def _inner(a: Tensor, b: Tensor) -> Tensor:
    """<S_a, S_b> = |A B'|_F^2 / ((n-1)(m-1)), through whichever of the d x d and n x m matrices is
    smaller.
    """
    scale = (len(a) - 1) * (len(b) - 1)
    if a.shape[1] <= min(len(a), len(b)):
        return ((a.T @ a) * (b.T @ b)).sum() / scale
    return (a @ b.T).square().sum() / scale


def _difference(a: Tensor, b: Tensor) -> Tensor:
    """|S_a - S_b|_F^2 by the entries of S_a - S_b, which live in the span of the rows."""
    if a.shape[1] > len(a) + len(b):
        basis = torch.linalg.qr(torch.cat([a, b]).T).Q
        a, b = a @ basis, b @ basis
    return (a.T @ a / (len(a) - 1) - b.T @ b / (len(b) - 1)).square().sum()


def covariance_error(samples: Tensor, images: Tensor) -> float:
    """Relative Frobenius distance |S_s - S_x| / |S_x| of the sample covariances, at least 0."""
    check_sets(samples, images)
    a, b = centred(samples), centred(images)
    own = _inner(b, b)
    squared = _inner(a, a) - 2 * _inner(a, b) + own
    if squared <= NEAR * own:
        squared = _difference(a, b)
    return float((squared / own).sqrt())


def covariance_noise(images: Tensor, n: int) -> float:
    """The `covariance_error` that n Gaussian draws with the covariance of `images` have on average
    (root mean square).
    """
    b = centred(images)
    trace, own = b.square().sum() / (len(b) - 1), _inner(b, b)
    return float(((trace**2 + own) / ((n - 1) * own)).sqrt())


def _standardised_moment(images: Tensor, order: int) -> Tensor:
    flat = centred(images)
    constant = (images.double().flatten(1) == images[:1].double().flatten(1)).all(0)
    scale = flat.square().mean(0).sqrt().masked_fill(constant, torch.nan)
    return (flat / scale).pow(order).mean(0).reshape(images.shape[1:])


def skewness(images: Tensor) -> Tensor:
    """(C, H, W) skewness of every pixel over the set; NaN where a pixel never changes.

    Under a Gaussian its standard error is sqrt(6 / N).
    """
    return _standardised_moment(images, 3)


def kurtosis(images: Tensor) -> Tensor:
    """(C, H, W) excess kurtosis of every pixel over the set, at least -2; NaN where a pixel never
    changes.

    Under a Gaussian its standard error is sqrt(24 / N).
    """
    return _standardised_moment(images, 4) - 3
