"""The bias card of a denoiser: its built-in assumptions, one row per noise level.

Everything is measured at y = x + sigma n for a few images x the denoiser was not fitted on, when
they are given. The parts are defined where they are computed: `local` (receptive field, trace,
asymmetry, rank), `symmetry` (translations), `degree` (affine and polynomial shares). Three numbers
connect the trace with the error (all per pixel):

    error      |D - x|^2 / d                                               measured
    stein      |D - y|^2 / d + 2 sigma^2 tr J / d - sigma^2                its unbiased estimate
        without x (Stein 1981)
    tweedie    sigma^2 tr J / d                                            what the error would be,
        were D the posterior mean of
                                                                           the law the images come
                                                                           from (Efron 2011)

Stein's estimate is unbiased and noisy: its standard error is about sigma^2 sqrt(2 / (d points)),
which at sigma well above 1 drowns it; `tweedie` carries only the error of the trace.

A card is one answer for a level, so a denoiser that answers NaN or infinity there has none: the
level and the images are named.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields

import torch
from torch import Tensor

from .. import seeds
from ..data import ImageSet
from ..denoise import Denoiser
from ..errors import InputError
from ..metrics import finite
from ..noise import numbers
from . import degree, local
from .jacobian import Jacobian
from .symmetry import equivariance_error

FRACTIONS = local.FRACTIONS


@dataclass(frozen=True, kw_only=True)
class BiasCard:
    """S noise levels, K singular directions, T translations; float64 unless said.

    sigmas: (S,) the levels. shape: (C, H, W).
    receptive: (S, H, W) receptive field, share of energy by offset, the pixel itself at (H // 2, W
        // 2).
    radius: (S, 3) int64, half-width of the window with 50, 90 and 99 % of it; support: (S,) with
        all of it.
    shifts: (T, 2) int64 translations; interior, border: (S, T) equivariance error there, 0 to about
        sqrt 2.
    affine: (S,) R squared of an affine fit over noisy images, a lower bound.
    degrees: (S, 4) shares of degree 1, 2, 3 and 4 or more in the noise around an image.
    values: (S, K) leading singular values, mean over images; right, left: (S, K, C, H, W) their
        vectors at the first image.
    alignment: (S, K) right . left, 1 when the directions are eigenvectors: D shrinks along them
        (shrinkage basis).
    rank: (S,) int64, how many of the K singular values exceed 1e-6 of the first: at least that when
        equal to K.
    effective_rank: (S,) participation number of the singular values squared, 1 to d.
    asymmetry: (S,) curl, 0 (symmetric Jacobian) to 1.
    freedom: (S,) degrees of freedom tr J; from 0 to d for a linear shrinkage.
    error, stein, tweedie: (S,) per pixel, see the module.
    train_error, held_out_error: (S,) squared error per pixel on noisy training and held-out images,
        equal noise; the second NaN without held-out images. memory: (S,) held-out over training
        error, 1 for a denoiser that remembers nothing.
    exact: whether derivatives are exact, or differences for want of a forward mode.
    """

    sigmas: Tensor
    shape: tuple[int, int, int]
    receptive: Tensor = field(repr=False)
    radius: Tensor
    support: Tensor
    shifts: Tensor
    interior: Tensor
    border: Tensor
    affine: Tensor
    degrees: Tensor
    values: Tensor
    right: Tensor = field(repr=False)
    left: Tensor = field(repr=False)
    alignment: Tensor
    rank: Tensor
    effective_rank: Tensor
    asymmetry: Tensor
    freedom: Tensor
    error: Tensor
    stein: Tensor
    tweedie: Tensor
    train_error: Tensor
    held_out_error: Tensor
    exact: bool

    @property
    def memory(self) -> Tensor:
        return self.held_out_error / self.train_error

    def tensors(self) -> dict[str, Tensor]:
        """Every tensor of the card by name, for a store."""
        return {
            f.name: getattr(self, f.name)
            for f in fields(self)
            if isinstance(getattr(self, f.name), Tensor)
        }


def _quiet(done: int, total: int) -> None:
    pass


def bias_card(
    denoiser: Denoiser,
    images: ImageSet,
    sigmas: Tensor | Sequence[float],
    *,
    held_out: ImageSet | None = None,
    points: int = 4,
    probes: int = 8,
    directions: int = 12,
    fit: int = 128,
    shifts: Sequence[tuple[int, int]] = ((1, 0), (0, 1), (3, -2), (4, 4)),
    batch: int = 64,
    dtype: torch.dtype = torch.float64,
    device: str | torch.device = "cpu",
    seed: int = 0,
    progress: Callable[[int, int], None] = _quiet,
) -> BiasCard:
    """Measure a denoiser.

    Args:
        images: what it was fitted to.
        sigmas: (S,) positive noise levels, in any order.
        held_out: images of the same source it has not seen; the probes run on them and `memory`
            needs them.
        points: images at which Jacobians are probed. probes: random vectors each for traces.
        directions: K leading singular directions. fit: images for the affine fit (4 * points others
            judge it) and for memory; a set with fewer images is used around the end, with other
            noise.
        shifts: translations (rows, columns); a network that pools commutes with multiples of its
            stride only, so one of them is 4.
        batch: rows denoised at once. dtype: float64, or float32 to halve the time of a network.
        seed: of the noise.
        progress: called as progress(levels done, levels).

    Cost per level: about points * (4 C + 3 probes + 8 directions) + 8 (fit + 4 points) denoised
    images or derivatives.
    """
    sigmas = numbers(sigmas, "sigmas").flatten()
    if not len(sigmas) or not bool((torch.isfinite(sigmas) & (sigmas > 0)).all()):
        raise InputError(
            f"a bias card needs positive finite noise levels, got {sigmas.tolist()}; leave the "
            "final 0 out"
        )
    for name, images_ in (("images", images), ("held_out", held_out)):
        if images_ is not None and images_.shape != denoiser.shape:
            raise InputError(
                f"{name} must have the denoiser's shape {denoiser.shape}, got {images_.shape}; "
                "resize with ImageSet.resize"
            )
    source = held_out if held_out is not None else images
    ours = _take(source, points, denoiser, dtype, device)
    judge = _take(source, 4 * points, denoiser, dtype, device, start=points)
    learn = _take(source, fit, denoiser, dtype, device, start=5 * points)
    seen = _take(images, fit, denoiser, dtype, device)
    unseen = None if held_out is None else _take(held_out, fit, denoiser, dtype, device)

    def at(level: float, taken: tuple[Tensor, Tensor | None], stream: int) -> Jacobian:
        x, labels = taken
        n = seeds.normal(
            range(seed, seed + len(x)), x.shape[1:], stream=stream, dtype=torch.float64
        ).to(x)
        return Jacobian(denoiser, x + level * n, level, labels, batch=batch)

    def mistake(level: float, taken: tuple[Tensor, Tensor | None] | None) -> Tensor:
        if taken is None:
            return torch.tensor(torch.nan, dtype=torch.float64)
        return (_answers(at(level, taken, 312)) - taken[0].double()).square().mean()

    rows = []
    for number, level in enumerate(sigmas.tolist()):
        here = at(level, ours, 310)
        out = _answers(here)
        moments = local.moments(here, probes)
        values, right, left = local.directions(here, directions)
        receptive = local.receptive_field(here)
        radius, support = local.radii(receptive)
        moved = equivariance_error(here, shifts)
        d = out[0].numel()
        trace = moments["trace"].mean() / d
        judged = at(level, judge, 311)
        error = (out - ours[0].double()).square().mean()
        rows.append(
            {
                "receptive": receptive,
                "radius": torch.tensor(radius),
                "support": torch.tensor(support),
                "interior": moved[:, 0],
                "border": moved[:, 1],
                "affine": torch.tensor(
                    degree.affine_share(at(level, learn, 313), judged), dtype=torch.float64
                ),
                "degrees": degree.degree_shares(denoiser, ours[0], level, ours[1], batch=batch),
                "values": values.mean(0),
                "right": right[0],
                "left": left[0],
                "alignment": (right * left).flatten(2).sum(2).mean(0),
                "rank": (values > 1e-6 * values[:, :1]).sum(1).max(),
                "effective_rank": moments["participation"].mean(),
                "asymmetry": moments["asymmetry"].mean(),
                "freedom": trace * d,
                "error": error,
                "stein": (out - here.y.double()).square().mean() + 2 * level**2 * trace - level**2,
                "tweedie": level**2 * trace,
                "train_error": mistake(level, seen),
                "held_out_error": mistake(level, unseen),
                "exact": torch.tensor(here.exact),
            }
        )
        progress(number + 1, len(sigmas))
    stacked = {name: torch.stack([row[name].detach().cpu() for row in rows]) for name in rows[0]}
    exact = bool(stacked.pop("exact").all())
    return BiasCard(
        sigmas=sigmas,
        shape=denoiser.shape,
        shifts=torch.tensor(list(shifts)),
        exact=exact,
        **stacked,
    )


def _answers(here: Jacobian) -> Tensor:
    """D at every row, float64; an InputError where it is not finite."""
    out = here.value().double()
    bad = (~finite.rows(out)).nonzero()[:, 0].tolist()
    if bad:
        raise InputError(
            f"a bias card needs finite answers, got NaN or infinity at sigma {here.sigma:.4g} for "
            f"{len(bad)} of {len(out)} noisy images; leave that level out, or look at the "
            "denoiser's training record"
        )
    return out


def _take(
    images: ImageSet,
    count: int,
    denoiser: Denoiser,
    dtype: torch.dtype,
    device: str | torch.device,
    start: int = 0,
) -> tuple[Tensor, Tensor | None]:
    """`count` images from `start` on, around the end when the set is short, with the labels the
    denoiser wants.
    """
    which = (start + torch.arange(count)) % len(images)
    labels = None
    if denoiser.classes:
        if images.labels is None:
            raise InputError(
                "this denoiser is conditioned on labels, got images without; give an ImageSet that "
                "has them"
            )
        labels = images.labels[which].to(device)
    return images.images[which].to(device, dtype), labels
