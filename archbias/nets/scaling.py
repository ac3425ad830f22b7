"""How a network F becomes a denoiser D: what goes in, what comes out, and the loss.

With u = c_in y the scaled input and F the network's output, s the scale of the data:

    told        u = y / sqrt(sigma^2 + s^2), and F is given ln(sigma) / 4
    per_level   the same u, one network for each noise level, which is not given the level; another
                sigma meets the network whose level is nearest in ln sigma
    blind       u = asinh(y): pixel by pixel and invertible, so nothing but y is known, and bounded
                at sigma = 80

    image       D = F
    noise       D = y - sigma F          (blind: D = y - F, F predicts the residual)
    v           D = c_skip y + c_out F,  c_skip = s^2 / (sigma^2 + s^2),
                                         c_out = sigma s / sqrt(sigma^2 + s^2)

precondition "edm" takes s from the data (root mean square of the pixels; Karras et al. 2022, table
1), "vp" takes s = 1: "noise" and "v" are then the predictions of Ho et al. 2020 and Salimans & Ho
2022. The loss is the squared error of F, that is |D - x|^2 divided by the square of what multiplies
F. Noise prediction multiplies the network's error by sigma at high noise; "v" and "image" do not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from .batches import Batch
    from .network import Network


def wrap(
    spec: Network,
    network: Callable[..., Tensor],
    y: Tensor,
    sigma: Tensor,
    labels: Tensor | None,
    scale: Tensor,
) -> Tensor:
    """D(y, sigma) from F, as at the head of this module; scale is s."""
    u, c, skip, gain = parts(spec, y, sigma, scale)
    out = network(u, c, labels)
    return out if skip is None or gain is None else skip * y + gain * out


def parts(
    spec: Network, y: Tensor, sigma: Tensor, scale: Tensor
) -> tuple[Tensor, Tensor | None, Tensor | None, Tensor | None]:
    """The scaled input u, the level as the network is told it, and skip and gain of D = skip y +
    gain F (None: D = F).
    """
    s = torch.ones_like(scale) if spec.precondition == "vp" else scale
    column = sigma[:, None, None, None]
    total = (column.square() + s.square()).sqrt()
    blind = spec.conditioning == "blind"
    u = y.asinh() if blind else y / total
    c = sigma.log() / 4 if spec.told else None
    if spec.predicts == "image":
        return u, c, None, None
    if spec.predicts == "noise":
        one = torch.ones_like(column)
        return u, c, one, -(one if blind else column)
    return u, c, (s / total).square(), column * s / total


def loss_of(spec: Network, scale: Tensor) -> Callable[[Callable[..., Tensor], Batch], Tensor]:
    """The mean squared error of F on a batch: loss(module, batch) for
    `archbias.nets.descent.steps`.
    """

    def loss(module: Callable[..., Tensor], batch: Batch) -> Tensor:
        y = batch.y
        u, c, skip, gain = parts(spec, y, batch.sigma, scale)
        out = module(u, c, batch.labels).to(y.dtype)
        if skip is None or gain is None:
            wanted = batch.x
        elif spec.predicts == "noise":
            wanted = (
                batch.sigma[:, None, None, None] * batch.noise
                if spec.conditioning == "blind"
                else batch.noise
            )
        else:
            wanted = (batch.x - skip * y) / gain
        return (out - wanted).square().mean()

    return loss
