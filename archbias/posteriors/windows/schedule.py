"""Windows that change with the noise: k(sigma), and the published scales.

A schedule is a list of noise levels with a window each; between levels the nearest in log sigma
answers.

The lists of Kamb & Ganguli (arXiv 2412.20292, released code) were found on their 20-step cosine
schedule: entry i belongs to t = (i + 1) / 20, low to high noise. All ten ship: eight for networks
with zero padding, whose machine is the border-broken one, and two with circular padding. The
CIFAR10 and FashionMNIST networks were class-conditional. The list of the CIFAR10 ResNet is the one
written out in their demonstration notebook as well; that of the circular MNIST ResNet falls again
at high noise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ...errors import InputError, nearest
from ...noise import cosine
from .geometry import check_window


@dataclass(frozen=True)
class WindowSchedule:
    """sigma -> window.

    sigmas: noise levels, increasing and positive. windows: one odd window each. source: where they
        come from.
    """

    sigmas: tuple[float, ...]
    windows: tuple[int, ...]
    source: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "sigmas", tuple(float(s) for s in self.sigmas))
        object.__setattr__(self, "windows", tuple(check_window(k) for k in self.windows))
        if not self.sigmas or len(self.sigmas) != len(self.windows):
            raise InputError(
                f"a schedule needs one window for each noise level, got {len(self.sigmas)} levels "
                f"and {len(self.windows)} windows; "
                "give tuples of the same length"
            )
        if not all(
            0 < a < b for a, b in zip(self.sigmas, (*self.sigmas[1:], math.inf), strict=True)
        ):
            raise InputError(
                f"levels of a schedule must be positive and increase, got {self.sigmas}; sort them "
                "and leave 0 out"
            )

    def __call__(self, sigma: float) -> int:
        """The window at this noise level: that of the nearest level in log sigma, the smaller level
        on a tie.
        """
        return min(
            zip(self.sigmas, self.windows, strict=True),
            key=lambda pair: abs(math.log(pair[0] / float(sigma))),
        )[1]


# name: network, padding, windows from low to high noise
_TABLE = {
    "celeba-resnet": (
        "CelebA ResNet",
        "zero",
        (3, 3, 3, 5, 5, 5, 5, 5, 7, 7, 9, 9, 9, 11, 11, 11, 13, 15, 19, 19),
    ),
    "celeba-unet": (
        "CelebA UNet",
        "zero",
        (3, 3, 3, 3, 3, 3, 3, 5, 5, 5, 5, 5, 7, 7, 9, 9, 9, 13, 19, 27),
    ),
    "cifar10-resnet": (
        "CIFAR10 ResNet (notebook)",
        "zero",
        (3, 3, 3, 3, 5, 5, 5, 7, 7, 7, 7, 9, 9, 11, 11, 13, 15, 17, 17, 17),
    ),
    "cifar10-resnet-circular": (
        "CIFAR10 ResNet",
        "circular",
        (3, 3, 3, 3, 5, 5, 5, 5, 7, 7, 7, 9, 9, 11, 11, 13, 13, 15, 15, 15),
    ),
    "cifar10-unet": (
        "CIFAR10 UNet",
        "zero",
        (3, 3, 3, 3, 5, 5, 5, 5, 7, 7, 7, 7, 9, 9, 11, 13, 13, 15, 17, 25),
    ),
    "fashion_mnist-resnet": (
        "FashionMNIST ResNet",
        "zero",
        (3, 3, 5, 5, 7, 7, 9, 9, 9, 11, 11, 11, 13, 13, 13, 15, 15, 15, 17, 17),
    ),
    "fashion_mnist-unet": (
        "FashionMNIST UNet",
        "zero",
        (3, 3, 5, 5, 7, 7, 7, 9, 11, 11, 11, 13, 15, 15, 21, 23, 25, 25, 25, 25),
    ),
    "mnist-resnet": (
        "MNIST ResNet",
        "zero",
        (3, 3, 5, 5, 5, 7, 7, 7, 9, 9, 11, 11, 11, 11, 13, 15, 15, 15, 15, 15),
    ),
    "mnist-resnet-circular": (
        "MNIST ResNet",
        "circular",
        (3, 3, 5, 5, 5, 7, 7, 9, 9, 9, 11, 11, 11, 11, 9, 9, 7, 7, 3, 3),
    ),
    "mnist-unet": (
        "MNIST UNet",
        "zero",
        (3, 3, 3, 5, 5, 7, 7, 7, 9, 9, 9, 11, 13, 15, 17, 21, 23, 23, 25, 27),
    ),
}


def _published(network: str, padding: str, windows: tuple[int, ...]) -> WindowSchedule:
    sigmas = tuple(cosine(20).flip(0)[1:].tolist())
    return WindowSchedule(
        sigmas,
        windows,
        f"Kamb & Ganguli, arXiv 2412.20292, released code: {network}, {padding} padding, 20 steps",
    )


SCHEDULES = {name: _published(*row) for name, row in _TABLE.items()}


def published(name: str) -> WindowSchedule:
    """A published schedule, by its name in SCHEDULES: celeba-resnet for example.

    Example:
        >>> import archbias
        >>> scale = archbias.posteriors.windows.published("celeba-resnet")
        >>> scale(80.0), scale(0.01)
        (19, 3)
    """
    if name not in SCHEDULES:
        raise InputError(f"unknown window schedule {name!r}; {nearest(name, SCHEDULES)}")
    return SCHEDULES[name]
