"""How far predictions and the other networks of a set agree with a network, seed by seed."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import xarray as xr
from torch import Tensor

from ...store.open import variable
from .. import Cell, Work, cells
from .asked import Asked


def compared(known: str, name: str, predictors: Sequence[Cell], asked: Asked) -> Cell:
    """Agreement with every prediction and with the other networks of the set, seed by seed."""
    others = [other for other in asked.sets[known] if other != name]

    def run(work: Work) -> dict[str, xr.Dataset]:
        x = _samples(work, known, name)
        found = {other: _samples(work, known, other) for other in others}
        found["another seed"] = x.roll(-1, 0)
        for cell in predictors:
            groups = work.read(cell.name)
            for kind in ("predictions", "references"):
                if f"/{known}/{kind}" in groups.groups:
                    values = variable(groups, f"{known}/{kind}/prediction")
                    for label in map(str, values["predictor"].values):
                        one = values.sel(predictor=label).values
                        found[label] = torch.from_numpy(one.reshape(one.shape[-4:]))
        parts = [cells.agreements(x, p, name, label) for label, p in found.items()]
        return {"agreement": xr.concat(parts, "predictor", join="outer")}

    after = (name, *others, *(cell.name for cell in predictors))
    return Cell(f"{name} compare", run, after=after, seconds=2)


def _samples(work: Work, known: str, name: str) -> Tensor:
    return torch.from_numpy(variable(work.read(name), f"{known}/samples/sample").values[0])
