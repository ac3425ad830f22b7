"""The ideal denoiser with its score averaged over a neighbourhood: sigma-CFDM.

    s_bar(z) = E_u s(z + kappa u),   u ~ N(0, I)

for the closed-form score s of the training set under z_t = t x + (1 - t) n, kappa the same at every
t. With y = z / t and sigma = (1 - t) / t that is a neighbourhood of kappa (1 + sigma) in y, and in
terms of denoised images

    D_bar(y) = mean_m D( y + kappa (1 + sigma) u_m ),      D the ideal denoiser.

Where D jumps from one training image to the next, D_bar moves between them: it draws barycentres of
neighbours rather than copies. The u_m are drawn once for a spec, the same at every level and for
every y, so that D_bar is one function; they come in pairs u, -u, whose mean is exactly 0, as E u
is.

All M softmaxes share one product with the training set: the logits of draw m are those of y plus
kappa (1 + sigma) u_m . phi_i / sigma^2, and the M beliefs are averaged before they meet the images.

Source: Scarvelis, Borde & Solomon, *Closed-form diffusion models*, TMLR 2025, arXiv 2310.12395, the
smoothed score of its sigma-CFDM, exact (their nearest-neighbour estimate of it is not used). That
kappa does not depend on t is how we read it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from .. import seeds
from ..denoise import Denoiser, Runtime, Spec
from ..errors import InputError
from .levels import Schedule, at, check
from .told import scale

if TYPE_CHECKING:
    from ..data import ImageSet

STREAM = 330  # of the draws


@dataclass(frozen=True, kw_only=True)
class Smoothed(Spec):
    """The ideal denoiser, its score averaged over random neighbours of the noisy image.

    smoothing: kappa, how far the neighbours lie, in pixel values at sigma = 0; 0 is the ideal
        denoiser; or a schedule.
    draws: M, how many neighbours, an even number.
    seed: of the draws.
    """

    summary: ClassVar[str] = "ideal denoiser with a smoothed score (averaged scores)"
    smoothing: float | Schedule = 0.2
    draws: int = 64
    seed: int = 0

    def __post_init__(self) -> None:
        check("smoothing", self.smoothing, lambda v: 0 <= v < float("inf"), "at least 0 and finite")
        if (
            isinstance(self.draws, bool)
            or not isinstance(self.draws, Integral)
            or self.draws < 2
            or self.draws % 2
        ):
            raise InputError(
                f"draws come in pairs, wanted an even number of at least 2, got {self.draws!r}; "
                "use for example 64"
            )

    @property
    def told(self) -> str:
        """What of a network this theory is told."""
        return scale(self.smoothing)

    def fit(self, images: ImageSet, *, runtime: Runtime = Runtime()) -> SmoothedDenoiser:
        """Keep the images; nothing is estimated."""
        state = {"images": images.images}
        return self.rebuild(state if images.labels is None else state | {"labels": images.labels})

    def rebuild(self, state: dict[str, Tensor]) -> SmoothedDenoiser:
        """The denoiser of these images."""
        return SmoothedDenoiser(self, tuple(state["images"].shape[1:]), state)


class SmoothedDenoiser(Denoiser):
    """State: images (N, C, H, W) float32, labels (N,) int64 where the set has them.

    Logits are formed in float64 whatever the dtype of y, as in `ideal`. Memory: M N numbers a row.
    """

    spec: Smoothed

    def __init__(self, spec: Smoothed, shape: Sequence[int], tensors: dict[str, Tensor]):
        super().__init__(spec, shape, tensors)
        self.classes = tuple(tensors["labels"].unique().tolist()) if "labels" in tensors else ()
        self._kept: dict[torch.device, tuple[Tensor, Tensor]] = {}

    def neighbours(self) -> Tensor:
        """The draws u (M, C, H, W), float64: pairs u, -u."""
        names = range(self.spec.seed, self.spec.seed + self.spec.draws // 2)
        u = seeds.normal(names, self.shape, stream=STREAM, dtype=torch.float64)
        return torch.cat([u, -u])

    def denoise(self, y: Tensor, sigma: Tensor, labels: Tensor | None = None) -> Tensor:
        """Row by row, M beliefs each."""
        phi, moved = self._products(y.device)
        images = phi.to(y.dtype)
        rows = []
        for b, level in enumerate(sigma.detach().tolist()):
            s2 = sigma[b].double() ** 2
            near = at(self.spec.smoothing, level) * (1 + sigma[b].double())
            logits = (phi @ y[b].flatten().double() - phi.square().sum(1) / 2 + near * moved) / s2
            if labels is not None:
                own = self.tensors(y)["labels"] == labels[b]
                logits = logits.masked_fill(~own, -torch.inf)
            belief = logits.softmax(1).mean(0)
            rows.append((belief.to(y.dtype) @ images).reshape(self.shape))
        return torch.stack(rows)

    def _products(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Images (N, d) in float64 and u_m . phi_i, (M, N)."""
        if device not in self._kept:
            phi = self._tensors["images"].flatten(1).double()
            moved = self.neighbours().flatten(1) @ phi.T
            self._kept[device] = (phi.to(device), moved.to(device))
        return self._kept[device]
