"""The contract every family meets: a Spec is fitted to images and becomes a Denoiser.

    D(y, sigma)  estimates  E[x | y],   y = x + sigma n,   n ~ N(0, I)
    eps(y) = (y - D) / sigma            the noise it sees
    s(y)   = (D - y) / sigma^2          the score of p_sigma at y (Tweedie)

A `Spec` is what a sweep varies and a result records: frozen settings, no data. A `Denoiser` is what
was fitted: its spec and named tensors, nothing else, so saving it is saving those. It follows its
input: the output has the dtype and the device of `y`.

A new family is one file: a `Spec` with `fit` and `rebuild`, and a `Denoiser` with `denoise`.
"""

from __future__ import annotations

import abc
import functools
import html
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np
import torch
from torch import Tensor

from .errors import InputError, nearest
from .noise import numbers
from .waiting import told

if TYPE_CHECKING:
    from .data import ImageSet

Kind = TypeVar("Kind", bound="Spec")


@dataclass(frozen=True)
class Runtime:
    """Where and how a fit runs; never what it computes.

    device: where training happens ("cpu", "cuda", "cuda:1").
    checkpoint: a folder for the state of an unfinished fit; the same fit resumes from it. None: no
        checkpoints.
    progress: called as progress(done, total, note) now and then; done and total in the fit's own
        unit. A person who waits is told by default (`archbias.waiting`).
    trained: called as trained(spec, images) in place of a training; gives what that training gave.
        None: networks are trained.
    """

    device: str = "cpu"
    checkpoint: Path | None = None
    progress: Callable[[float, float, str], None] = field(default=told, repr=False)
    trained: Callable[[Spec, ImageSet], Denoiser] | None = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True)
class Spec(abc.ABC):
    """Settings of a family. Subclasses are frozen, keyword-only dataclasses; `__post_init__` checks
    the values.
    """

    summary: ClassVar[str] = ""  # one line for `archbias list`
    trained: ClassVar[bool] = False  # fitted by gradient descent, not in closed form

    def __init_subclass__(cls) -> None:
        """Settings are plain numbers before the family checks them, whatever library counted."""
        super().__init_subclass__()
        if "__post_init__" in vars(cls):
            check = cls.__post_init__

            @functools.wraps(check)
            def __post_init__(self: Spec) -> None:
                plain_fields(self)
                check(self)

            cls.__post_init__ = __post_init__  # type: ignore[method-assign]  # the same, wrapped

    def __post_init__(self) -> None:
        plain_fields(self)

    @abc.abstractmethod
    def fit(self, images: ImageSet, *, runtime: Runtime = Runtime()) -> Denoiser:
        """Fit to the images. The result depends on the spec and the images alone, never on the
        runtime.
        """

    @abc.abstractmethod
    def rebuild(self, state: dict[str, Tensor]) -> Denoiser:
        """The denoiser whose `state()` this is."""


def changed(spec: Kind, **settings: Any) -> Kind:
    """The spec with other settings, whatever family it is of."""
    return replace(spec, **settings)


def plain(value: Any) -> Any:
    """Scalars of NumPy and torch as Python's own, also inside tuples, lists and dictionaries."""
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray | Tensor) and not value.ndim):
        return value.item()
    if type(value) in (tuple, list):
        return type(value)(plain(v) for v in value)
    return {k: plain(v) for k, v in value.items()} if type(value) is dict else value


def plain_fields(settings: Any) -> None:
    """Every field of a frozen dataclass through `plain`, for its `__post_init__`."""
    for f in fields(settings):
        if f.init:
            object.__setattr__(settings, f.name, plain(getattr(settings, f.name)))


def to_json(spec: Any) -> Any:
    """A dataclass of settings as plain JSON values; nested dataclasses carry their type's name."""
    if is_dataclass(spec) and not isinstance(spec, type):
        return {"type": type(spec).__name__} | {
            f.name: to_json(getattr(spec, f.name)) for f in fields(spec) if f.init
        }
    if isinstance(spec, tuple | list):
        return [to_json(v) for v in spec]
    if isinstance(spec, dict):
        return {str(k): to_json(v) for k, v in spec.items()}
    return plain(spec)


def from_json(cls: type, value: dict[str, Any]) -> Any:
    """The inverse of `to_json` for a dataclass whose nested settings types are visible in its
    module.
    """
    import sys

    def build(v: Any, module: str) -> Any:
        if isinstance(v, dict) and "type" in v:
            namespace = vars(sys.modules[module])
            kind = namespace[v["type"]]
            if not (isinstance(kind, type) and is_dataclass(kind)):  # a file names any name
                raise InputError(f"wanted the name of settings, got {v['type']!r}; fit it again")
            return kind(**{k: build(w, kind.__module__) for k, w in v.items() if k != "type"})
        if isinstance(v, dict):
            return {k: build(w, module) for k, w in v.items()}
        return tuple(build(w, module) for w in v) if isinstance(v, list) else v

    return configure(cls, **{k: build(v, cls.__module__) for k, v in value.items() if k != "type"})


def configure(cls: type, **settings: Any) -> Any:
    """`cls(**settings)`, with a clear error for a setting the family does not have."""
    known = {f.name for f in fields(cls) if f.init}
    for name in settings:
        if name not in known:
            raise InputError(f"{cls.__name__} has no setting {name!r}; {nearest(name, known)}")
    return cls(**settings)


class Denoiser(abc.ABC):
    """A fitted estimate of E[x | y].

    A row of y that is not finite comes back as NaN and leaves the others as they are.

    spec: the settings it was fitted with.
    shape: (C, H, W) of the images.
    classes: the labels it can be conditioned on, empty when it takes none.
    levels: (low, high) sigma it was trained at, high possibly infinite; a call outside is refused.
        None: it answers at every level.
    """

    classes: tuple[int, ...] = ()
    levels: tuple[float, float] | None = None

    def __init__(self, spec: Spec, shape: Sequence[int], tensors: dict[str, Tensor]):
        c, h, w = shape
        self.spec = spec
        self.shape = (int(c), int(h), int(w))
        self._tensors = tensors
        self._cast: dict[tuple[torch.dtype, torch.device], dict[str, Tensor]] = {}

    def __call__(self, y: Tensor, sigma: float | Tensor, labels: Tensor | None = None) -> Tensor:
        """The estimate of E[x | y], checked.

        Args:
            y: (B, C, H, W) floating, y = x + sigma n.
            sigma: one level or (B,), positive and finite.
            labels: (B,) integers for a class-conditional denoiser.

        Returns:
            (B, C, H, W) with the dtype and device of y; y is left untouched.
        """
        checked = self.check(y, sigma, labels)
        if not len(y):
            return y.clone()
        # without a branch, which torch.func could not follow
        bad = ~torch.isfinite(y).flatten(1).all(1).reshape(-1, 1, 1, 1)
        y = y.masked_fill(bad, 0)
        if not torch.is_inference_mode_enabled():
            return self.denoise(y, *checked).masked_fill(bad, torch.nan)
        # what is kept between calls must serve calls with gradients too
        with torch.inference_mode(False), torch.no_grad():
            return self.denoise(y, *checked).masked_fill(bad, torch.nan)

    @abc.abstractmethod
    def denoise(self, y: Tensor, sigma: Tensor, labels: Tensor | None = None) -> Tensor:
        """The formula: y (B, C, H, W), sigma (B,) of y's dtype, labels (B,) or None, all
        checked.
        """

    def tensors(self, y: Tensor) -> dict[str, Tensor]:
        """The fitted tensors with the dtype (if floating) and device of y; casts are kept."""
        key = (y.dtype, y.device)
        if key not in self._cast:
            self._cast[key] = {
                k: v.to(y.device, y.dtype if v.is_floating_point() else v.dtype)
                for k, v in self._tensors.items()
            }
        return self._cast[key]

    def state(self) -> dict[str, Tensor]:
        """Everything `spec.rebuild` needs, as named tensors (safetensors writes them)."""
        return dict(self._tensors)

    def check(
        self, y: Tensor, sigma: float | Tensor, labels: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """Sigma as (B,) and labels as (B,) or None; an InputError for anything that does not
        fit.
        """
        c, h, w = self.shape
        wanted = f"(B, {c}, {h}, {w})"
        if not isinstance(y, Tensor) or not y.is_floating_point():
            got = f"a tensor of {y.dtype}" if isinstance(y, Tensor) else f"{type(y).__name__}"
            raise InputError(
                f"y must be a floating-point tensor of shape {wanted}, got {got}; convert with "
                "torch.as_tensor(y).float()"
            )
        if y.ndim != 4 or tuple(y.shape[1:]) != self.shape:
            raise InputError(
                f"y must have shape {wanted} like the training images, got {tuple(y.shape)}; "
                f"resize with ImageSet.resize({h}) or fit on images of that shape"
            )
        sigma = numbers(sigma).to(y.device, y.dtype)
        if sigma.ndim > 1 or (sigma.ndim == 1 and len(sigma) != len(y)):
            raise InputError(
                f"sigma must be one number or shape ({len(y)},), got shape {tuple(sigma.shape)}; "
                "give one level per row"
            )
        if not bool(((sigma > 0) & torch.isfinite(sigma)).all()):
            bad = next(s for s in sigma.reshape(-1).tolist() if not (s > 0 and math.isfinite(s)))
            raise InputError(
                f"sigma must be positive and finite, got {bad}; use levels of archbias.noise, "
                "without the final 0"
            )
        if self.levels is not None:
            low, high = self.levels
            slack = max(1e-5, torch.finfo(y.dtype).eps)  # a level of the range, rounded
            outside = (sigma < low * (1 - slack)) | (sigma > high * (1 + slack))
            if bool(outside.any()):
                raise InputError(
                    f"this denoiser was trained at sigma from {low:.4g} to {high:.4g}, got "
                    f"{float(sigma[outside].flatten()[0]):.4g}; sample between with "
                    "archbias.noise.within(sigmas, denoiser.levels)"
                )
        if labels is not None:
            labels = self.check_labels(labels, len(y)).to(y.device)
        return sigma.expand(len(y)), labels

    def check_labels(self, labels: Tensor, batch: int) -> Tensor:
        """Labels as (B,) int64, each one of `classes`."""
        labels = torch.as_tensor(labels)
        if not self.classes:
            raise InputError(
                f"{type(self.spec).__name__} was fitted without labels, got labels; "
                "leave them out or fit on an ImageSet that has them"
            )
        if labels.shape != (batch,) or labels.is_floating_point():
            raise InputError(
                f"labels must be {batch} integers, one per row, got {labels.dtype} of shape "
                f"{tuple(labels.shape)}; give torch.int64"
            )
        for label in labels.tolist():
            if label not in self.classes:
                raise InputError(
                    f"label {label} has no training image; choose from "
                    f"{', '.join(map(str, self.classes))}"
                )
        return labels.long()

    def __repr__(self) -> str:
        c, h, w = self.shape
        return f"<denoiser of {c}x{h}x{w} images: {self.spec!r}>"

    def _repr_html_(self) -> str:
        c, h, w = self.shape
        classes = f", {len(self.classes)} classes" if self.classes else ""
        settings = [(f.name, repr(getattr(self.spec, f.name))) for f in fields(self.spec) if f.init]
        state = self.state()
        tensors = [
            (k, f"{'x'.join(map(str, v.shape)) or '1'} {str(v.dtype).removeprefix('torch.')}")
            for k, v in state.items()
        ]
        shown = (
            tensors
            if len(tensors) <= 6
            else [("fitted", f"{sum(v.numel() for v in state.values()):,} numbers")]
        )
        rows = "".join(
            f"<tr><td>{html.escape(k)}</td><td>{html.escape(v)}</td></tr>"
            for k, v in [*settings, *shown]
        )
        name = html.escape(type(self.spec).__name__)
        head = f"<b>{name}</b>: denoiser of {c}x{h}x{w} images{classes}"
        return f"<div>{head}</div><table>{rows}</table>"


def noise_of(denoised: Tensor, y: Tensor, sigma: float | Tensor) -> Tensor:
    """Eps = (y - D) / sigma, shape of y; sigma a number or (B,)."""
    return (y - denoised) / _column(sigma, y)


def score_of(denoised: Tensor, y: Tensor, sigma: float | Tensor) -> Tensor:
    """S = (D - y) / sigma^2, the score of p_sigma at y; sigma a number or (B,)."""
    return (denoised - y) / _column(sigma, y) ** 2


def _column(sigma: float | Tensor, y: Tensor) -> Tensor:
    sigma = numbers(sigma).to(y.device, y.dtype)
    return sigma.reshape(-1, *[1] * (y.ndim - 1)) if sigma.ndim else sigma
