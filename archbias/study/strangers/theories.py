"""What theories make of the noise a network of strangers starts from.

They are told a number of its training images. What is fitted to the network (a window, how soft its
masks are, how far sources move) is fitted on its own trajectories from seeds that are not judged.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import numpy as np
import xarray as xr

from ...data import ImageSet
from ...denoise import Denoiser, Spec, changed
from ...posteriors import calibrate, measured
from ...posteriors.coordinates import calibrate_all
from ...posteriors.golden import Golden
from ...posteriors.ideal import Ideal
from ...posteriors.levels import Schedule
from ...posteriors.masked import Masked
from ...posteriors.masks import Masks
from ...posteriors.patch_composite import PatchComposite
from ...posteriors.score_machines import BBELS, LS
from ...posteriors.smoothed import Smoothed
from ...posteriors.windows import WindowSchedule
from ...regressions.linear import Linear
from ...store import about
from .. import Cell, Work, cells
from ..crossed.free import CANDIDATES
from .asked import FIRST_FIT, Asked, draw

REFERENCES: dict[str, Spec] = {
    "wiener": Linear(),
    "ideal": Ideal(),
    "golden": Golden(),
    "wiener masks": Masked(shared=True),
}
# the setting that is fitted to the network, and how
FITTED: dict[str, tuple[Spec, str, str]] = {
    "ls": (LS(), "window", "cosine"),
    "bbels": (BBELS(), "window", "cosine"),
    "smoothed": (Smoothed(), "smoothing", "least"),
    "patch composites": (PatchComposite(), "size", "least"),
    "wiener masks, calibrated": (Masked(largest="row", shared=True), "share", "least"),
}
# seconds of a score per image and pixel, from the number of pixels
COST: dict[str, Callable[[int], float]] = {
    "ls": lambda pixels: 1.1e-8,
    "bbels": lambda pixels: 2.8e-10 * pixels,
    "smoothed": lambda pixels: 5e-9,
    "patch composites": lambda pixels: 3.2e-11 * pixels,
    "wiener masks, calibrated": lambda pixels: 3.2e-11 * pixels,
}


def mean_image(known: str, asked: Asked) -> Cell:
    """The mean training image for every seed."""

    def run(work: Work) -> dict[str, xr.Dataset]:
        mean = asked.images(known, asked.counts[known][0]).images.double().mean(0).float()
        x = mean.expand(asked.seeds, *mean.shape)
        return {f"{known}/references": cells.dataset("prediction", x, predictor="mean image")}

    return Cell(f"{known} mean image", run, seconds=3)


def reference(known: str, name: str, n: int, asked: Asked) -> Cell:
    """What a theory that knows no network makes of the judged seeds."""

    def run(work: Work) -> dict[str, xr.Dataset]:
        denoiser = REFERENCES[name].fit(asked.images(known, n))
        x = draw(denoiser, known, asked, work, f"{known}: {name} of {n}")
        return {f"{known}/references": cells.dataset("prediction", x, predictor=f"{name} {n}")}

    wide = asked.calls(known) * n * 4e-5 if name == "wiener masks" else n / 3000
    return Cell(f"{known} {name} {n}", run, seconds=3 + wide)


def fitted(known: str, name: str, theory: str, n: int, asked: Asked, pixels: int) -> Cell:
    """A theory with one setting that follows the network, level by level, on seeds that are not
    judged.
    """
    spec, setting, protocol = FITTED[theory]

    def run(work: Work) -> dict[str, xr.Dataset]:
        images = asked.images(known, n)
        sides = [k for k in asked.scales if k <= min(images.shape[1:])]
        found = calibrate.calibrate(
            asked.denoiser(name),
            spec,
            images,
            range(FIRST_FIT, FIRST_FIT + asked.fit_seeds),
            protocol=protocol,
            setting=setting,
            candidates=CANDIDATES.get(setting, sides),
            sigmas=asked.sigmas(known, asked.fit_steps),
            progress=lambda i, n: work.runtime.progress(i, n, f"{name}: {setting} of {theory}"),
        )
        found.apart(range(asked.seeds))
        schedule, label = found.schedule, f"{theory} {n}"
        values: Sequence[float] = (
            schedule.windows if isinstance(schedule, WindowSchedule) else schedule.values
        )
        denoiser = changed(spec, **{setting: schedule}).fit(images)
        return predictions(denoiser, known, name, label, asked, work) | {
            "calibration": chosen(name, label, schedule.sigmas, {setting: values})
        }

    calls = asked.calls(known) + len(asked.scales) * asked.fit_steps * asked.fit_seeds
    seconds = 2 + calls * n * pixels * COST[theory](pixels)
    return Cell(f"{name} {theory} {n}", run, seconds=seconds)


def masks(known: str, name: str, asked: Asked, pixels: int) -> Cell:
    """The energy of the network's Jacobian at some levels, kept as masks in RUN/models."""

    def run(work: Work) -> dict[str, xr.Dataset]:
        images = asked.images(known, asked.counts[known][0])
        found = measured.of_network(
            asked.denoiser(name),
            # no images are at hand that it has not seen; the last of the first count are taken
            ImageSet.from_array(images.images[-asked.mask_points :]),
            asked.sigmas(known, asked.mask_levels),
            points=asked.mask_points,
            shared=True,
            progress=lambda i, n: work.runtime.progress(i, n, f"{name}: masks"),
        )
        spec = Masked(mask="jacobian", shared=True)
        work.save(f"{name} masks", spec.fit(images, masks=found))
        middle = (images.shape[1] // 2) * images.shape[2] + images.shape[2] // 2
        seen = found.energy[:, middle].reshape(-1, *images.shape[1:]).numpy()[None]
        described = about("mean squared derivative of the centre pixel", "1")
        variables = {"energy": (("family", "sigma", "row", "column"), seen, described)}
        coordinates = {"family": [name], "sigma": found.sigmas.numpy()}
        return {f"{known}/masks": xr.Dataset(variables, coordinates)}

    each = 2.5e-8 * pixels**2  # seconds a pixel, of small and of deep networks alike
    return Cell(f"{name} masks", run, seconds=asked.mask_levels * asked.mask_points * pixels * each)


def masked(known: str, name: str, theory: str, n: int, asked: Asked, pixels: int) -> Cell:
    """Soft masks of the network's own Jacobian; how soft, and how far sources move, is fitted on
    seeds that are not judged.
    """
    free = {"power": asked.powers} | ({"rho": asked.spreads} if "moved" in theory else {})

    def run(work: Work) -> dict[str, xr.Dataset]:
        images, label = asked.images(known, n), f"{theory} {n}"
        kept = work.denoiser(f"{name} masks").state()
        energies = Masks(kept["mask_sigmas"], kept["mask_energy"], images.shape)
        found = calibrate_all(
            asked.denoiser(name),
            Masked(mask="jacobian", shared=True),
            images,
            range(FIRST_FIT, FIRST_FIT + asked.fit_seeds),
            free,
            sigmas=asked.sigmas(known, asked.fit_steps),
            fit=lambda spec: cast(Masked, spec).fit(images, masks=energies),
            progress=lambda i, n: work.runtime.progress(i, n, f"{name}: settings of {theory}"),
        )
        found.apart(range(asked.seeds))
        denoiser = cast(Masked, found.spec).fit(images, masks=energies)
        schedules = {k: cast(Schedule, getattr(found.spec, k)) for k in free}
        return predictions(denoiser, known, name, label, asked, work) | {
            "calibration": chosen(
                name,
                label,
                schedules["power"].sigmas,
                {k: v.values for k, v in schedules.items()},
            )
        }

    moves = 9 if "moved" in theory else 1
    score = moves * n * pixels**2 * 3.2e-11
    tried = len(asked.powers) / moves + len(asked.spreads) * (moves > 1)
    return Cell(
        f"{name} {theory} {n}",
        run,
        after=(f"{name} masks",),
        seconds=5 + (asked.calls(known) + asked.fit_steps * asked.fit_seeds * tried) * score,
    )


def predictions(
    denoiser: Denoiser, known: str, name: str, predictor: str, asked: Asked, work: Work
) -> dict[str, xr.Dataset]:
    """A theory's samples of the judged seeds, as a prediction of one network."""
    x = draw(denoiser, known, asked, work, f"{name}: {predictor}")
    return {
        f"{known}/predictions": cells.dataset("prediction", x, family=name, predictor=predictor)
    }


def chosen(
    name: str, predictor: str, sigmas: Sequence[float], values: dict[str, Sequence[float]]
) -> xr.Dataset:
    """The settings that were fitted, by noise level."""
    words = {
        "window": ("window of the machine", "pixel"),
        "smoothing": ("how far the neighbours of averaged scores lie", "pixel value"),
        "size": ("side of the patches", "pixel"),
        "share": ("share of the largest weight of a row that is seen", "1"),
        "power": ("power of the soft masks", "1"),
        "rho": ("spread of the moves of a source", "pixel"),
    }
    dims = ("family", "predictor", "sigma")
    variables = {
        k: (dims, np.array(v, float)[None, None], about(*words[k])) for k, v in values.items()
    }
    coordinates = {"family": [name], "predictor": [predictor], "sigma": list(sigmas)}
    return xr.Dataset(variables, coordinates)
