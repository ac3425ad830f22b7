"""One step of the denoiser, level by level: where along the noise does a theory leave the network?

    states    noisy images of three kinds and what the network makes of them: SET/steps, steps
    stepped   what a theory makes of the same: errors, costs, theories
    gaps      what a subset of the images loses on the same against all of them: subset

The kinds are noisy training images, noisy images the network has not seen, and states of the
network's own trajectories from judged seeds. The error of a theory is set against the Wiener
filter's on the same states: 1 says no nearer to the network than second moments lead, 0 says
the network itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from .. import sample, seeds
from ..posteriors.golden import Golden
from ..store import about
from . import Cell, Work, cells
from .crossed import Row, Theory, costs, fitted, settled, source_of, told
from .crossed.sight import levels_of

KINDS = ("training", "unseen", "trajectory")
STREAM = 700_000  # first seed of the noise that is put on images: none is judged
DIMS = ("family", "kind", "sigma", "point")


def states(row: Row, levels: int, points: int) -> Cell:
    """Noisy images of every kind, and the network's answer.

    levels: how many noise levels. points: images of each kind; as many must be held out.
    """

    def run(work: Work) -> dict[str, xr.Dataset]:
        network, sigmas = row.denoiser(work), levels_of(row, levels)
        images, unseen = row.images, row.images_of.unseen(points)
        clean = {"training": images.images[:points], "unseen": unseen.images}
        noise = seeds.normal(range(STREAM, STREAM + points), images.shape)
        y = {k: torch.stack([x + s * noise[: len(x)] for s in sigmas]) for k, x in clean.items()}
        which = range(min(points, row.seeds))
        start, told = seeds.normal(which, images.shape), row.labels(which)
        path = sample.ddim(network, start, row.sigmas, labels=told, path=True)
        places = [int((row.sigmas == s).nonzero()[0]) for s in sigmas]
        y["trajectory"] = path[places]
        labels = {"training": images.labels, "unseen": unseen.labels, "trajectory": told}
        found = []
        for number, kind in enumerate(KINDS):
            told_here = labels[kind] if row.labelled else None
            own = None if told_here is None else told_here[: y[kind].shape[1]]
            denoised = torch.empty_like(y[kind])
            for t, sigma in enumerate(sigmas.tolist()):
                denoised[t] = _call(network, y[kind][t], sigma, own)
                done = number * len(sigmas) + t + 1
                work.runtime.progress(done, len(KINDS) * len(sigmas), f"{row}: steps")
            found.append(_states(row, kind, sigmas, y[kind], denoised, own))
        return {row.group("steps"): xr.concat(found, "kind", join="outer")}

    return Cell(row.cell("steps"), run, after=(str(row),), seconds=15)


def _call(
    denoiser: Callable[..., Tensor], y: Tensor, sigma: float, labels: Tensor | None
) -> Tensor:
    with torch.no_grad():
        return denoiser(y, sigma, labels)


def _states(
    row: Row, kind: str, sigmas: Tensor, y: Tensor, denoised: Tensor, labels: Tensor | None
) -> xr.Dataset:
    dims = (*DIMS, *cells.IMAGE)
    count = y.shape[1]
    told = np.full(count, -1) if labels is None else labels.numpy()
    return xr.Dataset(
        {
            "noisy": (dims, y.numpy()[None, None], about("noisy image", "pixel value")),
            "denoised": (
                dims,
                denoised.numpy()[None, None],
                about("what the network makes of it", "pixel value in [-1, 1]"),
            ),
            "label": (("family", "kind", "point"), told[None, None], about("label told", "")),
        },
        {
            "family": [row.network],
            "kind": [kind],
            "sigma": sigmas.numpy(),
            "point": np.arange(count),
        },
    )


def stepped(row: Row, name: str, theory: Theory, *, levels: int, points: int) -> Cell:
    """A theory on the states of `states`: its distance from the network, how long it takes, and
    what it was told.
    """

    def run(work: Work) -> dict[str, xr.Dataset]:
        denoiser = fitted(theory, row, work)
        known = work.read(row.cell("steps"))[row.group("steps")].to_dataset().isel(family=0)
        error = np.full((len(KINDS), known.sizes["sigma"], known.sizes["point"]), np.nan)
        spent, images = 0.0, 0
        for k, t, sigma, y, network, labels in _visited(known, row):
            if not images:
                _call(denoiser, y[:1], sigma, None if labels is None else labels[:1])
            start = time.perf_counter()
            found = _call(denoiser, y, sigma, labels)
            spent, images = spent + time.perf_counter() - start, images + len(y)
            square = (found.double() - network.double()).square().flatten(1).mean(1)
            error[k, t, : len(y)] = square.numpy()
            done = k * known.sizes["sigma"] + t + 1
            work.runtime.progress(done, error[..., 0].size, f"{row}: steps of {name}")
        return _results(row, name, theory, known, error, spent / images, work)

    score = costs.score_seconds(theory.spec, row.images_of, row.labelled)
    after = (row.cell("steps"), *source_of(theory, row))
    seconds = 2 + score * len(KINDS) * levels * points
    return Cell(row.cell(f"steps {name}"), run, after=after, seconds=seconds)


def _results(
    row: Row,
    name: str,
    theory: Theory,
    known: xr.Dataset,
    error: np.ndarray,
    seconds: float,
    work: Work,
) -> dict[str, xr.Dataset]:
    who = {"family": [str(row)], "predictor": [name]}
    dims = ("family", "predictor", "kind", "sigma", "point")
    spec = settled(theory, row, work)
    words = {
        "told": (told(spec), "what of the network the theory is told"),
        "found": (theory.found, "how its settings were found"),
        "settings": (repr(spec), "the theory with its settings"),
    }
    described = about(
        "squared difference of theory and network after one step", "squared pixel value"
    )
    cost = about("time to denoise one image, wall clock of the machine that ran it", "s")
    return {
        "steps": xr.Dataset(
            {"step_error": (dims, error[None, None], described)},
            who | {k: known[k].values for k in ("kind", "sigma", "point")},
        ),
        "theories": xr.Dataset(
            {
                k: (("family", "predictor"), np.array([[v]]), about(n, ""))
                for k, (v, n) in words.items()
            }
            | {"score_seconds": (("family", "predictor"), [[seconds]], cost)},
            who,
        ),
    }


def gaps(row: Row, name: str, spec: Golden) -> Cell:
    """What a scan over a subset of the images loses against the full one on the states of `states`:
    root mean squared difference of the two denoised images (`GoldenDenoiser.gap`), group subset.
    """

    def run(work: Work) -> dict[str, xr.Dataset]:
        denoiser = spec.fit(row.images)
        known = work.read(row.cell("steps"))[row.group("steps")].to_dataset().isel(family=0)
        error = np.full((len(KINDS), known.sizes["sigma"], known.sizes["point"]), np.nan)
        for k, t, sigma, y, _, labels in _visited(known, row):
            error[k, t, : len(y)] = denoiser.gap(y, sigma, labels).error
        rms = "root mean squared difference of the subset's denoised image from the full scan's"
        found = (("family", "predictor", *DIMS[1:]), error[None, None], about(rms, "pixel value"))
        who = {"family": [str(row)], "predictor": [name]}
        where = {k: known[k].values for k in DIMS[1:]}
        return {"subset": xr.Dataset({"subset_error": found}, who | where)}

    return Cell(row.cell(f"gap {name}"), run, after=(row.cell("steps"),), seconds=5)


def _visited(
    known: xr.Dataset, row: Row
) -> Iterator[tuple[int, int, float, Tensor, Tensor, Tensor | None]]:
    """(number of the kind, number of the level, level, noisy images, what the network makes of
    them, labels) of every kind and level.
    """
    for k, kind in enumerate(KINDS):
        one = known.sel(kind=kind).dropna("point", how="all", subset=["noisy"])
        labels = torch.from_numpy(one["label"].values.astype(int)) if row.labelled else None
        for t, sigma in enumerate(known["sigma"].values.tolist()):
            y, network = (
                torch.from_numpy(one[v].isel(sigma=t).transpose("point", ...).values)
                for v in ("noisy", "denoised")
            )
            yield k, t, sigma, y, network, labels


def share(errors: xr.Dataset, wiener: str = "wiener") -> xr.DataArray:
    """A theory's mean squared distance from the network over the Wiener filter's, as in
    `metrics.health`: (family, predictor, kind, sigma), 0 the network itself, 1 the Wiener filter.
    """
    mean = errors["step_error"].mean("point")
    ratio = mean / mean.sel(predictor=wiener, drop=True)
    return ratio.assign_attrs(about("squared distance from the network over Wiener's"))
