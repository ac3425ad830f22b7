"""Noise levels: decreasing sequences sigma_0 > sigma_1 > ... > sigma_T = 0 for y = x + sigma n.

Every process is written variance exploding (VE). A variance-preserving (VP) process x_t =
sqrt(abar) x + sqrt(1 - abar) n is the same one under y = x_t / sqrt(abar) and sigma = sqrt((1 -
abar) / abar).

    cosine     abar(t) = cos^2(t / 1.008 * pi / 2), t = 1, ..., 1/T, 0        Kamb & Ganguli, arXiv
        2412.20292
    karras     sigma_i = (smax^(1/rho) + i/(T-1) (smin^(1/rho) - smax^(1/rho)))^rho    Karras et al.
        2022, eq. 5
    linear     VP with beta linear in t, abar(t) = exp(-b0 t - (b1 - b0) t^2 / 2)   Song et al.
        2021, eq. 32-33
    geometric  sigma_i = smax (smin / smax)^(i/(T-1))                               Song & Ermon
        2019

All return float64 tensors of shape (steps + 1,), the last level 0.
"""

from __future__ import annotations

import math
from itertools import pairwise
from numbers import Integral

import torch
from torch import Tensor

from .errors import InputError, nearest


def numbers(value: object, name: str = "sigma") -> Tensor:
    """Whatever stands for numbers as a float64 tensor of its shape, gradients kept.

    Raises:
        InputError: text, None and whatever else holds no numbers.
    """
    try:
        return torch.as_tensor(value, dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError):
        raise InputError(
            f"{name} must be a number or a tensor of numbers, got {value!r}; give for example 0.5, "
            "or levels of archbias.noise.cosine(20)"
        ) from None


def number(value: object, name: str) -> float:
    """One number as a float; InputError for anything else."""
    found = numbers(value, name)
    if found.numel() != 1:
        raise InputError(
            f"{name} must be one number, got {found.numel()} in shape {tuple(found.shape)}; give "
            "for example 0.5"
        )
    return float(found)


def sigma_of(abar: Tensor) -> Tensor:
    """VP to VE: sigma = sqrt((1 - abar) / abar), abar in (0, 1].

    Example:
        >>> from archbias import noise
        >>> noise.sigma_of(0.5).item()
        1.0
    """
    abar = abar if isinstance(abar, Tensor) else numbers(abar, "abar")
    return ((1 - abar) / abar).sqrt()


def abar_of(sigma: Tensor) -> Tensor:
    """VE to VP: abar = 1 / (1 + sigma^2)."""
    sigma = sigma if isinstance(sigma, Tensor) else numbers(sigma)
    return 1 / (1 + sigma**2)


def _steps(steps: int) -> int:
    if not isinstance(steps, Integral) or steps < 1:
        raise InputError(
            f"the number of noise steps must be an integer of at least 1, got {steps!r}; 20 is "
            "usual"
        )
    return steps


def _range(sigma_min: float, sigma_max: float) -> None:
    sigma_min, sigma_max = number(sigma_min, "sigma_min"), number(sigma_max, "sigma_max")
    if not 0 < sigma_min <= sigma_max < math.inf:
        raise InputError(
            f"wanted 0 < sigma_min <= sigma_max, got {sigma_min} and {sigma_max}; give finite "
            "positive levels"
        )


def cosine(steps: int = 20) -> Tensor:
    """The schedule of Kamb & Ganguli; sigma runs from 80.2 to 0 whatever the number of steps.

    sin and cos are used as they are (tan of the angle), so that the last level is exactly 0.

    Example:
        >>> from archbias import noise
        >>> [round(s, 2) for s in noise.cosine(4).tolist()]
        [80.21, 2.35, 0.99, 0.41, 0.0]
    """
    t = torch.arange(_steps(steps), -1, -1, dtype=torch.float64) / steps
    return torch.tan(t / 1.008 * (math.pi / 2))


def karras(
    steps: int = 20, sigma_min: float = 0.002, sigma_max: float = 80.0, rho: float = 7.0
) -> Tensor:
    """The schedule of EDM (Karras et al. 2022, eq. 5).

    Example:
        >>> from archbias import noise
        >>> [round(s, 3) for s in noise.karras(4).tolist()]
        [80.0, 9.723, 0.47, 0.002, 0.0]
    """
    _range(sigma_min, sigma_max)
    rho = number(rho, "rho")
    if not 0 < rho < math.inf:
        raise InputError(f"rho must be positive and finite, got {rho}; 7 is usual")
    u = torch.linspace(0, 1, _steps(steps), dtype=torch.float64)
    top, bottom = sigma_max ** (1 / rho), sigma_min ** (1 / rho)
    return _to_zero((top + u * (bottom - top)) ** rho)


def linear(steps: int = 20, beta_min: float = 0.1, beta_max: float = 20.0) -> Tensor:
    """The VP process whose beta grows linearly from beta_min to beta_max over t in [0, 1]."""
    low, high = number(beta_min, "beta_min"), number(beta_max, "beta_max")
    if not (low >= 0 and high >= 0 and 0 < low + high < math.inf):
        raise InputError(
            f"beta_min and beta_max must be at least 0, not both 0, got {low} and {high}; 0.1 and "
            "20 are usual"
        )
    t = torch.arange(_steps(steps), -1, -1, dtype=torch.float64) / steps
    return torch.expm1(beta_min * t + (beta_max - beta_min) * t**2 / 2).sqrt()


def geometric(steps: int = 20, sigma_min: float = 0.01, sigma_max: float = 80.0) -> Tensor:
    """Levels in constant ratio.

    Example:
        >>> from archbias import noise
        >>> [round(s, 6) for s in noise.geometric(3, 1, 100).tolist()]
        [100.0, 10.0, 1.0, 0.0]
    """
    _range(sigma_min, sigma_max)
    u = torch.linspace(0, 1, _steps(steps), dtype=torch.float64)
    return _to_zero(sigma_max * (sigma_min / sigma_max) ** u)


def _to_zero(sigmas: Tensor) -> Tensor:
    return torch.cat([sigmas, sigmas.new_zeros(1)])


SCHEDULES = {"cosine": cosine, "karras": karras, "linear": linear, "geometric": geometric}


def schedule(name: str, steps: int) -> Tensor:
    """Noise levels by name, for settings that are text."""
    if not isinstance(name, str) or name not in SCHEDULES:
        raise InputError(f"unknown noise schedule {name!r}; {nearest(str(name), SCHEDULES)}")
    return SCHEDULES[name](steps)


def within(sigmas: Tensor, levels: tuple[float, float] | None) -> Tensor:
    """A schedule for a denoiser that was trained at a range of levels: the schedule's levels inside
    the range, from the highest trained level (where the schedule starts above it) down to 0.

    Args:
        sigmas: (T + 1,) decreasing, ending on 0.
        levels: (low, high) sigma, high possibly infinite: `Denoiser.levels`. None leaves the
            schedule as it is.

    Returns:
        Levels ending on 0: what is left below `low` is one step, which returns the estimate itself.

    Example:
        >>> import torch
        >>> from archbias import noise
        >>> noise.within(torch.tensor([80.0, 10.0, 1.0, 0.1, 0.0]), (0.5, 20.0)).tolist()
        [20.0, 10.0, 1.0, 0.0]
    """
    sigmas = check(sigmas)
    if levels is None:
        return sigmas
    low, high = levels
    kept = sigmas[(sigmas >= low) & (sigmas < high) & (sigmas > 0)]
    start = sigmas.new_tensor([min(float(sigmas[0]), float(high))])
    if not 0 <= low < start:
        raise InputError(
            f"wanted levels below {float(start):g}, got a trained range of {low:g} to {high:g}; "
            "give a schedule that reaches it"
        )
    return torch.cat([start, kept[kept < start], sigmas.new_zeros(1)])


def ratios(sigmas: Tensor) -> list[tuple[float, float]]:
    """(sigma, sigma' / sigma) of every step from sigma to sigma'."""
    return [(s, t / s) for s, t in pairwise(sigmas.tolist())]


def check(sigmas: Tensor) -> Tensor:
    """Noise levels as float64, refused unless finite, at least 0 and strictly decreasing.

    Returns:
        (T + 1,) with T >= 1.
    """
    sigmas = numbers(sigmas, "sigmas")
    remedy = "use archbias.noise.cosine(20) or another schedule of archbias.noise"
    if sigmas.ndim != 1 or len(sigmas) < 2:
        raise InputError(
            "sigmas must be one sequence of at least 2 noise levels, got shape "
            f"{tuple(sigmas.shape)}; {remedy}"
        )
    if not torch.isfinite(sigmas).all() or (sigmas < 0).any():
        bad = next(s for s in sigmas.tolist() if not (math.isfinite(s) and s >= 0))
        raise InputError(f"every sigma must be finite and at least 0, got {bad}; {remedy}")
    if (sigmas.diff() >= 0).any():
        i = int((sigmas.diff() >= 0).nonzero()[0, 0])
        got = f"{sigmas[i]:.6g} followed by {sigmas[i + 1]:.6g}"
        raise InputError(
            f"sigmas must decrease strictly, got {got} at step {i}; sort them in descending order "
            f"or {remedy}"
        )
    return sigmas
