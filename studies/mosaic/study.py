"""Score machines as patchworks: whose pixels are they, how sure is each of them, and when does a
machine copy?
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
import xarray as xr

from archbias import exploring
from archbias.data import ImageSet
from archbias.denoise import Spec
from archbias.posteriors.score_machines import BBELS, ELS, ES, LS, MachineDenoiser
from archbias.posteriors.windows import published
from archbias.store import about
from archbias.study import Images, Study, Work, cells


@dataclass(frozen=True, kw_only=True)
class Settings(cells.Settings):
    """windows: fixed scales, crossed with the border mode. scale: the published schedule of the
    falling ones.

    belief_seeds, belief_levels: for how many of the seeds, and at how many of the noise levels,
        each pixel's belief is kept.
    """

    windows: tuple[int, ...] = (3, 7, 15)
    scale: str = "fashion_mnist-resnet"
    belief_seeds: int = 2
    belief_levels: int = 6


def machines(settings: Settings) -> dict[str, Spec]:
    """Every machine of the study: each border mode at each fixed window and at the falling scale;
    ES and the ideal one.
    """
    schedule = published(settings.scale)
    modes = {"ls": LS, "els": ELS, "bbels": BBELS}
    fixed = {
        f"{name} {k}": mode(window=k) for name, mode in modes.items() for k in settings.windows
    }
    falling = {f"{name} falling": mode(window=schedule) for name, mode in modes.items()}
    inside = {f"els inside {k}": ELS(window=k, wrap=False) for k in settings.windows}
    return (
        {"ideal": LS(window=1023), "es": ES()} | fixed | inside | falling
    )  # a window beyond the image makes LS the ideal machine


def watched(
    denoiser: MachineDenoiser, settings: Settings, images: ImageSet, progress
) -> tuple[torch.Tensor, torch.Tensor, list[float]]:
    """DDIM samples of the shared seeds, with the entropies (seed, level, row, column) met on the
    way and their levels.
    """
    sigmas = settings.sigmas.tolist()
    kept = {round(i) for i in np.linspace(0, len(sigmas) - 2, settings.belief_levels)}
    y, entropy, levels = settings.start(images) * sigmas[0], [], []
    for step, (sigma, after) in enumerate(pairwise(sigmas)):
        if step in kept:
            entropy.append(denoiser.posterior(y[: settings.belief_seeds], sigma, top=1).entropy)
            levels.append(sigma)
        denoised = denoiser(y, sigma)
        y = denoised + (after / sigma) * (y - denoised)
        progress(step + 1, len(sigmas) - 1)
    return y, torch.stack(entropy, 1), levels


def patchwork(label: str, spec: Spec, settings: Settings) -> cells.Cell:
    """Samples of a machine, the source of each pixel, and each pixel's belief against the noise."""

    def run(work: Work) -> dict[str, xr.Dataset]:
        images = settings.data.load()
        denoiser = spec.fit(images)
        x, entropy, levels = watched(
            denoiser, settings, images, lambda i, n: work.runtime.progress(i, n, label)
        )
        found = denoiser.mosaic(x, settings.sigmas[-2].item())
        pixels = ("family", "seed", "row", "column")

        def per_pixel(values: torch.Tensor, name: str, units: str) -> tuple:
            return pixels, values.numpy()[None], about(name, units)

        mosaic = xr.Dataset(
            {
                "source": per_pixel(
                    found.image, "training image the pixel comes from", "position in the set"
                ),
                "source_row": per_pixel(found.row, "row of the source", "pixel"),
                "source_column": per_pixel(found.column, "column of the source", "pixel"),
                "margin": per_pixel(
                    found.margin,
                    "distance to the second nearest window less that to the nearest",
                    "pixel value",
                ),
                "consistent": (
                    ("family", "seed"),
                    found.consistent.numpy()[None],
                    about("share of pixels equal to the centre of the nearest training window"),
                ),
            },
            {"family": [label], "seed": np.arange(len(x))},
        )
        beliefs = xr.Dataset(
            {
                "entropy": (
                    ("family", "seed", "sigma", "row", "column"),
                    entropy.numpy()[None],
                    about("entropy of the pixel's belief over its sources", "nat"),
                )
            },
            {"family": [label], "seed": np.arange(len(entropy)), "sigma": levels},
        )
        samples = cells.dataset("sample", x, family=label)
        return {
            "samples": samples,
            "novelty": cells.novelty_of(x, images, label),
            "mosaic": mosaic,
            "beliefs": beliefs,
        }

    return cells.Cell(label, run, seconds=2 if label.startswith(("ls", "ideal")) else 60)


def looked_into(settings: Settings) -> cells.Cell:
    """What every pixel of the local machine sees and believes along the way, for the report."""

    def run(work: Work) -> dict[str, xr.Dataset]:
        window = settings.windows[len(settings.windows) // 2]
        machine = LS(window=window).fit(settings.data.load())
        seeds = range(settings.belief_seeds)
        return {"ways": exploring.ways(machine, seeds=seeds, steps=settings.steps)}

    return cells.Cell("ways", run, seconds=5)


def grid(settings: Settings) -> list[cells.Cell]:
    made = [patchwork(label, spec, settings) for label, spec in machines(settings).items()]
    return [*made, looked_into(settings)]


STUDY = Study(
    name="mosaic",
    question=(
        "From which training images do the pixels of a score machine's samples come, and "
        "when does it copy?"
    ),
    settings=Settings(seeds=8),
    cells=grid,
    presets={
        "toy": {
            "data": Images(name="fashion_mnist", n=30, size=14),
            "seeds": 2,
            "steps": 6,
            "windows": (3, 7),
            "belief_levels": 3,
        },
        "laptop": {"data": Images(name="fashion_mnist", n=200), "seeds": 4},
        "faces": {
            "data": Images(name="celeba", n=1000, size=32),
            "scale": "celeba-resnet",
            "seeds": 4,
        },
    },
)
