"""A generated distribution: the law of what a denoiser makes of Gaussian noise, in closed form.

`generated_by(denoiser, sigmas)` finds it. A family registers its law once, next to the law:

    @generated_by.register
    def _(denoiser: LinearDenoiser, sigmas: Tensor) -> GeneratedDistribution: ...
"""

from __future__ import annotations

import abc
import html
from collections.abc import Iterable
from functools import singledispatch

import torch
from torch import Tensor

from ..data import pictures
from ..denoise import Denoiser
from ..errors import InputError
from ..linalg import Operator
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
    """

    shape: tuple[int, int, int]

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

    @abc.abstractmethod
    def log_prob(self, x: Tensor) -> Tensor:
        """(B,) natural-log density at x (B, C, H, W), in nats.

        Where the law lives on a plane of r < d dimensions the density is with respect to the volume
        of that plane and
        -inf off it; the law names that plane.
        """

    def push(self, noise: Tensor) -> Tensor:
        """What the sampler makes of this standard normal noise (B, C, H, W): the seed-by-seed
        prediction.

        Computed in float64 on the CPU, returned in the dtype and on the device of the noise.
        """
        if noise.ndim != 4 or tuple(noise.shape[1:]) != self.shape:
            raise InputError(
                f"noise must have shape (B, {', '.join(map(str, self.shape))}), got "
                f"{tuple(noise.shape)}; "
                "use archbias.seeds.normal(seeds, law.shape)"
            )
        return self._push(noise.to("cpu", torch.float64)).to(noise) if len(noise) else noise.clone()

    @abc.abstractmethod
    def _push(self, n: Tensor) -> Tensor:
        """`push` of checked noise: float64, on the CPU, at least one row."""

    def _repr_html_(self) -> str:
        c, h, w = self.shape
        head = f"<div><b>{html.escape(type(self).__name__)}</b>: law of {c}x{h}x{w} images</div>"
        if c not in (1, 3):
            return head
        drawn = enumerate(self.sample(range(DRAWN)).nan_to_num().clamp(-1, 1).numpy())
        return (
            f"{head}<div>{''.join(pictures.to_html(x, f'seed {seed}') for seed, x in drawn)}</div>"
        )


@singledispatch
def generated_by(denoiser: Denoiser, sigmas: Tensor | None = None) -> GeneratedDistribution:
    """The law of `archbias.sample.ddim(denoiser, noise, sigmas)` over noise.

    Args:
        sigmas: (T + 1,) decreasing noise levels of the sampler, exact for those finite steps.

    Raises:
        LookupError: no closed form is known for this denoiser; the message says why.
    """
    raise LookupError(
        f"no closed-form law is known for {type(denoiser.spec).__name__}: its denoiser is not one "
        "of the families "
        "whose reverse process has been solved; compare its samples with archbias.metrics.compare "
        "instead"
    )
