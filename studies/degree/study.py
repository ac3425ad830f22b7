"""The degree of a polynomial denoiser as the dial from inventing to copying: on the line, in the
plane, among images.
"""

from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from archbias import distributions, noise, sample, seeds
from archbias.data import ImageSet
from archbias.data.plane import plane
from archbias.metrics import novelty
from archbias.posteriors.ideal import Ideal
from archbias.regressions.polynomial import Polynomial
from archbias.store import about
from archbias.study import Cell, Images, Study, Work

LINE = (-0.85, -0.6, -0.15, 0.3, 0.5, 0.9)
REACH = 1.5  # half the range over which the density on the line is stored


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What is fitted.

    degrees: of the polynomial; the ideal denoiser stands for infinity.
    data: images whose leading `components` PCA coordinates, scaled into [-1, 1], are the third set;
        few, so that a polynomial can tell them apart.
    points: how many points the set in the plane has (a ring).
    seeds: samples per cell, from the same noise at every degree.
    steps: cosine noise levels of the sampler.
    pixels: points at which the density on the line is stored.
    """

    degrees: tuple[int, ...] = (1, 2, 3, 5, 7, 9)
    data: Images = Images(n=12)
    components: int = 3
    points: int = 12
    seeds: int = 2000
    steps: int = 40
    pixels: int = 1501

    def load(self, name: str) -> tuple[ImageSet, Tensor | None, Tensor | None]:
        """The set, and for images the mean and the directions (r, d) that turn coordinates into
        pictures again.
        """
        if name == "line":
            return _points(torch.tensor(LINE)[:, None], name), None, None
        if name == "plane":
            return plane("ring", self.points), None, None
        images = self.data.load().images.double()
        mean = images.mean(0)
        _, _, directions = torch.linalg.svd((images - mean).flatten(1), full_matrices=False)
        coordinates = (images - mean).flatten(1) @ directions[: self.components].T
        scale = float(coordinates.abs().max()) * 1.001
        return _points(coordinates / scale, name), mean, scale * directions[: self.components]


def _points(x: Tensor, name: str) -> ImageSet:
    return ImageSet.from_array(x.reshape(*x.shape, 1, 1), name=name)


SETS = ("line", "plane", "images")


def training_set(name: str, settings: Settings) -> Cell:
    """The points, and how far apart they are: group data."""

    def run(work: Work) -> dict[str, xr.Dataset]:
        images, mean, directions = settings.load(name)
        points = images.images.flatten(1).double()
        gaps = torch.cdist(points, points).fill_diagonal_(torch.inf).min(1).values
        found = {
            "point": (("image", "axis"), points.numpy(), about("training point")),
            "spacing": (
                (),
                float(gaps.median()),
                about("median distance between neighbouring training points"),
            ),
        }
        if mean is not None:
            found["picture"] = (
                ("image", "channel", "row", "column"),
                _pictures(points, mean, directions),
                about("training point"),
            )
        return {f"data/{name}": xr.Dataset(found)}

    return Cell(f"data {name}", run, seconds=1)


def dial(name: str, degree: int | None, settings: Settings) -> Cell:
    """Samples of one degree (None: the ideal denoiser): novelty, escape, distances to the ideal's
    samples and to the law.
    """
    label = "ideal" if degree is None else f"degree {degree}"

    def run(work: Work) -> dict[str, xr.Dataset]:
        images, mean, directions = settings.load(name)
        ideal, sigmas = Ideal().fit(images), noise.cosine(settings.steps)
        denoiser = ideal if degree is None else Polynomial(degree=degree).fit(images)
        start = seeds.normal(range(settings.seeds), images.shape, dtype=torch.float64)
        x = sample.ddim(denoiser, start, sigmas)
        law = None if degree is None else distributions.generated_by(denoiser, sigmas)
        stays = torch.ones(len(x), dtype=torch.bool) if law is None else ~law.escaped(start)
        kept = torch.where(stays[:, None, None, None], x, 0.0)
        near = novelty.nearest(kept, images.images)
        reference = sample.ddim(ideal, start, sigmas)
        apart = (kept - reference).flatten(1).norm(dim=1)
        predicted = (kept - law.push(start)).flatten(1).norm(dim=1) if law else torch.zeros(len(x))
        dims, nan = ("family", "seed"), torch.nan
        values = {
            "distance": (
                near.distance.double(),
                "distance to the nearest training point, NaN where the sample left",
            ),
            "copied": (
                near.copy.double(),
                "copy of a training point: distance ratio below 1/3, NaN where the sample left",
            ),
            "from_ideal": (apart, "distance from the ideal denoiser's sample of the same seed"),
            "from_law": (predicted, "distance from what the law predicts for the same seed"),
        }
        found = {
            k: (dims, torch.where(stays, v, nan).numpy()[None], about(text))
            for k, (v, text) in values.items()
        }
        found["escape"] = (
            ("family",),
            [0.0 if law is None else law.escape],
            about("share of trajectories that leave, from the law"),
        )
        found["sample"] = (
            (*dims, "axis"),
            torch.where(stays[:, None], x.flatten(1), nan).numpy()[None],
            about("sample"),
        )
        if name == "line" and law:
            axis = torch.linspace(-REACH, REACH, settings.pixels, dtype=torch.float64)
            density = law.log_prob(axis.reshape(-1, 1, 1, 1)).exp()
            found["density"] = (
                ("family", "x"),
                density.numpy()[None],
                about("density of the law", "1 per unit length"),
            )
            found["x"] = ("x", axis.numpy(), about("position"))
        groups = {name: xr.Dataset(found, {"family": [label], "seed": np.arange(len(x))})}
        if mean is not None:
            few = torch.where(stays[:8, None], x[:8].flatten(1), nan)
            variable = (
                ("family", "seed", "channel", "row", "column"),
                _pictures(few, mean, directions)[None],
                about("sample"),
            )
            groups["pictures"] = xr.Dataset(
                {"picture": variable}, {"family": [label], "seed": np.arange(len(few))}
            )
        return groups

    return Cell(
        f"{name}, {label}",
        run,
        after=(f"data {name}",),
        seconds=5 if degree is None else 2 * degree,
    )


def _pictures(points: Tensor, mean: Tensor, directions: Tensor) -> np.ndarray:
    return (mean + (points.double() @ directions).reshape(-1, *mean.shape)).float().numpy()


def grid(settings: Settings) -> list[Cell]:
    sets = [training_set(name, settings) for name in SETS]
    return sets + [
        dial(name, degree, settings) for name in SETS for degree in (*settings.degrees, None)
    ]


STUDY = Study(
    name="degree",
    question=(
        "At what degree does a polynomial denoiser stop inventing and start to copy, and "
        "what gets lost on the way?"
    ),
    settings=Settings(),
    cells=grid,
    presets={
        "toy": {
            "degrees": (1, 3),
            "data": Images(name="fashion_mnist", n=8, size=8),
            "points": 6,
            "seeds": 20,
            "steps": 6,
            "pixels": 51,
        },
        "laptop": {},
        "paper": {"seeds": 20_000, "steps": 100},
    },
)
