"""Networks against networks: every variant with every other, and with itself retrained."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import xarray as xr

from ...metrics.between import between
from ...store import about
from ...store.open import variable
from .. import Cell, Work


def pairs(variants: Sequence[str], networks: Sequence[str], seeds: int) -> Cell:
    """Agreement of every variant with every other, seed by seed, and with itself retrained: group
    pairs.

    Args:
        variants: names, as they shall stand in the store.
        networks: cells whose samples are compared, variant by variant, as many trainings of each.
        seeds: how many are judged.
    """

    def run(work: Work) -> dict[str, xr.Dataset]:
        samples = torch.stack(
            [
                torch.from_numpy(variable(work.read(name), "samples/sample").values[0])
                for name in networks
            ]
        )
        values = between(samples.unflatten(0, (len(variants), -1))).numpy()
        attrs = about("Pearson correlation of samples from one seed, mean over pairs of trainings")
        coordinates = {"variant": list(variants), "other": list(variants), "seed": np.arange(seeds)}
        return {
            "pairs": xr.Dataset(
                {"between": (("variant", "other", "seed"), values, attrs)}, coordinates
            )
        }

    return Cell("pairs", run, after=tuple(networks), seconds=5)
