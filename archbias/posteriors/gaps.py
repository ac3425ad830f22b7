"""Distances of a noisy image to every training image, seen through many masks at once.

    L(p, i) = -sum_x m_p(x) Z(x, i) = -(M Z)[p, i],    Z(x, i) = sum_c (y_c(x) - phi_ic(x))^2

One score is one product M Z of the mask (P, X) with the squared differences Z (X, N), summed over
the colours where these share the mask: P X N multiplications, whatever C. Z holds no negative
number, so the product keeps a relative accuracy: float32 logits are off by less than 1e-6 of
themselves, 1e-3 nats where a noisy image of 3 x 32 x 32 has one or two thousand. Above sigma = 1
the constant y^2 is left out first and pixels are centred by the mean image, so that what is summed,
and its rounding, shrinks with 1 / sigma. For float64 input all of it is float64.
"""

from __future__ import annotations

import torch
from torch import Tensor

SQUARES = 1.0  # noise level up to which float32 sums squared differences


def positions_first(images: Tensor, like: Tensor) -> Tensor:
    """(N, C, H, W) -> (HW, C, N), contiguous, with the dtype and device of another tensor."""
    return images.flatten(2).permute(2, 1, 0).to(like.device, like.dtype).contiguous()


def centre_of(phi: Tensor, level: float) -> Tensor | None:
    """The mean image (HW, C, 1) where rounding is smaller with the constant left out, else None."""
    if phi.dtype != torch.float64 and level > SQUARES:
        return phi.mean(2, keepdim=True)
    return None


def logits_of(y: Tensor, phi: Tensor, centre: Tensor | None, mask: Tensor, own: bool) -> Tensor:
    """-sum_x m_p(x) (y - phi)^2, less the constant m y^2 where a centre is given: (P, n)."""
    if own:  # colour by colour, which makes no array larger than what is kept
        colours = range(phi.shape[1])
        gaps = sum(gap(y[:, c], phi[:, c], None if centre is None else centre[:, c])
                   for c in colours)  # fmt: skip
    else:
        gaps = gap(y, phi, centre).flatten(0, 1)
    return -(mask @ gaps)


def gap(y: Tensor, phi: Tensor, centre: Tensor | None) -> Tensor:
    """(y - phi)^2, or what of it depends on phi."""
    if centre is None:
        return (y - phi).square()
    z = phi - centre
    return z * (z - 2 * (y - centre))
