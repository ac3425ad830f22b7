"""The cells a judgement adds to those of `archbias.study.crossed`.

tried       every convention the network may follow, and its error under each: trial
healthy     error by level beside the ideal denoiser's and the Wiener filter's, on training and
            unseen images, and what its answers look like: health
looked      brightness, amplitude and range of its samples: looks
copied      copies of training images among its samples: copies
repeated    duplicates in the training set: duplicates
proposed    samples of the theory its bias card proposes
blanked     another cell without what it says of unseen images, where none are known
"""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import numpy as np
import torch
import xarray as xr

from .. import copies, data
from ..data import ImageSet
from ..errors import InputError
from ..metrics import finite, health
from ..posteriors.ideal import Ideal
from ..posteriors.score_machines import BBELS
from ..regressions.linear import Linear
from ..store import about
from ..study import Cell, Work, cards
from ..study.crossed import Row, costs
from ..study.strangers.seen import looks
from .images import Held, Judged
from .settings import Settings, Subject
from .trial import TRIED

DENOISERS = ("network", "wiener", "ideal")
CARD = "read off the card"
FRACTION = 0.9  # of the Jacobian's energy, that the window of the card's proposal holds


def known(row: Row) -> Judged | Held:
    """The images of a judged network, which know whether any are unseen."""
    return cast(Judged | Held, row.images_of)


def tried(row: Row, network: Subject) -> Cell:
    """The conventions that were tried, best first."""

    def run(work: Work) -> dict[str, xr.Dataset]:
        found = network.trial()
        assert found is not None  # this cell is planned only where conventions were tried
        names = [str(way) for way in found.conventions]
        score = about("mean over levels of ln(error / that of an answer that knows nothing)")
        error = about("mean squared error per pixel on noisy images", "squared pixel value")
        scores = np.where(np.isfinite(found.scores), found.scores, np.nan)
        variables = {
            "score": (("family", "convention"), scores[None], score),
            "trial_error": (("family", "convention", "sigma"), found.errors[None], error),
        }
        coordinates = {"family": [str(row)], "convention": names, "sigma": list(TRIED)}
        return {"trial": xr.Dataset(variables, coordinates)}

    return Cell(row.cell("convention"), run, seconds=10)


def healthy(row: Row, settings: Settings, call: float) -> Cell:
    """Whether it denoises; call: seconds the network takes for an image."""

    def run(work: Work) -> dict[str, xr.Dataset]:
        images, network = row.images, row.denoiser(work)
        count = min(settings.health_images, max(1, len(images) // 4))
        sigmas = _levels(row, settings.health_levels)
        # the filter has not seen the training images it is judged on, the ideal denoiser has
        rest = ImageSet.from_array(images.images[count:])
        kinds = {"training": (images.subset(count), rest)}
        if known(row).knows_unseen:
            kinds["unseen"] = (row.images_of.unseen(count), images)
        errors = np.full((len(kinds), len(DENOISERS), len(sigmas), count), np.nan)
        for k, (judged, told) in enumerate(kinds.values()):
            labels = judged.labels if row.labelled else None
            found = health.beside(
                network,
                Ideal().fit(images),
                Linear().fit(told),
                judged.images,
                sigmas,
                labels=labels,
            )
            for d, name in enumerate(DENOISERS):
                errors[k, d, :, : len(judged)] = getattr(found, name).numpy()
            work.runtime.progress(k + 1, len(kinds) + 1, f"{row}: health")
        return {"health": _health(row, list(kinds), sigmas.tolist(), errors, images)}

    kinds = 1 + known(row).knows_unseen
    seconds = 3 + kinds * settings.health_levels * settings.health_images * (call + 2e-3)
    return Cell(row.cell("health"), run, seconds=seconds)


def _levels(row: Row, count: int) -> torch.Tensor:
    """Levels of the sampler's range, evenly spread in ln sigma, decreasing."""
    high, low = row.sigmas[[0, -2]].tolist()
    sigmas = torch.logspace(np.log10(high), np.log10(low), count, dtype=torch.float64)
    return sigmas.clamp(low, high)  # rounding must not leave the trained range


def _health(
    row: Row, kinds: list[str], sigmas: list[float], errors: np.ndarray, images: ImageSet
) -> xr.Dataset:
    x = images.images.double()
    variance = float((x - x.mean(0)).square().mean())
    nothing = np.minimum(np.square(sigmas), variance)
    dims = ("family", "kind", "denoiser", "sigma", "image")
    error = about("squared error per pixel on a noisy image", "squared pixel value")
    knows = about("error of the noisy image or the mean image, the lesser", "squared pixel value")
    return xr.Dataset(
        {
            "error": (dims, errors[None], error),
            "nothing": (("family", "sigma"), nothing[None], knows),
        },
        {
            "family": [str(row)],
            "kind": kinds,
            "denoiser": list(DENOISERS),
            "sigma": sigmas,
            "image": np.arange(errors.shape[-1]),
        },
    )


def looked(row: Row) -> Cell:
    """Whether its samples have the brightness, the amplitude and the range of images."""

    def run(work: Work) -> dict[str, xr.Dataset]:
        x, images = row.samples(work), row.images.images
        found = health.range_of(x)
        words = {
            "low": ("least pixel of the samples", "pixel value"),
            "high": ("largest pixel of the samples", "pixel value"),
            "saturated": ("share of pixels at -1, at 1 or beyond", "1"),
            "beyond": ("root mean square by which pixels leave [-1, 1]", "pixel value"),
            "finite": ("share of samples that are finite", "1"),
        }
        variables = {k: (("family",), [getattr(found, k)], about(*v)) for k, v in words.items()}
        own = looks(x, images, str(row))
        return {"looks": own.merge(xr.Dataset(variables, {"family": [str(row)]}))}

    return Cell(row.cell("looks"), run, after=(str(row),), seconds=1)


def copied(row: Row) -> Cell:
    """Which samples copy a training image, against new images of the same source. Samples are
    compared as they would be saved, clipped to [-1, 1].
    """

    def run(work: Work) -> dict[str, xr.Dataset]:
        x = row.samples(work)
        new = row.images_of.unseen(1000) if known(row).knows_unseen else None
        enough = new is not None and len(new) >= copies.LEAST
        kept = finite.kept(x)
        p, copy, novelty = (np.full(len(x), np.nan) for _ in range(3))
        try:
            samples = ImageSet.from_array(kept.images.clamp(-1, 1))
            found = copies.of(samples, row.images, new if enough else None)
            said = found.sentence()
            columns = (found.p, found.copy, found.novelty)
            for values, column in zip((p, copy, novelty), columns, strict=True):
                values[kept.rows.numpy()] = column.double().numpy()
        except InputError as error:
            said = f"whether samples are copies is not known: {error}"
        dims = ("family", "seed")
        p_words = about("share of new images whose distance ratio is as low")
        return {
            "copies": xr.Dataset(
                {
                    "p": (dims, p[None], p_words),
                    "copied": (dims, copy[None], about("copy by that share")),
                    "novel": (dims, novelty[None], about("share of new images that are nearer")),
                    "sentence": (("family",), [said], about("finding", "")),
                },
                {"family": [str(row)], "seed": np.arange(len(x))},
            )
        }

    return Cell(row.cell("copies"), run, after=(str(row),), seconds=3)


def repeated(row: Row) -> Cell:
    """Duplicates in the training set."""

    def run(work: Work) -> dict[str, xr.Dataset]:
        found = data.duplicates(row.images)
        extra = about("images that repeat another one", "1")
        variables = {
            "extra": (("set",), [found.extra], extra),
            "finding": (("set",), [found.finding], about("finding", "")),
        }
        return {"duplicates": xr.Dataset(variables, {"set": [row.set]})}

    n = row.images_of.n
    return Cell(f"{row.set} duplicates", run, seconds=1 + 2e-7 * n * n)


def proposed(row: Row, fraction: float = FRACTION) -> Cell:
    """What the theory that the bias card proposes makes of the judged seeds."""

    def run(work: Work) -> dict[str, xr.Dataset]:
        spec = cards.proposed(row, fraction, work)
        x = row.draw(spec.fit(row.images), work, f"{row}: {CARD}", steps=row.steps)
        return row.prediction(CARD, x)

    score = costs.score_seconds(BBELS(), row.images_of, row.labelled)
    seconds = 1 + row.steps * row.seeds * score
    return Cell(row.cell(CARD), run, after=(row.cell("card"),), seconds=seconds)


def blanked(row: Row, cell: Cell) -> Cell:
    """The cell as it is where unseen images are known; else NaN in what it says of them."""
    if known(row).knows_unseen:
        return cell

    def run(work: Work) -> dict[str, xr.Dataset]:
        groups = cell.run(work)
        for name, ds in groups.items():
            if "kind" in ds.dims:
                floats = [v for v in ds if ds[v].dtype.kind == "f" and "kind" in ds[v].dims]
                known = ds["kind"] != "unseen"
                groups[name] = ds.assign({v: ds[v].where(known) for v in floats})
            elif "memory" in ds:
                groups[name] = ds.assign(memory=ds["memory"] * np.nan)
        return groups

    return replace(cell, run=run)
