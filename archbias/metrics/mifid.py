"""Memorisation-informed Frechet distance: the Frechet distance, made larger for copies. Set-level.

    s      = mean over samples of  min over images of  1 - |cos(z(sample), z(image))|
    MiFID  = frechet / (s + 1e-14)    where s < tau, a threshold;    frechet / 1    elsewhere

For comparison with papers that report it: in Inception space with tau = 0.1 it is the number of the
competition it was made for. It jumps at tau by a factor of 1 / tau, has no uncertainty, and a model
reads differently in another space, so read it beside numbers that have a null: `frechet_with_null`,
and `realism.novelty`, which asks the same question with held-out images.

The distance of near-copies is taken as |u - v|^2 / 2 of unit vectors: 1 - cos would be rounding.

Source: Bai, Lin, Raffel & Kan 2021, *On training sample memorization: lessons from benchmarking
    generative modeling with a large-scale competition*, section 3; threshold and 1e-14 are those of
    the competition's code.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import InputError
from .features import Space, pixels
from .finite import check_sets
from .frechet import frechet
from .pairs import between

THRESHOLD = 0.1
EPSILON = 1e-14
BATCH = 1024


@dataclass(frozen=True)
class Mifid:
    """value: MiFID, at least `frechet`. frechet: the distance itself. distance: s, in [0, 1], 0
    when all samples are images. memorised: whether s is below the threshold, so that it counts.
    """

    value: float
    frechet: float
    distance: float
    memorised: bool


def mifid(
    samples: Tensor, images: Tensor, *, space: Space = pixels, threshold: float = THRESHOLD
) -> Mifid:
    """MiFID of samples (B, ...) against training images (N, ...).

    Args:
        space: a map to features; `features.inception()` for numbers comparable with papers.
        threshold: tau, below which copies count.

    Raises:
        InputError: sets that are not finite or of two shapes, or features that are all zero.
    """
    check_sets(samples, images)
    a, b = (space(x).double().flatten(1) for x in (samples, images))
    value = frechet(a, b)
    u, v = _unit(a), _unit(b.to(a.device))
    least = torch.cat([_angle(part, v) for part in u.split(BATCH)])
    distance = float(least.mean())
    memorised = distance < threshold
    whole = value / (distance + EPSILON) if memorised else value
    return Mifid(whole, value, distance, memorised)


def _unit(z: Tensor) -> Tensor:
    length = z.norm(dim=1, keepdim=True)
    if bool((length == 0).any()):
        raise InputError(
            "MiFID needs features that are not all zero, got "
            f"{int((length == 0).sum())} of {len(z)} at 0; leave those images out"
        )
    return z / length


def _angle(u: Tensor, v: Tensor) -> Tensor:
    """Min over v of 1 - |cos|, for unit rows."""
    return torch.minimum(between(u, v).amin(1), between(u, -v).amin(1)).square() / 2
