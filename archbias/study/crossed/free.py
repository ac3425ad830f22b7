"""Free settings of a theory, found one after the other on the network's trajectories.

Each is chosen level by level with the others as they are (`archbias.posteriors.coordinates`), on
seeds that are not judged: group settings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import cast

import numpy as np
import xarray as xr

from ... import noise
from ...denoise import Denoiser, Spec
from ...posteriors import sighted
from ...posteriors.coordinates import calibrate_all
from ...posteriors.levels import Schedule
from ...posteriors.windows import WindowSchedule
from ...store import about
from .. import Cell, Work
from . import costs, sight
from .rows import Row
from .scales import Fit

CANDIDATES: Mapping[str, Sequence[float]] = {
    **sighted.CANDIDATES,
    "share": (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4),
    "smoothing": (0.0, 0.05, 0.1, 0.2, 0.4, 0.8),
}
WINDOWS = ("window", "size")  # sides of windows, whose candidates are those of the study
WHOLE = ("radius", "size")  # settings that count pixels
VALUE = about("setting of the theory at this noise level", "")
ALONE = about("what each seed alone would choose", "")


def cell_of(row: Row, label: str) -> str:
    """The cell that holds what was found."""
    return row.cell(f"settings {label}")


def fitted(row: Row, label: str, spec: Spec, free: Sequence[str], fit: Fit) -> Cell:
    """The settings `free` of a theory on the network's trajectories, by the least squared error."""

    def run(work: Work) -> dict[str, xr.Dataset]:
        sides = tuple(fit.candidates(row.images.shape))
        values = dict(CANDIDATES) | dict.fromkeys(WINDOWS, sides)
        found = calibrate_all(
            row.denoiser(work),
            spec,
            row.images,
            fit.which,
            {name: values[name] for name in free},
            sigmas=row.within(noise.cosine(fit.steps)),
            labels=row.labels(fit.which),
            fit=lambda one: cast(Denoiser, sight.told_images(one, row, work)),  # called as one
            progress=lambda i, n: work.runtime.progress(i, n, f"{row}: settings of {label}"),
        )
        found.apart(range(row.seeds))
        sigmas = found.steps[-1].sigmas.numpy()
        chosen = [[getattr(found.spec, name)(s) for s in sigmas] for name in free]
        alone = np.stack([step.choice.double().numpy() for step in found.steps])
        dims = ("family", "theory", "setting", "sigma")
        return {
            "settings": xr.Dataset(
                {
                    "value": (dims, np.array(chosen, float)[None, None], VALUE),
                    "value_alone": ((*dims, "fit_seed"), alone[None, None], ALONE),
                },
                {
                    "family": [str(row)],
                    "theory": [label],
                    "setting": list(free),
                    "sigma": sigmas,
                    "fit_seed": list(fit.which),
                },
            )
        }

    tried = sum(len(CANDIDATES.get(name, fit.windows)) for name in free)
    score = costs.score_seconds(spec, row.images_of, row.labelled)
    after = (str(row), *sight.source_of(spec, row))
    return Cell(
        cell_of(row, label), run, after=after, seconds=2 + fit.steps * fit.seeds * tried * score
    )


def with_found(row: Row, label: str, spec: Spec, work: Work) -> Spec:
    """The theory with the settings that were found, from the finished cell."""
    one = work.read(cell_of(row, label))["settings"].to_dataset().isel(family=0, theory=0)
    one = one.sortby("sigma")
    sigmas, source = tuple(one["sigma"].values.tolist()), f"{row}: least"
    for name in map(str, one["setting"].values):
        values = one["value"].sel(setting=name).values
        whole = tuple(values.astype(int).tolist())
        if name == "window":
            found = WindowSchedule(sigmas, whole, source)
        else:
            chosen = whole if name in WHOLE else tuple(values.tolist())
            found = Schedule(sigmas, chosen, source)
        spec = replace(spec, **{name: found})
    return spec
