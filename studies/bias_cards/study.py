"""Theory chosen by measurement: does a network's bias card, read before any sample is seen,
predict its samples?

Networks on one image set x the machines their cards propose, beside the same machine calibrated on
the network's own trajectories, between the network retrained and what knows no network.
"""

from dataclasses import dataclass, field, replace

import numpy as np
import torch
import xarray as xr

from archbias import families
from archbias.denoise import Spec
from archbias.nets.resnet import ResNet
from archbias.nets.train import Train
from archbias.nets.unet import UNet
from archbias.posteriors import calibrate
from archbias.posteriors.ideal import Ideal
from archbias.probes import FRACTIONS
from archbias.regressions.linear import Linear
from archbias.store import about
from archbias.study import Cell, Images, Study, Work, cards, cells, crossed
from archbias.study.crossed import Row

CALIBRATION_SEEDS = 500_000  # apart from the seeds that are judged


def _nets() -> dict[str, Spec]:
    train = Train(steps=1200, batch=32)
    return {
        "resnet": ResNet(depth=6, width=32, train=train),
        "resnet, circular": ResNet(depth=6, width=32, padding="circular", train=train),
        "unet": UNet(channels=16, train=train),
        "unet, circular": UNet(channels=16, padding="circular", train=train),
    }


@dataclass(frozen=True, kw_only=True)
class Settings(cells.Settings):
    """held_out: images of the set that no network sees; the cards are measured on them.

    card_levels: how many of the sampler's noise levels have a card. points: images whose Jacobians
        are probed.
    windows: candidates of the calibration. calibration_seeds: seeds whose trajectories it uses,
        other than those judged.
    """

    data: Images = Images(name="fashion_mnist", n=300, size=16)
    held_out: int = 300
    card_levels: int = 8
    points: int = 4
    windows: tuple[int, ...] = (1, 3, 5, 7, 9, 11, 15)
    calibration_seeds: int = 4
    families: dict[str, Spec] = field(default_factory=_nets)

    @property
    def card_sigmas(self) -> torch.Tensor:
        """Positive levels of the sampler, evenly spread over its steps, decreasing."""
        levels = self.sigmas[:-1]
        return levels[
            torch.linspace(0, len(levels) - 1, min(self.card_levels, len(levels))).round().long()
        ]


def grid(settings: Settings) -> list[Cell]:
    common = [
        cells.mean_image(settings),
        cells.predicted("wiener", Linear(), settings),
        cells.predicted("ideal", Ideal(), settings),
    ]
    found = list(common)
    for label, spec in settings.families.items():
        row = Row(
            network=label,
            maker=spec,
            images_of=settings.data,
            seeds=settings.seeds,
            steps=settings.steps,
            network_steps=settings.steps,
            schedule=settings.schedule,
        )
        own = [
            by_card(row),
            by_trajectories(row, settings),
            crossed.again(row, crossed.retrained(spec, spec.train.seed + 1)),
        ]
        found += [
            cells.sampled(label, spec, settings, seconds=90),
            cards.carded(
                row, settings.card_sigmas, held_out=settings.held_out, points=settings.points
            ),
            *own,
            crossed.compared(row, own + common, also=(crossed.by_band("card 90%"),)),
        ]
    return found


def by_card(row: Row) -> Cell:
    """What the machines its card proposes make of the shared seeds, one for each share of energy:
    group predictions.
    """

    def run(work: Work) -> dict[str, xr.Dataset]:
        parts = []
        for fraction in FRACTIONS:
            machine = cards.proposed(row, fraction, work).fit(row.images)
            x = row.draw(machine, work, f"{row}: predicting", steps=row.steps)
            parts.append(row.prediction(f"card {fraction:.0%}", x)["predictions"])
        return {"predictions": xr.concat(parts, "predictor")}

    return Cell(row.cell("foretell"), run, after=(row.cell("card"),), seconds=60)


def by_trajectories(row: Row, settings: Settings) -> Cell:
    """The same kind of machine with windows calibrated on the network's own trajectories, from
    other seeds ("monotone"): groups predictions, calibration.
    """

    def run(work: Work) -> dict[str, xr.Dataset]:
        images = row.images
        proposal = cards.proposed(row, FRACTIONS[1], work)
        name = "ls" if isinstance(proposal, Ideal) else families.name_of(proposal)
        machine = families.family(name)()
        found = calibrate.calibrate(
            row.denoiser(work),
            machine,
            images,
            range(CALIBRATION_SEEDS, CALIBRATION_SEEDS + settings.calibration_seeds),
            protocol="monotone",
            windows=[k for k in settings.windows if k <= min(images.shape[1:])],
            sigmas=row.sigmas,
            progress=lambda i, n: work.runtime.progress(i, n, f"{row}: calibrating"),
        )
        found.apart(range(row.seeds))
        fitted = replace(machine, window=found.schedule).fit(images)
        x = row.draw(fitted, work, f"{row}: calibrated machine", steps=row.steps)
        windows = np.array([found.schedule.windows], dtype=float)
        described = about("calibrated window", "pixel")
        chosen = xr.Dataset(
            {"calibrated_window": (("family", "step_sigma"), windows, described)},
            {"family": [str(row)], "step_sigma": list(found.schedule.sigmas)},
        )
        return {**row.prediction("calibrated", x), "calibration": chosen}

    return Cell(row.cell("calibrate"), run, after=(row.cell("card"),), seconds=60)


STUDY = Study(
    name="bias_cards",
    question=(
        "Does a network's bias card, measured before any sample is seen, choose the theory "
        "that predicts its samples?"
    ),
    settings=Settings(),
    cells=grid,
    presets={
        "toy": {
            "data": Images(name="fashion_mnist", n=16, size=8),
            "held_out": 40,
            "seeds": 3,
            "steps": 4,
            "card_levels": 3,
            "points": 1,
            "windows": (3, 5),
            "calibration_seeds": 2,
            "families": {
                "resnet": ResNet(depth=3, width=8, train=Train(steps=10)),
                "unet, circular": UNet(
                    channels=4, levels=1, padding="circular", train=Train(steps=10)
                ),
            },
        },
        "laptop": {},
        "paper": {
            "data": Images(name="fashion_mnist", n=800, size=28),
            "held_out": 200,
            "seeds": 100,
            "card_levels": 20,
            "windows": tuple(range(1, 29, 2)),
            "calibration_seeds": 20,
            "families": {
                "resnet": ResNet.published(),
                "resnet, circular": ResNet.published(padding="circular"),
                "unet": UNet(channels=64, train=Train(steps=50_000)),
                "unet, circular": UNet(channels=64, padding="circular", train=Train(steps=50_000)),
            },
        },
    },
)
