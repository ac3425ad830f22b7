"""The cells most studies are made of: fit and sample a family, predict, compare.

    sampled     spec -> samples from shared seeds, their novelty, the training record
    predicted   spec -> the samples a theory makes of the same noise
    mean_image  the trivial prediction
    law_of      family -> its closed-form law: mean, variances, the push of the same noise
    compared    family x predictors -> agreement, one value per seed

A study's settings extend `Settings`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from .. import distributions, noise, sample, seeds
from ..data import ImageSet
from ..denoise import Denoiser, Runtime, Spec
from ..errors import InputError
from ..metrics import agreement, finite, novelty
from ..store.open import variable
from . import Cell, Images, Work

IMAGE = ("channel", "row", "column")
MODES = 100  # principal directions of the data whose variance is stored
TRAINING = 0.9  # of a network's estimated cost; sampling takes the rest


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What every comparison of families varies.

    data: the images all families are fitted to.
    seeds: seeds 0..seeds-1 start the samples that are stored and compared.
    variance_seeds: further seeds, for the variance of samples along the data's principal
        directions; 0 for none.
    steps, schedule: the noise levels of the DDIM sampler.
    families: label -> spec.
    """

    data: Images = Images()
    seeds: int = 16
    variance_seeds: int = 0
    steps: int = 20
    schedule: str = "cosine"
    families: dict[str, Spec] = field(default_factory=dict)

    def __post_init__(self) -> None:
        noise.schedule(self.schedule, self.steps)  # complains before anything runs
        if self.seeds < 1:
            raise InputError(
                f"wanted at least one seed to sample from, got seeds={self.seeds}; 16 is usual"
            )
        if self.variance_seeds < 0 or self.variance_seeds == 1:
            raise InputError(
                f"a variance wants at least 2 seeds, got variance_seeds={self.variance_seeds}; 0 "
                "leaves it out"
            )

    @property
    def sigmas(self) -> Tensor:
        return noise.schedule(self.schedule, self.steps)

    def start(self, images: ImageSet, device: str = "cpu") -> Tensor:
        """The shared starting noise (seeds, C, H, W)."""
        return seeds.normal(range(self.seeds), images.shape, device=device)


def sampled(label: str, spec: Spec, settings: Settings, *, seconds: float = 5.0) -> Cell:
    """Fit `spec` and sample the shared seeds: groups samples, novelty and, where they apply,
    training and spectrum.
    """

    def run(work: Work) -> dict[str, xr.Dataset]:
        images = settings.data.load()
        denoiser = spec.fit(images, runtime=work.runtime)
        if spec.trained:
            work.save(label, denoiser, images)
        x = draw(denoiser, settings, images, work.runtime, f"{label}: sampling")
        groups = {
            "samples": dataset("sample", x, family=label),
            "novelty": novelty_of(x, images, label),
        }
        if settings.variance_seeds and len(images) > 1:  # one image varies in no direction
            more = range(1_000_000, 1_000_000 + settings.variance_seeds)
            many = draw(denoiser, settings, images, work.runtime, f"{label}: variances", more)
            groups["spectrum"] = variances(many, settings, label)
        return groups | training(denoiser, label)

    if not spec.trained:
        return Cell(label, run, seconds=seconds)
    return Cell(
        label, run, seconds=seconds, trains=spec, training=TRAINING * seconds, resources={"gpu": 1}
    )


def predicted(label: str, spec: Spec, settings: Settings, *, seconds: float = 5.0) -> Cell:
    """What a theory's denoiser makes of the shared seeds: group predictions."""

    def run(work: Work) -> dict[str, xr.Dataset]:
        images = settings.data.load()
        x = draw(
            spec.fit(images, runtime=work.runtime),
            settings,
            images,
            work.runtime,
            f"{label}: predicting",
        )
        return {"predictions": dataset("prediction", x, predictor=label)}

    return Cell(f"predict-{label}", run, seconds=seconds)


def mean_image(settings: Settings) -> Cell:
    """The same prediction for every seed, the mean training image: the floor of every agreement."""

    def run(work: Work) -> dict[str, xr.Dataset]:
        mean = settings.data.load().images.double().mean(0).float()
        return {
            "predictions": dataset(
                "prediction", mean.expand(settings.seeds, *mean.shape), predictor="mean image"
            )
        }

    return Cell("predict-mean image", run, seconds=0.5)


def law_of(label: str, spec: Spec, settings: Settings, *, seconds: float = 5.0) -> Cell:
    """The closed-form law of a family: groups distributions, spectrum and predictions (push)."""

    def run(work: Work) -> dict[str, xr.Dataset]:
        images = settings.data.load()
        law = distributions.generated_by(denoiser_of(work, label, spec, images), settings.sigmas)
        directions, _ = principal(settings.data)
        along = (directions * law.covariance.matmul(directions)).sum(1)
        mean = xr.Dataset({"mean": (("law", *IMAGE), law.mean.numpy()[None])}, {"law": [label]})
        spectrum = xr.Dataset(
            {"law_variance": (("law", "mode"), along.numpy()[None])},
            {"law": [label], "mode": np.arange(1, len(along) + 1)},
        )
        pushed = law.push(settings.start(images).double()).float()
        predictions = dataset("prediction", pushed, predictor=f"{label} law")
        groups = {"distributions": mean, "predictions": predictions}
        return groups | ({"spectrum": spectrum} if len(along) else {})

    return Cell(f"law-{label}", run, after=(label,) if spec.trained else (), seconds=seconds)


def compared(label: str, predictors: Iterable[Cell], settings: Settings) -> Cell:
    """Agreement of a family's samples with every prediction, seed by seed: group agreement."""
    sources = [c.name for c in predictors]

    def run(work: Work) -> dict[str, xr.Dataset]:
        x = torch.from_numpy(variable(work.read(label), "samples/sample").values[0])
        parts = []
        for source in sources:
            group = work.read(source).to_dict()["/predictions"]
            for name in group.predictor.values.tolist():
                parts.append(
                    agreements(
                        x,
                        torch.from_numpy(group.prediction.sel(predictor=name).values),
                        label,
                        name,
                    )
                )
        return {"agreement": xr.concat(parts, "predictor")}

    return Cell(f"compare-{label}", run, after=(label, *sources), seconds=0.5)


def draw(
    denoiser: Denoiser,
    settings: Settings,
    images: ImageSet,
    runtime: Runtime,
    note: str,
    which: Iterable[int] | None = None,
    labels: Tensor | None = None,
) -> Tensor:
    """DDIM samples of the shared (or the given) seeds, on the CPU."""
    start = (
        settings.start(images, runtime.device)
        if which is None
        else seeds.normal(which, images.shape, device=runtime.device)
    )
    return sample.ddim(
        denoiser,
        start,
        settings.sigmas,
        labels=labels,
        batch=64,
        progress=lambda i, n: runtime.progress(i, n, note),
    ).cpu()


def denoiser_of(work: Work, label: str, spec: Spec, images: ImageSet) -> Denoiser:
    """A finished cell's denoiser: trained ones are read, closed forms are fitted again."""
    return work.denoiser(label) if spec.trained else spec.fit(images, runtime=work.runtime)


def dataset(variable: str, x: Tensor, **labels: str) -> xr.Dataset:
    """Images (seed, channel, row, column) as a labelled variable; seeds count from 0."""
    values = x.numpy()[(None,) * len(labels)]
    coordinates = {k: [v] for k, v in labels.items()} | {"seed": np.arange(len(x))}
    return xr.Dataset({variable: ((*labels, "seed", *IMAGE), values)}, coordinates)


def novelty_of(x: Tensor, images: ImageSet, label: str) -> xr.Dataset:
    """Distance to the nearest training image, per seed, and that image; NaN and no name for a
    sample that is not finite.
    """
    near = novelty.nearest(x, images.images)
    dims, known = ("family", "seed"), near.index >= 0
    pictures = images.images[near.index].masked_fill(~known[:, None, None, None], torch.nan)
    names = [images.ids[i] if i >= 0 else "" for i in near.index.tolist()]
    return xr.Dataset(
        {
            "distance": (dims, near.distance.numpy()[None]),
            "distance_ratio": (dims, near.ratio.numpy()[None]),
            "nearest_id": (dims, np.array([names])),
            "copy": (dims, near.copy.numpy()[None]),
            "nearest_image": ((*dims, *IMAGE), pictures.numpy()[None]),
        },
        {"family": [label], "seed": np.arange(len(x))},
    )


def agreements(x: Tensor, prediction: Tensor, label: str, predictor: str) -> xr.Dataset:
    """All agreement measures of one family with one prediction, one value per seed."""
    dims = ("family", "predictor", "seed")
    return xr.Dataset(
        {
            name: (dims, measure(x, prediction).numpy()[None, None])
            for name, measure in agreement.METRICS.items()
        },
        {"family": [label], "predictor": [predictor], "seed": np.arange(len(x))},
    )


@lru_cache(maxsize=2)
def principal(images: Images) -> tuple[Tensor, Tensor]:
    """The data's leading principal directions (modes, d) and its variance along them (modes,),
    float64.
    """
    x = images.load().images.double().flatten(1)
    values, directions = torch.linalg.svd(x - x.mean(0), full_matrices=False)[1:]
    modes = min(MODES, len(x) - 1)
    return directions[:modes], values[:modes] ** 2 / len(x)


def variances(x: Tensor, settings: Settings, label: str) -> xr.Dataset:
    """Variance of samples and of the data along the data's principal directions.

    `mode_variance` is taken about the samples' own mean with n - 1, so for a Gaussian law of
    variance v it is distributed as v chi^2_{n-1} / (n - 1); `data_variance` is the training set's
    (division by N), what the laws are made of.
    """
    directions, of_data = principal(settings.data)
    x = finite.kept(x).images
    along = x.double().flatten(1) @ directions.T
    spread = along.var(0) if len(x) > 1 else along.new_full((len(directions),), torch.nan)
    return xr.Dataset(
        {
            "mode_variance": (("family", "mode"), spread.numpy()[None]),
            "data_variance": (("mode",), of_data.numpy()),
            "n_variance": (("family",), np.array([len(x)])),
        },
        {"family": [label], "mode": np.arange(1, len(directions) + 1)},
    )


def training(denoiser: Denoiser, label: str) -> dict[str, xr.Dataset]:
    """The training record of a trained denoiser as group training; nothing for a closed form."""
    history = getattr(denoiser, "history", None)
    if not history:
        return {}
    return {
        "training": xr.Dataset(
            {"loss": (("family", "step"), history["loss"].double().numpy()[None])},
            {"family": [label], "step": history["step"].numpy()},
        )
    }
