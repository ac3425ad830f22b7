"""The networks of a crossed design: fitted, kept, sampled, and made again for the ceiling.

Two networks of one architecture that differ in their training seed agree only so far, seed by
seed. No theory of the architecture can be asked for more.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import numpy as np
import xarray as xr

from ...denoise import Spec, changed
from ...nets.network import Network
from ...store import about
from .. import Cell, Work, cells
from . import costs
from .rows import Maker, Row
from .theories import border_machine


def network(row: Row) -> Cell:
    """The network of a row: groups SET/samples, SET/novelty, novelty, rows and, where it is
    trained, training.
    """

    def run(work: Work) -> dict[str, xr.Dataset]:
        images = row.images
        denoiser = row.maker.fit(images, runtime=work.runtime)
        if row.maker.trained:
            work.save(str(row), denoiser, images)
        x = row.draw(denoiser, work, f"{row}: sampling", steps=row.network_steps)
        near = cells.novelty_of(x, images, str(row))
        nearest = near[["nearest_image"]].assign_coords(family=[row.network])
        return {
            row.group("samples"): cells.dataset("sample", x, family=row.network),
            row.group("novelty"): nearest,
            "novelty": near.drop_vars("nearest_image"),
            "rows": described(row),
            **cells.training(denoiser, str(row)),
        }

    return Cell(str(row), run, **_cost(row, row.maker))


def again(row: Row, maker: Maker, name: str = "replicate") -> Cell:
    """Another network on the same noise, the ceiling of every theory: group predictions of the set.

    maker: for a trained network `retrained(row.maker, seed)`.
    """

    def run(work: Work) -> dict[str, xr.Dataset]:
        denoiser = maker.fit(row.images, runtime=work.runtime)
        if maker.trained:
            work.save(row.cell(name), denoiser, row.images)
        x = row.draw(denoiser, work, f"{row}: {name}", steps=row.network_steps)
        return row.prediction(name, x)

    return Cell(row.cell(name), run, **_cost(row, maker))


def retrained(spec: Spec, seed: int) -> Spec:
    """The same network from another training seed."""
    return changed(spec, train=replace(cast(Network, spec).train, seed=seed))


def _cost(row: Row, maker: Maker) -> dict[str, Any]:
    """What `Cell` is told of a network's cost: estimated time to train and sample it on two
    cores.
    """
    if not maker.trained:
        return {"seconds": 5.0}
    draws = row.network_steps * row.seeds
    both = costs.training_seconds(row.maker, row.images_of, row.labelled, draws)
    training = both * costs.share_of_training(row.maker, draws)
    return {
        "seconds": 4 + both,
        "trains": maker,
        "training": training,
        "resources": {"gpu": 1},
    }


def described(row: Row) -> xr.Dataset:
    """What a small run must not be mistaken for: images, steps, epochs, parameters."""
    images = row.images
    spec: Any = row.maker
    values = {
        "set": (row.set, "image set", ""),
        "network": (row.network, "network", ""),
        "machine": (border_machine(spec), "score machine of the network's border", ""),
        "images_hash": (images.hash, "sha256 of the training images", ""),
        "n": (len(images), "number of training images", "1"),
        "side": (images.shape[1], "side of the images", "pixel"),
    }
    if spec.trained:
        train, classes = spec.train, len(images.classes) if row.labelled else 0
        epochs = train.steps * train.batch / len(images)
        values |= {
            "training_steps": (train.steps, "training steps", "step"),
            "epochs": (epochs, "passes over the training images", "1"),
            "parameters": (spec.parameters(images.shape, classes), "trained numbers", "1"),
        }
    values |= {
        "network_steps": (row.network_steps, "steps of the network's sampler", "step"),
        "machine_steps": (row.steps, "steps of the machines' sampler", "step"),
    }
    variables = {
        k: (("family",), np.array([v]), about(name, units))
        for k, (v, name, units) in values.items()
    }
    return xr.Dataset(variables, {"family": [str(row)]})
