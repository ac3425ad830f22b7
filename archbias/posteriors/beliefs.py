"""What is read off a windowed belief: entropy, sources, and the mosaic of an image."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor
from torch.nn.functional import pad

from ..errors import InputError


@dataclass(frozen=True)
class Posterior:
    """What each pixel believes about where it comes from.

    entropy: (B, H, W) of the belief over sources, in nats. effective: exp(entropy), the effective
        number of sources.
    log_evidence: (B, H, W) log density of the pixel's window under the machine's mixture, in nats;
        windows clipped at the border have fewer numbers. Compare machines of one window, or divide
        by `numbers`.
    numbers: (H, W) how many numbers each window holds.
    image, row, column: (B, K, H, W) the K most probable sources, best first, -1 where there are
        fewer.
    weight: (B, K, H, W) their probabilities. dropped: (B, H, W) bound on the relative weight that
        was left out.
    """

    entropy: Tensor
    effective: Tensor
    log_evidence: Tensor
    numbers: Tensor
    image: Tensor
    row: Tensor
    column: Tensor
    weight: Tensor
    dropped: Tensor


@dataclass(frozen=True)
class Mosaic:
    """Where each pixel of a finished image was taken from (Kamb & Ganguli, theorem 4.1).

    image, row, column: (B, H, W) the training window nearest in L2 to the window around the pixel.
    distance: (B, H, W) to it. margin: (B, H, W) how much farther the second nearest is; infinite
        when there is one only.
    difference: (B, H, W) largest absolute difference over channels between the pixel and that
        window's centre.
    consistent: (B,) share of pixels with difference at most `tolerance`: 1 where the theorem holds.
    """

    image: Tensor
    row: Tensor
    column: Tensor
    distance: Tensor
    margin: Tensor
    difference: Tensor
    consistent: Tensor


def check_top(top: int) -> None:
    """An InputError unless top is a positive integer."""
    if not isinstance(top, int) or top < 1:
        raise InputError(
            f"top must be a positive number of sources, got {top!r}; use for example top=4"
        )


def seen(
    logits: Tensor,
    mask: Tensor,
    moves: Sequence[tuple[int, int, float]],
    images: Tensor,
    shape: tuple[int, int, int],
    sigma: float,
    top: int,
) -> Posterior:
    """The beliefs of one image's pixels over moved images seen through a mask.

        w = softmax_j(L_j),   L_j = -sum_x m_p(x) |y(x) - phi_j(x)|^2 / (2 sigma^2) + log prior_j

    What p sees has noise sigma / sqrt(m), so that its log density is log mean_prior exp(-...) less
    the logarithms of those Gaussians' normalisers, over pixels with m > 0.

    Args:
        logits: (HW, M N) float64, moves outside and images inside; -inf rules a source out.
        mask: (HW, HW) shared by the channels. moves: the M moves with their log priors.
        images: (N,) positions in the training set. shape: (C, H, W).

    Returns:
        With a batch of one.
    """
    c, h, w = shape
    total = logits.logsumexp(1)
    weight = (logits - total[:, None]).exp()
    prior = logits.new_tensor([log for _, _, log in moves]).repeat_interleave(len(images))
    free = torch.where(logits > -torch.inf, prior, -torch.inf).logsumexp(1)
    numbers = c * (mask > 0).sum(1)
    noise = numbers.double() * math.log(2 * math.pi * sigma**2)
    noise = noise - c * torch.where(mask > 0, mask, 1.0).log().sum(1)
    entropy = torch.special.entr(weight).sum(1)
    best = weight.topk(min(top, weight.shape[1]), 1)
    move = torch.tensor([m[:2] for m in moves], device=mask.device)[best.indices // len(images)]
    place = torch.arange(h * w, device=mask.device)[:, None]
    none, lacking = best.values == 0, (0, top - best.values.shape[1])

    def ranked(values: Tensor, empty: float) -> Tensor:
        filled = pad(values.masked_fill(none, empty), lacking, value=empty)
        return filled.T.reshape(1, top, h, w)

    flat = (1, h, w)
    return Posterior(
        entropy=entropy.reshape(flat),
        effective=entropy.exp().reshape(flat),
        log_evidence=(total - free - noise / 2).reshape(flat),
        numbers=numbers.reshape(h, w),
        image=ranked(images[best.indices % len(images)], -1),
        row=ranked((place // w + move[..., 0]).clamp(0, h - 1), -1),
        column=ranked((place % w + move[..., 1]).clamp(0, w - 1), -1),
        weight=ranked(best.values, 0),
        dropped=torch.zeros(flat, dtype=torch.float64),
    )


def stacked(parts: Sequence[Posterior]) -> Posterior:
    """Posteriors of single images as one of the batch; `numbers` is that of the first."""
    names = [f.name for f in fields(Posterior) if f.name != "numbers"]
    return Posterior(
        numbers=parts[0].numbers,
        **{k: torch.cat([getattr(part, k) for part in parts]).cpu() for k in names},
    )
