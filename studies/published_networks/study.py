"""Networks that nobody here trained: which exact theory predicts, seed by seed, what they draw?

For every published network (`archbias.networks`): is it a denoiser at all, how far does it look,
what does it draw; then what the theories make of the same noise, told more and more of its
training images.

    health       error by level, between the ideal denoiser's and the Wiener filter's; brightness
    window       how far its Jacobian reaches, what it does under translations and scaling
    masks        the energy of its Jacobian, for the theories that are told it
    NET THEORY N the theory fitted to N training images, calibrated on seeds that are not judged
    compare      agreement with all of these, with floors, and with the other networks of the set
"""

from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache

import torch
from torch import Tensor, nn

from archbias import data, networks, noise
from archbias.data import ImageSet
from archbias.errors import InputError
from archbias.networks.blind_cnn import BlindCNN
from archbias.networks.denoiser import Published, PublishedDenoiser
from archbias.networks.time_cnn import TimeCNN
from archbias.study import Cell, Study, strangers
from archbias.study.strangers import REFERENCES

STAND_IN = "stand-in"  # networks of that name are drawn at random


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What is asked of which networks.

    sets: training set -> its networks, names of `archbias.networks`; one that starts with
        "stand-in" is a tiny network of random weights on bundled garments.
    counts: training set -> numbers of its images that theories are told. more: further numbers for
        the theories that cost nothing: ideal, its subset scan `golden`, Wiener filter.
    counted: theory -> the largest number it is told; a theory that is not named gets all counts.
    weights, mnist, celeba: folders of the weight files and of the images (`--set weights=DIR`).
    windows: networks whose window alone is measured.
    seeds: seeds 0..seeds-1 are judged. steps, schedule: the sampler of networks and theories, as
        far as the networks of a set were trained at its levels.
    fit_seeds, fit_steps: other seeds a theory's setting is fitted on, and noise levels.
    scales, powers, spreads: candidates: windows of ls and bbels, powers of soft masks, pixels by
        which sources may be moved.
    health_levels, health_images: noise levels, and training images judged at each.
    mask_levels, mask_points: noise levels of measured masks, and images at each.
    """

    sets: dict[str, tuple[str, ...]] = field(
        default_factory=lambda: {
            "mnist": ("mnist-cnn", "mnist-transformer", "mnist-unet"),
            "faces": ("celeba40-blind-cnn",),
        }
    )
    counts: dict[str, tuple[int, ...]] = field(
        default_factory=lambda: {"mnist": (1000, 6000), "faces": (1000, 4000)}
    )
    more: dict[str, tuple[int, ...]] = field(
        default_factory=lambda: {"mnist": (60_000,), "faces": ()}
    )
    counted: dict[str, int] = field(
        default_factory=lambda: {
            "bbels": 1000,
            "jacobian, moved": 1000,
            "wiener masks": 1000,
            "wiener masks, calibrated": 1000,
            "patch composites": 1000,
        }
    )
    weights: str | None = None
    mnist: str | None = None
    celeba: str | None = None
    windows: tuple[str, ...] = tuple(f"celeba160-blind-cnn-window{w}" for w in (5, 9, 13, 23, 43))
    seeds: int = 64
    steps: int = 20
    schedule: str = "cosine"
    fit_seeds: int = 4
    fit_steps: int = 10
    scales: tuple[int, ...] = (3, 5, 7, 9, 13, 17, 23)
    powers: tuple[float, ...] = (0.15, 0.25, 0.35, 0.5, 0.7, 1.0)
    spreads: tuple[float, ...] = (0.0, 0.5, 1.0)
    health_levels: int = 8
    health_images: int = 64
    mask_levels: int = 8
    mask_points: int = 1

    def __post_init__(self):
        noise.schedule(self.schedule, self.steps)

    def denoiser(self, name: str, size: int | None = None) -> PublishedDenoiser:
        """A network; told no label where it has classes."""
        if name.startswith(STAND_IN):
            return stand_in(name, size or 12)
        return networks.load(name, root=self.weights, size=size, conditional=False)

    def images(self, known: str, n: int) -> ImageSet:
        """The first n training images of a set, as its networks saw them."""
        name = self.sets[known][0]
        if name.startswith(STAND_IN):
            return _garments(n)
        root = self.celeba if name.startswith("celeba") else self.mnist
        return _images(name, root, n)

    def hashes(self) -> dict[str, str]:
        """sha256 of the images of every set at hand, by label: a run that goes on checks them."""
        found = {}
        for known in self.sets:
            with suppress(InputError):  # the cells of a set that is not at hand say so
                found[known] = self.images(known, max(self.counts[known])).hash
        return found

    def sigmas(self, known: str, steps: int) -> Tensor:
        """The schedule as far as all networks of a set were trained at its levels."""
        ranges = [self.denoiser(name).levels for name in self.sets[known]]
        common = max(low for low, _ in ranges), min(high for _, high in ranges)
        return noise.within(noise.schedule(self.schedule, steps), common)

    def calls(self, known: str) -> int:
        """About how many scores a theory is asked for: networks on faces start at sigma 2."""
        return round(self.seeds * self.steps * (0.75 if known == "faces" else 1))

    def told(self, known: str, theory: str) -> tuple[int, ...]:
        """The numbers of images a theory is told."""
        most = self.counted.get(theory, max(self.counts[known]))
        return tuple(n for n in self.counts[known] if n <= most)


@lru_cache(maxsize=4)
def _images(name: str, root: str | None, n: int) -> ImageSet:
    return networks.images(name, root=root, n=n)


@lru_cache(maxsize=4)
def _garments(n: int) -> ImageSet:
    return data.load("fashion_mnist", n=n, size=12)


def stand_in(name: str, side: int) -> PublishedDenoiser:
    """A tiny network of random weights: blind where the name says so, told the time otherwise."""
    with torch.random.fork_rng():
        torch.manual_seed(sum(name.encode()))
        module: nn.Module = BlindCNN((1, 4, 4, 1), (3, 1, 3))
        levels = (0.0, 2.0)
        if "blind" not in name:
            module = TimeCNN((1, 4, 4), (3, 3, 3), (side, side), (8, 8, 4), 20)
            module.abar.copy_((1 - torch.linspace(1e-4, 0.6, 21)).cumprod(0))
            module.frequencies.copy_(torch.arange(4))
            levels = (0.02, 100.0)
    spec = Published(network=name, sha256="0" * 64)
    return PublishedDenoiser(spec, module.eval().requires_grad_(False), (side, side), levels)


def grid(settings: Settings) -> list[Cell]:
    """References of every set, then everything about each of its networks."""
    made = [strangers.windowed(name, settings) for name in settings.windows]
    for known, names in settings.sets.items():
        if known not in settings.counts:
            raise InputError(
                f"every set wants numbers of images its theories are told, got none for {known}; "
                f"give counts.{known}=1000"
            )
        references = [strangers.mean_image(known, settings)]
        for n in (*settings.counts[known], *settings.more.get(known, ())):
            references += [
                strangers.reference(known, name, n, settings)
                for name in REFERENCES
                if n <= settings.counted.get(name, n)
            ]
        made += references
        for name in names:
            made += of_network(known, name, references, settings)
    return made


def of_network(known: str, name: str, references: list[Cell], settings: Settings) -> list[Cell]:
    """What it draws, whether it denoises, how far it looks, and who predicts it."""
    pixels = 1600 if known == "faces" else 784
    made = [(strangers.fitted, theory) for theory in strangers.FITTED]
    made += [(strangers.masked, theory) for theory in ("jacobian", "jacobian, moved")]
    predictions = [
        predict(known, name, theory, n, settings, pixels)
        for predict, theory in made
        for n in settings.told(known, theory)
    ]
    return [
        strangers.drawn(known, name, settings),
        strangers.healthy(known, name, settings),
        strangers.windowed(name, settings),
        strangers.masks(known, name, settings, pixels),
        *predictions,
        strangers.compared(known, name, references + predictions, settings),
    ]


TOY = {
    "sets": {"garments": ("stand-in cnn", "stand-in blind cnn")},
    "counts": {"garments": (20, 40)},
    "more": {"garments": (60,)},
    "counted": {"bbels": 20, "jacobian, moved": 20},
    "windows": (),
    "seeds": 3,
    "steps": 5,
    "fit_seeds": 2,
    "fit_steps": 4,
    "scales": (3, 5),
    "powers": (0.25, 1.0),
    "spreads": (0.0, 1.0),
    "health_levels": 3,
    "health_images": 6,
    "mask_levels": 3,
}

STUDY = Study(
    name="published_networks",
    question="Which exact theory predicts, seed by seed, what networks of strangers draw?",
    settings=Settings(),
    cells=grid,
    presets={
        "toy": TOY,
        "laptop": {},
        "all images": {
            "counts": {"mnist": (1000, 6000, 60_000), "faces": (1000, 5000)},
            "counted": {"bbels": 6000, "jacobian, moved": 6000, "patch composites": 6000},
        },
    },
)
