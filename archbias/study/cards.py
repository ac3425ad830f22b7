"""A cell that measures a network's bias card, and what the card proposes, labelled.

    carded     groups cards (what the network has built in, by noise level) and proposals (the
               theory that matches, by the share of the Jacobian's energy its window holds)
    proposed   the spec of a proposal, from the finished cell

No sample is looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from .. import families, probes
from ..denoise import Spec
from ..posteriors.windows import WindowSchedule
from ..probes import FRACTIONS
from ..store import about
from . import Cell, Work
from .crossed import Row

TRAITS = {
    "interior": ("equivariance error inside", "1"),
    "border": ("equivariance error at border", "1"),
    "affine": ("affine share", "1"),
    "nonlinear": ("share of degree 2 and more", "1"),
    "effective_rank": ("effective rank", "1"),
    "asymmetry": ("curl", "1"),
    "freedom": ("degrees of freedom", "1"),
    "memory": ("held-out over training error", "1"),
}


def carded(row: Row, sigmas: Tensor, *, held_out: int, points: int, seconds: float = 40.0) -> Cell:
    """The card of a row's network.

    sigmas: noise levels. held_out: images after the training ones, on which it is measured.
    points: images whose Jacobians are probed.
    """

    def run(work: Work) -> dict[str, xr.Dataset]:
        card = probes.bias_card(
            row.denoiser(work),
            row.images,
            sigmas,
            held_out=row.images_of.unseen(held_out),
            points=points,
            dtype=torch.float32,
            device=work.runtime.device,
            progress=lambda i, n: work.runtime.progress(i, n, f"{row}: card"),
        )
        return {"cards": traits(card, str(row)), "proposals": proposals(card, str(row))}

    return Cell(row.cell("card"), run, after=(str(row),), seconds=seconds)


def traits(card: probes.BiasCard, label: str) -> xr.Dataset:
    """A card as a data set."""
    columns = {
        "interior": card.interior.nanmean(1),
        "border": card.border.nanmean(1),
        "affine": card.affine,
        "nonlinear": 1 - card.degrees[:, 0],
        "effective_rank": card.effective_rank,
        "asymmetry": card.asymmetry,
        "freedom": card.freedom,
        "memory": card.memory,
    }
    dims = ("family", "sigma")
    variables: dict[str, tuple] = {
        k: (dims, v.numpy()[None], about(*TRAITS[k])) for k, v in columns.items()
    }
    described = about("share of the Jacobian's energy by offset")
    variables["receptive"] = ((*dims, "row", "column"), card.receptive.numpy()[None], described)
    described = about("half-width of the window with that share of the Jacobian's energy", "pixel")
    variables["radius"] = ((*dims, "fraction"), card.radius.double().numpy()[None], described)
    return xr.Dataset(
        variables, {"family": [label], "sigma": card.sigmas.numpy(), "fraction": list(FRACTIONS)}
    )


def proposals(card: probes.BiasCard, label: str) -> xr.Dataset:
    """The score machine a card proposes for each share of energy, and its windows."""
    found = [probes.predictors(card, fraction=fraction)[0] for fraction in FRACTIONS]
    machines = np.array([[one.family for one in found]])
    windows = [probes.window_schedule(card, fraction).windows for fraction in FRACTIONS]
    machine = about("score machine the card proposes", "")
    because = about("what the proposal rests on", "")
    width = about("window the card proposes", "pixel")
    by_level = ("family", "fraction", "level")
    return xr.Dataset(
        {
            "machine": (("family", "fraction"), machines, machine),
            "because": (("family",), np.array([found[-1].because]), because),
            "window": (by_level, np.array([windows], dtype=float), width),
        },
        {
            "family": [label],
            "fraction": list(FRACTIONS),
            "level": card.sigmas[card.sigmas.argsort()].numpy(),
        },
    )


def proposed(row: Row, fraction: float, work: Work) -> Spec:
    """The machine that the row's card proposes, from its finished cell."""
    group = work.read(row.cell("card"))["proposals"].to_dataset()
    one = group.sel(family=str(row), fraction=fraction)
    machine: Any = families.family(str(one["machine"].values))
    if "window" not in machine.__dataclass_fields__:
        return machine()
    levels: Sequence[float] = one["level"].values.tolist()
    windows = one["window"].values.astype(int).tolist()
    return machine(window=WindowSchedule(tuple(levels), tuple(windows), f"card of {row}"))
