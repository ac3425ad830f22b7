"""Theory chosen by measurement: does a network's bias card, read before any sample is seen,
foretell its samples?
"""

from dataclasses import dataclass, field, replace

import numpy as np
import torch
import xarray as xr

from archbias import probes
from archbias.denoise import Spec
from archbias.metrics import agreement
from archbias.nets.resnet import ResNet
from archbias.nets.train import Train
from archbias.nets.unet import UNet
from archbias.posteriors import calibrate
from archbias.posteriors.ideal import Ideal
from archbias.posteriors.score_machines import BBELS, ELS, LS
from archbias.posteriors.windows import WindowSchedule
from archbias.probes import FRACTIONS
from archbias.regressions.linear import Linear
from archbias.store import about
from archbias.study import Images, Study, Work, cells

MACHINES = {"els": ELS, "bbels": BBELS, "ls": LS, "ideal": Ideal}
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


def carded(label: str, settings: Settings) -> cells.Cell:
    """The card of a trained network and what it proposes: groups cards and proposals."""

    def run(work: Work) -> dict[str, xr.Dataset]:
        card = probes.bias_card(
            work.denoiser(label),
            settings.data.load(),
            settings.card_sigmas,
            held_out=settings.data.unseen(settings.held_out),
            points=settings.points,
            dtype=torch.float32,
            device=work.runtime.device,
            progress=lambda i, n: work.runtime.progress(i, n, f"{label}: card"),
        )
        return {"cards": _traits(card, label), "proposals": _proposals(card, label)}

    return cells.Cell(f"card-{label}", run, after=(label,), seconds=40)


TRAITS = {
    "interior": ("equivariance error inside", "1"),
    "border": ("equivariance error at border", "1"),
    "affine": ("affine share", "1"),
    "nonlinear": ("share of degree 2 and more", "1"),
    "effective_rank": ("effective rank", "1"),
    "asymmetry": ("curl", "1"),
    "freedom": ("degrees of freedom", "1"),
    "memory": ("held-out over training error", "1"),
}


def _traits(card: probes.BiasCard, label: str) -> xr.Dataset:
    columns = {
        "interior": card.interior.nanmean(1),
        "border": card.border.nanmean(1),
        "affine": card.affine,
        "nonlinear": 1 - card.degrees[:, 0],
        "effective_rank": card.effective_rank,
        "asymmetry": card.asymmetry,
        "freedom": card.freedom,
        "memory": card.memory,
    }
    dims = ("family", "sigma")
    variables = {k: (dims, v.numpy()[None], about(*TRAITS[k])) for k, v in columns.items()}
    described = about("share of the Jacobian's energy by offset")
    variables["receptive"] = ((*dims, "row", "column"), card.receptive.numpy()[None], described)
    described = about("half-width of the window with that share of the Jacobian's energy", "pixel")
    variables["radius"] = ((*dims, "fraction"), card.radius.double().numpy()[None], described)
    return xr.Dataset(
        variables, {"family": [label], "sigma": card.sigmas.numpy(), "fraction": list(FRACTIONS)}
    )


def _proposals(card: probes.BiasCard, label: str) -> xr.Dataset:
    order = card.sigmas.argsort()
    machines, windows = [], []
    for fraction in FRACTIONS:
        found = probes.predictors(card, fraction=fraction)[0]
        machines.append(found.family)
        windows.append(probes.window_schedule(card, fraction).windows)
    width = about("window the card proposes", "pixel")
    return xr.Dataset(
        {
            "machine": (
                ("family", "fraction"),
                np.array([machines]),
                about("score machine the card proposes", ""),
            ),
            "because": (
                ("family",),
                np.array([found.because]),
                about("what the proposal rests on", ""),
            ),
            "window": (("family", "fraction", "level"), np.array([windows], dtype=float), width),
        },
        {"family": [label], "fraction": list(FRACTIONS), "level": card.sigmas[order].numpy()},
    )


def _machine(name: str, levels: np.ndarray, windows: np.ndarray, source: str) -> Spec:
    if name == "ideal":
        return Ideal()
    return MACHINES[name](
        window=WindowSchedule(tuple(levels.tolist()), tuple(int(k) for k in windows), source)
    )


def foretold(label: str, settings: Settings) -> cells.Cell:
    """What the machines its card proposes make of the shared seeds, one for each share of energy:
    group predictions.
    """

    def run(work: Work) -> dict[str, xr.Dataset]:
        proposals = work.read(f"card-{label}")["proposals"].to_dataset().sel(family=label)
        images, parts = settings.data.load(), []
        for fraction in FRACTIONS:
            one = proposals.sel(fraction=fraction)
            spec = _machine(
                str(one["machine"].values),
                one["level"].values,
                one["window"].values,
                f"card of {label}",
            )
            x = cells.draw(
                spec.fit(images), settings, images, work.runtime, f"{label}: foretelling"
            )
            parts.append(cells.dataset("prediction", x, predictor=f"{label}: card {fraction:.0%}"))
        return {"predictions": xr.concat(parts, "predictor")}

    return cells.Cell(f"foretell-{label}", run, after=(f"card-{label}",), seconds=60)


def calibrated(label: str, settings: Settings) -> cells.Cell:
    """The same kind of machine with windows calibrated on the network's own trajectories, from
    other seeds ("monotone").
    """

    def run(work: Work) -> dict[str, xr.Dataset]:
        name = str(work.read(f"card-{label}")["proposals/machine"].sel(family=label).values[1])
        name = "ls" if name == "ideal" else name
        images = settings.data.load()
        found = calibrate.calibrate(
            work.denoiser(label),
            MACHINES[name](),
            images,
            range(CALIBRATION_SEEDS, CALIBRATION_SEEDS + settings.calibration_seeds),
            protocol="monotone",
            windows=[k for k in settings.windows if k <= min(images.shape[1:])],
            sigmas=settings.sigmas,
            progress=lambda i, n: work.runtime.progress(i, n, f"{label}: calibrating"),
        )
        found.apart(range(settings.seeds))
        spec = MACHINES[name](window=found.schedule)
        x = cells.draw(
            spec.fit(images), settings, images, work.runtime, f"{label}: calibrated machine"
        )
        windows = np.array([found.schedule.windows], dtype=float)
        chosen = xr.Dataset(
            {
                "calibrated_window": (
                    ("family", "step_sigma"),
                    windows,
                    about("calibrated window", "pixel"),
                )
            },
            {"family": [label], "step_sigma": list(found.schedule.sigmas)},
        )
        return {
            "predictions": cells.dataset("prediction", x, predictor=f"{label}: calibrated"),
            "calibration": chosen,
        }

    return cells.Cell(f"calibrate-{label}", run, after=(f"card-{label}",), seconds=60)


def replicate(label: str, spec: Spec, settings: Settings) -> cells.Cell:
    """The same network from another training seed, on the same noise: the ceiling."""

    def run(work: Work) -> dict[str, xr.Dataset]:
        images = settings.data.load()
        other = replace(spec, train=replace(spec.train, seed=spec.train.seed + 1)).fit(
            images, runtime=work.runtime
        )
        x = cells.draw(other, settings, images, work.runtime, f"{label}: replicate")
        return {"predictions": cells.dataset("prediction", x, predictor=f"{label}: replicate")}

    return cells.Cell(f"replicate-{label}", run, seconds=90)


def compared(
    label: str, own: list[cells.Cell], common: list[cells.Cell], settings: Settings
) -> cells.Cell:
    """Agreement of a network's samples with what was foretold, under the predictors' short
    names.
    """

    def run(work: Work) -> dict[str, xr.Dataset]:
        x = torch.from_numpy(work.read(label)["samples/sample"].values[0])
        parts = []
        for source in own + common:
            group = work.read(source.name)["predictions"].to_dataset()
            for name in group["predictor"].values.tolist():
                p = torch.from_numpy(group["prediction"].sel(predictor=name).values)
                parts.append(cells.agreements(x, p, label, name.removeprefix(f"{label}: ")))
        parts.append(cells.agreements(x, x.roll(-1, 0), label, "another seed"))
        bands = agreement.per_band(
            agreement.pearson_r,
            x,
            torch.from_numpy(_read(work, f"foretell-{label}", f"{label}: card 90%")),
        )
        described = about("Pearson correlation by octave of spatial frequency")
        octaves = xr.Dataset(
            {"band_r": (("family", "seed", "band"), bands.numpy()[None], described)},
            {"family": [label], "seed": np.arange(len(x)), "band": np.arange(bands.shape[1])},
        )
        return {"agreement": xr.concat(parts, "predictor"), "bands": octaves}

    return cells.Cell(
        f"compare-{label}", run, after=(label, *(c.name for c in own + common)), seconds=1
    )


def _read(work: Work, cell: str, predictor: str) -> np.ndarray:
    return work.read(cell)["predictions"].to_dataset()["prediction"].sel(predictor=predictor).values


def grid(settings: Settings) -> list[cells.Cell]:
    common = [
        cells.mean_image(settings),
        cells.predicted("wiener", Linear(), settings),
        cells.predicted("ideal", Ideal(), settings),
    ]
    found = list(common)
    for label, spec in settings.families.items():
        own = [
            foretold(label, settings),
            calibrated(label, settings),
            replicate(label, spec, settings),
        ]
        found += [cells.sampled(label, spec, settings, seconds=90), carded(label, settings), *own]
        found.append(compared(label, own, common, settings))
    return found


STUDY = Study(
    name="bias_cards",
    question=(
        "Does a network's bias card, measured before any sample is seen, choose the theory "
        "that foretells its samples?"
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
