"""Where a sample stands among images never used for fitting: percentiles of held-out images.

    percentile(v) = (#{reference < v} + #{reference = v}/2 + 1/2) / (R + 1)          in (0, 1),
        uniform if v is one of them

    novelty      v = distance to the nearest training image; reference: that of held-out images.
                 Low: nearer to the training
                 set than a new image is, a sign of copying; about 0.5: as new as a new image
    likelihood   v = log density under a law fitted on half of the held-out images; reference: the
                 other half. Low: unlikely
    distance     v = distance to the nearest image of one half; reference: the other half. High: far
                 from all real images
    patches      v = mean distance of its windows to their nearest window in one half; reference:
                 the other half.
                 High: made of pieces no real image has. A mosaic of real pieces reads low here and
                     may read unreal above

One number per sample, NaN for one that is not finite. A percentile near 0 or 1 can rest on few
reference images: its resolution is 1 / (R + 1).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import InputError
from . import finite
from .features import Space, pixels
from .novelty import nearest
from .symmetry import nearest_patch


@dataclass(frozen=True)
class Calibrated:
    """value: (B,) of the samples; reference: (R,) of held-out images; percentile: (B,) in (0, 1);
    all float64.
    """

    value: Tensor
    reference: Tensor

    @property
    def percentile(self) -> Tensor:
        order = self.reference.sort().values.to(self.value.device)
        below = torch.searchsorted(order, self.value, right=False)
        upto = torch.searchsorted(order, self.value, right=True)
        share = ((below + upto).double() / 2 + 0.5) / (len(order) + 1)
        return share.masked_fill(self.value.isnan(), torch.nan)


def _halves(held_out: Tensor, least: int) -> tuple[Tensor, Tensor]:
    """Every second image: the split depends on nothing but the order."""
    if len(held_out) < 2 * least:
        raise InputError(
            f"calibration needs at least {2 * least} held-out images, got {len(held_out)}; hold "
            "out more"
        )
    finite.check(held_out, "held-out image")
    return held_out[0::2], held_out[1::2]


def novelty(
    samples: Tensor, images: Tensor, held_out: Tensor, *, space: Space = pixels
) -> Calibrated:
    """Distance to the nearest training image, calibrated by held-out images, in pixels or in
    `space`.

    Args:
        samples: (B, C, H, W); images: the training set (N, C, H, W); held_out: (R, C, H, W) of the
            same source.
    """
    finite.check(held_out, "held-out image")
    known = space(finite.check(images, "image"))
    return Calibrated(
        nearest(space(samples), known).distance, nearest(space(held_out), known).distance
    )


def distance(samples: Tensor, held_out: Tensor, *, space: Space = pixels) -> Calibrated:
    """Distance to the nearest of half of the held-out images, calibrated by the other half."""
    known, reference = _halves(held_out, 2)
    known = space(known)
    return Calibrated(
        nearest(space(samples), known).distance, nearest(space(reference), known).distance
    )


def patches(samples: Tensor, held_out: Tensor, *, size: int = 5, stride: int = 2) -> Calibrated:
    """Mean over a sample's windows of the distance to the nearest window in half of the held-out
    images.
    """
    known, reference = _halves(held_out, 2)
    value, other = (
        nearest_patch(x, known, size=size, stride=stride).distance.mean((1, 2))
        for x in (samples, reference)
    )
    return Calibrated(value, other)


def likelihood(
    samples: Tensor,
    held_out: Tensor,
    *,
    fit: Callable[[Tensor], Callable[[Tensor], Tensor]] | None = None,
    rank: int | None = None,
) -> Calibrated:
    """Log density (nats) under a law fitted on half of the held-out images, calibrated by the other
    half.

    Args:
        fit: images -> log_prob, a function from (B, C, H, W) to (B,); None is `probabilistic_pca`
            of `rank`.
        rank: for the default law; None is a quarter of the images it is fitted on.
    """
    known, reference = _halves(held_out, 4)
    if fit is None:
        log_prob = probabilistic_pca(
            known, rank or max(1, min(len(known) // 4, known[0].numel() - 1))
        )
    else:
        log_prob = fit(known)
    value = finite.each(log_prob, samples)
    return Calibrated(value.double(), log_prob(reference).double())


def probabilistic_pca(images: Tensor, rank: int) -> Callable[[Tensor], Tensor]:
    """The Gaussian of most likelihood with covariance U L U' + s^2 I, U of `rank` columns (Tipping
    & Bishop 1999, eq. 8).

    s^2 is the mean of the variances left out, so the law has a density however few the images.

    Returns:
        log_prob: (B, C, H, W) -> (B,) float64, nats per image; NaN for one that is not finite.
    """
    flat = finite.check(images, "image").double().flatten(1)
    n, d = flat.shape
    if not 1 <= rank < min(n - 1, d):
        raise InputError(
            f"rank must be from 1 to {min(n - 1, d) - 1} for {n} images of {d} pixels, got {rank}; "
            "lower it"
        )
    mean = flat.mean(0)
    _, scale, basis = torch.linalg.svd(flat - mean, full_matrices=False)
    variance = scale.square() / n
    noise = variance[rank:].sum() / (d - rank)
    if not noise > 0:
        raise InputError(
            f"the images lie on a plane of at most {rank} dimensions, which has no density; lower "
            "rank"
        )
    basis, variance = basis[:rank], variance[:rank]
    logdet = variance.log().sum() + (d - rank) * noise.log()

    def of_rows(x: Tensor) -> Tensor:
        shift = x.double().flatten(1) - mean.to(x.device)
        z = shift @ basis.T.to(x.device)
        squared = (z.square() / variance.to(x.device)).sum(1)
        rest = (shift - z @ basis.to(x.device)).square().sum(1) / noise.to(x.device)
        return -0.5 * (
            squared
            + rest
            + logdet.to(x.device)
            + d * torch.log(torch.tensor(2 * torch.pi, dtype=torch.float64)).to(x.device)
        )

    return lambda x: finite.each(of_rows, x)
