"""A setting that changes with the noise: sigma -> a number.

A `Schedule` is a list of noise levels with a value each; between levels the nearest in log sigma
answers, the smaller level on a tie. Windows have a schedule of their own
(`windows.WindowSchedule`), whose values are odd.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real

from ..errors import InputError


@dataclass(frozen=True)
class Schedule:
    """sigma -> value.

    sigmas: noise levels, increasing and positive. values: one number each, infinite allowed.
    source: where they come from.
    """

    sigmas: tuple[float, ...]
    values: tuple[float, ...]
    source: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "sigmas", tuple(float(s) for s in self.sigmas))
        object.__setattr__(self, "values", tuple(self.values))
        if not self.sigmas or len(self.sigmas) != len(self.values):
            raise InputError(
                f"a schedule needs one value for each noise level, got {len(self.sigmas)} levels "
                f"and {len(self.values)} values; give tuples of the same length"
            )
        if not all(
            0 < a < b for a, b in zip(self.sigmas, (*self.sigmas[1:], math.inf), strict=True)
        ):
            raise InputError(
                f"levels of a schedule must be positive and increase, got {self.sigmas}; sort them "
                "and leave 0 out"
            )

    def __call__(self, sigma: float) -> float:
        """The value at this noise level."""
        return min(
            zip(self.sigmas, self.values, strict=True),
            key=lambda pair: abs(math.log(pair[0] / float(sigma))),
        )[1]


def at(setting: float | Callable[[float], float], sigma: float) -> float:
    """The setting at this noise level: of a schedule its value, a number as it is."""
    return setting(sigma) if callable(setting) else setting


def check(name: str, setting: float | Schedule, fits: Callable[[float], bool], wanted: str) -> None:
    """An InputError unless the setting, or every value of its schedule, is a number that fits."""
    values = setting.values if isinstance(setting, Schedule) else (setting,)
    for value in values:
        if isinstance(value, bool) or not isinstance(value, Real) or not fits(value):
            raise InputError(
                f"{name} must be {wanted}, or a Schedule of such, got {value!r}; leave it out for "
                "the default"
            )
