"""Is it a denoiser at all? Its error between the least possible and a linear filter's, and what its
samples have kept of the images.

    error(s)  = E |D(x + s n) - x|^2 / d        at noise level s, over images x and noise n
    place(s)  = (error - ideal) / (wiener - ideal)
    share     = |theory - network|^2 / |wiener - network|^2       one step, on the same noisy image

The ideal denoiser's error on training images is the least there is: no denoiser errs less on
average over them and the noise. The Wiener filter is the best affine function of the noisy image,
and known from the images' mean and covariance alone: a network that errs more than it at some level
has not learned to denoise there. On unseen images nothing is the least possible, and the ideal
denoiser, which knows the training images only, errs more than most.

Brightness of an image is the mean of its pixels, amplitude their standard deviation. Denoisers come
as functions (y, sigma) -> x_hat: the ideal one and the Wiener filter too.

Source of the comparison: Wiener 1949 (the filter); Kamb & Ganguli, arXiv 2412.20292, section 2 (the
    ideal denoiser).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from .. import seeds
from ..errors import InputError
from ..noise import numbers
from . import finite
from .intervals import Interval, bootstrap

Estimate = Callable[..., Tensor]
STREAM = 320  # of a seed's noise, kept apart from the samplers'


def errors(
    denoiser: Estimate,
    images: Tensor,
    sigmas: Tensor | Sequence[float],
    *,
    labels: Tensor | None = None,
    seed: int = 0,
    batch: int = 64,
) -> Tensor:
    """Squared error per pixel at every noise level, on the same noise for every denoiser.

    Args:
        denoiser: (y (B, C, H, W), sigma) -> (B, C, H, W), with labels as a third argument if given.
        images: (B, C, H, W) clean images; image b has the noise of seed `seed` + b at all levels.
        sigmas: (S,) positive levels. batch: images denoised at once.

    Returns:
        (S, B) float64 on the CPU, squared pixel units; NaN where the denoiser's answer is not
        finite.
    """
    finite.check(images, "image", "remove it or mend the file")
    levels = _levels(sigmas)
    out = torch.empty(len(levels), len(images), dtype=torch.float64)
    for i in range(0, len(images), batch):
        x = images[i : i + batch]
        which = range(seed + i, seed + i + len(x))
        n = seeds.normal(which, x.shape[1:], stream=STREAM, dtype=torch.float64).to(x)
        rest = () if labels is None else (labels[i : i + batch],)
        for row, level in zip(out, levels, strict=True):
            with torch.no_grad():
                answer = denoiser(x + level * n, level, *rest)
            apart = (answer.double() - x.double()).square().flatten(1).mean(1)
            row[i : i + batch] = apart.masked_fill(~finite.rows(answer), torch.nan).cpu()
    return out


@dataclass(frozen=True, kw_only=True)
class Errors:
    """A denoiser's errors beside those of the ideal denoiser and the Wiener filter.

    sigmas: (S,). network, ideal, wiener: (S, B) squared error per pixel, the same noisy images.
    Intervals resample images, jointly for all three; images without a finite answer are left out
    and counted.
    """

    sigmas: Tensor
    network: Tensor = field(repr=False)
    ideal: Tensor = field(repr=False)
    wiener: Tensor = field(repr=False)

    def mean(self, of: str = "network") -> list[Interval]:
        """Mean error at every level of "network", "ideal" or "wiener"."""
        return [bootstrap(row, statistic="mean") for row in getattr(self, of)]

    def against_wiener(self) -> list[Interval]:
        """Mean error over the Wiener filter's, at every level; above 1 it denoises worse."""
        rows = zip(self.network, self.wiener, strict=True)
        return [bootstrap(*row, statistic=_ratio) for row in rows]

    def place(self) -> list[Interval]:
        """Where the error lies at every level: 0 at the ideal denoiser's, 1 at the Wiener filter's.

        NaN where these two do not differ, as at the lowest and the highest noise.
        """
        rows = zip(self.network, self.ideal, self.wiener, strict=True)
        return [bootstrap(*row, statistic=_place) for row in rows]

    def worse_than_wiener(self) -> Tensor:
        """(S,) bool: the whole interval of `against_wiener` lies above 1, or nothing is finite."""
        found = self.against_wiener()
        return torch.tensor([not v.n or v.low > 1 for v in found])

    def finite_share(self) -> Tensor:
        """(S,) share of images with a finite answer."""
        return torch.isfinite(self.network).double().mean(1)


def beside(
    network: Estimate,
    ideal: Estimate,
    wiener: Estimate,
    images: Tensor,
    sigmas: Tensor | Sequence[float],
    *,
    labels: Tensor | None = None,
    seed: int = 0,
    batch: int = 64,
) -> Errors:
    """`errors` of a network, the ideal denoiser and the Wiener filter on the same noisy images.

    Args:
        images: training images, where the ideal denoiser's error is the least possible, or unseen
            ones. labels: for the network alone.
    """
    return Errors(
        sigmas=torch.tensor(_levels(sigmas), dtype=torch.float64),
        network=errors(network, images, sigmas, labels=labels, seed=seed, batch=batch),
        ideal=errors(ideal, images, sigmas, seed=seed, batch=batch),
        wiener=errors(wiener, images, sigmas, seed=seed, batch=batch),
    )


@dataclass(frozen=True)
class Range:
    """What values images take. Only finite pixels count, except in `finite`.

    low, high: the least and the largest pixel. saturated: share of pixels at -1, at 1 or beyond.
    beyond: root mean square by which pixels leave [-1, 1], over all of them. finite: share of
    images that are finite.
    """

    low: float
    high: float
    saturated: float
    beyond: float
    finite: float


def range_of(images: Tensor) -> Range:
    """The range of samples, or of a denoiser's answers, (B, C, H, W); NaN where nothing is finite.

    Real images saturate too (a background is all -1): read it beside theirs.
    """
    good = finite.rows(images)
    share = float(good.double().mean()) if len(images) else float("nan")
    x = images[good].double()
    if not x.numel():
        none = float("nan")
        return Range(none, none, none, none, share)
    over = (x.abs() - 1).clamp(min=0)
    return Range(
        float(x.min()),
        float(x.max()),
        float((x.abs() >= 1).double().mean()),
        float(over.square().mean().sqrt()),
        share,
    )


def brightness(images: Tensor) -> Tensor:
    """(B,) float64 mean of an image's pixels; NaN for one that is not finite."""
    return finite.each(lambda x: x.double().flatten(1).mean(1), images)


def amplitude(images: Tensor) -> Tensor:
    """(B,) float64 standard deviation of an image's pixels, at least 0; NaN for one that is not
    finite.
    """

    def of_rows(x: Tensor) -> Tensor:
        x = x.double().flatten(1)
        return (x - x.mean(1, keepdim=True)).square().mean(1).sqrt()

    return finite.each(of_rows, images)


@dataclass(frozen=True)
class Looks:
    """Brightness and contrast of samples against images.

    brightness: mean brightness of samples minus that of images, in standard deviations of the
        images' brightness; 0 when equal.
    amplitude: mean amplitude of samples over that of images; 1 when equal, below it samples are
        too pale.
    z_brightness, z_amplitude: the difference of the means in standard errors of as many images;
        beyond 3 it is no accident.
    """

    brightness: Interval
    amplitude: Interval
    z_brightness: float
    z_amplitude: float


def looks(samples: Tensor, images: Tensor, *, level: float = 0.95) -> Looks:
    """Mean brightness and amplitude of samples (B, C, H, W) against those of images (N, C, H, W).

    Intervals resample the samples, the images are taken as given. Samples that are not finite are
    left out and counted. NaN where all images are equally bright.
    """
    finite.check(images, "image", "remove it or mend the file")
    if len(images) < 2 or not len(samples):
        raise InputError(
            f"wanted at least 1 sample and 2 images to compare them with, got {len(samples)} and "
            f"{len(images)}; sample more seeds"
        )
    bright, strong = brightness(images), amplitude(images)
    mean, spread = float(bright.mean()), _positive(bright.std())
    ours, size = brightness(samples), amplitude(samples)

    def score(values: Tensor, reference: Tensor) -> float:
        kept = values[~values.isnan()]
        gap = float(kept.mean() - reference.mean()) if len(kept) else float("nan")
        return gap * len(kept) ** 0.5 / _positive(reference.std())

    return Looks(
        bootstrap((ours - mean) / spread, statistic="mean", level=level),
        bootstrap(size / _positive(strong.mean()), statistic="mean", level=level),
        score(ours.cpu(), bright.cpu()),
        score(size.cpu(), strong.cpu()),
    )


def shares(network: Tensor, theory: Tensor, wiener: Tensor) -> Tensor:
    """How far a theory's answer is from the network's, as a share of the Wiener filter's distance
    from it, image by image.

    Args:
        network, theory, wiener: (B, C, H, W) answers to the same noisy images.

    Returns:
        (B,) float64, at least 0: 0 where the theory answers as the network does, 1 where it is no
        nearer than the Wiener filter; NaN where the network is the Wiener filter, or an answer is
        not finite.
    """
    return _over(*_distances(network, theory, wiener))


def share(network: Tensor, theory: Tensor, wiener: Tensor, *, level: float = 0.95) -> Interval:
    """The same over all images together, the ratio of the mean squared distances, with an interval
    over images.
    """
    return bootstrap(*_distances(network, theory, wiener), statistic=_ratio, level=level)


def _distances(network: Tensor, theory: Tensor, wiener: Tensor) -> tuple[Tensor, Tensor]:
    if not network.shape == theory.shape == wiener.shape or network.ndim < 2:
        raise InputError(
            f"answers must have one shape (B, C, H, W), got {tuple(network.shape)}, "
            f"{tuple(theory.shape)} and {tuple(wiener.shape)}; denoise the same noisy images"
        )
    bad = ~finite.rows(network, theory, wiener)

    def apart(x: Tensor) -> Tensor:
        gap = (x.to(network.device).double() - network.double()).square().flatten(1).mean(1)
        return gap.masked_fill(bad, torch.nan)

    return apart(theory), apart(wiener)


def _over(a: Tensor, b: Tensor) -> Tensor:
    return torch.where(b > 0, a / b, torch.nan)


def _positive(value: Tensor) -> float:
    return float(value) if value > 0 else float("nan")


def _ratio(a: np.ndarray, b: np.ndarray, axis: int = -1) -> np.ndarray:
    below = b.mean(axis)
    return np.where(below > 0, a.mean(axis) / np.where(below > 0, below, 1.0), np.nan)


def _place(
    network: np.ndarray, ideal: np.ndarray, wiener: np.ndarray, axis: int = -1
) -> np.ndarray:
    network, ideal, wiener = (v.mean(axis) for v in (network, ideal, wiener))
    room = wiener - ideal
    known = room > 1e-9 * wiener
    return np.where(known, (network - ideal) / np.where(known, room, 1.0), np.nan)


def _levels(sigmas: Tensor | Sequence[float]) -> list[float]:
    levels = numbers(sigmas, "sigmas").flatten()
    if not len(levels) or not bool((torch.isfinite(levels) & (levels > 0)).all()):
        raise InputError(
            f"errors are measured at positive finite noise levels, got {levels.tolist()}; leave "
            "the final 0 out"
        )
    return levels.tolist()
