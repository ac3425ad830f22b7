"""Settings of gradient descent, and the laws of its noise levels.

From u uniform in (0, 1) to sigma:

    cosine      tan((1 - u) / 1.008 * pi / 2)       t uniform in the schedule of Kamb & Ganguli
    lognormal   exp(-1.2 + 1.2 Phi^-1(u))           Karras et al. 2022
    loguniform  80 (0.01 / 80)^u

What a training does with them lies in `batches` (batches and losses), `stacked` (several networks
at once), `checkpoints` and `descent` (the loop). Their names open from here too:
`archbias.nets.train.steps` is `archbias.nets.descent.steps`.
"""

from __future__ import annotations

import importlib
import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..denoise import plain_fields
from ..errors import InputError, nearest

OPTIMIZERS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
SCHEDULES = ("constant", "cosine", "exponential")
PRECISIONS = {"float32": None, "bf16": torch.bfloat16, "fp16": torch.float16}
# streams of a seed, apart from those of starting noise
EPOCHS, STEPS, WEIGHTS, ERRORS = (k << 40 for k in (1, 2, 3, 4))
# names that open from here and the file each lives in
ELSEWHERE = {
    "Batch": "batches",
    "Batches": "batches",
    "Loss": "batches",
    "losses": "batches",
    "fingerprint": "checkpoints",
    "CHECK": "descent",
    "Diverged": "descent",
    "Step": "descent",
    "curves": "descent",
    "steps": "descent",
}


def __getattr__(name: str) -> Any:
    """A public name of training that lives in a file above this one."""
    if name in ELSEWHERE:
        return getattr(importlib.import_module(f".{ELSEWHERE[name]}", __package__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _cosine(u: Tensor) -> Tensor:
    return torch.tan((1 - u) / 1.008 * (math.pi / 2)).clamp(min=2e-3)


def _lognormal(u: Tensor) -> Tensor:
    return torch.exp(-1.2 + 1.2 * torch.special.ndtri(u.clamp(1e-6, 1 - 1e-6)))


def _loguniform(u: Tensor) -> Tensor:
    return torch.exp(math.log(80.0) + u * math.log(0.01 / 80.0))


# from u in (0, 1) to sigma
LAWS = {"cosine": _cosine, "lognormal": _lognormal, "loguniform": _loguniform}


@dataclass(frozen=True, kw_only=True)
class Train:
    """How a network is trained.

    steps, batch: gradient steps, and images in each.
    optimizer: "adam" or "adamw" (decoupled weight decay of `weight_decay`).
    learning_rate: at its highest, after `warmup` steps of linear growth.
    schedule: "constant"; "cosine" to 0 at the last step; "exponential", times `decay` a step (Kamb
        & Ganguli: 1e-4, 0.999965).
    ema: decay of the averaged weights; 0 keeps the last ones.
    clip: largest norm of a gradient; 0 for no limit.
    noise: law of the noise levels: "cosine" (t uniform in Kamb & Ganguli's schedule, sigma 0.002 to
        80), "lognormal" (Karras et al. 2022: ln sigma ~ N(-1.2, 1.2^2)), "loguniform" (0.01 to 80).
    precision: "float32", or autocast to "bf16" or "fp16" (CUDA only, with loss scaling). "auto" is
        float32 or bf16, whichever a few timed steps show faster on the machine that begins the
        training; the choice takes its place in the fitted denoiser.
    compile: through `torch.compile`; pays on GPUs and for long runs, needs a C++ compiler on the
        CPU.
    seed: of the initial weights, the batches and the noise.
    """

    steps: int = 2000
    batch: int = 64
    optimizer: str = "adam"
    learning_rate: float = 2e-3
    weight_decay: float = 0.0
    schedule: str = "cosine"
    decay: float = 0.999965
    warmup: int = 50
    ema: float = 0.995
    clip: float = 1.0
    noise: str = "cosine"
    precision: str = "float32"
    compile: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        plain_fields(self)
        for name, known in (
            ("optimizer", OPTIMIZERS),
            ("schedule", SCHEDULES),
            ("noise", LAWS),
            ("precision", (*PRECISIONS, "auto")),
        ):
            if getattr(self, name) not in known:
                raise InputError(
                    f"unknown {name} {getattr(self, name)!r}; "
                    f"{nearest(str(getattr(self, name)), known)}"
                )
        for name, least in (("steps", 1), ("batch", 1), ("warmup", 0), ("seed", 0)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise InputError(
                    f"train.{name} must be an integer of at least {least}, got {value!r}; the "
                    "default is usual"
                )
        for name, low, high in (
            ("learning_rate", 1e-12, 10.0),
            ("weight_decay", 0.0, 10.0),
            ("decay", 0.5, 1.0),
            ("ema", 0.0, 0.999999),
            ("clip", 0.0, math.inf),
        ):
            value = getattr(self, name)
            if not isinstance(value, int | float) or not low <= value <= high:
                raise InputError(
                    f"train.{name} must lie in [{low:g}, {high:g}], got {value!r}; the default is "
                    "usual"
                )

    def rate(self, step: int) -> float:
        """The learning rate of a step, counted from 0."""
        rate = self.learning_rate * min(1.0, (step + 1) / (self.warmup + 1))
        if self.schedule == "cosine":
            return rate * (1 + math.cos(math.pi * step / self.steps)) / 2
        return rate * self.decay**step if self.schedule == "exponential" else rate
