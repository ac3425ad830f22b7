"""From plane to faces: what each architecture was bound to draw, and what it drew."""

from dataclasses import dataclass, field, replace

import torch
import xarray as xr
from torch import Tensor

from archbias import distributions, noise, sample, seeds
from archbias.data import ImageSet
from archbias.data.plane import plane
from archbias.denoise import Denoiser, Spec
from archbias.nets.mlp import MLP
from archbias.nets.train import Train
from archbias.posteriors.ideal import Ideal
from archbias.regressions.linear import Linear
from archbias.regressions.polynomial import Polynomial
from archbias.regressions.power_features import PowerFeatures
from archbias.regressions.power_patches import PowerPatches
from archbias.store import about
from archbias.study import Cell, Images, Study, Work, cells

PLANE, IMAGES, FEW = "plane", "images", "few images"
LEFT = 10.0  # a sample with a larger value has left
SHORT = Train(steps=800, batch=64, learning_rate=1e-3)
POINT = MLP(depth=3, end="none", train=SHORT)
PICTURE = MLP(depth=3, train=SHORT)


def architectures(
    rank: int, features: int, mlp: MLP, patches: int = 0, widths: tuple = (50, 200, 1000)
) -> dict[str, Spec]:
    """Label -> spec, the same labels in the plane and on images.

    rank: of the linear denoiser. features, patches: random projections of the whole image and of a
        window; no windows where patches is 0. mlp: a network, with hidden layers of each width.
    """
    found: dict[str, Spec] = {
        "linear": Linear(),
        "linear, rank k": Linear(rank=rank),
        "polynomial": Polynomial(degree=3),
        "powers": PowerFeatures(features=features),
        "powers, as published": PowerFeatures.published(features=features),
    }
    if patches:
        found["patch powers"] = PowerPatches(features=patches)
        found["patch powers, as published"] = PowerPatches.published(features=patches)
    return found | {f"MLP {width}": replace(mlp, width=width) for width in widths}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What is fitted to what; one label is one architecture, in the plane and on images.

    points, n: the set of `archbias.data.plane`, and how many of its points.
    data: the images. few: networks are fitted to the first few of them as well.
    seeds: samples, from the same noise for every architecture.
    steps: cosine noise levels of the sampler.
    draws: points by which a law is drawn in the plane.
    plane, pictures: label -> spec.
    """

    points: str = "moons"
    n: int = 200
    data: Images = Images(n=500)
    few: int = 50
    seeds: int = 64
    steps: int = 10
    draws: int = 3000
    plane: dict[str, Spec] = field(default_factory=lambda: architectures(1, 64, POINT))
    pictures: dict[str, Spec] = field(default_factory=lambda: architectures(20, 1024, PICTURE, 64))

    @property
    def sigmas(self) -> Tensor:
        return noise.cosine(self.steps)

    def load(self, name: str) -> ImageSet:
        """One of the three training sets."""
        if name == PLANE:
            return plane(self.points, self.n)
        images = self.data.load()
        return images.subset(self.few) if name == FEW else images

    def families(self, name: str) -> dict[str, Spec]:
        """What is fitted to a training set: to the few images networks alone."""
        if name == PLANE:
            return self.plane
        return {k: v for k, v in self.pictures.items() if name == IMAGES or v.trained}

    def start(self, name: str) -> Tensor:
        """The shared noise (seeds, C, H, W)."""
        return seeds.normal(range(self.seeds), self.load(name).shape, dtype=torch.float64)


def told(denoiser: Denoiser, name: str, settings: Settings) -> tuple[str, Tensor | None, Tensor]:
    """What is known before sampling: in words, seed by seed, and in the plane as points (draws, 2),
    which on images are none.
    """
    sigmas, none = settings.sigmas, torch.empty(0, 2)
    try:
        law = distributions.generated_by(denoiser, sigmas)
    except LookupError:
        if name == PLANE and getattr(denoiser.spec, "normalize", False):
            return "a closed curve", None, curve(denoiser, sigmas, settings.draws)
        return "none known", None, none
    seen = law.sample(range(10_000, 10_000 + settings.draws)) if name == PLANE else none
    return type(law).__name__, law.push(settings.start(name)), seen.flatten(1)


def curve(denoiser: Denoiser, sigmas: Tensor, count: int) -> Tensor:
    """The curve on which a denoiser of the plane that is blind to scale ends, D(c y) = D(y) for
    c > 0: its estimates at the last noise level over all directions, (count, 2).
    """
    angle = torch.linspace(0, 2 * torch.pi, count, dtype=torch.float64)
    ring = torch.stack([angle.cos(), angle.sin()], 1)[:, :, None, None]
    return denoiser(ring, float(sigmas[-2])).flatten(1)


def predictions(name: str, settings: Settings) -> dict[str, Tensor]:
    """What the Wiener filter, the ideal denoiser and the mean make of the shared noise."""
    images, start, sigmas = settings.load(name), settings.start(name), settings.sigmas
    return {
        "Wiener": distributions.generated_by(Linear().fit(images), sigmas).push(start),
        "ideal": sample.ddim(Ideal().fit(images), start, sigmas),
        "mean image": images.images.double().mean(0).expand_as(start),
    }


def drawn(name: str, label: str, spec: Spec, settings: Settings) -> Cell:
    """One architecture on one training set: groups samples, novelty, agreement, bound and, where
    something is known before sampling, predictions or, in the plane, law; all below SET.

    A law that is a curve predicts its point nearest to the sample.
    """

    def run(work: Work) -> dict[str, xr.Dataset]:
        images, family = settings.load(name), {"family": [label]}
        denoiser = spec.fit(images, runtime=work.runtime)
        x = sample.ddim(denoiser, settings.start(name), settings.sigmas)
        stays = (x.abs() < LEFT).flatten(1).all(1)[:, None, None, None]
        x = torch.where(stays, x, torch.nan)
        words, pushed, points = told(denoiser, name, settings)
        found, known = predictions(name, settings), {}
        if pushed is not None:
            known["predictions"] = cells.dataset("prediction", pushed.float(), predictor=label)
        elif len(points):
            at = torch.cdist(x.flatten(1).nan_to_num(), points).argmin(1)
            pushed = points[at].reshape(x.shape)
        if len(points):
            value = (("family", "draw", "axis"), points.numpy()[None], about("point of the law"))
            known["law"] = xr.Dataset({"point": value}, family)
        found["own law"] = torch.full_like(x, torch.nan) if pushed is None else pushed
        bound = (("family",), [words], about("the law that is known before sampling"))
        agreed = [cells.agreements(x, p, label, k) for k, p in found.items()]
        known |= {
            "bound": xr.Dataset({"law": bound}, family),
            "agreement": xr.concat(agreed, "predictor"),
            "novelty": cells.novelty_of(x, images, label),
            "samples": cells.dataset("sample", x.float(), family=label),
        }
        return {f"{name}/{group}": ds for group, ds in known.items()}

    return Cell(f"{name}, {label}", run, seconds=60 if spec.trained else 10)


def training_points(settings: Settings) -> dict[str, xr.Dataset]:
    """The points of the plane: group plane/training."""
    points = settings.load(PLANE).images.flatten(1).numpy()
    value = (("image", "axis"), points, about("training point"))
    return {f"{PLANE}/training": xr.Dataset({"point": value})}


def grid(settings: Settings) -> list[Cell]:
    return [Cell("points", lambda work: training_points(settings))] + [
        drawn(name, label, spec, settings)
        for name in (PLANE, IMAGES, FEW)
        for label, spec in settings.families(name).items()
    ]


STUDY = Study(
    name="from_plane_to_faces",
    question="What was each architecture bound to draw, from plane to faces, and what did it draw?",
    settings=Settings(),
    cells=grid,
    presets={
        "toy": {
            "n": 40,
            "data": Images(n=40, size=8),
            "few": 10,
            "seeds": 6,
            "steps": 5,
            "plane": architectures(1, 16, replace(POINT, train=Train(steps=20)), widths=(8,)),
            "pictures": architectures(5, 32, replace(PICTURE, train=Train(steps=20)), 16, (8, 16)),
        },
        "laptop": {},
        "faces": {"data": Images(name="celeba", n=500, size=32)},
    },
)
