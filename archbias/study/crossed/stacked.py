"""How much of each of several theories a network is, level by level: the weights of a blend.

Found on the network's trajectories of seeds that are not judged (`archbias.posteriors.blend`),
with the parts' own settings as they were found: group weights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import xarray as xr
from torch import Tensor

from ... import noise
from ...denoise import Spec
from ...posteriors.blend import Blend, stack
from ...posteriors.levels import Schedule
from ...store import about
from .. import Cell, Work
from . import costs
from .rows import Row
from .scales import Fit

WEIGHT = about("weight of the theory in the blend", "1")
ERROR = about("squared error per pixel on the network's trajectories", "squared pixel value")


def cell_of(row: Row, label: str) -> str:
    """The cell that holds the weights."""
    return row.cell(f"weights {label}")


def weighed(
    row: Row,
    label: str,
    parts: Mapping[str, Spec],
    fitted: Callable[[Work], Sequence[Callable[..., Tensor]]],
    after: Sequence[str],
    fit: Fit,
) -> Cell:
    """The weights of a blend.

    Args:
        label: the theory's.
        parts: its parts by label; their specs tell the cost.
        fitted: makes the parts, with their settings.
        after: the cells that `fitted` reads.
    """

    def run(work: Work) -> dict[str, xr.Dataset]:
        found = stack(
            row.denoiser(work),
            fitted(work),
            row.images.shape,
            fit.which,
            sigmas=row.within(noise.cosine(fit.steps)),
            labels=row.labels(fit.which),
            progress=lambda i, n: work.runtime.progress(i, n, f"{row}: weights of {label}"),
        )
        found.apart(range(row.seeds))
        dims = ("family", "theory", "sigma", "part")
        weights, alone = found.weights.numpy(), found.alone.numpy()
        blend = found.error.numpy()[None, None]
        variables = {
            "weight": (dims, weights[None, None], WEIGHT),
            "part_error": (dims, alone[None, None], ERROR),
            "blend_error": (dims[:3], blend, ERROR),
        }
        labels = {"family": [str(row)], "theory": [label], "part": list(parts)}
        levels = {"sigma": found.sigmas.numpy(), "fit_seed": list(fit.which)}
        return {"weights": xr.Dataset(variables, labels | levels)}

    score = sum(costs.score_seconds(spec, row.images_of, row.labelled) for spec in parts.values())
    seconds = 2 + fit.steps * fit.seeds * score
    return Cell(cell_of(row, label), run, after=(str(row), *after), seconds=seconds)


def with_weights(row: Row, label: str, parts: Mapping[str, Spec], work: Work) -> Blend:
    """The blend of these parts at the weights that were found, from the finished cell."""
    one = work.read(cell_of(row, label))["weights"]["weight"].isel(family=0, theory=0)
    one = one.sortby("sigma")
    sigmas, source = tuple(one["sigma"].values.tolist()), f"{row}: stacked"
    weights = [one.sel(part=name).values.astype(float) for name in parts]
    whole = np.sum(weights, 0)  # 1, but for the rounding of a file
    return Blend(
        parts=tuple(parts.values()),
        weights=tuple(Schedule(sigmas, tuple((w / whole).tolist()), source) for w in weights),
    )
