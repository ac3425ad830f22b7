"""How far a network's pixels look, measured once for all theories that are told its Jacobian.

The sensitivities are large (`archbias.posteriors.masks.Masks`). They lie beside the networks, as
the denoiser they make; the store keeps how many pixels an output pixel sees.
"""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
import xarray as xr

from ...denoise import Denoiser, Spec
from ...posteriors.masked import Masked
from ...posteriors.masks import Masks
from ...posteriors.measured import of_network
from ...posteriors.told import sees
from ...store import about
from .. import Cell, Work
from . import costs
from .rows import ByLabel, Row, theory_of

SEEN = about("input pixels an output pixel sees, exp(entropy of the Jacobian's energy)", "pixel")


def measured(row: Row, levels: int, points: int = 2) -> Cell:
    """The masks of a row's network on images it has not seen: group sight.

    levels: noise levels, evenly spread over the theories' sampler. points: images at each.
    """

    def run(work: Work) -> dict[str, xr.Dataset]:
        masks = of_network(
            row.denoiser(work),
            row.images_of.unseen(points),
            levels_of(row, levels),
            points=points,
            progress=lambda i, n: work.runtime.progress(i, n, f"{row}: masks"),
        )
        work.save(
            row.cell("masks"), Masked(mask="jacobian", shared=True).fit(row.images, masks=masks)
        )
        share = masks.energy.double() / masks.energy.double().sum(2, keepdim=True)
        seen = torch.special.entr(share).sum(2).exp().mean(1)
        variables = {"pixels_seen": (("family", "sigma"), seen.numpy()[None], SEEN)}
        levels_ = {"family": [str(row)], "sigma": masks.sigmas.numpy()}
        return {"sight": xr.Dataset(variables, levels_)}

    _, height, width = costs.shape_of(row.images_of)
    seconds = 5 + levels * points * height * width * costs.PULL
    return Cell(row.cell("masks"), run, after=(str(row),), seconds=seconds)


def levels_of(row: Row, count: int) -> torch.Tensor:
    """Positive levels of the theories' sampler, evenly spread over its steps, decreasing."""
    sigmas = row.sigmas[:-1]
    return sigmas[np.linspace(0, len(sigmas) - 1, min(count, len(sigmas))).round().astype(int)]


def masks_of(row: Row, work: Work) -> Masks:
    """The masks, from their finished cell."""
    state = work.denoiser(row.cell("masks")).state()
    return Masks(state["mask_sigmas"], state["mask_energy"], row.images.shape, f"{row}")


def told_images(spec: Spec, row: Row, work: Work) -> Denoiser | ByLabel:
    """A theory fitted to the row's images, with its labels and the network's masks as it wants
    them.
    """
    if sees(spec):
        return cast(Masked, spec).fit(row.images, masks=masks_of(row, work))
    return theory_of(spec, row.images, row.labelled)


def source_of(spec: Spec, row: Row) -> tuple[str, ...]:
    """The cells that `told_images` reads."""
    return (row.cell("masks"),) if sees(spec) else ()
