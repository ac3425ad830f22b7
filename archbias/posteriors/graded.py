"""Graded knowledge of place: windowed beliefs whose sources move, the less likely the farther.

    D(y)[p] = sum_{i, delta} w phi_i[p + delta],   |delta_row|, |delta_column| <= radius
    log w   = -||y[O_p] - phi_i[O_p + delta]||^2 / (2 sigma^2) - |delta|^2 / (2 rho^2) + const

rho = 0 is the local machine `ls`: what is learnt at a place stays there. rho = infinity with a
radius as large as the image is the equivariant local machine: `bbels` where the border counts
(border="zeros": a source that meets the border otherwise than p does is ruled out, as there), `els`
on the torus (border="circular"). Between them one number says how much of its place a network
knows.

Each move is one local machine on moved images; their sums are joined by their evidence,

    D = sum_delta e^(L_delta + prior_delta) D_delta / sum_delta e^(L_delta + prior_delta),

L_delta = log sum_i exp(-distance^2 / (2 sigma^2)), so a score costs (2 radius + 1)^2 times one of
`ls`. On the torus windows run round the image, which is padded by half a window on every side
first; a window larger than the image is refused there, and rho = 0 differs from `ls` at the border.

Sources: Kamb & Ganguli, arXiv 2412.20292 (both ends); Niedoba, Zwartsenberg & Wood, arXiv
2605.24192 (augmented source distributions). The prior is ours.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from ..denoise import Denoiser, Runtime, Spec
from ..errors import InputError, nearest
from .levels import Schedule, at
from .moves import check_moves, moves
from .told import with_padding
from .windows import (
    Geometry,
    WindowSchedule,
    believe,
    check_window,
    geometry,
    is_transformed,
    posterior_mean,
)

if TYPE_CHECKING:
    from ..data import ImageSet

BORDERS = {"zeros": "bbels", "circular": "els"}


@dataclass(frozen=True, kw_only=True)
class Graded(Spec):
    """Local machine whose sources may be moved: from LS to ELS or BBELS by one number.

    window: k, odd, or a schedule that maps sigma to it.
    rho: spread in pixels of the prior over moves, 0 for none, infinite for all alike, or a
        schedule.
    radius: farthest move in rows and columns, or a schedule.
    border: zeros, where a source must meet the border as the pixel does, or circular.
    """

    summary: ClassVar[str] = "local machine whose sources may move by a graded prior"
    window: int | WindowSchedule = 7
    rho: float | Schedule = 1.0
    radius: int | Schedule = 2
    border: str = "zeros"

    def __post_init__(self) -> None:
        if not isinstance(self.window, WindowSchedule):
            check_window(self.window)
        check_moves(self.rho, self.radius)
        if self.border not in BORDERS:
            raise InputError(
                f"unknown border {self.border!r}; {nearest(str(self.border), BORDERS)}"
            )

    @property
    def told(self) -> str:
        """What of a network this theory is told."""
        return with_padding(self.window, self.rho, self.radius)

    def fit(self, images: ImageSet, *, runtime: Runtime = Runtime()) -> GradedDenoiser:
        """Keep the images; nothing is estimated."""
        state = {"images": images.images}
        return self.rebuild(state if images.labels is None else state | {"labels": images.labels})

    def rebuild(self, state: dict[str, Tensor]) -> GradedDenoiser:
        """The machine over these images."""
        return GradedDenoiser(self, tuple(state["images"].shape[1:]), state)


@dataclass(frozen=True)
class Group:
    """Rows of a batch that share a window, a prior and a label."""

    rows: Tensor
    window: int
    rho: float
    radius: int
    label: int | None


class GradedDenoiser(Denoiser):
    """State: images (N, C, H, W) float32, labels (N,) int64 where the set has them.

    The compiled kernel computes on the CPU; where y needs a gradient, lies on another device or is
    inside `torch.func`, the same sums run in plain torch.
    """

    spec: Graded

    def __init__(self, spec: Graded, shape: Sequence[int], tensors: dict[str, Tensor]):
        super().__init__(spec, shape, tensors)
        self.classes = tuple(tensors["labels"].unique().tolist()) if "labels" in tensors else ()
        windows = spec.window.windows if isinstance(spec.window, WindowSchedule) else (spec.window,)
        if spec.border == "circular" and max(windows) > min(self.shape[1:]):
            raise InputError(
                f"with border='circular' a window must fit on the {self.shape[1]}x{self.shape[2]} "
                f"torus, got {max(windows)}; make it smaller"
            )

    def denoise(self, y: Tensor, sigma: Tensor, labels: Tensor | None = None) -> Tensor:
        """Rows of one window, prior and label together."""
        gradient = torch.is_grad_enabled() and (y.requires_grad or sigma.requires_grad)
        portable = is_transformed(y) or is_transformed(sigma) or gradient or y.device.type != "cpu"
        parts = []
        for group in self._groups(sigma, labels):
            means = self._portable if portable else self._kernel
            parts.append((group.rows, means(y[group.rows], sigma[group.rows], group)))
        order = torch.cat([rows for rows, _ in parts]).argsort()
        return torch.cat([out for _, out in parts])[order.to(y.device)]

    def _groups(self, sigma: Tensor, labels: Tensor | None) -> Iterator[Group]:
        names = [None] * len(sigma) if labels is None else labels.tolist()
        groups: dict[tuple, list[int]] = {}
        for row, (level, name) in enumerate(zip(sigma.detach().tolist(), names, strict=True)):
            settings = (self.spec.window, self.spec.rho, self.spec.radius)
            groups.setdefault((*(at(s, level) for s in settings), name), []).append(row)
        for (window, rho, radius, name), rows in groups.items():
            radius = min(int(radius), max(self.shape[1:]) - 1)
            yield Group(torch.tensor(rows), window, rho, radius, name)

    def _kernel(self, y: Tensor, sigma: Tensor, group: Group) -> Tensor:
        """Every move a local machine; joined by their evidence in float64."""
        images, chosen = self._tensors["images"], self._chosen(group)
        pairs = geometry(BORDERS[self.spec.border], group.window, *self.shape[1:])
        if math.isinf(group.rho) and group.radius >= max(self.shape[1:]) - 1:
            mean = believe(images, chosen, y, sigma, pairs).mean
            return torch.from_numpy(np.ascontiguousarray(mean)).to(y.dtype)
        circular = self.spec.border == "circular"
        half = group.window // 2 if circular else 0
        frame = (half,) * 4
        inside = (..., slice(half, half + self.shape[1]), slice(half, half + self.shape[2]))
        size = (self.shape[1] + 2 * half, self.shape[2] + 2 * half)
        local = geometry("ls", group.window, *size)
        noisy = pad(y, frame, mode="circular") if half else y
        top: np.ndarray | None = None
        total = mean = np.zeros(())
        for down, right, prior in self._moves(group):
            moved = torch.roll(images, (-down, -right), (2, 3)) if down or right else images
            if half:
                moved = pad(moved, frame, mode="circular")
            found = believe(moved, chosen, noisy, sigma, local)
            log = found.log_sum[inside] + prior
            if not circular:
                log = np.where(heard(pairs, down, right), log, -np.inf)
            value = found.mean[inside]
            best = log if top is None else np.maximum(top, log)
            w = np.exp(log - best)
            if top is None:
                total, mean = w, w[:, None] * value
            else:
                change = np.exp(top - best)
                total = total * change + w
                mean = mean * change[:, None] + w[:, None] * value
            top = best
        return torch.from_numpy(np.ascontiguousarray(mean / total[:, None])).to(y.dtype)

    def _portable(self, y: Tensor, sigma: Tensor, group: Group) -> Tensor:
        images = self.tensors(y)["images"][torch.from_numpy(self._chosen(group)).to(y.device)]
        pairs = geometry(BORDERS[self.spec.border], group.window, *self.shape[1:])
        return posterior_mean(images, y, sigma, pairs, prior=self._prior(group).to(y.device))

    def _chosen(self, group: Group) -> np.ndarray:
        """Indices of the training images that count."""
        if group.label is None:
            return np.arange(len(self._tensors["images"]))
        return (self._tensors["labels"] == group.label).nonzero()[:, 0].numpy()

    def _moves(self, group: Group) -> list[tuple[int, int, float]]:
        """Moves that lead somewhere; on the torus each place once, by its shortest way."""
        found = moves(group.rho, group.radius)
        if self.spec.border == "circular":
            _, h, w = self.shape
            kept: dict[tuple[int, int], tuple[int, int, float]] = {}
            for move in found:  # shortest first
                kept.setdefault((move[0] % h, move[1] % w), move)
            return list(kept.values())
        return found

    def _prior(self, group: Group) -> Tensor:
        """(HW, HW) log prior of pixel p listening to position q, -inf beyond the radius."""
        _, h, w = self.shape
        prior = torch.full((h, w, h, w), -torch.inf, dtype=torch.float64)
        row, column = torch.arange(h)[:, None], torch.arange(w)[None]
        wraps = self.spec.border == "circular"
        for down, right, log in self._moves(group):
            inside = (row + down >= 0) & (row + down < h)
            inside = inside & (column + right >= 0) & (column + right < w) | wraps
            r, c = (v.expand(h, w)[inside] for v in (row, column))
            prior[r, c, (r + down) % h, (c + right) % w] = log
        return prior.reshape(h * w, h * w)


def heard(pairs: Geometry, down: int, right: int) -> np.ndarray:
    """(H, W) whether a pixel may listen to the source moved this way, by the machine's pairs."""
    axes = []
    for size, move in ((pairs.height, down), (pairs.width, right)):
        at_, sources = np.arange(size) + move, pairs.sources(size)
        axes.append((at_ >= sources[:, 0]) & (at_ < sources[:, 1]))
    return axes[0][:, None] & axes[1][None]
