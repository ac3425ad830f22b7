"""What the cells ask of a study's settings, and the sampling they share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from torch import Tensor

from ... import sample, seeds
from ...data import ImageSet
from ...denoise import Denoiser
from ...networks import PublishedDenoiser
from .. import Work

FIRST_FIT = 500_000  # seeds that are fitted on are far from those that are judged


class Asked(Protocol):
    """Settings of a study of other people's networks.

    sets: training set -> names of its networks. counts, more: training set -> numbers of images
        that theories are told; `more` for those that cost nothing.
    seeds: how many are judged. steps, fit_steps, health_levels, mask_levels: noise levels of the
        samplers, the fits, the health and the masks. fit_seeds: how many seeds are fitted on.
    scales, powers, spreads: candidates of windows, powers of masks, pixels of moves.
    health_images, mask_points: images judged, and images masks are measured at.
    """

    sets: Mapping[str, Sequence[str]]
    counts: Mapping[str, Sequence[int]]
    more: Mapping[str, Sequence[int]]
    seeds: int
    steps: int
    fit_seeds: int
    fit_steps: int
    scales: Sequence[int]
    powers: Sequence[float]
    spreads: Sequence[float]
    health_levels: int
    health_images: int
    mask_levels: int
    mask_points: int

    def denoiser(self, name: str, size: int | None = None) -> PublishedDenoiser:
        """A network by name, told no label."""

    def images(self, known: str, n: int) -> ImageSet:
        """The first n training images of a set, as its networks saw them."""

    def sigmas(self, known: str, steps: int) -> Tensor:
        """A schedule at levels all networks of a set were trained at."""

    def calls(self, known: str) -> int:
        """About how many scores a theory is asked for, without opening a file."""


def start(known: str, asked: Asked, which: Sequence[int]) -> Tensor:
    """Starting noise (seeds, C, H, W) of a set's networks."""
    return seeds.normal(which, asked.denoiser(asked.sets[known][0]).shape)


def draw(denoiser: Denoiser, known: str, asked: Asked, work: Work, note: str) -> Tensor:
    """Samples of the judged seeds."""
    return sample.ddim(
        denoiser,
        start(known, asked, range(asked.seeds)).to(work.runtime.device),
        asked.sigmas(known, asked.steps),
        batch=16,
        progress=lambda i, n: work.runtime.progress(i, n, note),
    ).cpu()
