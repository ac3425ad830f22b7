"""UNets that differ in small things only, trained on the same images and sampled from the same
seeds: how different are they?
"""

from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import torch
import xarray as xr

from archbias.data import ImageSet
from archbias.metrics.between import between
from archbias.nets import train
from archbias.nets.train import Train
from archbias.nets.unet import UNet
from archbias.regressions.linear import Linear
from archbias.store import about
from archbias.study import Cell, Images, Study, Work, cells, crossed, realism
from archbias.study.crossed import Row, costs

WORDS = {
    "pooling": lambda v: "no pooling" if v == "none" else v,
    "levels": lambda v: f"{v} level{'s' * (v > 1)}",
    "channels": lambda v: f"{v} channels",
    "skips": lambda v: "skips" if v else "no skips",
    "conditioning": lambda v: v.replace("_", " "),
}


@dataclass(frozen=True, kw_only=True)
class Settings(cells.Settings):
    """The variants come from five short lists. The first entry of each is the base's.

    pooling, levels, channels, skips, conditioning: the values tried, as in `UNet`.
    crossed: every combination; otherwise the base and one change at a time.
    unet: what all of them share, training included. They predict the clean image, so that no path
        leads round the network.
    trainings: how often each is trained, from seeds that follow `unet.train.seed`: the noise
        ceiling.
    held_out: images of the set that no network sees, an even number. judged: how many of either
        kind errors are taken on.
    """

    data: Images = Images(name="celeba", n=1000, size=32)
    held_out: int = 400
    judged: int = 256
    seeds: int = 64
    pooling: tuple[str, ...] = ("average", "max")
    levels: tuple[int, ...] = (2, 1, 3)
    channels: tuple[int, ...] = (16, 8)
    skips: tuple[bool, ...] = (True, False)
    conditioning: tuple[str, ...] = ("told",)
    crossed: bool = False
    unet: UNet = UNet(
        predicts="image",
        train=Train(steps=6000, batch=32, learning_rate=4e-3, ema=0.999),
    )
    trainings: int = 2


def variants(settings: Settings) -> dict[str, UNet]:
    """The grid by label, which names what differs from the base; fewest changes first."""
    # each network its own step of the sampler
    levels = {"levels_of": settings.schedule, "noise_levels": settings.steps}
    lists = [getattr(settings, axis) for axis in WORDS]
    specs = [
        replace(settings.unet, **dict(zip(WORDS, values, strict=True)), **levels)
        for values in product(*lists)
    ]
    changed = {spec: changes(spec, settings) for spec in specs}
    chosen = [spec for spec in specs if settings.crossed or len(changed[spec]) <= 1]
    chosen.sort(
        key=lambda spec: (len(changed[spec]), [list(WORDS).index(axis) for axis in changed[spec]])
    )
    return {
        ", ".join(WORDS[axis](getattr(spec, axis)) for axis in changed[spec]) or "base": spec
        for spec in chosen
    }


def changes(spec: UNet, settings: Settings) -> list[str]:
    """The settings in which a variant differs from the base."""
    return [axis for axis in WORDS if getattr(spec, axis) != getattr(settings, axis)[0]]


def trained(settings: Settings) -> dict[str, tuple[str, int, UNet]]:
    """Every network by its label in the store: variant, number of the training, spec."""
    found = {}
    for variant, spec in variants(settings).items():
        for k in range(settings.trainings):
            label = f"{variant}, training {k + 1}" if k else variant
            found[label] = (
                variant,
                k + 1,
                replace(spec, train=replace(spec.train, seed=spec.train.seed + k)),
            )
    return found


def network(label: str, variant: str, training: int, spec: UNet, settings: Settings) -> Cell:
    """One network: trained, sampled, its samples judged, its errors taken; groups of
    `cells.sampled`, variants, realism, errors.
    """
    fitted = cells.sampled(label, spec, settings)

    def run(work: Work) -> dict[str, xr.Dataset]:
        images, unseen = settings.data.load(), settings.data.unseen(settings.held_out)
        groups = fitted.run(work)
        work.runtime.progress(0, 1, f"{label}: judging")
        x = torch.from_numpy(groups["samples"]["sample"].values[0])
        which = range(1_000_000, 1_000_000 + settings.held_out // 2)
        note = f"{label}: as many as held-out images"
        many = cells.draw(work.denoiser(label), settings, images, work.runtime, note, which)
        groups["realism"] = realism.judged(label, x, many, unseen.images, work.runtime.device)
        groups["errors"] = errors(work, label, images, unseen, settings)
        groups["variants"] = described(label, variant, training, spec, settings)
        return groups

    seconds = 15 + costs.training_seconds(spec, settings.data)
    return Cell(label, run, seconds=seconds, resources=fitted.resources)


def errors(
    work: Work, label: str, images: ImageSet, unseen: ImageSet, settings: Settings
) -> xr.Dataset:
    """Squared error per pixel on training and on held-out images at the sampler's levels."""
    sigmas, denoiser = settings.sigmas[:-1], work.denoiser(label)
    both = [s.subset(min(settings.judged, len(s))) for s in (images, unseen)]
    found = torch.stack(
        [train.losses(denoiser, s, sigmas, device=work.runtime.device) for s in both]
    )
    described = about("denoising error", "squared pixel value")
    return xr.Dataset(
        {"error": (("family", "images", "sigma"), found.numpy()[None], described)},
        {"family": [label], "images": ["training", "held out"], "sigma": sigmas.numpy()},
    )


def described(
    label: str, variant: str, training: int, spec: UNet, settings: Settings
) -> xr.Dataset:
    """What a label stands for: group variants."""
    field, changed = spec.receptive_field, changes(spec, settings)
    shape = settings.data.load().shape
    values = {
        "variant": (variant, "what differs from the base", ""),
        "changed": (", ".join(changed), "settings that differ from the base", ""),
        "changes": (len(changed), "number of settings that differ from the base", "1"),
        "training": (training, "number of the training", "1"),
        "parameters": (
            spec.parameters(shape) * len(spec.sigmas()),
            "trained numbers, over all noise levels",
            "1",
        ),
        "receptive_field": (
            np.nan if field is None else float(field),
            "side of the receptive field",
            "pixel",
        ),
    }
    variables = {
        k: (("family",), np.array([v]), about(name, unit)) for k, (v, name, unit) in values.items()
    }
    return xr.Dataset(variables, {"family": [label]})


def pairs(settings: Settings) -> Cell:
    """Agreement of every variant with every other, seed by seed, and with itself trained again:
    group pairs.
    """
    labels = list(trained(settings))

    def run(work: Work) -> dict[str, xr.Dataset]:
        names = list(variants(settings))
        samples = torch.stack(
            [torch.from_numpy(work.read(label)["samples/sample"].values[0]) for label in labels]
        )
        values = between(samples.unflatten(0, (len(names), settings.trainings))).numpy()
        attrs = about("Pearson correlation of samples from one seed, mean over pairs of trainings")
        coordinates = {"variant": names, "other": names, "seed": np.arange(settings.seeds)}
        return {
            "pairs": xr.Dataset(
                {"between": (("variant", "other", "seed"), values, attrs)}, coordinates
            )
        }

    return Cell("pairs", run, after=tuple(labels), seconds=5)


def rows(settings: Settings) -> dict[str, Row]:
    """Every network as a row of the design, on the one image set of this study."""
    return {
        label: Row(
            network=label,
            maker=spec,
            images_of=settings.data,
            seeds=settings.seeds,
            steps=settings.steps,
            network_steps=settings.steps,
            schedule=settings.schedule,
        )
        for label, (_, _, spec) in trained(settings).items()
    }


def compared(
    row: Row, variant: str, training: int, laws: list[Cell], networks: dict[str, Row]
) -> Cell:
    """Agreement of one network with the laws, with the base and with its own variant, both of
    another training: group agreement.
    """
    other = ", training 2" if training == 1 and f"{variant}, training 2" in networks else ""
    rivals = {"base": f"base{other}"} if variant != "base" else {}
    rivals |= {"replicate": f"{variant}{other}"} if training > 1 or other else {}
    return crossed.compared(
        row,
        laws,
        networks={name: networks[label] for name, label in rivals.items()},
        another_seed=False,
    )


def grid(settings: Settings) -> list[Cell]:
    """The laws, every network judged, and every network compared with the laws and the others."""
    laws = [cells.mean_image(settings), cells.law_of("wiener", Linear(), settings, seconds=20)]
    held_out = realism.reference(settings.data, settings.held_out)
    known, networks = trained(settings), rows(settings)
    made = [network(label, *entry, settings) for label, entry in known.items()]
    comparisons = [
        compared(networks[label], variant, training, laws, networks)
        for label, (variant, training, _) in known.items()
    ]
    return [*laws, held_out, *made, *comparisons, pairs(settings)]


STUDY = Study(
    name="unet_variants",
    question=(
        "UNets that differ in small things only draw different images from the same noise: "
        "how different, how new, how real?"
    ),
    settings=Settings(),
    cells=grid,
    presets={
        "toy": {
            "data": Images(name="fashion_mnist", n=60, size=14),
            "held_out": 40,
            "judged": 20,
            "seeds": 4,
            "steps": 4,
            "levels": (1, 2),
            "channels": (4, 2),
            "conditioning": ("told", "per_level"),
            "unet": UNet(predicts="image", train=Train(steps=10, batch=8)),
        },
        "laptop": {},
        "paper": {
            "data.size": 64,
            "held_out": 1000,
            "judged": 1000,
            "seeds": 100,
            "steps": 10,
            "pooling": ("average", "max", "stride", "blur", "none"),
            "levels": (3, 1, 2, 4),
            "channels": (64, 32, 16, 8),
            "conditioning": ("told", "per_level"),
            "crossed": True,
            "trainings": 3,
            "unet": UNet(
                predicts="image",
                train=Train(steps=50_000, batch=32, learning_rate=1e-3, ema=0.999),
            ),
        },
    },
)
