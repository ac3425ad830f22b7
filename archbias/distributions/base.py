"""A generated distribution: the law of what a denoiser makes of Gaussian noise, in closed form.

`generated_by(denoiser, sigmas)` finds it. A family registers its law once, next to the law:

    @generated_by.register def _(denoiser: LinearDenoiser, sigmas: Tensor) -> GeneratedDistribution:
    ...
"""

from __future__ import annotations

import abc
import html
from collections.abc import Callable, Iterable
from functools import singledispatch

import torch
from torch import Tensor

from ..data import pictures
from ..denoise import Denoiser
from ..errors import InputError
from ..linalg import Operator
from ..metrics import finite
from ..seeds import normal

# a point further from a law's atom or plane than this, relative to its distance from the mean, is
# off it
OFF = 1e-6
DRAWN = 8  # samples a notebook shows of a law


class GeneratedDistribution(abc.ABC):
    """The law of sampler outputs when the start is N(0, sigmas[0]^2 I).

    shape: (C, H, W) of one image.
    mean: (C, H, W) float64.
    covariance: the d x d covariance as an `archbias.linalg.Operator`, d = C H W, pixels flattened
        in C, H, W order.
    source: the denoiser's settings and the sampler, in words.

    A row that is not finite is answered with NaN, by `push` and by `log_prob`.
    """

    shape: tuple[int, int, int]
    source: str = ""

    @property
    @abc.abstractmethod
    def mean(self) -> Tensor: ...

    @property
    @abc.abstractmethod
    def covariance(self) -> Operator: ...

    def sample(self, seeds: Iterable[int]) -> Tensor:
        """(B, C, H, W) float64 draws of the law: `push` of each seed's own noise,
        `archbias.seeds.normal(seeds, shape)`.
        """
        return self.push(normal(seeds, self.shape, dtype=torch.float64))

    def log_prob(self, x: Tensor) -> Tensor:
        """(B,) float64 natural-log density at x (B, C, H, W), in nats.

        Where the law lives on a plane of r < d dimensions the density is with respect to the volume
        of that plane and -inf off it; the law names that plane.
        """
        return self._rows(self._log_prob, x, 1, "x", "flat images want a reshape")

    @abc.abstractmethod
    def _log_prob(self, x: Tensor) -> Tensor:
        """`log_prob` of checked images: float64, on the CPU, at least one row, all finite."""

    def push(self, noise: Tensor) -> Tensor:
        """What the sampler makes of this standard normal noise (B, C, H, W): the seed-by-seed
        prediction.

        Computed in float64 on the CPU, returned in the dtype and on the device of the noise.
        """
        made = self._rows(
            self._push, noise, 4, "noise", "use archbias.seeds.normal(seeds, law.shape)"
        )
        return made.to(noise)

    @abc.abstractmethod
    def _push(self, n: Tensor) -> Tensor:
        """`push` of checked noise: float64, on the CPU, at least one row, all finite."""

    def _rows(
        self, f: Callable[[Tensor], Tensor], x: Tensor, axes: int, what: str, remedy: str
    ) -> Tensor:
        """The answers f gives to the finite rows of x, NaN for the others; an answer has the first
        `axes` axes of x.
        """
        if x.ndim != 4 or tuple(x.shape[1:]) != self.shape:
            raise InputError(
                f"{what} must have shape (B, {', '.join(map(str, self.shape))}), got "
                f"{tuple(x.shape)}; {remedy}"
            )
        x = x.to("cpu", torch.float64)
        if not bool(finite.rows(x).any()):
            return x.new_full(x.shape[:axes], torch.nan)
        return finite.each(f, x)

    @property
    def form(self) -> str:
        """What kind of law it is, in words: its covariance, its atoms, its components."""
        return ""

    def _words(self) -> str:
        c, h, w = self.shape
        of = f"law of {c}x{h}x{w} images"
        return "; ".join(part for part in (of, self.form, self.source) if part)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}, {self._words()}>"

    def _repr_html_(self) -> str:
        c = self.shape[0]
        name, words = html.escape(type(self).__name__), html.escape(self._words())
        head = f"<div><b>{name}</b>: {words}</div>"
        if c not in (1, 3):
            return head
        drawn = enumerate(self.sample(range(DRAWN)).nan_to_num().clamp(-1, 1).numpy())
        return (
            f"{head}<div>{''.join(pictures.to_html(x, f'seed {seed}') for seed, x in drawn)}</div>"
        )


def source_of(denoiser: Denoiser, sigmas: Tensor | None) -> str:
    """The denoiser's settings and the sampler in words; sigmas None is the continuous limit."""
    if sigmas is None:
        return f"{denoiser.spec!r} in the limit of infinitely many steps"
    steps = len(sigmas) - 1
    plural = "s" if steps > 1 else ""
    first, last = float(sigmas[0]), float(sigmas[-1])
    return f"{denoiser.spec!r} by {steps} DDIM step{plural}, sigma {first:.3g} to {last:.3g}"


@singledispatch
def generated_by(denoiser: Denoiser, sigmas: Tensor | None = None) -> GeneratedDistribution:
    """The law of `archbias.sample.ddim(denoiser, noise, sigmas)` over noise.

    Args:
        sigmas: (T + 1,) decreasing noise levels of the sampler, exact for those finite steps.

    Raises:
        LookupError: no closed form is known for this denoiser; the message says why.

    Example:
        >>> import archbias
        >>> images = archbias.load("fashion_mnist", n=50, size=14)
        >>> linear, sigmas = archbias.FAMILIES["linear"]().fit(images), archbias.noise.cosine(20)
        >>> law = archbias.distributions.generated_by(linear, sigmas)
        >>> noise = archbias.seeds.normal(range(4), images.shape)
        >>> samples = archbias.sample.ddim(linear, noise, sigmas)
        >>> bool((law.push(noise) - samples).abs().max() < 1e-3)
        True
    """
    raise LookupError(
        f"no closed-form law is known for {type(denoiser.spec).__name__}: its denoiser is not one "
        "of the families "
        "whose reverse process has been solved; compare its samples with archbias.metrics.compare "
        "instead"
    )
