"""Cells that count the parts of pictured things: legs, sleeves, and what has too many of them.

    counted   training images, a machine's and a network's pictures of some labels: SET/parts, parts

A local theory does not know how many parts a thing has (`archbias.metrics.parts`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from .. import families
from ..metrics.parts import THRESHOLD, parts, strands
from ..store import about
from . import Cell, Work, cells, crossed
from .crossed import Row, Theory, costs

FIRST = 600_000  # first seed of the pictures whose parts are counted: none is judged


def counted(row: Row, theory: Theory, kinds: Sequence[int], count: int) -> Cell:
    """Parts and strands of training images, of the theory's pictures and of the network's.

    kinds: labels. count: pictures of each, and training images shown.
    """

    def run(work: Work) -> dict[str, xr.Dataset]:
        images = row.images
        name = families.name_of(theory.spec)
        machine = crossed.settled(theory, row, work).fit(images)
        makers = {name: (machine, row.steps), "network": (row.denoiser(work), row.network_steps)}
        numbers, drawings = [], []
        for number, kind in enumerate(kinds):
            which = range(FIRST + number * count, FIRST + (number + 1) * count)
            labels = torch.full((len(which),), kind)
            found = {"training": images.images[images.labels == kind]}
            for maker, (denoiser, steps) in makers.items():
                note = f"{row}: {maker}, kind {kind}"
                found[maker] = row.draw(
                    denoiser, work, note, steps=steps, which=which, labels=labels
                )
            for maker, x in found.items():
                numbers.append(_numbers(x, str(row), maker, kind))
                drawings.append(_pictures(x[:count], row.network, maker, kind))
        return {
            row.group("parts"): xr.merge(drawings, join="outer", compat="no_conflicts"),
            "parts": xr.merge(numbers, join="outer", compat="no_conflicts"),
        }

    scores = row.steps * count * len(kinds)
    seconds = 5 + scores * costs.score_seconds(theory.spec, row.images_of, row.labelled)
    after = (str(row), *crossed.source_of(theory, row))
    return Cell(row.cell("parts"), run, after=after, seconds=seconds)


DIMS = ("family", "maker", "kind", "picture")


def _numbers(x: Tensor, family: str, maker: str, kind: int) -> xr.Dataset:
    above = f"lighter than {THRESHOLD}"
    values = {
        "parts": (parts(x), f"connected parts of five or more pixels {above}"),
        "strands": (strands(x), f"runs of pixels {above} side by side in three or more rows"),
    }
    variables = {
        k: (DIMS, v.double().numpy()[None, None, None], about(name))
        for k, (v, name) in values.items()
    }
    return xr.Dataset(variables, _coordinates(x, family, maker, kind))


def _pictures(x: Tensor, family: str, maker: str, kind: int) -> xr.Dataset:
    described = about("picture whose parts were counted", "pixel value in [-1, 1]")
    values = x.numpy()[None, None, None]
    variables = {"image": ((*DIMS, *cells.IMAGE), values, described)}
    return xr.Dataset(variables, _coordinates(x, family, maker, kind))


def _coordinates(x: Tensor, family: str, maker: str, kind: int) -> dict:
    picture = np.arange(len(x))
    return {"family": [family], "maker": [maker], "kind": [kind], "picture": picture}
