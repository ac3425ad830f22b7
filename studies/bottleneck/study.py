"""What passes through r numbers: four decoders in closed form and a trained network, from a narrow
waist to a wide one.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
import xarray as xr

from archbias.denoise import Spec
from archbias.metrics import agreement, novelty
from archbias.nets.mlp import MLP
from archbias.nets.train import Train
from archbias.regressions.bottleneck import Bottleneck
from archbias.store import about
from archbias.study import Cell, Images, Study, Work, cells

KINDS = ("linear", "mixture", "confined", "unrestricted")
FLOOR = "mean image"
DIMS = ("kind", "width", "seed")
WIDTH = about("numbers that pass the waist")


@dataclass(frozen=True, kw_only=True)
class Settings(cells.Settings):
    """How many numbers pass, and through what.

    widths: of the waist: the rank of the closed forms, and the width of every hidden layer of the
        network.
    components: of the mixture.
    network: a fully connected network; its width is replaced by each of `widths`.
    """

    seeds: int = 64
    widths: tuple[int, ...] = (2, 5, 10, 20, 50, 100, 200)
    components: int = 8
    network: Spec = MLP()

    def spec(self, kind: str, width: int) -> Spec:
        """The family of one cell."""
        if kind == "mlp":
            return replace(self.network, width=width)
        return Bottleneck(
            kind=kind, rank=width, components=self.components if kind == "mixture" else None
        )


def waist(kind: str, width: int, settings: Settings) -> Cell:
    """How new the samples of one waist are, one value per seed: group waist."""
    label = f"{kind} {width}"

    def run(work: Work) -> dict[str, xr.Dataset]:
        images = settings.data.load()
        x = torch.from_numpy(work.read(label)["samples/sample"].values[0])
        near = novelty.nearest(x, images.images)
        scale = (images.images - images.images.mean(0)).flatten(1).norm(dim=1).mean()
        found = {
            "copied": (near.copy.float(), "copy of a training image: distance ratio below 1/3"),
            "relative_distance": (
                near.distance / scale,
                "distance to the nearest image over the images' mean distance from their mean",
            ),
        }
        values = {
            name: (DIMS, v.numpy()[None, None], about(text)) for name, (v, text) in found.items()
        }
        return {"waist": xr.Dataset(values, _coordinates(kind, width, len(x)))}

    return Cell(f"waist-{label}", run, after=(label,), seconds=1)


def predicted(kind: str, width: int, settings: Settings) -> Cell:
    """What a decoder of the same width, or the mean image, predicts of the network, seed by seed:
    group foretold.
    """
    network, closed = f"mlp {width}", f"{kind} {width}"

    def run(work: Work) -> dict[str, xr.Dataset]:
        x = torch.from_numpy(work.read(network)["samples/sample"].values[0])
        if kind == FLOOR:
            y = settings.data.load().images.mean(0).expand_as(x)
        else:
            y = torch.from_numpy(work.read(closed)["samples/sample"].values[0])
        r = agreement.pearson_r(x, y).numpy()[None, None]
        return {"foretold": xr.Dataset({"r": (DIMS, r)}, _coordinates(kind, width, len(x)))}

    return Cell(
        f"foretold-{closed}",
        run,
        after=(network,) if kind == FLOOR else (network, closed),
        seconds=1,
    )


def _coordinates(kind: str, width: int, seeds: int) -> dict:
    return {"kind": [kind], "width": ("width", [width], WIDTH), "seed": np.arange(seeds)}


def grid(settings: Settings) -> list[Cell]:
    found = []
    for kind in (*KINDS, "mlp"):
        for width in settings.widths:
            seconds = 120 if kind == "mlp" else 3
            found.append(
                cells.sampled(
                    f"{kind} {width}", settings.spec(kind, width), settings, seconds=seconds
                )
            )
            found.append(waist(kind, width, settings))
    return found + [
        predicted(kind, width, settings) for kind in (*KINDS, FLOOR) for width in settings.widths
    ]


STUDY = Study(
    name="bottleneck",
    question=(
        "How narrow must a waist be before a denoiser stops copying, and does the waist or "
        "the decoder decide?"
    ),
    settings=Settings(),
    cells=grid,
    presets={
        "toy": {
            "data": Images(name="fashion_mnist", n=40, size=8),
            "seeds": 4,
            "steps": 6,
            "widths": (2, 10),
            "components": 2,
            "network": MLP(depth=3, train=Train(steps=20)),
        },
        "laptop": {},
        "paper": {
            "seeds": 500,
            "steps": 100,
            "network": MLP(train=Train(steps=50_000, batch=128, learning_rate=1e-3)),
        },
    },
)
