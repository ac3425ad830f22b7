"""Agreement of a sample x with its prediction p, seed by seed.

    r               = <x - xbar, p - pbar> / (|x - xbar| |p - pbar|)      Pearson, over all pixels
        and channels
    r_squared       = r^2
    explained       = 1 - SSE/SST = 1 - |x - p|^2 / |x - xbar|^2          at most 1, below 0 when
        the mean is nearer
    amplitude_ratio = |p - pbar| / |x - xbar|                             r does not see it: r(x, p)
        = r(x, 2 p)
    mse             = |x - p|^2 / d
    cosine          = <x, p> / (|x| |p|)

xbar is the mean over the pixels and channels of one image, a number. The three names r, r_squared
and explained are easily confused: r^2 is the `explained` of the best affine rescaling of p, so
explained <= r^2.

A constant image has no direction: r, r_squared, amplitude_ratio (constant x) and explained
(constant x) are **NaN** there, as is the cosine of an all-zero image. NaN is never replaced by 0;
`archbias.metrics.intervals` counts what it leaves out.

Every function takes (B, C, H, W) twice, sample first, and returns (B,) float64 on their device;
sums are in float64. A row that is not finite in either is NaN (`finite`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from ..errors import InputError
from . import finite

Metric = Callable[[Tensor, Tensor], Tensor]


def _pair(sample: Tensor, prediction: Tensor) -> tuple[Tensor, Tensor]:
    if sample.shape != prediction.shape or sample.ndim < 2:
        raise InputError(
            f"samples and predictions must have one shape (B, C, H, W), got {tuple(sample.shape)} "
            "and "
            f"{tuple(prediction.shape)}; predict from the same seeds as were sampled"
        )
    x, p = sample.double().flatten(1), prediction.to(sample.device).double().flatten(1)
    bad = ~finite.rows(x, p)[:, None]
    return x.masked_fill(bad, torch.nan), p.masked_fill(bad, torch.nan)


def _centred(x: Tensor) -> Tensor:
    """X minus its mean; exactly 0 where x is constant, whatever the rounding of the mean."""
    constant = (x == x[:, :1]).all(1, keepdim=True)
    return (x - x.mean(1, keepdim=True)).masked_fill(constant, 0.0)


def pearson_r(sample: Tensor, prediction: Tensor) -> Tensor:
    """Pearson correlation over all pixels and channels, in [-1, 1]; NaN where either image is
    constant.

    Example:
        >>> import torch
        >>> from archbias.metrics import agreement
        >>> x = torch.tensor([[[[0.0, 1.0], [2.0, 3.0]]]])
        >>> [round(agreement.pearson_r(x, p).item(), 6) for p in (2 * x + 1, -x)]
        [1.0, -1.0]
    """
    x, p = (_centred(v) for v in _pair(sample, prediction))
    return ((x * p).sum(1) / (x.norm(dim=1) * p.norm(dim=1))).clamp(-1, 1)


def r_squared(sample: Tensor, prediction: Tensor) -> Tensor:
    """Square of `pearson_r`, in [0, 1]; loses the sign and is not 1 - SSE/SST, see `explained`."""
    return pearson_r(sample, prediction) ** 2


def explained(sample: Tensor, prediction: Tensor) -> Tensor:
    """1 - SSE/SST in (-inf, 1]: the share of the sample's variance that the prediction explains;
    NaN for a constant sample.

    Example:
        >>> import torch
        >>> from archbias.metrics import agreement
        >>> x = torch.tensor([[[[0.0, 1.0], [2.0, 3.0]]]])
        >>> agreement.explained(x, x).item(), agreement.explained(x, x.mean() + 0 * x).item()
        (1.0, 0.0)
    """
    x, p = _pair(sample, prediction)
    total = _centred(x).square().sum(1)
    return torch.where(total > 0, 1 - (x - p).square().sum(1) / total, torch.nan)


def amplitude_ratio(sample: Tensor, prediction: Tensor) -> Tensor:
    """Standard deviation of the prediction over that of the sample, at least 0; below 1 the
    prediction is too pale.

    NaN for a constant sample.

    Example:
        >>> import torch
        >>> from archbias.metrics import agreement
        >>> x = torch.tensor([[[[0.0, 1.0], [2.0, 3.0]]]])
        >>> agreement.amplitude_ratio(x, x / 2).item()
        0.5
    """
    x, p = (_centred(v) for v in _pair(sample, prediction))
    size = x.norm(dim=1)
    return torch.where(size > 0, p.norm(dim=1) / size, torch.nan)


def mse(sample: Tensor, prediction: Tensor) -> Tensor:
    """Mean squared difference per pixel, in squared pixel units (pixels in [-1, 1])."""
    x, p = _pair(sample, prediction)
    return (x - p).square().mean(1)


def cosine(sample: Tensor, prediction: Tensor) -> Tensor:
    """Cosine of the angle between the images as vectors, not centred, in [-1, 1]; NaN where either
    is all zero.
    """
    x, p = _pair(sample, prediction)
    return ((x * p).sum(1) / (x.norm(dim=1) * p.norm(dim=1))).clamp(-1, 1)


def ssim(sample: Tensor, prediction: Tensor) -> Tensor:
    """Structural similarity (Wang et al. 2004: Gaussian window of 1.5 pixels, 11 wide), by
    scikit-image, in [-1, 1].

    Pixels are taken to span [-1, 1], a range of 2. Images smaller than 11 pixels are refused.
    """
    from skimage.metrics import structural_similarity

    _pair(sample, prediction)
    if sample.ndim != 4 or min(sample.shape[-2:]) < 11:
        raise InputError(
            "SSIM needs images (B, C, H, W) of at least 11 pixels a side, got "
            f"{tuple(sample.shape)}; use pearson_r"
        )
    settings = dict(
        channel_axis=0,
        data_range=2.0,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )

    def one_by_one(x: Tensor, p: Tensor) -> Tensor:
        pairs = zip(x.double().cpu().numpy(), p.double().cpu().numpy(), strict=True)
        values = [structural_similarity(x, p, **settings) for x, p in pairs]
        return torch.tensor(values, dtype=torch.float64, device=x.device)

    return finite.each(one_by_one, sample, prediction)


METRICS: dict[str, Metric] = {
    "r": pearson_r,
    "r_squared": r_squared,
    "explained": explained,
    "amplitude_ratio": amplitude_ratio,
    "mse": mse,
    "cosine": cosine,
}


def per_channel(metric: Metric, sample: Tensor, prediction: Tensor) -> Tensor:
    """The metric of each channel on its own: (B, C, H, W) twice -> (B, C)."""
    _pair(sample, prediction)

    def apart(x: Tensor, p: Tensor) -> Tensor:
        found = metric(x.flatten(0, 1).unsqueeze(1), p.flatten(0, 1).unsqueeze(1))
        return found.reshape(x.shape[:2])

    return finite.each(apart, sample, prediction)


def bandpass(images: Tensor, edges: Sequence[float]) -> Tensor:
    """Images split into radial frequency bands lo <= |f| < hi.

    Args:
        images: (B, C, H, W).
        edges: K + 1 increasing radii in cycles per pixel; 0.5 is the finest frequency along an axis
            and sqrt(0.5) in the corner. `octaves(size)` gives the usual ones.

    Returns:
        (K, B, C, H, W) float64; the bands of edges that reach from 0 beyond sqrt(0.5) add up to the
        images. All of an image that is not finite is NaN.
    """
    edges = [float(e) for e in edges]
    if len(edges) < 2 or any(a >= b for a, b in pairwise(edges)):
        raise InputError(
            f"band edges must be at least 2 increasing radii in cycles per pixel, got {edges}; use "
            "octaves(size)"
        )
    if not len(images):  # a Fourier transform of no rows is an error to some libraries
        return images.new_zeros(len(edges) - 1, *images.shape, dtype=torch.float64)
    h, w = images.shape[-2:]
    fy = torch.fft.fftfreq(h, dtype=torch.float64, device=images.device)
    fx = torch.fft.rfftfreq(w, dtype=torch.float64, device=images.device)
    radius = torch.hypot(fy[:, None], fx[None, :])
    spectrum = torch.fft.rfft2(images.double())
    masks = [(radius >= lo) & (radius < hi) for lo, hi in pairwise(edges)]
    bands = torch.stack([torch.fft.irfft2(spectrum * mask, s=(h, w)) for mask in masks])
    bands[:, ~finite.rows(images)] = torch.nan
    return bands


def octaves(size: int) -> list[float]:
    """Band edges 0, 1.5/size, ..., doubling up to the corner: [0, 1.5/32, 3/32, 6/32, 12/32, 1] for
    32 pixels.
    """
    edges = [1.5 / size]
    while 2 * edges[-1] < 0.5:
        edges.append(2 * edges[-1])
    return [0.0, *edges, 1.0]


def per_band(
    metric: Metric, sample: Tensor, prediction: Tensor, edges: Sequence[float] | None = None
) -> Tensor:
    """The metric of each radial frequency band on its own: (B, C, H, W) twice -> (B, K), see
    `bandpass`.
    """
    _pair(sample, prediction)
    edges = octaves(min(sample.shape[-2:])) if edges is None else edges
    pairs = zip(bandpass(sample, edges), bandpass(prediction, edges), strict=True)
    return torch.stack([metric(x, p) for x, p in pairs], dim=1)
