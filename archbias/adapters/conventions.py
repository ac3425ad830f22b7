"""The ways in which models state the same thing: x, the noise n, and the level s between them.

Here x are the pixels as the model knows them, n is standard normal, and y = x + s n. A model is
given z = a y, where

    ve      a = 1                       y itself (variance exploding)
    vp      a = 1 / sqrt(1 + s^2)       sqrt(abar) x + sqrt(1 - abar) n,  abar = 1 / (1 + s^2)
    flow    a = 1 / (1 + s)             t x + (1 - t) n,                  t = 1 / (1 + s)

and predicts F, which is one of

    image               x                                    x = F
    noise               n                                    x = y - s F
    residual            the noise as it stands in z, a s n   x = y - F / a
    v                   c n - c s x,  c = 1 / sqrt(1 + s^2)  x = c (c y - s F)
    velocity            x - n                                x = (y + s F) / (1 + s)
    velocity_to_noise   n - x                                x = (y - s F) / (1 + s)
    score               gradient of ln p(z), -n / (a s)      x = y + a s^2 F

Sources: v, Salimans & Ho 2022, section 4; flow and velocity, Lipman et al. 2023 and Liu et al. 2023
(from noise at t = 0 to the image at t = 1; the diffusers library runs the other way); score, Song
et al. 2021.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..errors import InputError, nearest
from ..noise import sigma_of

INPUTS = ("ve", "vp", "flow")
PREDICTIONS = (
    "image",
    "noise",
    "residual",
    "v",
    "velocity",
    "velocity_to_noise",
    "score",
)
Level = Callable[[Tensor], Tensor]
# what a model is told, by name, from s
LEVELS: dict[str, Level] = {
    "sigma": lambda s: s,
    "log_sigma": lambda s: s.log(),
    "abar": lambda s: 1 / (1 + s**2),
    "flow_time": lambda s: 1 / (1 + s),
}


def factor(input: str, s: Tensor) -> Tensor | None:
    """The a of z = a y; None for 1."""
    if input == "ve":
        return None
    return (1 + s**2).rsqrt() if input == "vp" else 1 / (1 + s)


def image_of(predicts: str, out: Tensor, y: Tensor, s: Tensor, a: Tensor | None) -> Tensor:
    """Pixels x from what a model predicts; s and a broadcast with y."""
    if predicts == "image":
        return out
    if predicts == "noise":
        return y - s * out
    if predicts == "residual":
        return y - (out if a is None else out / a)
    if predicts == "v":
        c = (1 + s**2).rsqrt()
        return c * (c * y - s * out)
    if predicts == "score":
        return y + s**2 * (out if a is None else a * out)
    return (y + s * out if predicts == "velocity" else y - s * out) / (1 + s)


def prediction_of(predicts: str, x: Tensor, y: Tensor, s: Tensor, a: Tensor | None) -> Tensor:
    """What a model would predict whose x this is: the inverse of `image_of`."""
    if predicts == "image":
        return x
    if predicts == "residual":
        return y - x if a is None else a * (y - x)
    noise = (y - x) / s
    if predicts == "noise":
        return noise
    if predicts == "v":
        return (1 + s**2).rsqrt() * (noise - s * x)
    if predicts == "score":
        return -noise / (s if a is None else a * s)
    return x - noise if predicts == "velocity" else noise - x


class Steps:
    """The step of a discrete schedule that stands for a level, by interpolation between steps.

    abar: (T,) decreasing, sqrt(abar_t) x + sqrt(1 - abar_t) n at step t = 0, 1, ...
    whole: the nearest whole step, int64, for a model with one embedding a step.
    divide: the step is told divided by this.
    linear: interpolate in s, not in ln s.

    `range` is the least and the largest finite level of the schedule; a level outside has no step.
    """

    def __init__(
        self, abar: Tensor, *, whole: bool = False, divide: float = 1.0, linear: bool = False
    ):
        levels = sigma_of(torch.as_tensor(abar, dtype=torch.float64).cpu())
        self.sigmas = levels[torch.isfinite(levels)]  # zero terminal signal has no finite level
        if len(self.sigmas) < 2 or not bool((self.sigmas.diff() > 0).all() & (self.sigmas[0] > 0)):
            raise InputError(
                "abar must be at least 2 numbers that fall from below 1 to above or at 0, got "
                f"{tuple(levels.shape)} levels that do not; give the cumulative products of 1 - "
                "beta, first step first"
            )
        self.whole, self.divide, self.linear = whole, divide, linear
        self.range = (float(self.sigmas[0]), float(self.sigmas[-1]))

    def __call__(self, s: Tensor) -> Tensor:
        grid, x = self.sigmas.to(s.device), s.double()
        grid, x = (grid, x) if self.linear else (grid.log(), x.log())
        x = x.clamp(grid[0], grid[-1])
        high = torch.searchsorted(grid, x).clamp(1, len(grid) - 1)
        low = high - 1
        step = low + (x - grid[low]) / (grid[high] - grid[low])
        near = step.round()
        # a level of the grid that was rounded to float32 still means its own whole step
        step = torch.where((step - near).abs() < 1e-4, near, step)
        if self.whole:
            return step.round().long()
        return (step if self.divide == 1 else step / self.divide).to(s.dtype)

    def __repr__(self) -> str:
        kind = "the nearest whole step" if self.whole else "the step"
        share = "" if self.divide == 1 else f" / {self.divide:g}"
        return f"{kind} of 0 to {len(self.sigmas) - 1}{share}"


def choose(setting: str, value: str, known: tuple[str, ...]) -> str:
    """The value, or an InputError that names the closest known ones."""
    if value not in known:
        raise InputError(f"unknown {setting} {value!r}; {nearest(str(value), known)}")
    return value
