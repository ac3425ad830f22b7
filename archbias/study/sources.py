"""Cells that ask a score machine where pixels come from and how sure it is of it.

    mosaics     the training image behind every pixel of the machine's samples and the network's
                (Kamb & Ganguli, arXiv 2412.20292, theorem 4.1): SET/mosaic, mosaic
    collapsed   beliefs on the way down, with a window that falls and with fixed ones, and what is
                drawn in the end: SET/collapse, collapse

A theory is one of the machines with a window; see `archbias.study.crossed`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from .. import families, sample, seeds
from ..denoise import changed
from ..posteriors.score_machines import MachineDenoiser
from ..store import about
from . import Cell, Work, cells, crossed
from .crossed import Row, Theory, costs

REST, VANISHING = 5, 0.01  # calls, and the noise level of each, after which a mosaic is looked at
ENTROPY = about("entropy of a pixel's belief over its sources, mean over pixels", "nat")
EFFECTIVE = about("effective number of sources of a pixel, exp(entropy), mean over pixels")
IMAGES = about("training images a sample is made of")


def mosaics(row: Row, theory: Theory, count: int) -> Cell:
    """The source of every pixel for the first judged seeds: of the machine's samples as they are,
    of the same settled, and of the network's.
    """
    name = families.name_of(theory.spec)

    def run(work: Work) -> dict[str, xr.Dataset]:
        machine = cast(MachineDenoiser, crossed.settled(theory, row, work).fit(row.images))
        labels = row.labels(range(min(count, row.seeds)))
        own = next(crossed.predictions_of(work, row.cell(name), row))[1][:count]
        makers = {
            name: own,
            f"{name}, settled": settled(machine, own, labels),
            "network": row.samples(work),
        }
        found = [machine.mosaic(x[:count], row.sigmas[-2].item(), labels) for x in makers.values()]
        source, equal = (
            np.stack([getattr(m, k).numpy() for m in found])[None] for k in ("image", "consistent")
        )
        dims = ("family", "maker", "seed")
        coordinates = {"maker": list(makers), "seed": np.arange(source.shape[2])}
        places = about("training image the pixel comes from", "position in the set")
        share = about("share of pixels equal to the centre of the nearest training window")
        return {
            row.group("mosaic"): xr.Dataset(
                {"source": ((*dims, "row", "column"), source, places)},
                {"family": [row.network], **coordinates},
            ),
            "mosaic": xr.Dataset(
                {"consistent": (dims, equal, share)}, {"family": [str(row)], **coordinates}
            ),
        }

    score = costs.score_seconds(theory.spec, row.images_of, row.labelled)
    # to find the nearest windows costs about a score
    seconds = 2 + (3 + REST) * count * score
    after = (str(row), row.cell(name), *crossed.source_of(theory, row))
    return Cell(row.cell("mosaic"), run, after=after, seconds=seconds)


def settled(machine: MachineDenoiser, x: Tensor, labels: Tensor | None) -> Tensor:
    """Samples after REST more calls at vanishing noise, each of which puts the centre of the
    nearest window at every pixel.

    The theorem speaks of an image this leaves alone; the last step of a sampler is not there yet.
    """
    for _ in range(REST):
        x = machine(x, VANISHING, labels)
    return x


def collapsed(row: Row, theory: Theory, fixed: Sequence[int], *, count: int, levels: int) -> Cell:
    """The machine with its window held fixed, and falling: beliefs on the way, samples, copies.

    fixed: windows; those larger than the image are left out. count: judged seeds. levels: noise
    levels at which beliefs are kept.
    """

    def run(work: Work) -> dict[str, xr.Dataset]:
        images = row.images
        spec = crossed.settled(theory, row, work)
        held = [k for k in fixed if k <= min(images.shape[1:])]
        specs = {"falling": spec} | {f"fixed at {k}": changed(spec, window=k) for k in held}
        parts, drawings = [], []
        for number, (name, one) in enumerate(specs.items()):

            def progress(i: int, n: int, number: int = number, name: str = name) -> None:
                work.runtime.progress(number * n + i, len(specs) * n, f"{row}: {name}")

            beliefs, drawn = _watched(
                cast(MachineDenoiser, one.fit(images)), row, name, count, levels, progress
            )
            parts.append(beliefs)
            drawings.append(drawn)
        return {
            row.group("collapse"): xr.concat(drawings, "window"),
            "collapse": xr.concat(parts, "window"),
        }

    scores = (1 + len(fixed)) * count * (row.steps + levels)
    seconds = 2 + scores * costs.score_seconds(theory.spec, row.images_of, row.labelled)
    after = crossed.source_of(theory, row)
    return Cell(row.cell("collapse"), run, after=after, seconds=seconds)


def _watched(
    machine: MachineDenoiser,
    row: Row,
    name: str,
    count: int,
    levels: int,
    progress: Callable[[int, int], None],
) -> tuple[xr.Dataset, xr.Dataset]:
    """Beliefs of one machine on its way down, and what it draws."""
    images, sigmas, which = row.images, row.sigmas, range(count)
    labels = row.labels(which)
    watched = sorted({round(i) for i in np.linspace(0, len(sigmas) - 2, levels)})
    start = seeds.normal(which, images.shape)
    path = sample.ddim(machine, start, sigmas, labels=labels, path=True, progress=progress)
    entropies = [
        machine.posterior(path[t], sigmas[t].item(), labels, top=1).entropy for t in watched
    ]
    entropy = torch.stack(entropies, 1)
    end = machine.mosaic(path[-1], sigmas[-2].item(), labels).image.flatten(1)
    near = cells.novelty_of(path[-1], images, str(row))
    dims, coordinates = ("family", "window", "seed"), {"window": [name], "seed": np.arange(count)}
    by_level, mean = (*dims, "sigma"), (2, 3)
    beliefs = xr.Dataset(
        {
            "entropy": (by_level, entropy.mean(mean).numpy()[None, None], ENTROPY),
            "effective": (by_level, entropy.exp().mean(mean).numpy()[None, None], EFFECTIVE),
            "images": (dims, [[[len(e.unique()) for e in end]]], IMAGES),
            "copy": (dims, near["copy"].values[None]),
            "distance_ratio": (dims, near["distance_ratio"].values[None]),
        },
        {"family": [str(row)], **coordinates, "sigma": sigmas[watched].numpy()},
    )
    pictures = {
        "sample": path[-1].numpy()[None, None],
        "nearest_image": near["nearest_image"].values[None],
    }
    drawn = xr.Dataset(
        {k: ((*dims, *cells.IMAGE), v) for k, v in pictures.items()},
        {"family": [row.network], **coordinates},
    )
    return beliefs, drawn
