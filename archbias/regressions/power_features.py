"""The power-feature denoiser of a whole image, D(y) = A (R y)^p + b (elementwise power), fitted as
in `powers`.

A polynomial of degree p exactly: only powers of 1024 fixed random projections, so for images far
fewer numbers than all monomials, and far fewer than the images themselves. `normalize=True` is the
variant of the published experiments: features divided by their own largest absolute value, which
makes the features blind to the scale of y.

Source: Levine & Weiss, arXiv 2605.16415.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import torch
from torch import Tensor

from ..data import ImageSet
from ..denoise import Denoiser, Runtime
from .powers import Powers, features, projections

KEPT_LEVELS = 64


@dataclass(frozen=True, kw_only=True)
class PowerFeatures(Powers):
    """Power features of the whole image; settings as in `archbias.regressions.powers.Powers`."""

    summary: ClassVar[str] = "powers of random projections, (R y)^p, regressed"

    def fit(self, images: ImageSet, *, runtime: Runtime = Runtime()) -> PowerFeaturesDenoiser:
        x = images.images.double()
        mean = x.mean(0)
        return PowerFeaturesDenoiser(self, {"mean": mean, "images": (x - mean).flatten(1).float()})

    def rebuild(self, state: dict[str, Tensor]) -> PowerFeaturesDenoiser:
        return PowerFeaturesDenoiser(self, state)


class PowerFeaturesDenoiser(Denoiser):
    """The centred training images; the regression of a noise level is solved when it is first met,
    and kept.
    """

    spec: PowerFeatures

    def __init__(self, spec: PowerFeatures, tensors: dict[str, Tensor]):
        super().__init__(spec, tuple(tensors["mean"].shape), tensors)
        self.r = projections(spec.features, tensors["mean"].numel(), spec.seed)
        self._kept = lru_cache(KEPT_LEVELS)(self._weigh)

    def denoise(self, y: Tensor, sigma: Tensor, labels: Tensor | None = None) -> Tensor:
        s, spec = self.tensors(y), self.spec
        h = features(y.flatten(1).double() @ self.r.to(y.device).T, spec.degree, spec.normalize)
        levels = sigma.tolist()
        if len(set(levels)) == 1:
            w, centre = self.weights(levels[0])
            belief = (h - centre.to(y.device)) @ w.to(y.device).T
        else:
            rows = [self.weights(level) for level in levels]
            pairs = [
                (h[i] - centre.to(y.device)) @ w.to(y.device).T
                for i, (w, centre) in enumerate(rows)
            ]
            belief = torch.stack(pairs)
        return s["mean"] + (belief.to(y.dtype) @ s["images"]).reshape(y.shape)

    def weights(self, sigma: float) -> tuple[Tensor, Tensor]:
        """W (N, K) and the mean feature (K,), float64: D = mean + X^T W (h - mean feature), X the
        centred images.
        """
        return self._kept(sigma)

    def _weigh(self, sigma: float) -> tuple[Tensor, Tensor]:
        x = self._tensors["images"].double() + self._tensors["mean"].double().flatten()
        return self.spec.weigh(x @ self.r.T, self.r, sigma)
