"""The scale k(sigma) of a windowed theory, found on seeds that are not judged.

    calibrated   on the network's own trajectories, by both protocols that follow it (cosine,
                 monotone)
    held_out     on images outside the training set; no network is asked
    schedule     the windows, from the finished cell that found them

Protocols: `archbias.posteriors.calibrate`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
import xarray as xr
from torch import Tensor

from ... import families, noise
from ...posteriors import calibrate
from ...posteriors.windows import WindowSchedule, published
from ...store import about
from .. import Cell, Work
from . import costs
from .rows import Row

WINDOW = about("window of the machine", "pixel")


@dataclass(frozen=True, kw_only=True)
class Fit:
    """How scales are found.

    seeds: how many trajectories, or noisy held-out images; counted from `first`, far from the
        judged ones.
    windows: candidates; those larger than the image are left out.
    steps: number of noise levels of the cosine schedule.
    held_out: images after the training ones, for the protocol held-out; 0 for none.
    """

    seeds: int = 4
    first: int = 500_000
    windows: tuple[int, ...] = (3, 5, 7, 9, 11, 13, 15, 19, 25)
    steps: int = 10
    held_out: int = 8

    @property
    def which(self) -> range:
        return range(self.first, self.first + self.seeds)

    def candidates(self, shape: tuple[int, int, int]) -> list[int]:
        return [k for k in self.windows if k <= min(shape[1:])]

    def seconds(self, row: Row, machine: str) -> float:
        """Estimated time of one calibration on two cores."""
        score = costs.score_seconds(families.family(machine)(), row.images_of, row.labelled)
        return 2 + self.steps * self.seeds * 2 * score


def publication(known: str, network: str) -> str:
    """The name of the windows published for an image set and a network ("mnist", "resnet,
    circular"), in SCHEDULES where there are any.
    """
    return f"{known}-{network}".replace(", ", "-")


def calibrated(row: Row, machine: str, fit: Fit) -> Cell:
    """The scale of a machine by both protocols that follow the network, from one measurement:
    group calibration.
    """

    def run(work: Work) -> dict[str, xr.Dataset]:
        images = row.images
        found = calibrate.calibrate(
            row.denoiser(work),
            families.family(machine)(),
            images,
            fit.which,
            protocol="cosine",
            windows=fit.candidates(images.shape),
            sigmas=row.within(noise.cosine(fit.steps)),
            labels=row.labels(fit.which),
            progress=lambda i, n: work.runtime.progress(i, n, f"{row}: scale of {machine}"),
        )
        found.apart(range(row.seeds))
        both = [_scale(found.under(p), str(row), machine) for p in ("cosine", "monotone")]
        return {
            "calibration": xr.merge(
                [xr.concat(both, "protocol"), _measured(found, str(row), machine)]
            )
        }

    return Cell(
        row.cell(f"scale {machine}"), run, after=(str(row),), seconds=fit.seconds(row, machine)
    )


def held_out(row: Row, machine: str, fit: Fit) -> Cell:
    """The scale that denoises images outside the training set best, the same for every network of
    the set: group held_out.
    """

    def run(work: Work) -> dict[str, xr.Dataset]:
        images, unseen = row.images, row.images_of.unseen(fit.held_out)
        own = [j % len(unseen) for j in range(fit.seeds)]
        found = calibrate.calibrate(
            None,
            families.family(machine)(),
            images,
            fit.which,
            protocol="held-out",
            windows=fit.candidates(images.shape),
            sigmas=row.within(noise.cosine(fit.steps)),
            labels=unseen.labels[own] if row.labelled and unseen.labels is not None else None,
            held_out=unseen,
            progress=lambda i, n: work.runtime.progress(
                i, n, f"{row.set}: held-out scale of {machine}"
            ),
        )
        one = _scale(found, row.set, machine).isel(protocol=0, drop=True)
        return {"held_out": one.rename(family="set")}

    return Cell(_held_out(row, machine), run, seconds=fit.seconds(row, machine))


def _held_out(row: Row, machine: str) -> str:
    return f"{row.set} held-out scale {machine}".strip()


def _scale(found: calibrate.Calibration, family: str, machine: str) -> xr.Dataset:
    """Windows chosen together and by each seed alone, sigma decreasing."""
    dims = ("family", "machine", "protocol", "sigma")
    together = np.array(cast(WindowSchedule, found.schedule).windows[::-1], float)
    alone = about("window each seed alone would choose", "pixel")
    return xr.Dataset(
        {
            "scale": (dims, together[None, None, None], WINDOW),
            "choice": ((*dims, "fit_seed"), found.choice.double().numpy()[None, None, None], alone),
        },
        {
            "family": [family],
            "machine": [machine],
            "protocol": [found.protocol],
            "sigma": found.sigmas.numpy(),
            "fit_seed": list(found.seeds),
        },
    )


def _measured(found: calibrate.Calibration, family: str, machine: str) -> xr.Dataset:
    """What the choice rests on, for every window."""
    dims = ("family", "machine", "sigma", "fit_seed", "window")

    def variable(values: Tensor, name: str, units: str) -> tuple:
        return dims, values.numpy()[None, None], about(name, units)

    cosine = "cosine between the scores of network and machine"
    error = "mean squared difference of the denoised images"
    return xr.Dataset(
        {
            "score_cosine": variable(found.cosine, cosine, "1"),
            "score_error": variable(found.error, error, "squared pixel value"),
        },
        {
            "family": [family],
            "machine": [machine],
            "sigma": found.sigmas.numpy(),
            "fit_seed": list(found.seeds),
            "window": found.windows.numpy(),
        },
    )


def schedule(row: Row, machine: str, found: str, work: Work) -> WindowSchedule:
    """The windows of a machine by a protocol, from the finished cell that found them."""
    if found == "published":
        return published(publication(row.base, row.network))
    if found == "held-out":
        group = work.read(_held_out(row, machine))["held_out"].to_dataset()
        one = group.isel(set=0, machine=0)
    else:
        group = work.read(row.cell(f"scale {machine}"))["calibration"].to_dataset()
        one = group.isel(family=0, machine=0).sel(protocol=found)
    one = one.sortby("sigma")
    windows = one["scale"].values.astype(int)
    return WindowSchedule(
        tuple(one["sigma"].values.tolist()), tuple(windows.tolist()), f"{row}: {found}"
    )


def source_of(row: Row, machine: str, found: str) -> tuple[str, ...]:
    """The cells that `schedule` reads."""
    if found == "published":
        return ()
    if found == "held-out":
        return (_held_out(row, machine),)
    return (row.cell(f"scale {machine}"),)
