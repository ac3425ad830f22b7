"""The flow law of a polynomial denoiser in the limit of infinitely many steps, by integrating the
ODE and its divergence.

    dv / ds = (v - P_s(v)) / s,    d log p / ds = -div = -(r - tr P_s'(v)) / s          along a
    trajectory, s falling to s_T

In u = log s both right-hand sides lose the division. The classical fourth-order Runge-Kutta method
takes `steps` steps between each two given levels; the flow is undone by running it from s_T up to
s_0, so a point has at most one preimage. The rest of the image is linear, with the continuous gain
sqrt((lam + s_T^2) / (lam + s_0^2)) of each mode.

Source: Chen et al., *Neural ordinary differential equations*, 2018, eq. 8; Song et al. 2021,
    appendix D.2.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor

from .. import noise as levels
from ..errors import InputError
from ..regressions.polynomial import PolynomialDenoiser
from .maps import ESCAPE, LOG_2PI


def flow_density(
    denoiser: PolynomialDenoiser, x: Tensor, sigmas: Tensor, *, steps: int = 1
) -> Tensor:
    """(B,) log-density in nats at x (B, C, H, W) of the continuous flow from N(0, sigmas[0]^2 I) to
    the last level, above 0.

    -inf where the trajectory back from x leaves (see `maps`): no noise leads there.
    """
    v, rest, outside = _split(denoiser, x)
    start, end = _ends(sigmas)
    v, gained, out = _integrate(denoiser, v, sigmas.flip(0), steps)
    state = denoiser.state()
    mu, basis = state["mean"].double().flatten(), state["basis"].double()
    kept = basis @ mu
    lam = denoiser.variances[denoiser.r :].double()
    gain = ((lam + end**2) / (lam + start**2)).sqrt()
    z = torch.cat([v + kept[: denoiser.r], rest / gain + kept[denoiser.r :]], 1) / start
    beyond = outside * (start / end) + mu - kept @ basis
    extra = outside.shape[1] - len(basis)
    square = (z**2).sum(1) + (beyond**2).sum(1) / start**2
    volume = math.prod(denoiser.shape) * (LOG_2PI / 2 + math.log(start))
    out_log = -square / 2 - volume + gained - gain.log().sum() + extra * math.log(start / end)
    return torch.where(out, -torch.inf, out_log)


def flow_push(
    denoiser: PolynomialDenoiser, noise: Tensor, sigmas: Tensor, *, steps: int = 1
) -> Tensor:
    """(B, C, H, W) float64: where the continuous flow takes this standard normal noise; NaN where
    it leaves.
    """
    start, end = _ends(sigmas)
    v, rest, outside = _split(denoiser, start * noise.double())
    v, _, out = _integrate(denoiser, v, sigmas, steps)
    state = denoiser.state()
    lam = denoiser.variances[denoiser.r :].double()
    gain = ((lam + end**2) / (lam + start**2)).sqrt()
    moved = (
        torch.cat([torch.where(out[:, None], torch.nan, v), gain * rest], 1)
        @ state["basis"].double()
    )
    return (state["mean"].double().flatten() + moved + outside * (end / start)).reshape(noise.shape)


def _ends(sigmas: Tensor) -> tuple[float, float]:
    sigmas = levels.check(sigmas)
    if sigmas[-1] == 0:
        raise InputError(
            "the continuous flow is integrated to a level above 0, got sigmas that end at 0; leave "
            "the 0 out"
        )
    return float(sigmas[0]), float(sigmas[-1])


def _split(denoiser: PolynomialDenoiser, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Leading coordinates (B, r), the rest (B, m - r), and what lies outside the data's plane (B,
    d), about the mean.
    """
    state = denoiser.state()
    basis = state["basis"].double()
    away = (y.double() - state["mean"].double()).flatten(1)
    c = away @ basis.T
    return c[:, : denoiser.r].contiguous(), c[:, denoiser.r :], away - c @ basis


def _integrate(
    denoiser: PolynomialDenoiser, v: Tensor, sigmas: Tensor, steps: int
) -> tuple[Tensor, Tensor, Tensor]:
    """V carried along `sigmas` (either way), the integral of the divergence over log s, and whether
    it left.
    """
    variances = denoiser.variances[: denoiser.r].double()
    total, out = torch.zeros(len(v), dtype=torch.float64), torch.zeros(len(v), dtype=torch.bool)

    def slope(v: Tensor, u: float) -> tuple[Tensor, Tensor]:
        value, jacobian = denoiser.differential(v, math.exp(u))
        return v - value, denoiser.r - jacobian.diagonal(dim1=1, dim2=2).sum(1)

    for a, b in pairwise(sigmas.log().tolist()):
        h = (b - a) / steps
        for k in range(steps):
            u = a + k * h
            k1, d1 = slope(v, u)
            k2, d2 = slope(v + h / 2 * k1, u + h / 2)
            k3, d3 = slope(v + h / 2 * k2, u + h / 2)
            k4, d4 = slope(v + h * k3, u + h)
            v = v + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
            total = total + h / 6 * (d1 + 2 * d2 + 2 * d3 + d4)
            out |= ~(v.abs() <= ESCAPE * (variances + math.exp(2 * (u + h))).sqrt()).all(1)
            v = torch.where(out[:, None], 0.0, v)
    return v, total, out
