"""Which convention a network follows, found by trying all of them on noisy training images.

    score(convention) = mean over levels of ln( E |D(x + s n) - x|^2 / min(s^2, var x) )

where D is what the convention makes of the network's answer, and the error below the line is that
of the better of two answers that know nothing, the noisy image itself and the mean image. The
convention of least score is taken: a wrong one gives images that no training could have made good.
A score of 0 or more says that no convention makes a denoiser of it.

A network is asked once for every input and level; what it is taken to predict is arithmetic on the
same answer.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from .. import adapters, seeds
from ..adapters.conventions import INPUTS, LEVELS, PREDICTIONS, Level, Steps, factor, image_of
from ..data import ImageSet
from ..denoise import Denoiser
from ..errors import InputError, nearest

TRIED = (0.1, 0.25, 0.6, 1.5, 4.0)  # noise levels, pixels in [-1, 1]
IMAGES = 8
STREAM = 350  # of their noise
CLOSE = 0.02  # scores nearer than this are not told apart
BLIND = "none"
ALIASES = {"log": "log_sigma", "time": "flow_time"}


def _linear() -> Steps:
    """1000 steps, beta linear from 1e-4 to .02 (Ho et al. 2020)."""
    return Steps((1 - torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)).cumprod(0))


def _cosine() -> Steps:
    """1000 steps of the cosine schedule, beta at most .999 (Nichol & Dhariwal 2021)."""
    t = torch.linspace(0, 1, 1001, dtype=torch.float64)
    abar = ((t + 0.008) / 1.008 * torch.pi / 2).cos().square()
    return Steps((abar[1:] / abar[:-1]).clamp(min=0.001).cumprod(0))


# what a network may be told, by name: the adapters' own levels and three that are common
TOLD: dict[str, Callable[[], str | Level | None]] = {
    **{name: partial(str, name) for name in LEVELS},
    "half_log_sigma": lambda: lambda s: s.log() / 2,
    "quarter_log_sigma": lambda: lambda s: s.log() / 4,
    "noise_time": lambda: lambda s: s / (1 + s),
    "steps": _linear,
    "cosine_steps": _cosine,
    BLIND: lambda: None,
}


@dataclass(frozen=True, kw_only=True)
class Convention:
    """What a network predicts, from what, and how it is told the level; "" is found by trial.

    predicts, input: see `archbias.adapters.conventions`. level: a name of `TOLD`.
    scale, shift: its pixels are scale x + shift of ours.
    """

    predicts: str = ""
    input: str = ""
    level: str = ""
    scale: float = 1.0
    shift: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "level", ALIASES.get(self.level, self.level))
        for name, known in (("predicts", PREDICTIONS), ("input", INPUTS), ("level", tuple(TOLD))):
            value = getattr(self, name)
            if value and value not in known:
                raise InputError(f"unknown {name} {value!r}; {nearest(value, known)}")

    @property
    def whole(self) -> bool:
        """Whether nothing is left to be found."""
        return bool(self.predicts and self.input and self.level)

    def __str__(self) -> str:
        return f"predicts={self.predicts}, input={self.input}, level={self.level}"


@dataclass(frozen=True)
class Trial:
    """Every convention that was tried, best first.

    conventions: K of them. scores: (K,) float64, see the module; infinite where an answer was not
        finite. errors: (K, L) mean squared error per pixel at every level of `TRIED`.
    """

    conventions: tuple[Convention, ...]
    scores: np.ndarray = field(repr=False)
    errors: np.ndarray = field(repr=False)

    @property
    def best(self) -> Convention:
        return self.conventions[0]

    @property
    def close(self) -> tuple[Convention, ...]:
        """Others that are not told apart from the best."""
        near = self.scores[1:] < self.scores[0] + CLOSE
        return tuple(c for c, n in zip(self.conventions[1:], near, strict=True) if n)


def adapted(
    model: nn.Module | Callable, shape: tuple[int, int, int], way: Convention, name: str
) -> Denoiser:
    """A network or function under a convention in which nothing is left to be found."""
    make: Callable[..., Denoiser] = (
        adapters.from_module if isinstance(model, nn.Module) else adapters.from_callable
    )
    return make(
        model,
        shape,
        predicts=way.predicts,
        input=way.input,
        level=TOLD[way.level](),
        scale=way.scale,
        shift=way.shift,
        name=name,
    )


def trial(model: nn.Module | Callable, images: ImageSet, given: Convention, name: str) -> Trial:
    """Try every convention that agrees with what is given.

    Raises:
        InputError: the network can be called in no way that is known.
    """
    x = images.images[:IMAGES]
    noise = seeds.normal(range(len(x)), images.shape, stream=STREAM)
    variance = float((images.images.double() - images.images.double().mean(0)).square().mean())
    trivial = np.minimum(np.square(TRIED), max(variance, 1e-12))
    found: list[tuple[float, np.ndarray, Convention]] = []
    reason: Exception | None = None
    for way in _asked(given):
        try:
            answers = _answers(model, images.shape, way, name, x, noise)
        except Exception as error:  # a stranger's code, called in a way it may not know
            reason = reason or error
            continue
        for predicts in (given.predicts,) if given.predicts else PREDICTIONS:
            error = np.array(
                [
                    _error(predicts, way, out, x + level * noise, level, x)
                    for out, level in zip(answers, TRIED, strict=True)
                ]
            )
            score = float(np.log(np.maximum(error, 1e-12) / trivial).mean())
            one = Convention(
                predicts=predicts, input=way.input, level=way.level, scale=way.scale,
                shift=way.shift,
            )  # fmt: skip
            found.append((score if np.isfinite(score) else np.inf, error, one))
    if not found:
        raise InputError(
            f"wanted a network called as network(y, level) or network(y), got {name}, which raised "
            f"{type(reason).__name__}: {str(reason).splitlines()[0] if str(reason) else ''}; wrap "
            "it, or give predicts, input and level"
        )
    found.sort(key=lambda f: f[0])
    scores, errors, ways = zip(*found, strict=True)
    return Trial(ways, np.array(scores), np.stack(errors))


def _asked(given: Convention) -> Iterator[Convention]:
    """Inputs and levels to ask the network under, as predictions of an image."""
    for level in (given.level,) if given.level else TOLD:
        for input in (given.input,) if given.input else INPUTS:
            yield Convention(
                predicts="image", input=input, level=level, scale=given.scale, shift=given.shift
            )


def _answers(
    model: nn.Module | Callable,
    shape: tuple[int, int, int],
    way: Convention,
    name: str,
    x: Tensor,
    noise: Tensor,
) -> list[Tensor]:
    """The network's own answers, in its own pixels, at every level."""
    denoiser = adapted(model, shape, way, name)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a network told what it does not expect
        return [
            way.scale * denoiser(x + level * noise, level).double() + way.shift for level in TRIED
        ]


def _error(
    predicts: str, way: Convention, out: Tensor, y: Tensor, sigma: float, x: Tensor
) -> float:
    theirs = way.scale * y.double() + way.shift
    s = torch.tensor(way.scale * sigma, dtype=torch.float64)
    image = image_of(predicts, out, theirs, s, factor(way.input, s))
    return float(((image - way.shift) / way.scale - x.double()).square().mean())
