"""Five sets of points, the same noise, six architectures: what each generates, and the law that
predicted it.
"""

from dataclasses import dataclass, field

import numpy as np
import torch
import xarray as xr

from archbias import distributions, noise, sample, seeds
from archbias.data.plane import SHAPES, plane
from archbias.denoise import Spec, score_of
from archbias.distributions import flow
from archbias.metrics import novelty
from archbias.nets.mlp import MLP
from archbias.nets.train import Train
from archbias.posteriors.ideal import Ideal
from archbias.regressions.bottleneck import Bottleneck
from archbias.regressions.linear import Linear
from archbias.regressions.polynomial import Polynomial
from archbias.store import about
from archbias.study import Cell, Study, Work

REACH = 1.35  # half the side of the square that is drawn


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What is fitted, and how finely it is looked at.

    targets: sets of archbias.data.plane, `n` points each.
    seeds: samples per panel, from the same noise everywhere.
    steps: cosine noise levels of the sampler.
    pixels, arrows: grid points along a side for the density, and for the field.
    level: noise level of the field.
    families: label -> spec.
    """

    targets: tuple[str, ...] = tuple(SHAPES)
    n: int = 500
    seeds: int = 600
    steps: int = 40
    pixels: int = 121
    arrows: int = 15
    level: float = 0.3
    families: dict[str, Spec] = field(
        default_factory=lambda: {
            "linear": Linear(),
            "cubic": Polynomial(degree=3),
            "degree 7": Polynomial(degree=7),
            "one number, linear": Bottleneck(kind="linear", rank=1),
            "one number, trained": MLP.plane(1),
            "ideal": Ideal(),
        }
    )


def target(name: str, settings: Settings) -> Cell:
    """The points everything is fitted to: group data."""

    def run(work: Work) -> dict[str, xr.Dataset]:
        points = plane(name, settings.n).images.flatten(1).numpy()
        variable = (("target", "image", "axis"), points[None], about("training point"))
        return {
            "data": xr.Dataset(
                {"point": variable},
                {"target": [name], "image": np.arange(len(points)), "axis": ["x", "y"]},
            )
        }

    return Cell(f"data {name}", run, seconds=1)


def generated(name: str, label: str, spec: Spec, settings: Settings) -> Cell:
    """Samples and their novelty, the law's density and escape where a law is known, the score field
    at one level.
    """

    def run(work: Work) -> dict[str, xr.Dataset]:
        images = plane(name, settings.n)
        denoiser = spec.fit(images, runtime=work.runtime)
        start = seeds.normal(range(settings.seeds), images.shape, dtype=torch.float64)
        sigmas = noise.cosine(settings.steps)
        x = sample.ddim(denoiser, start, sigmas)
        stays = x.isfinite().flatten(1).all(1) & (x.abs().flatten(1).amax(1) < 10)
        near = novelty.nearest(torch.where(stays[:, None, None, None], x, 0.0), images.images)
        density, escape = law(denoiser, sigmas, settings)
        labels = {"target": [name], "family": [label]}
        dims = ("target", "family")
        distance = torch.where(stays, near.distance.double(), torch.nan).numpy()
        return {
            "points": xr.Dataset(
                {
                    "sample": (
                        (*dims, "seed", "axis"),
                        x.flatten(1).numpy()[None, None],
                        about("sample from the denoiser"),
                    ),
                    "distance": (
                        (*dims, "seed"),
                        distance[None, None],
                        about("distance to the nearest training point"),
                    ),
                    "escape": (
                        dims,
                        np.array([[escape]]),
                        about("share of trajectories that leave, from the law"),
                    ),
                },
                labels | {"seed": np.arange(len(x)), "axis": ["x", "y"]},
            ),
            "densities": xr.Dataset(
                {
                    "density": (
                        (*dims, "y", "x"),
                        density.numpy()[None, None],
                        about("density of the generated law", "1 per unit area"),
                    )
                },
                labels | {"y": _axis("y", settings.pixels), "x": _axis("x", settings.pixels)},
            ),
            "fields": xr.Dataset(
                {
                    "field": (
                        (*dims, "v", "u", "axis"),
                        arrows(denoiser, settings)[None, None],
                        about("score", "1 per unit length"),
                    )
                },
                labels
                | {
                    "v": _axis("v", settings.arrows),
                    "u": _axis("u", settings.arrows),
                    "axis": ["x", "y"],
                },
            ),
        }

    return Cell(f"{name}, {label}", run, seconds=90 if spec.trained else 15)


def law(denoiser, sigmas: torch.Tensor, settings: Settings) -> tuple[torch.Tensor, float]:
    """The density on the grid (y, x), NaN where no density in the plane is known; and the escape
    fraction.
    """
    nothing = torch.full((settings.pixels, settings.pixels), torch.nan, dtype=torch.float64)
    try:
        found = distributions.generated_by(denoiser, sigmas)
    except LookupError:
        return nothing, float("nan")
    if isinstance(denoiser.spec, Bottleneck | Ideal):
        return nothing, 0.0  # on a line, or on points
    density = found.log_prob(_grid(settings.pixels)).exp().reshape(settings.pixels, settings.pixels)
    return density, found.escape if isinstance(found, flow.FlowLaw) else 0.0


def arrows(denoiser, settings: Settings) -> np.ndarray:
    """(D - y) / sigma^2 on a coarse grid: (v, u, axis)."""
    y = _grid(settings.arrows)
    with torch.no_grad():
        score = score_of(denoiser(y, settings.level), y, settings.level)
    return score.reshape(settings.arrows, settings.arrows, 2).numpy()


def _grid(count: int) -> torch.Tensor:
    """Points of the square, row by row: (count * count, 2, 1, 1), x in channel 0."""
    axis = torch.linspace(-REACH, REACH, count, dtype=torch.float64)
    return torch.cartesian_prod(axis, axis).flip(1).reshape(-1, 2, 1, 1)


def _axis(dimension: str, count: int) -> tuple:
    return dimension, np.linspace(-REACH, REACH, count), about("position")


def grid(settings: Settings) -> list[Cell]:
    return [target(name, settings) for name in settings.targets] + [
        generated(name, label, spec, settings)
        for name in settings.targets
        for label, spec in settings.families.items()
    ]


STUDY = Study(
    name="plane",
    question=(
        "From the same five sets of points and the same noise, what does each architecture "
        "generate?"
    ),
    settings=Settings(),
    cells=grid,
    presets={
        "toy": {
            "targets": ("moons",),
            "n": 60,
            "seeds": 40,
            "steps": 6,
            "pixels": 11,
            "arrows": 5,
            "families.one number, trained": MLP(
                width=(16, 1, 16), activation="leaky_relu", end="none", train=Train(steps=20)
            ),
        },
        "laptop": {},
        "paper": {"n": 2000, "seeds": 5000, "steps": 100, "pixels": 241},
    },
)
