"""A network's answers to fixed noise: by these a run folder knows which network it judged.

Weights do not tell a network: a function has none to show, and one module under two conventions is
two denoisers. So a judgement keeps, at two noise levels, the projections of D(x + sigma n) on fixed
directions, and before it goes on asks the network again.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import xarray as xr

from .. import seeds, store
from ..errors import InputError
from ..store import about
from ..study import Cell, Work
from ..study.crossed import Row
from ..study.study import cell_path
from .settings import Subject

LEVELS = 0.5, 5.0
DIRECTIONS = 8
IMAGES = 2
FIRST = 800_000  # seeds of the noise; the directions' come after
TOLERANCE = 3e-3  # of the largest of them: more than processors, threads and TF32 differ


def answers(network: Subject, row: Row) -> np.ndarray:
    """(levels, DIRECTIONS) float64: <D(x + sigma n), v> / sqrt(dim) at LEVELS, as far as the
    network was trained there, x the first images.
    """
    denoiser, images = network.fit(), network.images_of.load()
    low, high = denoiser.levels or (0.0, float("inf"))
    x = images.images[:IMAGES]
    labels = images.labels[:IMAGES] if row.labelled and images.labels is not None else None
    noise = seeds.normal(range(FIRST, FIRST + len(x)), images.shape)
    after = FIRST + IMAGES
    along = [
        seeds.normal(range(after + k * IMAGES, after + k * IMAGES + len(x)), images.shape)
        for k in range(DIRECTIONS)
    ]
    v = torch.stack(along).flatten(1).double()
    found = []
    with torch.no_grad():
        for level in LEVELS:
            sigma = min(max(level, 1.01 * low), high)
            answer = denoiser(x + sigma * noise, sigma, labels).flatten().double().cpu()
            found.append(v @ answer / len(answer) ** 0.5)
    return torch.stack(found).numpy()


def answered(row: Row, network: Subject, label: str = "") -> Cell:
    """The cell that keeps them: group answers. label: of a second training."""

    def run(work: Work) -> dict[str, xr.Dataset]:
        told = about("projection of the answer to fixed noise", "pixel value")
        values = (("family", "level", "direction"), answers(network, row)[None], told)
        return {"answers": xr.Dataset({"answer": values}, {"family": [f"{row} {label}".strip()]})}

    return Cell(cell_of(row, label), run, seconds=1)


def cell_of(row: Row, label: str = "") -> str:
    """The cell's name."""
    return row.cell(f"{label} answers".strip())


def check(folder: Path, row: Row, networks: dict[str, Subject]) -> None:
    """Refuse a folder that judged another network of the same name.

    networks: by label, "" for the network itself.

    Raises:
        InputError: an answer is not the one that was kept.
    """
    for label, network in networks.items():
        path = cell_path(Path(folder), cell_of(row, label))
        try:
            kept = store.read_cell(path)["answers"]["answer"].values[0]
        except (store.CorruptCell, FileNotFoundError, KeyError):
            continue
        found = answers(network, row)
        both = np.stack([kept, found])
        scale = np.abs(both[np.isfinite(both)]).max(initial=0)
        if not np.allclose(found, kept, rtol=0, atol=TOLERANCE * scale, equal_nan=True):
            raise InputError(
                f"{folder} judges another network of the name {network.name!r}: it answers the "
                "same noise otherwise; choose another --out, or mend a network whose answers are "
                "not twice the same"
            )
