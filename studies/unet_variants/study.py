"""UNets that differ in small things only, on the same images and seeds: how different are they?"""

from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import torch
import xarray as xr

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
OURS, PUBLISHED = "this study's", "as published"


@dataclass(frozen=True, kw_only=True)
class Settings(cells.Settings):
    """The variants come from five short lists. The first entry of each is the base's.

    pooling, levels, channels, skips, conditioning: the values tried, as in `UNet`.
    crossed: every combination; otherwise the base and one change at a time.
    unet: what all of them share, training included. They predict the clean image, so that no path
        leads round the network.
    trainings: how often each is trained, from seeds that follow `unet.train.seed`: the noise
        ceiling.
    published: the same small variants once more under another protocol: what those share, training
        included. How they are told the level belongs to the protocol. None: one protocol.
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
    published: UNet | None = None
    trainings: int = 2


@dataclass(frozen=True)
class Variant:
    """One architecture under one protocol.

    name: what differs from the base, in words; the same under every protocol.
    changed: the settings that differ from the base.
    """

    name: str
    protocol: str
    changed: tuple[str, ...]
    spec: UNet

    def __str__(self) -> str:
        if self.protocol == OURS:
            return self.name
        return self.protocol if self.name == "base" else f"{self.protocol}, {self.name}"


@dataclass(frozen=True)
class Trained:
    """One network: a variant, and the number of its training."""

    variant: Variant
    training: int
    spec: UNet

    def __str__(self) -> str:
        return label_of(str(self.variant), self.training)


def label_of(variant: str, training: int) -> str:
    """A network's label in the store."""
    return f"{variant}, training {training}" if training > 1 else variant


def variants(settings: Settings) -> dict[str, Variant]:
    """The grid by label, which names what differs from the base; fewest changes first, and the
    published protocol last.
    """
    found = protocol(OURS, settings.unet, tuple(WORDS), settings)
    if settings.published is not None:
        shared = tuple(axis for axis in WORDS if axis != "conditioning")
        found += protocol(PUBLISHED, settings.published, shared, settings)
    return {str(v): v for v in found}


def protocol(name: str, unet: UNet, axes: tuple[str, ...], settings: Settings) -> list[Variant]:
    """The variants of one protocol, whose networks share what is in `unet`."""
    # each network its own step of the sampler
    levels = {"levels_of": settings.schedule, "noise_levels": settings.steps}
    found = []
    for values in product(*(getattr(settings, axis) for axis in axes)):
        chosen = dict(zip(axes, values, strict=True))
        changed = tuple(axis for axis in axes if chosen[axis] != getattr(settings, axis)[0])
        words = ", ".join(WORDS[axis](chosen[axis]) for axis in changed) or "base"
        if settings.crossed or len(changed) <= 1:
            found.append(Variant(words, name, changed, replace(unet, **chosen, **levels)))
    return sorted(found, key=lambda v: (len(v.changed), [axes.index(axis) for axis in v.changed]))


def trained(settings: Settings) -> dict[str, Trained]:
    """Every network by its label in the store."""
    found = [
        Trained(v, k + 1, replace(v.spec, train=replace(v.spec.train, seed=v.spec.train.seed + k)))
        for v in variants(settings).values()
        for k in range(settings.trainings)
    ]
    return {str(one): one for one in found}


def network(one: Trained, settings: Settings) -> Cell:
    """One network: trained, sampled, its samples judged, its errors taken; groups of
    `cells.sampled`, variants, realism, errors.
    """
    label = str(one)
    fitted = cells.sampled(label, one.spec, settings)

    def run(work: Work) -> dict[str, xr.Dataset]:
        images, unseen = settings.data.load(), settings.data.unseen(settings.held_out)
        groups = fitted.run(work)
        work.runtime.progress(0, 1, f"{label}: judging")
        x = torch.from_numpy(groups["samples"]["sample"].values[0])
        which = range(1_000_000, 1_000_000 + settings.held_out // 2)
        note = f"{label}: as many as held-out images"
        many = cells.draw(work.denoiser(label), settings, images, work.runtime, note, which)
        groups["realism"] = realism.judged(label, x, many, unseen.images, work.runtime.device)
        groups["errors"] = realism.errors(
            label,
            work.denoiser(label),
            {"training": images, "held out": unseen},
            settings.sigmas[:-1],
            most=settings.judged,
            device=work.runtime.device,
        )
        groups["variants"] = described(one, images.shape)
        return groups

    training = costs.training_seconds(one.spec, settings.data)
    judging = realism.seconds(settings.data, settings.seeds, settings.held_out)
    return replace(fitted, run=run, seconds=15 + judging + training, training=training)


def described(one: Trained, shape: tuple[int, int, int]) -> xr.Dataset:
    """What a label stands for: group variants."""
    variant, spec = one.variant, one.spec
    parameters = spec.parameters(shape) * len(spec.sigmas())
    side = np.nan if spec.receptive_field is None else float(spec.receptive_field)
    values = {
        "variant": (str(variant), "what differs from the base", ""),
        "architecture": (variant.name, "the variant, whatever the protocol", ""),
        "protocol": (variant.protocol, "how networks are told the level and trained", ""),
        "changed": (", ".join(variant.changed), "settings that differ from the base", ""),
        "changes": (len(variant.changed), "number of settings that differ from the base", "1"),
        "training": (one.training, "number of the training", "1"),
        "parameters": (parameters, "trained numbers, over all noise levels", "1"),
        "receptive_field": (side, "side of the receptive field", "pixel"),
    }
    variables = {
        k: (("family",), np.array([v]), about(name, unit)) for k, (v, name, unit) in values.items()
    }
    return xr.Dataset(variables, {"family": [str(one)]})


def rows(settings: Settings) -> dict[str, Row]:
    """Every network as a row of the design, on the one image set of this study."""
    return {
        label: Row(
            network=label,
            maker=one.spec,
            images_of=settings.data,
            seeds=settings.seeds,
            steps=settings.steps,
            network_steps=settings.steps,
            schedule=settings.schedule,
        )
        for label, one in trained(settings).items()
    }


def compared(one: Trained, laws: list[Cell], networks: dict[str, Row]) -> Cell:
    """Agreement of one network with the laws and, of another training, with the base of its
    protocol, its own variant, and that variant under the other protocol: group agreement.
    """
    variant = one.variant
    again = 2 if one.training == 1 and label_of(str(variant), 2) in networks else 1
    rivals = {"base": replace(variant, name="base")} if variant.name != "base" else {}
    rivals |= {"replicate": variant} if again != one.training else {}
    rivals["other protocol"] = replace(
        variant, protocol=OURS if variant.protocol == PUBLISHED else PUBLISHED
    )
    known = {name: label_of(str(other), again) for name, other in rivals.items()}
    return crossed.compared(
        networks[str(one)],
        laws,
        networks={name: networks[label] for name, label in known.items() if label in networks},
        another_seed=False,
    )


def grid(settings: Settings) -> list[Cell]:
    """The laws, every network judged, and every network compared with the laws and the others."""
    laws = [cells.mean_image(settings), cells.law_of("wiener", Linear(), settings, seconds=20)]
    held_out = realism.reference(settings.data, settings.held_out)
    known, networks = trained(settings).values(), rows(settings)
    made = [network(one, settings) for one in known]
    comparisons = [compared(one, laws, networks) for one in known]
    pairs = crossed.pairs(list(variants(settings)), list(networks), settings.seeds)
    return [*laws, held_out, *made, *comparisons, pairs]


# poolings, capacity and skips as published, and the same UNets as this study trains them
AS_PUBLISHED = {
    "steps": 10,
    "pooling": ("average",),
    "crossed": True,
    "unet.train.steps": 4000,
    "published": replace(
        UNet.published(), train=Train(steps=500, batch=32, learning_rate=4e-3, ema=0.999)
    ),
}

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
        "as_published": AS_PUBLISHED,
        "as_published_64": AS_PUBLISHED
        | {"data.size": 64, "levels": (3,), "channels": (8,), "skips": (True,)},
        "as_published_short": AS_PUBLISHED
        | {
            "data.size": 16,
            "held_out": 200,
            "judged": 64,
            "seeds": 32,
            "levels": (3, 1),
            "channels": (8, 4),
            "crossed": False,
            "unet.train.steps": 800,
            "unet.train.batch": 16,
            "published.train.steps": 80,
            "published.train.batch": 16,
        },
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
