"""Samplers: plain functions from noise to images through a denoiser and a list of noise levels.

Probability-flow ODE of y = x + sigma n (Song et al. 2021; Karras et al. 2022, eq. 1):

    dy / dsigma = (y - D(y, sigma)) / sigma

DDIM is its Euler step, y' = D + (sigma' / sigma)(y - D); with sigma' = 0 it returns D itself.

Two samplers draw fresh noise on the way, from a generator of each seed's own (`archbias.seeds`,
stream 1), so that a seed gives the same sample in any batch: `sde` replaces part of the noise at
each step, `langevin` stays at one noise level.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from itertools import pairwise
from numbers import Integral

import numpy as np
import torch
from torch import Tensor

from . import noise as levels
from .denoise import Denoiser, score_of
from .errors import InputError
from .seeds import generator
from .waiting import told

Progress = Callable[[int, int], None]
Step = Callable[[Tensor, float, float, slice], Tensor]  # y, sigma, the next sigma, rows of y


@torch.no_grad()
def ddim(
    denoiser: Denoiser,
    noise: Tensor,
    sigmas: Tensor,
    *,
    labels: Tensor | None = None,
    batch: int | None = None,
    path: bool = False,
    progress: Progress = told,
) -> Tensor:
    """Euler on the probability-flow ODE, from sigmas[0] * noise.

    Args:
        noise: (B, C, H, W), standard normal; multiplied by sigmas[0] here.
        sigmas: (T + 1,) strictly decreasing, see `archbias.noise`; a final 0 ends on a denoised
            image.
        labels: (B,) for a class-conditional denoiser.
        batch: rows denoised at once (all by default); changes memory, not results beyond rounding.
        path: also return every state.
        progress: called as progress(done, total) after each step; a person who waits is told by
            default.

    Returns:
        (B, C, H, W), or with `path` (T + 1, B, C, H, W) from the start to the sample.

    Example:
        >>> import archbias
        >>> images = archbias.load("fashion_mnist", n=20, size=14)
        >>> ideal = archbias.FAMILIES["ideal"]().fit(images)
        >>> noise = archbias.seeds.normal(range(2), images.shape)
        >>> samples = archbias.sample.ddim(ideal, noise, archbias.noise.cosine(20))
        >>> archbias.metrics.novelty.nearest(samples, images.images).copy.tolist()
        [True, True]
    """

    def step(y: Tensor, s: float, t: float, rows: slice) -> Tensor:
        denoised = denoiser(y, s, _rows(labels, rows))
        return denoised + (t / s) * (y - denoised)

    return _integrate(step, noise, sigmas, labels, batch, path, progress)


@torch.no_grad()
def heun(
    denoiser: Denoiser,
    noise: Tensor,
    sigmas: Tensor,
    *,
    labels: Tensor | None = None,
    batch: int | None = None,
    path: bool = False,
    progress: Progress = told,
) -> Tensor:
    """Heun's second-order method on the same ODE (Karras et al. 2022, algorithm 1, without churn);
    arguments as `ddim`.

    The step to sigma = 0 is an Euler step, since the slope there is not defined.
    """

    def step(y: Tensor, s: float, t: float, rows: slice) -> Tensor:
        lab = _rows(labels, rows)
        slope = (y - denoiser(y, s, lab)) / s
        euler = y + (t - s) * slope
        if t == 0:
            return euler
        return y + (t - s) * (slope + (euler - denoiser(euler, t, lab)) / t) / 2

    return _integrate(step, noise, sigmas, labels, batch, path, progress)


@torch.no_grad()
def sde(
    denoiser: Denoiser,
    noise: Tensor,
    sigmas: Tensor,
    *,
    seeds: Iterable[int],
    eta: float = 1.0,
    labels: Tensor | None = None,
    batch: int | None = None,
    path: bool = False,
    progress: Progress = told,
) -> Tensor:
    """Ancestral sampling (Song et al. 2021, *Denoising diffusion implicit models*, eq. 12 and 16,
    written in sigma).

        u = eta * (sigma' / sigma) sqrt(sigma^2 - sigma'^2),   y' = D + sqrt(sigma'^2 - u^2) (y - D)
        / sigma + u n

    With eta = 1 a step draws from p(y' | y, x = D), the DDPM sampler; eta = 0 is `ddim`.

    Args:
        seeds: B seeds of the fresh noise, one per row; the other arguments are those of `ddim`.
        eta: share of fresh noise, from 0 to 1.
    """
    eta = levels.number(eta, "eta")
    if not 0 <= eta <= 1:
        raise InputError(f"eta must lie in [0, 1], got {eta}; 1 is ancestral sampling, 0 is ddim")
    fresh = _streams(seeds, len(noise))

    def step(y: Tensor, s: float, t: float, rows: slice) -> Tensor:
        denoised = denoiser(y, s, _rows(labels, rows))
        u = eta * (t / s) * math.sqrt(s**2 - t**2)
        out = denoised + math.sqrt(max(t**2 - u**2, 0.0)) / s * (y - denoised)
        return out + u * _draw(fresh[rows], y) if u else out

    return _integrate(step, noise, sigmas, labels, batch, path, progress)


@torch.no_grad()
def langevin(
    denoiser: Denoiser,
    start: Tensor,
    sigma: float,
    *,
    seeds: Iterable[int],
    steps: int,
    step: float,
    labels: Tensor | None = None,
    path: bool = False,
    progress: Progress = told,
) -> Tensor:
    """Unadjusted Langevin dynamics at one noise level, y' = y + step * score(y) + sqrt(2 step) n.

    Its stationary law is the one whose score the denoiser represents, up to a bias of order step:
    for a Gaussian score of variance v the stationary variance is v / (1 - step / (2 v)), stable
    while step < 2 v.

    Args:
        start: (B, C, H, W) states, not multiplied by anything.
        sigma: the noise level of the score (D - y) / sigma^2.
        seeds: B seeds of the fresh noise, one per row.
        steps: how many steps; step: their size, in squared pixel units.

    Returns:
        (B, C, H, W) last states, or with `path` (steps + 1, B, C, H, W).
    """
    sigma, step = levels.number(sigma, "sigma"), levels.number(step, "step")
    if not 0 < step < math.inf or not isinstance(steps, Integral) or steps < 1:
        raise InputError(
            f"wanted a positive step and at least 1 of them, got step {step} and steps {steps}; "
            "try sigma**2 / 10"
        )
    fresh, y = _streams(seeds, len(start)), start
    states = [y]
    for k in range(steps):
        y = (
            y
            + step * score_of(denoiser(y, sigma, labels), y, sigma)
            + math.sqrt(2 * step) * _draw(fresh, y)
        )
        if path:
            states.append(y)
        progress(k + 1, steps)
    return torch.stack(states) if path else y


def _streams(seeds: Iterable[int], rows: int) -> list[np.random.Generator]:
    seeds = list(seeds)
    if len(seeds) != rows:
        raise InputError(
            f"wanted one seed per row, got {len(seeds)} seeds for {rows} rows; use for example "
            f"range({rows})"
        )
    return [generator(seed, 1) for seed in seeds]


def _draw(streams: list[np.random.Generator], y: Tensor) -> Tensor:
    """Fresh standard normal noise of y's shape, row b from streams[b]."""
    draws = np.empty(tuple(y.shape))
    for row, stream in zip(draws, streams, strict=True):
        stream.standard_normal(out=row)
    return torch.from_numpy(draws).to(y)


def _rows(labels: Tensor | None, rows: slice) -> Tensor | None:
    return None if labels is None else labels[rows]


def _integrate(
    step: Step,
    noise: Tensor,
    sigmas: Tensor,
    labels: Tensor | None,
    batch: int | None,
    path: bool,
    progress: Progress,
) -> Tensor:
    sigmas = levels.check(sigmas).tolist()
    if labels is not None and len(labels) != len(noise):
        raise InputError(
            f"labels must be one per row, got {len(labels)} for {len(noise)} rows; give as many as "
            "seeds"
        )
    if batch is not None and (not isinstance(batch, Integral) or batch < 1):
        raise InputError(
            f"batch must be an integer of at least 1, got {batch!r}; leave it out to denoise all "
            "rows at once"
        )
    size, total = batch or max(len(noise), 1), len(sigmas) - 1
    pieces, chunks = [], list(range(0, len(noise), size))
    for number, i in enumerate(chunks):
        y = noise[i : i + size] * sigmas[0]
        states = [y]
        for k, (s, t) in enumerate(pairwise(sigmas)):
            y = step(y, s, t, slice(i, i + size))
            if path:
                states.append(y)
            progress(number * total + k + 1, len(chunks) * total)
        pieces.append(torch.stack(states) if path else y)
    if not pieces:
        return noise.new_zeros((total + 1, *noise.shape) if path else noise.shape)
    return torch.cat(pieces, dim=1 if path else 0)
