"""The local polynomial denoiser: power features of a window sliding with the pixel, shrinking with
the noise.

    D(y)[p] = b_p + A_p h(R y[Omega_p]),   h(u) = u^p elementwise, fitted as in `powers`

Omega_p is the k x k window around p, all channels; at the border it is shifted inside, so pixels
there sit off its centre and share it. By default every window has a regression of its own. With
`shared` one regression serves all: it predicts every place of a window from the window, is fitted
on GRID x GRID evenly spaced positions pooled, and a pixel reads its own place.

k(sigma) is the entry of `windows` whose level is nearest in log sigma. The published list is for
ten steps at 64 x 64: 64 55 45 35 27 21 15 11 7 3, high to low noise; `shrinking(size)` scales it to
other sizes.

Cost of a level: windows x N x features^2 x degree; at 64 x 64 with 1024 features only `shared` is a
matter of seconds. Source: Levine & Weiss, arXiv 2605.16415.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from .. import noise
from ..data import ImageSet
from ..data.limits import check_memory
from ..denoise import Denoiser, Runtime
from ..errors import InputError
from .powers import Powers, check_size, features, projections

PUBLISHED = (64, 55, 45, 35, 27, 21, 15, 11, 7, 3)
GRID = 5
KEPT_LEVELS = 20


def shrinking(size: int) -> tuple[int, ...]:
    """The published windows, high to low noise, scaled from 64 pixels to `size`, at least min(3,
    size).
    """
    return tuple(max(round(k * size / 64), min(3, size)) for k in PUBLISHED)


@dataclass(frozen=True, kw_only=True)
class PowerPatches(Powers):
    """Power features of sliding windows; further settings as in
    `archbias.regressions.powers.Powers`.

    windows: widths k, high to low noise; empty: `shrinking` for the image's smaller side.
    sigmas: their noise levels, decreasing; empty: the levels of `noise.cosine(len(windows))`.
    shared: one regression for all positions.
    features: rows of R for each window width.
    """

    summary: ClassVar[str] = "power features of a window that shrinks with the noise"

    windows: tuple[int, ...] = ()
    sigmas: tuple[float, ...] = ()
    shared: bool = False
    features: int = 128

    def __post_init__(self) -> None:
        super().__post_init__()
        if any(not isinstance(k, int) or k < 1 for k in self.windows):
            raise InputError(
                f"windows must be integers of at least 1, got {self.windows!r}; leave them out for "
                "the published list"
            )
        wanted = len(self.windows or PUBLISHED)
        if self.sigmas and len(self.sigmas) != wanted:
            raise InputError(
                f"sigmas must give one noise level for each of {wanted} windows, got "
                f"{len(self.sigmas)}; leave them out"
            )
        if any(not 0 < s < math.inf for s in self.sigmas):
            raise InputError(
                f"sigmas must be positive and finite, got {self.sigmas!r}; leave them out for "
                "cosine levels"
            )

    def fit(self, images: ImageSet, *, runtime: Runtime = Runtime()) -> PowerPatchesDenoiser:
        return PowerPatchesDenoiser(self, {"images": images.images})

    def rebuild(self, state: dict[str, Tensor]) -> PowerPatchesDenoiser:
        return PowerPatchesDenoiser(self, state)


class PowerPatchesDenoiser(Denoiser):
    """The training images; the regressions of a noise level are solved when it is first met, and
    kept.
    """

    spec: PowerPatches

    def __init__(self, spec: PowerPatches, tensors: dict[str, Tensor]):
        super().__init__(spec, tuple(tensors["images"].shape[1:]), tensors)
        _, self.h, self.w = self.shape
        self.windows = spec.windows or shrinking(min(self.h, self.w))
        if max(self.windows) > min(self.h, self.w):
            raise InputError(
                f"windows must fit into {self.h}x{self.w} images, got {max(self.windows)}; leave "
                "them out to scale the published list"
            )
        check_size(spec.features, self.shape[0] * max(self.windows) ** 2)
        if not spec.shared:
            size = (self.h * self.w, self.shape[0], spec.features)
            check_memory(size, 8, "the regressions of all pixels", "lower features, or share them")
        self.sigmas = spec.sigmas or tuple(noise.cosine(len(self.windows))[:-1].tolist())
        self._fitted = lru_cache(KEPT_LEVELS)(self._pooled if spec.shared else self._apart)
        self._rows: dict[int, Tensor] = {}

    def window(self, sigma: float) -> int:
        """K at this noise level."""
        return min(
            zip(self.sigmas, self.windows, strict=True),
            key=lambda pair: abs(math.log(pair[0] / sigma)),
        )[1]

    def denoise(self, y: Tensor, sigma: Tensor, labels: Tensor | None = None) -> Tensor:
        rows = [
            self._one(row, level) for row, level in zip(y.double(), sigma.tolist(), strict=True)
        ]
        return torch.stack(rows).to(y.dtype) if rows else torch.zeros_like(y)

    def _one(self, y: Tensor, sigma: float) -> Tensor:
        k = self.window(sigma)
        a, b = (t.to(y.device) for t in self._fitted(sigma))
        which, place = (torch.from_numpy(t).to(y.device) for t in self._geometry(k))
        projected = F.unfold(y[None], k)[0].T @ self._projections(k).to(y.device).T
        h = features(projected, self.spec.degree, self.spec.normalize)
        at = place if self.spec.shared else torch.arange(self.h * self.w, device=y.device)
        return (b[at] + torch.einsum("pck,pk->pc", a[at], h[which])).T.reshape(self.shape)

    def _apart(self, sigma: float) -> tuple[Tensor, Tensor]:
        """A (P, C, K) and b (P, C), one regression for each of the P pixels' windows."""
        k, x = self.window(sigma), self._tensors["images"].double()
        which, _ = self._geometry(k)
        r, flat = self._projections(k), x.flatten(2)  # (N, C, P)
        a = torch.empty(self.h * self.w, len(x[0]), self.spec.features, dtype=torch.float64)
        b = torch.empty(self.h * self.w, len(x[0]), dtype=torch.float64)
        across = self.w - k + 1
        for number in np.unique(which):
            i, j = divmod(int(number), across)
            weights, centre = self.spec.weigh(
                x[:, :, i : i + k, j : j + k].flatten(1) @ r.T, r, sigma
            )
            pixels = torch.from_numpy(np.nonzero(which == number)[0])
            target = flat[:, :, pixels]
            mean = target.mean(0)
            a[pixels] = torch.einsum("ncp,nk->pck", target - mean, weights)
            b[pixels] = mean.T - a[pixels] @ centre
        return a, b

    def _pooled(self, sigma: float) -> tuple[Tensor, Tensor]:
        """A (k*k, C, K) and b (k*k, C), one regression for the places of every window."""
        k, x = self.window(sigma), self._tensors["images"].double()
        r, channels = self._projections(k), self.shape[0]
        rows, columns = (
            np.unique(np.linspace(0, size - k, GRID).round().astype(int))
            for size in (self.h, self.w)
        )
        target = torch.cat(
            [x[:, :, i : i + k, j : j + k].flatten(1) for i in rows for j in columns]
        )
        weights, centre = self.spec.weigh(target @ r.T, r, sigma)
        mean = target.mean(0)
        a = (target - mean).T @ weights
        b = mean - a @ centre
        return a.reshape(channels, k * k, -1).transpose(0, 1).contiguous(), b.reshape(
            channels, k * k
        ).T.contiguous()

    def _projections(self, k: int) -> Tensor:
        if k not in self._rows:
            self._rows[k] = projections(self.spec.features, self.shape[0] * k * k, self.spec.seed)
        return self._rows[k]

    def _geometry(self, k: int) -> tuple[np.ndarray, np.ndarray]:
        """For each pixel, row by row: the number of its window among all positions, and its place
        inside it.
        """
        row = np.clip(np.arange(self.h) - k // 2, 0, self.h - k)
        column = np.clip(np.arange(self.w) - k // 2, 0, self.w - k)
        which = row[:, None] * (self.w - k + 1) + column[None, :]
        place = (np.arange(self.h) - row)[:, None] * k + (np.arange(self.w) - column)[None, :]
        return which.reshape(-1), place.reshape(-1)
