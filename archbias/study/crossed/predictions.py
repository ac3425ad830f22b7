"""What theories make of the noise a network starts from, and how far the two agree.

    predicted   row x theory -> its samples of the judged seeds        SET/predictions
    reference   set x theory -> the same where no network is asked     SET/references
    compared    row x all of these -> agreement, one value per seed    agreement

A reference is computed once for all networks of a set: the mean image, the Wiener filter, the
ideal denoiser. They are what a theory of the network has to be better than.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from ...denoise import Spec
from ...metrics import agreement
from ...metrics.regions import masked_r, regions
from ...store import about
from .. import Cell, Work, cells
from . import costs
from .rows import Row, theory_of, with_label
from .theories import Theory, fitted, source_of

ANOTHER_SEED = "another seed"
Measure = Callable[[Row, Tensor, Mapping[str, Tensor]], dict[str, xr.Dataset]]


def predicted(row: Row, name: str, theory: Theory) -> Cell:
    """What a theory makes of the judged seeds."""

    def run(work: Work) -> dict[str, xr.Dataset]:
        x = row.draw(fitted(theory, row, work), work, f"{row}: {name}", steps=row.steps)
        return row.prediction(name, x)

    scores = row.steps * row.seeds * costs.score_seconds(theory.spec, row.images_of, row.labelled)
    return Cell(row.cell(name), run, after=source_of(theory, row), seconds=1 + scores)


def reference(row: Row, name: str, spec: Spec | None = None) -> Cell:
    """A prediction that knows no network of the row's set: a theory's, or the mean image of the
    seed's label.
    """

    def run(work: Work) -> dict[str, xr.Dataset]:
        if spec is None:
            x = mean_images(row)
        else:
            theory = theory_of(spec, row.images, row.labelled)
            x = row.draw(theory, work, f"{row.set}: {name}", steps=row.steps)
        return {row.group("references"): cells.dataset("prediction", x, predictor=name)}

    score = costs.score_seconds(spec, row.images_of, row.labelled) if spec else 0.0
    return Cell(f"{row.set} {name}", run, seconds=3 + row.steps * row.seeds * score)


def mean_images(row: Row) -> Tensor:
    """The mean training image for every judged seed, of its label where one is told."""
    images, labels = row.images, row.labels(range(row.seeds))
    if labels is None:
        return _mean(images.images).expand(row.seeds, *images.shape)
    means = {k: _mean(with_label(images, k).images) for k in labels.unique().tolist()}
    return torch.stack([means[k] for k in labels.tolist()])


def _mean(images: Tensor) -> Tensor:
    return images.double().mean(0).float()


def compared(
    row: Row,
    predictors: Sequence[Cell],
    *,
    networks: Mapping[str, Row] | None = None,
    another_seed: bool = True,
    also: Sequence[Measure] = (),
) -> Cell:
    """Agreement of a network's samples with every prediction, seed by seed.

    Args:
        predictors: cells of predictions and references; names of the row's own come without its
            label.
        networks: other rows whose samples are compared too, by the name of the comparison.
        another_seed: add the sample of the next seed, which shares all but the noise.
        also: further measures, called as also(row, samples, predictions by name) -> groups.
    """
    others = dict(networks or {})
    names = tuple(cell.name for cell in predictors)

    def run(work: Work) -> dict[str, xr.Dataset]:
        x = row.samples(work)
        found = {name: p for cell in names for name, p in predictions_of(work, cell, row)}
        found |= {name: other.samples(work) for name, other in others.items()}
        if another_seed:
            found[ANOTHER_SEED] = x.roll(-1, 0)
        parts = [cells.agreements(x, p, str(row), name) for name, p in found.items()]
        groups = {"agreement": xr.concat(parts, "predictor", join="outer")}
        for measure in also:
            groups |= measure(row, x, found)
        return groups

    after = dict.fromkeys((str(row), *names, *map(str, others.values())))
    return Cell(row.cell("compare"), run, after=tuple(after), seconds=1)


def predictions_of(work: Work, cell: str, row: Row) -> Iterator[tuple[str, Tensor]]:
    """(name, images) of a cell's predictions, whether they are the row's own or its set's."""
    groups = work.read(cell)
    for name in ("predictions", "references"):
        if f"/{row.group(name)}" in groups.groups:
            values = groups[row.group(name)].to_dataset()["prediction"]
            for predictor in values["predictor"].values.tolist():
                one = values.sel(predictor=predictor).values
                label = predictor.removeprefix(f"{row.network}: ")
                yield label, torch.from_numpy(one.reshape(one.shape[-4:]))


def by_region(row: Row, x: Tensor, found: Mapping[str, Tensor]) -> dict[str, xr.Dataset]:
    """Pearson r within the centre, border, foreground and background of the network's sample:
    regions, SET/regions.
    """
    masks = regions(x)
    values = [[masked_r(x, p, mask).numpy() for mask in masks.values()] for p in found.values()]
    seeds = np.arange(len(x))
    by_predictor = xr.Dataset(
        {
            "region_r": (
                ("family", "predictor", "region", "seed"),
                np.array(values)[None],
                about("Pearson correlation within a region"),
            )
        },
        {
            "family": [str(row)],
            "predictor": list(found),
            "region": list(masks),
            "seed": seeds,
        },
    )
    inside = about("pixel of the foreground of the network's sample", "")
    pixels = ("family", "seed", "row", "column")
    foreground = xr.Dataset(
        {"foreground": (pixels, masks["foreground"].numpy()[None], inside)},
        {"family": [row.network], "seed": seeds},
    )
    return {"regions": by_predictor, row.group("regions"): foreground}


def by_band(predictor: str) -> Measure:
    """Pearson r with one prediction by octave of spatial frequency: group bands."""

    def measure(row: Row, x: Tensor, found: Mapping[str, Tensor]) -> dict[str, xr.Dataset]:
        bands = agreement.per_band(agreement.pearson_r, x, found[predictor])
        described = about("Pearson correlation by octave of spatial frequency")
        octaves = xr.Dataset(
            {"band_r": (("family", "seed", "band"), bands.numpy()[None], described)},
            {
                "family": [str(row)],
                "seed": np.arange(len(x)),
                "band": np.arange(bands.shape[1]),
            },
        )
        return {"bands": octaves}

    return measure
