"""What linear theory knows of a network: Gaussians under every linear restriction, seed by seed
beside a trained UNet.
"""

from dataclasses import dataclass, field

import numpy as np
import torch
import xarray as xr

from archbias import distributions
from archbias.denoise import Spec
from archbias.distributions.gaussian import Gaussian
from archbias.linalg import Circulant
from archbias.metrics import spectrum
from archbias.nets.train import Train
from archbias.nets.unet import UNet
from archbias.posteriors.ideal import Ideal
from archbias.regressions.linear import Linear
from archbias.store import about
from archbias.study import Cell, Images, Study, Work, cells

POWER = about("mean squared Fourier amplitude per pixel", "squared pixel value")
FREQUENCY = about("spatial frequency", "cycles per image side")


@dataclass(frozen=True, kw_only=True)
class Settings(cells.Settings):
    """families: the linear restrictions and, named "unet", the network; replicate: the same network
    trained from another seed.
    """

    data: Images = Images(name="celeba", n=1000, size=32)
    variance_seeds: int = 512
    families: dict[str, Spec] = field(
        default_factory=lambda: {
            "linear": Linear(),
            "rank 10": Linear(rank=10),
            "rank 50": Linear(rank=50),
            "rank 200": Linear(rank=200),
            "equivariant": Linear(constraint="equivariant"),
            "local 3": Linear(constraint="local", window=3),
            "local 7": Linear(constraint="local", window=7),
            "local 15": Linear(constraint="local", window=15),
            "local 7, per pixel": Linear(constraint="local_per_pixel", window=7),
            "unet": UNet(channels=16, train=Train(steps=2000, batch=32)),
        }
    )
    replicate: Spec = UNet(channels=16, train=Train(steps=2000, batch=32, seed=1))


def expected_power(law: Gaussian) -> torch.Tensor:
    """(K,) the mean of `spectrum.radial_power` over the law, exactly: the mean's power and the
    covariance's.
    """
    c, h, w = law.shape
    covariance = law.covariance
    if isinstance(covariance, Circulant):
        amplitude = (
            (covariance.blocks.diagonal(dim1=-2, dim2=-1).real.clamp_min(0) * h * w)
            .sqrt()
            .permute(2, 0, 1)
        )
        spread = spectrum.radial_power(torch.fft.ifft2(amplitude).real[None])[0]
    else:
        spread = (
            covariance.s @ spectrum.radial_power(covariance.u.T.reshape(-1, c, h, w)) + covariance.c
        )
    return spectrum.radial_power(law.mean[None])[0] + spread


def power_of(settings: Settings, has_law: list[str]) -> Cell:
    """Power by spatial frequency of all samples and all training images, and what the laws say:
    group power.
    """

    def run(work: Work) -> dict[str, xr.Dataset]:
        images = settings.data.load()
        samples = [
            torch.from_numpy(work.read(label)["samples/sample"].values[0])
            for label in settings.families
        ]
        laws = [
            distributions.generated_by(settings.families[v].fit(images), settings.sigmas)
            for v in has_law
        ]
        data = spectrum.radial_power(images.images)
        coordinates = {
            "family": list(settings.families),
            "law": has_law,
            "seed": np.arange(settings.seeds),
            "frequency": ("frequency", np.arange(data.shape[1], dtype=float), FREQUENCY),
        }
        variables = {
            "power": (
                ("family", "seed", "frequency"),
                torch.stack([spectrum.radial_power(x) for x in samples]).numpy(),
                POWER,
            ),
            "data_power": (("image", "frequency"), data.numpy(), POWER),
            "law_power": (
                ("law", "frequency"),
                torch.stack([expected_power(law) for law in laws]).numpy(),
                POWER,
            ),
        }
        return {"power": xr.Dataset(variables, coordinates)}

    return Cell("power", run, after=tuple(settings.families), seconds=20)


def grid(settings: Settings) -> list[Cell]:
    specs = settings.families
    linear = {label: spec for label, spec in specs.items() if isinstance(spec, Linear)}
    # a covariance smaller than d x d
    cheap = [label for label, spec in linear.items() if spec.constraint != "local_per_pixel"]
    predictors = [
        cells.mean_image(settings),
        cells.predicted("noise ceiling", settings.replicate, settings, seconds=600),
    ]
    predictors += [cells.predicted("ideal", Ideal(), settings)]
    for label, spec in linear.items():
        build = cells.law_of if label in cheap else cells.predicted
        predictors.append(build(label, spec, settings, seconds=10))
    sampled = [
        cells.sampled(label, spec, settings, seconds=600 if spec.trained else 10)
        for label, spec in specs.items()
    ]
    networks = [label for label, spec in specs.items() if spec.trained]
    return [
        *sampled,
        *predictors,
        *(cells.compared(label, predictors, settings) for label in networks),
        power_of(settings, cheap),
    ]


STUDY = Study(
    name="linear_faces",
    question=(
        "How much of what a UNet draws from a given noise does the best linear denoiser "
        "predict, and under which restriction?"
    ),
    settings=Settings(),
    cells=grid,
    presets={
        "toy": {
            "data": Images(name="fashion_mnist", n=60, size=14),
            "seeds": 3,
            "variance_seeds": 12,
            "steps": 5,
            "families": {
                "linear": Linear(),
                "rank 10": Linear(rank=10),
                "equivariant": Linear(constraint="equivariant"),
                "local 3": Linear(constraint="local", window=3),
                "local 3, per pixel": Linear(constraint="local_per_pixel", window=3),
                "unet": UNet(channels=8, train=Train(steps=15)),
            },
            "replicate": UNet(channels=8, train=Train(steps=15, seed=1)),
        },
        "laptop": {},
        "paper": {
            "data.size": 64,
            "seeds": 100,
            "variance_seeds": 2000,
            "families.unet": UNet(channels=64, levels=3, train=Train(steps=50_000)),
            "replicate": UNet(channels=64, levels=3, train=Train(steps=50_000, seed=1)),
        },
    },
)
