"""Spaces to measure in: each turns images (B, C, H, W) into vectors (B, F).

    pixels        z = x                                     what L2 in pixels means
    principal     z = U_r^T (x - mu), whiten: / sqrt(lam)   PCA of a reference set, its first r
                                                            directions
    convolutional three layers of fixed random 3x3 convolutions, ReLU, 2x2 average pooling; z = the
    mean and the 2x2 grid of
                  means of every layer's channels           sees texture and rough layout, learned
                                                            from nothing
    inception     the 2048 pool features of InceptionV3     learned from ImageNet; needs
                                                            `torch-fidelity` and its weights

Random networks as an evaluation space: Naeem et al. 2020, *Reliable fidelity and diversity
metrics*, section 3.3; they are the fair choice for images far from ImageNet (digits, fashion, small
faces). An image that is not finite has features NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from .. import seeds
from ..errors import InputError
from . import finite

Space = Callable[[Tensor], Tensor]


def pixels(images: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, C H W), as they are."""
    return images.flatten(1)


def principal(reference: Tensor, rank: int, *, whiten: bool = False) -> Space:
    """The leading principal coordinates of a reference set.

    Args:
        reference: (N, C, H, W) images the directions are taken from.
        rank: r, at most min(N - 1, C H W).
        whiten: divide by the standard deviations, so that every direction counts the same.
    """
    flat = finite.check(reference, "reference image").double().flatten(1)
    if not 1 <= rank <= min(len(flat) - 1, flat.shape[1]):
        most = min(len(flat) - 1, flat.shape[1])
        raise InputError(
            f"rank must be between 1 and {most} for {len(flat)} images of {flat.shape[1]} pixels, "
            f"got {rank}; lower it"
        )
    mean = flat.mean(0)
    _, scale, basis = torch.linalg.svd(flat - mean, full_matrices=False)
    basis = basis[:rank]
    if whiten:
        basis = basis * (len(flat) - 1) ** 0.5 / scale[:rank, None]

    def project(images: Tensor) -> Tensor:
        z = (images.double().flatten(1) - mean.to(images.device)) @ basis.T.to(images.device)
        return z.to(images.dtype)

    return lambda images: finite.each(project, images)


def convolutional(
    channels: int, *, widths: Sequence[int] = (64, 128, 256), seed: int = 0, batch: int = 256
) -> Space:
    """Fixed random convolutional features: He-normal 3x3 kernels, one layer per entry of `widths`,
    the same in every run.

    Returns:
        A space of 5 sum(widths) features: per layer the channel means and their 2x2 grid. Images of
        at least 2 pixels a side.
    """
    kernels, width = [], channels
    for layer, out in enumerate(widths):
        kernel = seeds.normal([seed], (out, width, 3, 3), stream=100 + layer, dtype=torch.float64)[
            0
        ]
        kernels.append(kernel * (2 / (9 * width)) ** 0.5)
        width = out

    def one(images: Tensor) -> Tensor:
        z, parts = images, []
        for kernel in kernels:
            z = F.relu(F.conv2d(F.pad(z, (1, 1, 1, 1), mode="replicate"), kernel.to(z)))
            parts += [z.mean((2, 3)), F.adaptive_avg_pool2d(z, 2).flatten(1)]
            z = F.avg_pool2d(z, 2) if min(z.shape[-2:]) >= 4 else z
        return torch.cat(parts, 1)

    @torch.no_grad()
    def space(images: Tensor) -> Tensor:
        if images.ndim != 4 or images.shape[1] != channels:
            raise InputError(
                f"wanted images (B, {channels}, H, W), got {tuple(images.shape)}; build the space "
                "for their channels"
            )
        return finite.each(all_of, images)

    def all_of(images: Tensor) -> Tensor:
        return (
            torch.cat([one(part) for part in images.split(batch)])
            if len(images)
            else images.new_zeros(0, 5 * sum(widths))
        )

    return space


def inception(*, weights: str | None = None, batch: int = 64) -> Space:
    """The 2048 pool features of the InceptionV3 that the published Frechet inception distance is
    defined by.

    Args:
        weights: path of `weights-inception-2015-12-05-6726825d.pth`; None lets torch-fidelity fetch
            it.

    Raises:
        InputError: torch-fidelity is not installed.
    """
    try:
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    except ImportError as e:
        raise InputError(
            "Inception features need torch-fidelity, which is not installed; pip install "
            "'archbias[inception]', or use features.convolutional, which needs no weights"
        ) from e
    network = FeatureExtractorInceptionV3(
        "inception-v3-compat", ["2048"], feature_extractor_weights_path=weights
    )

    @torch.no_grad()
    def pooled(images: Tensor) -> Tensor:
        if not len(images):
            return torch.zeros(0, 2048, device=images.device)
        three = images.expand(-1, 3, -1, -1) if images.shape[1] == 1 else images
        bytes_ = ((three.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
        return torch.cat([network.to(images.device)(part)[0] for part in bytes_.split(batch)])

    return lambda images: finite.each(pooled, images)
