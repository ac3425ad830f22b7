"""A network or a function that was made elsewhere, as a Denoiser.

With our y = x + sigma n, pixels in [-1, 1], and the model's pixels scale x + shift:

    y' = scale y + shift,   s = scale sigma,   z = a(s) y'   (see `conventions`)
    F = model(z, what it is told of s)
    D = (x'(F) - shift) / scale

Pixels in [0, 1] have scale = shift = 1/2; pixels minus .5 have scale = 1/2 and no shift.

A model of k channels for each of ours sees y in every one of them. The mean of its k channels is
then a measurement of noise s / sqrt(k), so y has its level at s = sqrt(k) scale sigma, and D is the
mean over them: exact for a model that was trained on such copies (grey images in a colour network).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from ..denoise import Denoiser, Runtime, Spec
from ..errors import InputError
from .conventions import INPUTS, LEVELS, PREDICTIONS, Level, choose, factor, image_of
from .frozen import Frozen

GIVEN = {"ve": "x + s n", "vp": "sqrt(abar) x + sqrt(1 - abar) n", "flow": "t x + (1 - t) n"}


@dataclass(frozen=True, kw_only=True)
class Adapted(Spec):
    """A model that was made elsewhere.

    model: what it is called in results.
    predicts, input: what it predicts, and from what; see `archbias.adapters.conventions`.
    told: how it is told the level, in words; "nothing" for a noise-blind one.
    scale, shift: its pixels are scale x + shift.
    repeat: its channels for each of ours.
    levels: the noise levels it was trained at, least and largest, in our pixels; None: not stated.
    null: the label that stands for none, or None.
    clip: bound on |D|, or None.
    """

    model: str
    predicts: str = "image"
    input: str = "ve"
    told: str = "sigma"
    scale: float = 1.0
    shift: float = 0.0
    repeat: int = 1
    levels: tuple[float, float] | None = None
    null: int | None = None
    clip: float | None = None

    summary = "a model made elsewhere, brought in by archbias.adapters"

    def __post_init__(self) -> None:
        choose("predicts", self.predicts, PREDICTIONS)
        choose("input", self.input, INPUTS)
        if self.clip is not None and not self.clip > 0:
            raise InputError(
                f"clip must be a positive bound or None, got {self.clip!r}; 1.0 keeps images in "
                "[-1, 1]"
            )
        if not (math.isfinite(self.shift) and 0 < self.scale < math.inf):
            raise InputError(
                f"wanted a positive scale and a finite shift, got {self.scale!r} and "
                f"{self.shift!r}; pixels in [0, 1] have scale=0.5, shift=0.5"
            )
        if not isinstance(self.repeat, int) or self.repeat < 1:
            raise InputError(
                f"repeat must be an integer of at least 1, got {self.repeat!r}; a colour network "
                "that was trained on grey images has 3"
            )
        if self.levels is not None and not (
            len(self.levels) == 2 and 0 <= self.levels[0] < self.levels[1]
        ):
            raise InputError(
                f"levels must be the least and the largest level, got {self.levels!r}; for example "
                "(0.02, 2.0), in units where pixels lie in [-1, 1]"
            )

    def fit(self, images: Any, *, runtime: Runtime = Runtime()) -> Denoiser:
        raise InputError(
            f"{self.model} is fitted already, got images to fit it to; sample the adapted denoiser "
            "as it is"
        )

    def rebuild(self, state: dict[str, Tensor]) -> Denoiser:
        raise InputError(
            f"wanted the code of {self.model}, got its tensors alone; build the model again and "
            "adapt it"
        )

    @property
    def words(self) -> str:
        """What the adapter does, in one line."""
        low, high = self.shift - self.scale, self.shift + self.scale
        parts = [
            f"given {GIVEN[self.input]} of pixels in [{low:g}, {high:g}]",
            *([f"{self.repeat} times each channel"] if self.repeat > 1 else []),
            f"told {self.told}",
            f"predicts {self.predicts}",
            *([f"levels {self.levels[0]:.4g} to {self.levels[1]:.4g}"] if self.levels else []),
            *([] if self.null is None else [f"label {self.null} for none"]),
            *([f"clipped at {self.clip:g}"] if self.clip else []),
        ]
        return "; ".join(parts)


class AdaptedDenoiser(Denoiser):
    """D from what a model predicts; a module's parameters follow the dtype and device of y."""

    spec: Adapted

    def __init__(
        self,
        spec: Adapted,
        shape: tuple[int, int, int],
        classes: int,
        call: Callable[[Any, Tensor, Tensor, Tensor | None], object],
        model: Frozen | None,
    ):
        super().__init__(spec, shape, {} if model is None else model.tensors)
        self.classes = tuple(k for k in range(classes) if k != spec.null)
        self.levels = spec.levels
        self._call, self._model = call, model

    def denoise(self, y: Tensor, sigma: Tensor, labels: Tensor | None = None) -> Tensor:
        spec = self.spec
        if labels is None and spec.null is not None:
            labels = torch.full((len(y),), spec.null, device=y.device)
        elif self.classes and labels is None:
            raise InputError(
                f"{spec.model} is class-conditional, got no labels; give one of "
                f"{self.classes[0]} to {self.classes[-1]} per row"
            )
        s = sigma if spec.scale == 1 else sigma * spec.scale
        s = s if spec.repeat == 1 else s * math.sqrt(spec.repeat)
        theirs = y if (spec.scale, spec.shift) == (1, 0) else spec.scale * y + spec.shift
        theirs = theirs if spec.repeat == 1 else theirs.repeat_interleave(spec.repeat, 1)
        column = s[:, None, None, None]
        a = factor(spec.input, column)
        network = None if self._model is None else self._model.like(y, self.tensors(y))
        out = self._call(network, theirs if a is None else a * theirs, s, labels)
        if not isinstance(out, Tensor) or out.shape != theirs.shape:
            got = f"shape {tuple(out.shape)}" if isinstance(out, Tensor) else type(out).__name__
            raise InputError(
                f"{spec.model} must return a tensor of shape {tuple(theirs.shape)}, got {got}; "
                "name the part of it with output= or wrap it so that it does"
            )
        out = image_of(spec.predicts, out.to(y), theirs, column, a)
        out = out if spec.repeat == 1 else out.unflatten(1, (-1, spec.repeat)).mean(2)
        out = out if (spec.scale, spec.shift) == (1, 0) else (out - spec.shift) / spec.scale
        return out if spec.clip is None else out.clamp(-spec.clip, spec.clip)

    def __repr__(self) -> str:
        c, h, w = self.shape
        return f"<denoiser of {c}x{h}x{w} images: {self.spec.model}, {self.spec.words}>"


def from_module(
    module: nn.Module,
    shape: tuple[int, int, int],
    *,
    predicts: str = "image",
    input: str = "ve",
    level: str | Level | None = "sigma",
    scale: float = 1.0,
    shift: float = 0.0,
    repeat: int = 1,
    levels: tuple[float, float] | None = None,
    classes: int = 0,
    null: int | None = None,
    output: str | int | None = None,
    clip: float | None = None,
    name: str | None = None,
) -> Denoiser:
    """A network as a denoiser; a copy of it in evaluation mode is kept.

    Args:
        module: called as module(z, level), with the labels (B,) after it if there are classes;
            without a level as module(z).
        shape: (C, H, W) of our images.
        predicts, input: what it predicts, and from what; see `archbias.adapters.conventions`.
        level: what the module is told of s (B,), the level in its own pixels: "sigma" (s),
            "log_sigma", "abar", "flow_time" (t = 1 / (1 + s)), a `Steps` of its schedule, or any
            function; None for a noise-blind module.
        scale, shift: its pixels are scale x + shift for our x in [-1, 1].
        repeat: its channels for each of ours, see the head of this module.
        levels: the least and the largest level it was trained at, in our pixels; a call outside is
            refused. A `Steps` knows its own.
        classes: the labels are 0 to classes - 1; 0 for none.
        null: the one of them that stands for no label, and is told where none is given.
        output: the part of what the module returns, where that is a tuple, a dict or an object:
            an index, a key or an attribute. What is called `sample` is found without it.
        clip: bound on the denoised pixels.
        name: what it is called in results; its class when not given.

    Raises:
        InputError: what is no network, cannot be copied, or takes another number of inputs.

    Example:
        >>> import torch
        >>> from archbias import adapters
        >>> nothing = adapters.from_module(torch.nn.Identity(), (1, 2, 2), level=None)
        >>> bool((nothing(torch.ones(3, 1, 2, 2), 0.5) == 1).all())
        True
    """
    model = Frozen(module)
    spec = _spec(
        name or type(model.module).__name__, predicts, input, level, scale, shift, repeat, levels,
        classes, null, clip,
    )  # fmt: skip
    model.takes(
        1 + (level is not None) + (classes > 0),
        "level=None is a noise-blind one, classes=K one that takes labels; wrap others",
    )
    tell = _teller(level)

    def call(network: Callable, z: Tensor, s: Tensor, labels: Tensor | None) -> object:
        told = [] if tell is None else [tell(s)]
        return taken(network(z, *told, *([] if labels is None else [labels])), output)

    return AdaptedDenoiser(spec, shape, classes, call, model)


def from_callable(
    model: Callable[..., Tensor],
    shape: tuple[int, int, int],
    *,
    predicts: str = "image",
    input: str = "ve",
    level: str | Level | None = "sigma",
    scale: float = 1.0,
    shift: float = 0.0,
    repeat: int = 1,
    levels: tuple[float, float] | None = None,
    classes: int = 0,
    null: int | None = None,
    output: str | int | None = None,
    clip: float | None = None,
    name: str | None = None,
) -> Denoiser:
    """A function as a denoiser, by default a k-diffusion or EDM style model, called as
    model(y, sigma) or model(y, sigma, labels) -> D, sigma (B,).

    Used as it is: it stays on its own device and in its own dtype, and its output is cast to that
    of y. EDM's own networks take labels one-hot: give
    `lambda y, s, l: net(y, s, torch.nn.functional.one_hot(l, 10).float())`. The arguments are those
    of `from_module`.

    Example:
        >>> import torch
        >>> from archbias import adapters
        >>> def model(y, sigma):
        ...     return y / (1 + sigma[:, None, None, None] ** 2)
        >>> shrink = adapters.from_callable(model, (1, 2, 2))
        >>> shrink(torch.ones(1, 1, 2, 2), 1.0).unique().item()
        0.5
    """
    if not callable(model):
        raise InputError(
            f"wanted a function of (y, sigma), got {type(model).__name__}; give the model itself"
        )
    name = name or str(getattr(model, "__name__", type(model).__name__))
    spec = _spec(name, predicts, input, level, scale, shift, repeat, levels, classes, null, clip)
    tell = _teller(level)

    def call(_: Callable | None, z: Tensor, s: Tensor, labels: Tensor | None) -> object:
        told = [] if tell is None else [tell(s)]
        return taken(model(z, *told, *([] if labels is None else [labels])), output)

    return AdaptedDenoiser(spec, shape, classes, call, None)


def taken(out: Any, output: str | int | None) -> Any:
    """The tensor in what a model returned: the named part, or the `sample` of an object."""
    if output is None:
        return (
            out["sample"] if type(out) is dict and "sample" in out else getattr(out, "sample", out)
        )
    try:
        held = isinstance(out, tuple | list | dict)
        return cast(Any, out)[output] if held else getattr(out, str(output))
    except (LookupError, AttributeError, TypeError):
        raise InputError(
            f"wanted the part {output!r} of what the model returns, got {type(out).__name__} "
            "without it; name an index, a key or an attribute that it has"
        ) from None


def _teller(level: str | Level | None) -> Level | None:
    if level is None or callable(level):
        return level
    return LEVELS[choose("level", level, tuple(LEVELS))]


def _spec(
    name: str,
    predicts: str,
    input: str,
    level: str | Level | None,
    scale: float,
    shift: float,
    repeat: int,
    levels: tuple[float, float] | None,
    classes: int,
    null: int | None,
    clip: float | None,
) -> Adapted:
    if null is not None and not (isinstance(null, int) and 0 <= null < classes):
        raise InputError(
            f"null must be one of the {classes} labels, got {null!r}; count it among the classes"
        )
    told = "nothing" if level is None else level if isinstance(level, str) else repr(level)
    if callable(level) and hasattr(level, "__name__"):
        told = "a function of sigma" if level.__name__ == "<lambda>" else level.__name__
    if levels is None and (span := getattr(level, "range", None)) is not None:
        low, high = (v / (scale * math.sqrt(repeat)) for v in span)
        levels = low, high
    if levels is not None:
        levels = float(levels[0]), float(levels[1])
    return Adapted(
        model=name, predicts=predicts, input=input, told=told, scale=scale, shift=shift,
        repeat=repeat, levels=levels, null=null, clip=clip,
    )  # fmt: skip
