"""Sharp beliefs: most sources are ruled out by a bound on their distance, the others are measured
exactly.

    e(x) = (r - 1 cosine coefficients of the window x, norm of what they leave),    ||e(x) - e(z)||
    <= ||x - z||

Cosines over channels, rows and columns are orthonormal, and norms obey the triangle inequality, so
e never lengthens a distance, whichever coefficients are taken: those of most energy in the training
windows. They are separable: embedding a training window costs some tens of k, and comparing two of
them r products, at every k.

A source that cannot come nearer than the nearest one found so far by `cut` nats, less the log of
the weight found so far, is left out: all of them together weigh less than the tolerance, and
`dropped` counts them. Every other distance is summed afresh in float64 from squared differences.
Pixels meet the training images in the same order whatever the threads, the batch and the other
pixels do. The loops are compiled in `search`; here is what they are given, and whether they pay.

Windows clipped at the border are zero outside on both sides, since only windows that meet the
border alike are compared.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from .geometry import Geometry
from .kernel import ACC, LANES, M
from .search import RANK, embed, search

FREQUENCIES = 8  # cosines along an axis that may be chosen
SAMPLE = 16  # training images whose windows say which coefficients count
STEP = 5  # rows and columns between the pixels that try a search
BLOCKS = 8  # of training images, fewer are not worth a trial
# Nanoseconds on one core, measured; they decide what is used, never what is found.
SLIDE, TORUS = 0.6, 0.9  # a slid pair, and where training windows wrap
EMBED, BOUND = 60.0, 0.65  # a training window embedded, a pair bounded
MEASURE, TERM = 75.0, 0.9  # a distance measured, and each number of its window


def cosines(n: int) -> np.ndarray:
    """(n, n) orthonormal rows: sqrt(2 / n) cos(pi f (j + 1/2) / n), the first divided by sqrt 2
    (DCT-II).
    """
    rows = np.cos(np.pi / n * np.arange(n)[:, None] * (np.arange(n) + 0.5)) * math.sqrt(2 / n)
    rows[0] /= math.sqrt(2)
    return rows


def padded(x: np.ndarray, geometry: Geometry, wrap: bool) -> np.ndarray:
    """(n, H, W, C) -> (n, H + rows - 1, W + columns - 1, C): the window of (r, c) begins at (r, c);
    zeros outside, or the torus.
    """
    (up, down), (left, right) = geometry.offsets(geometry.height), geometry.offsets(geometry.width)
    return np.pad(x, ((0, 0), (-up, down), (-left, right), (0, 0)), "wrap" if wrap else "constant")


def coordinates(
    images: np.ndarray, centre: np.ndarray, geometry: Geometry
) -> tuple[np.ndarray, float]:
    """The RANK - 1 coefficients (channel, row and column frequency) of most energy, sorted, and the
    windows' mean squared norm.

    images: a sample (n, C, H, W) of the training set, looked at on a grid of positions.
    """
    x = padded(images.transpose(0, 2, 3, 1) - centre, geometry, geometry.wraps_phi)
    rows, columns = x.shape[1] - geometry.height + 1, x.shape[2] - geometry.width + 1
    # n r c channels rows columns
    windows = sliding_window_view(x, (rows, columns), (1, 2))[:, 1::5, 1::5]
    found = np.einsum(
        "nrcxyz,ax,by,dz->nrcabd",
        windows, cosines(x.shape[3]), cosines(rows)[:FREQUENCIES], cosines(columns)[:FREQUENCIES],
        optimize=True,
    )  # fmt: skip
    energy = np.square(found).mean((0, 1, 2))
    best = np.sort(np.argsort(-energy, axis=None, kind="stable")[: RANK - 1])
    return np.stack(np.unravel_index(best, energy.shape), 1), float(
        np.square(windows).sum((3, 4, 5)).mean()
    )


@dataclass(frozen=True)
class Screen:
    """`search` for one training set and one geometry.

    images: (N, C, H, W) float32. members: (blocks, 16) image of each lane, -1 for none. cut: nats.
    """

    images: np.ndarray
    members: np.ndarray
    geometry: Geometry
    cut: float

    @cached_property
    def embedding(self) -> tuple[np.ndarray, np.ndarray, float]:
        """Centre (C,), coefficients (J, 3) and mean squared norm of windows, from SAMPLE training
        images, evenly spread.
        """
        used = self.members[self.members >= 0]
        sample = self.images[used[:: -(-len(used) // SAMPLE)]].astype(np.float64)
        centre = sample.mean((0, 2, 3))
        return centre, *coordinates(sample, centre, self.geometry)

    def worth(self, rows: np.ndarray, sigma: np.ndarray, direct: bool) -> np.ndarray:
        """(B,) whether to search rather than slide, for each row by itself.

        Tried are a few pixels in two blocks of the training set; the share they measure of their
        pairs in the second says what a search would cost. Where most windows lie within the cut of
        each other nothing is tried at all.
        """
        g, (up, down) = self.geometry, self.geometry.offsets(self.geometry.height)
        pairs = g.counts().sum()
        slid = np.diff(g.shifts()[:, 1:]).sum() * g.width * (g.band()[1] - g.band()[0])
        budget = (
            slid * (TORUS if g.wraps_phi else SLIDE) * (down - up + 1 if direct else 1)
            - EMBED * g.height * g.width
            - BOUND * pairs
        )
        if budget <= 0 or len(self.members) < BLOCKS:
            return np.zeros(len(rows), bool)
        out = 4 * sigma**2 * self.cut < self.embedding[2]
        if out.any():
            _, counts, _, _ = self(
                rows[out],
                sigma[out],
                step=STEP,
                blocks=slice(0, len(self.members) // 2 + 1, len(self.members) // 2),
            )
            share = counts.sum((1, 2)) / (LANES * g.counts()[::STEP, ::STEP].sum())
            out[out] = share * pairs * (MEASURE + TERM * g.extent().max() * rows.shape[-1]) < budget
        return out

    def __call__(
        self,
        rows: np.ndarray,
        sigma: np.ndarray,
        keep: int = 0,
        step: int = 1,
        blocks: slice = slice(None),
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Statistics, sources measured in the last block, logits and sources (see `search`) of
        images (B, H, W, C).
        """
        g, (batch, height, width, channels) = self.geometry, rows.shape
        centre, chosen, _ = self.embedding
        (up, down), (left, right) = g.offsets(height), g.offsets(width)
        waves = (
            cosines(channels),
            cosines(down - up + 1)[:FREQUENCIES],
            cosines(right - left + 1)[:FREQUENCIES],
        )
        queries, norms = self._embed(rows, waves)
        y = padded(rows, g, g.wraps_y)
        stats = np.zeros((batch, height, width, ACC + channels))
        stats[..., M] = -np.inf
        shape = (batch, height, width, keep)
        found = (
            stats,
            np.zeros(shape[:3], np.int64),
            np.full(shape, -np.inf),
            np.full(shape, -1, np.int64),
        )
        search(
            self.images, self.members[blocks], y.reshape(*y.shape[:2], -1), queries, norms,
            1 / (2 * sigma**2), centre, waves,
            chosen, (g.sources(height), g.sources(width)), (up, left), g.wraps_phi, self.cut, step,
            *found,
        )  # fmt: skip
        return found

    def _embed(
        self, rows: np.ndarray, waves: tuple[np.ndarray, ...]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Windows of images (B, H, W, C): coordinates (B, H, W, RANK) and (1 - SLACK) times their
        squared norms.
        """
        batch, height, width, _ = rows.shape
        centre, chosen, _ = self.embedding
        out, norms = (
            np.empty((batch, height, width, RANK), np.float32),
            np.empty((batch, height, width)),
        )
        for i in range(0, batch, LANES):
            x = padded(
                (rows[i : i + LANES] - centre) @ waves[0].T, self.geometry, self.geometry.wraps_y
            )
            x = np.pad(x, ((0, LANES - len(x)), (0, 0), (0, 0), (0, 0))).transpose(1, 3, 2, 0)
            e, h = (
                np.zeros((height, RANK, width * LANES), np.float32),
                np.empty((height, width * LANES)),
            )
            embed(np.ascontiguousarray(x).reshape(*x.shape[:2], -1), chosen, *waves[1:], e, h)
            out[i : i + LANES] = e.reshape(height, RANK, width, LANES).transpose(3, 0, 2, 1)[
                : batch - i
            ]
            norms[i : i + LANES] = (
                2 * h.reshape(height, width, LANES).transpose(2, 0, 1)[: batch - i]
            )
        return out, norms
