"""A posterior mean over a subset of near images, beside the full scan it approximates.

    G  = the `fine` share of images nearest to y, among the `coarse` share whose thumbnails are
         nearest to the thumbnail of y
    D_G(y) = sum_{i in G} w_i phi_i,   w = softmax_{i in G}( -||y - phi_i||^2 / (2 sigma^2) )

With m the posterior weight that the full scan gives to images outside G,

    D - D_G = m (D_rest - D_G),      ||D - D_G|| <= m max_{i, j} ||phi_i - phi_j||

so the error is small exactly where the posterior has concentrated; at high noise, where all images
weigh alike, a subset is wrong by what its mean differs from that of all. `gap` measures both, since
the error against the full scan is part of the result. With labels only images of that label count,
and shares are of their number.

Source: Shang, Sun, Lin & Shen, *Fast and scalable analytical diffusion* (GoldDiff), arXiv
2602.16498: coarse screening on a cheap proxy, then an exact selection, both of a size that changes
with the noise. Its two size schedules could not be read in the text at hand: here both sizes are
settings, plain shares or schedules, and the proxy is the image averaged over squares.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from numbers import Integral
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from ..denoise import Denoiser, Runtime, Spec
from ..errors import InputError
from .levels import Schedule, at, check
from .told import scale

if TYPE_CHECKING:
    from ..data import ImageSet

BLOCK = 256  # images whose distances are formed at once: what stays in a core's cache


@dataclass(frozen=True, kw_only=True)
class Golden(Spec):
    """The ideal denoiser over a subset of near images, found from coarse to fine.

    coarse: share of the training images kept by their thumbnails, above 0 and at most 1, or a
        schedule.
    fine: share of the training images kept in the end, above 0 and at most coarse, or a schedule.
    proxy: side of the squares a thumbnail averages over, at least 1.
    """

    summary: ClassVar[str] = "posterior mean over a subset of the nearest images"
    coarse: float | Schedule = 0.25
    fine: float | Schedule = 0.1
    proxy: int = 4

    def __post_init__(self) -> None:
        for name in ("coarse", "fine"):
            check(name, getattr(self, name), lambda v: 0 < v <= 1, "above 0 and at most 1")
        if isinstance(self.proxy, bool) or not isinstance(self.proxy, Integral) or self.proxy < 1:
            raise InputError(
                f"proxy must be a whole number of pixels, at least 1, got {self.proxy!r}; use for "
                "example 4"
            )

    @property
    def told(self) -> str:
        """What of a network this theory is told."""
        return scale(self.coarse, self.fine)

    def fit(self, images: ImageSet, *, runtime: Runtime = Runtime()) -> GoldenDenoiser:
        """Keep the images; nothing is estimated."""
        state = {"images": images.images}
        return self.rebuild(state if images.labels is None else state | {"labels": images.labels})

    def rebuild(self, state: dict[str, Tensor]) -> GoldenDenoiser:
        """The denoiser of these images."""
        return GoldenDenoiser(self, tuple(state["images"].shape[1:]), state)


@dataclass(frozen=True)
class Gap:
    """What the subset costs, for each row of a batch.

    error: (B,) root mean square difference from the full scan, in pixel values. relative: (B,) the
        same over the full scan's own distance from the noisy image, D - y: the error of the score.
    missed: (B,) posterior weight outside the subset, 0 to 1. kept: (B,) images in the subset.
    """

    error: Tensor
    relative: Tensor
    missed: Tensor
    kept: Tensor


class GoldenDenoiser(Denoiser):
    """State: images (N, C, H, W) float32, labels (N,) int64 where the set has them.

    Distances are formed in float64 from squared differences.
    """

    spec: Golden

    def __init__(self, spec: Golden, shape: Sequence[int], tensors: dict[str, Tensor]):
        super().__init__(spec, shape, tensors)
        self.classes = tuple(tensors["labels"].unique().tolist()) if "labels" in tensors else ()
        self._thumbs = self._thumbnail(tensors["images"])

    def denoise(self, y: Tensor, sigma: Tensor, labels: Tensor | None = None) -> Tensor:
        """Row by row, each with its own subset."""
        rows = []
        for b, level in enumerate(sigma.detach().tolist()):
            which = self.subset(y[b], level, None if labels is None else int(labels[b]))
            weights, phi = self._belief(y[b], sigma[b], which)
            rows.append(torch.tensordot(weights.to(y.dtype), phi.to(y.dtype), 1))
        return torch.stack(rows)

    def gap(self, y: Tensor, sigma: float | Tensor, labels: Tensor | None = None) -> Gap:
        """The error of the subset against the full scan; arguments as in a call."""
        levels, labels = self.check(y, sigma, labels)
        found = []
        for b, level in enumerate(levels.tolist()):
            label = None if labels is None else int(labels[b])
            every, some = self._members(label), self.subset(y[b], level, label)
            weights, phi = self._belief(y[b], levels[b], every)
            full = torch.tensordot(weights, phi, 1)
            few, near = self._belief(y[b], levels[b], some)
            wrong = (torch.tensordot(few, near, 1) - full).square().mean().sqrt()
            missed = weights[~torch.isin(every, some)].sum()
            size = (full - y[b].double()).square().mean().sqrt()
            kept = wrong.new_tensor(len(some))
            found.append(torch.stack([wrong, wrong / size, missed, kept]))
        rows = torch.stack(found) if found else levels.new_zeros(0, 4, dtype=torch.float64)
        return Gap(*rows.unbind(1))

    def subset(self, y: Tensor, level: float, label: int | None = None) -> Tensor:
        """Indices of the golden subset of one noisy image (C, H, W), nearest first."""
        members = self._members(label)
        shares = (at(self.spec.coarse, level), at(self.spec.fine, level))
        many, few = (max(1, ceil(share * len(members))) for share in shares)
        y = y.detach().cpu()
        thumbs = self._thumbs[members] - self._thumbnail(y[None])
        near = thumbs.square().flatten(1).sum(1).argsort(stable=True)[:many]
        members = members[near.sort().values]
        return members[self._distance(y, members).argsort(stable=True)[:few]]

    def _members(self, label: int | None) -> Tensor:
        if label is None:
            return torch.arange(len(self._tensors["images"]))
        return (self._tensors["labels"] == label).nonzero()[:, 0]

    def _belief(self, y: Tensor, sigma: Tensor, which: Tensor) -> tuple[Tensor, Tensor]:
        """Weights (n,) over some images and those images, float64."""
        distance = self._distance(y, which).to(y.device)
        phi = self._tensors["images"][which].to(y.device).double()
        return (-distance / (2 * sigma.double() ** 2)).softmax(0), phi

    def _distance(self, y: Tensor, which: Tensor) -> Tensor:
        """Squared distances (n,) of one noisy image to some images, float64, a block at a time."""
        y = y.cpu().double()
        images = self._tensors["images"]
        blocks = [
            (images[block].double() - y).square().flatten(1).sum(1) for block in which.split(BLOCK)
        ]
        return torch.cat(blocks)

    def _thumbnail(self, x: Tensor) -> Tensor:
        """Averages over squares of `proxy` pixels, what is left over at the edges too."""
        side = min(int(self.spec.proxy), *x.shape[2:])
        return avg_pool2d(x.double(), side, ceil_mode=True, count_include_pad=False)
