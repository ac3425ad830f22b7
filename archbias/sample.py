"""Samplers: plain functions from noise to images through a denoiser and a list of noise levels.

Probability-flow ODE of y = x + sigma n (Song et al. 2021; Karras et al. 2022, eq. 1):

    dy / dsigma = (y - D(y, sigma)) / sigma

DDIM is its Euler step, y' = D + (sigma' / sigma)(y - D); with sigma' = 0 it returns D itself.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

from . import noise as levels
from .denoise import Denoiser

Progress = Callable[[int, int], None]


def _quiet(done: int, total: int) -> None:
    pass


@torch.no_grad()
def ddim(
    denoiser: Denoiser,
    noise: Tensor,
    sigmas: Tensor,
    *,
    labels: Tensor | None = None,
    batch: int | None = None,
    path: bool = False,
    progress: Progress = _quiet,
) -> Tensor:
    """Euler on the probability-flow ODE, from sigmas[0] * noise.

    Args:
        noise: (B, C, H, W), standard normal; multiplied by sigmas[0] here.
        sigmas: (T + 1,) strictly decreasing, see `archbias.noise`; a final 0 ends on a denoised image.
        labels: (B,) for a class-conditional denoiser.
        batch: rows denoised at once (all by default); changes memory, not results beyond rounding.
        path: also return every state.

    Returns:
        (B, C, H, W), or with `path` (T + 1, B, C, H, W) from the start to the sample.
    """

    def step(y: Tensor, s: float, t: float, lab: Tensor | None) -> Tensor:
        denoised = denoiser(y, s, lab)
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
    progress: Progress = _quiet,
) -> Tensor:
    """Heun's second-order method on the same ODE (Karras et al. 2022, algorithm 1, without churn); arguments as `ddim`.

    The step to sigma = 0 is an Euler step, since the slope there is not defined.
    """

    def step(y: Tensor, s: float, t: float, lab: Tensor | None) -> Tensor:
        slope = (y - denoiser(y, s, lab)) / s
        euler = y + (t - s) * slope
        if t == 0:
            return euler
        return y + (t - s) * (slope + (euler - denoiser(euler, t, lab)) / t) / 2

    return _integrate(step, noise, sigmas, labels, batch, path, progress)


def _integrate(step, noise, sigmas, labels, batch, path, progress) -> Tensor:
    sigmas = levels.check(sigmas).tolist()
    size, total = batch or max(len(noise), 1), len(sigmas) - 1
    pieces, chunks = [], list(range(0, len(noise), size))
    for number, i in enumerate(chunks):
        y = noise[i : i + size] * sigmas[0]
        lab = None if labels is None else labels[i : i + size]
        states = [y]
        for k, (s, t) in enumerate(pairwise(sigmas)):
            y = step(y, s, t, lab)
            if path:
                states.append(y)
            progress(number * total + k + 1, len(chunks) * total)
        pieces.append(torch.stack(states) if path else y)
    if not pieces:
        return noise.new_zeros((total + 1, *noise.shape) if path else noise.shape)
    return torch.cat(pieces, dim=1 if path else 0)
