"""How much of a denoiser is affine, and how much is of each polynomial degree.

**In the noise, around one image.** Expand D(x + sigma n) in Hermite polynomials of n; degree k
carries the variance V_k. For n' of correlation rho with n (Mehler's formula),

    E <D(x + sigma n), D(x + sigma n')> = sum_k rho^k V_k

Take n cos t + m sin t for T angles t on a circle: all pairs of angles give rho = cos of their
difference, and non-negative least squares gives V_k, |E D|^2 = V_0 left out. V_1 / sum V is the
affine share around an image. A polynomial denoiser of degree p has no V_k beyond p.

**Over all noisy images.** R^2 = 1 - E |D - fit|^2 / E |D - E D|^2 of an affine map of y, on images
other than those it was fitted on: first y -> Jbar y with Jbar the mean Jacobian over a few images
(the optimum for Gaussian y, by Stein's lemma), then ridge regression of what is left, its penalty
by leave-one-out. An affine denoiser reads 1 exactly; for others the number is a lower bound that
rises with the number of images.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy.optimize import nnls
from torch import Tensor

from .. import seeds
from ..denoise import Denoiser
from .jacobian import Jacobian

DEGREES = (0, 1, 2, 3, 4, 5, 7, 10, 15, 25, 50)  # the last ones stand for their neighbours
SHARES = 4  # shares are reported for degrees 1, 2, 3 and 4 or more


def degree_shares(
    denoiser: Denoiser,
    x: Tensor,
    sigma: float,
    labels: Tensor | None = None,
    *,
    angles: int = 16,
    batch: int = 64,
) -> Tensor:
    """Shares of the variance over noise of degree 1, 2, 3 and 4 or more, (4,) float64, sum 1,
    averaged over images x.

    Args:
        x: (B, C, H, W) clean images.
        angles: noisy versions of each image, an even number.
    """
    n, m = seeds.normal([1, 2], x.shape, stream=302, dtype=torch.float64).to(x)
    centre = Jacobian(denoiser, x, sigma, labels, batch=batch).value().double()
    circle = []
    for k in range(angles):
        t = 2 * math.pi * k / angles
        y = x + sigma * (math.cos(t) * n + math.sin(t) * m)
        circle.append(
            (Jacobian(denoiser, y, sigma, labels, batch=batch).value().double() - centre).flatten()
        )
    values = torch.stack(circle)  # a constant taken off changes V_0 alone
    gram = values @ values.T
    lag = torch.stack([gram.roll(-k, 1).diagonal().mean() for k in range(angles // 2 + 1)])
    rho = np.cos(2 * np.pi * np.arange(angles // 2 + 1) / angles)
    scale = float(lag.abs().max())
    if scale == 0:
        return torch.full((SHARES,), torch.nan, dtype=torch.float64)
    design = np.stack([rho**k for k in DEGREES], 1)
    found, _ = nnls(design, (lag / scale).cpu().numpy())
    power = np.array([found[1], found[2], found[3], found[4:].sum()])
    return (
        torch.from_numpy(power / power.sum())
        if power.sum() > 0
        else torch.full((SHARES,), torch.nan, dtype=torch.float64)
    )


def affine_share(fit: Jacobian, test: Jacobian, *, anchors: int = 4) -> float:
    """R^2 on the rows of `test` of the affine map fitted on the rows of `fit`; at most 1, NaN if D
    is constant.

    Args:
        anchors: rows of `fit` whose Jacobians are averaged.
    """
    y, z = (j.y.double().flatten(1) for j in (fit, test))
    target, wanted = (j.value().double().flatten(1) for j in (fit, test))
    mean = y.mean(0)

    def average(rows: Tensor) -> Tensor:
        """Jbar applied to each row."""
        total = torch.zeros_like(rows)
        for a in range(min(anchors, len(fit.y))):
            labels = None if fit.labels is None else fit.labels[a].expand(len(rows))
            at = fit.y[a].expand(len(rows), *fit.y.shape[1:])
            here = Jacobian(fit.denoiser, at, fit.sigma, labels, batch=fit.batch)
            total += here.push(rows.to(fit.y.dtype).reshape(1, *at.shape))[0].double().flatten(1)
        return total / min(anchors, len(fit.y))

    rest = target - average(y - mean)
    offset = rest.mean(0)
    guess = offset + average(z - mean)
    rest = rest - offset
    guess = guess + _ridge(y - mean, rest, z - mean)
    spread = (wanted - wanted.mean(0)).square().sum()
    return float(1 - (wanted - guess).square().sum() / spread) if spread > 0 else float("nan")


def _ridge(x: Tensor, target: Tensor, new: Tensor) -> Tensor:
    """Ridge regression in its dual form, the penalty by the least leave-one-out error; no fit at
    all is one of the choices.
    """
    value, basis = torch.linalg.eigh(x @ x.T)
    rotated = basis.T @ target
    best, coefficients = target.square().sum(), torch.zeros_like(target)
    for factor in torch.logspace(-6, 3, 19, dtype=torch.float64).tolist():
        penalty = factor * float(value.mean())
        gain = penalty / (value.clamp(min=0) + penalty)
        residual = basis @ (gain[:, None] * rotated)
        leverage = (basis.square() @ gain).clamp(min=1e-12)
        error = (residual / leverage[:, None]).square().sum()
        if error < best:
            best, coefficients = error, residual / penalty
    return new @ (x.T @ coefficients)
