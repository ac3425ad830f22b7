"""UNets that differ in small things only, trained on the same images and sampled from the same
seeds: how different are they?
"""

from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from archbias.data import ImageSet
from archbias.metrics import features, novelty, realism, symmetry
from archbias.metrics import frechet as distance
from archbias.nets import train
from archbias.nets.train import Train
from archbias.nets.unet import UNet
from archbias.regressions.linear import Linear
from archbias.store import about
from archbias.study import Cell, Images, Study, Work, cells

PATCH, STRIDE = 5, 2  # windows judged for realism: their side, and how far apart they lie
MEASURES = {
    "training_distance": ("Euclidean distance to the nearest training image", "pixel value"),
    "face_distance": ("Euclidean distance to the nearest held-out image", "pixel value"),
    "patch_distance": (
        "mean distance of its windows to the nearest held-out window",
        "pixel value",
    ),
    "log_likelihood": ("log density under probabilistic PCA of held-out images", "nat"),
}
FRECHET = about("Frechet distance to held-out images in random convolutional features")
SPLITS = 20  # random halves of the held-out images whose Frechet distance is the reference
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
        train=Train(steps=6000, batch=32, learning_rate=4e-3, ema=0.999, precision="bf16"),
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
        judged = judge(x, unseen.images, work.runtime.device)
        variables = {
            k: (("family", "seed"), v.numpy()[None], about(*MEASURES[k])) for k, v in judged.items()
        }
        many = range(1_000_000, 1_000_000 + settings.held_out // 2)
        y = cells.draw(
            work.denoiser(label),
            settings,
            images,
            work.runtime,
            f"{label}: as many as held-out images",
            many,
        )
        variables["frechet"] = (("family",), [frechet(y, unseen.images[0::2])], FRECHET)
        groups["realism"] = xr.Dataset(variables, {"family": [label], "seed": np.arange(len(x))})
        groups["errors"] = errors(work, label, images, unseen, settings)
        groups["variants"] = described(label, variant, training, spec, settings)
        return groups

    seconds = 15 + seconds_of(spec, settings.data.size or 28)
    return Cell(label, run, seconds=seconds, resources=fitted.resources)


def judge(x: Tensor, held_out: Tensor, device: str = "cpu") -> dict[str, Tensor]:
    """How real, one number per image (B,) float64, by the even half of the held-out images: the
    values of `metrics.realism`, whose reference, the odd half, is judged once for all variants."""
    known = held_out[0::2]
    density = realism.probabilistic_pca(known, max(1, len(known) // 4))
    windows = symmetry.nearest_patch(x.to(device), known.to(device), size=PATCH, stride=STRIDE)
    return {
        "face_distance": novelty.nearest(x, known).distance,
        "patch_distance": windows.distance.mean((1, 2)).cpu(),
        "log_likelihood": density(x),
    }


def frechet(x: Tensor, images: Tensor) -> float:
    """Frechet distance of two sets of images in random convolutional features."""
    return distance.frechet(x, images, space=features.convolutional(x.shape[1]))


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


def reference(settings: Settings) -> Cell:
    """The odd half of the held-out images, judged as samples are: group held_out."""

    def run(work: Work) -> dict[str, xr.Dataset]:
        unseen = settings.data.unseen(settings.held_out)
        x = unseen.images[1::2]
        found = {"training_distance": novelty.nearest(x, settings.data.load().images).distance}
        found |= judge(x, unseen.images, work.runtime.device)
        variables = {k: (("image",), v.numpy(), about(*MEASURES[k])) for k, v in found.items()}
        rng = np.random.default_rng(0)
        halves = [rng.permutation(len(unseen)).reshape(2, -1) for _ in range(SPLITS)]
        variables["frechet"] = (
            ("split",),
            [frechet(unseen.images[a], unseen.images[b]) for a, b in halves],
            FRECHET,
        )
        return {"held_out": xr.Dataset(variables, {"image": list(unseen.ids[1::2])})}

    return Cell("held out", run, seconds=40)


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


def between(samples: Tensor) -> Tensor:
    """Pearson r between the samples of two variants, seed by seed, averaged over pairs of trainings
    from different training seeds.

        R_ijb = mean over k != l of r(x_ikb, x_jlb)

    Variants trained from one seed share batches, and some the initial weights; leaving those pairs
    out puts different variants (i != j) on the footing of the ceiling (i = j).

    Args:
        samples: (V, K, B, C, H, W), training k of variant v at seed b.

    Returns:
        (V, V, B) float64, symmetric. With K = 1 the one pair is taken and the diagonal is NaN.
    """
    v, k = samples.shape[:2]
    kept = 1 - torch.eye(k, dtype=torch.float64) if k > 1 else torch.ones(1, 1, dtype=torch.float64)
    found = []
    for x in samples.unbind(2):
        z = x.double().flatten(2).flatten(0, 1)
        z = z - z.mean(1, keepdim=True)
        z = z / z.norm(dim=1, keepdim=True)
        r = (z @ z.T).clamp(-1, 1).reshape(v, k, v, k)
        found.append(torch.einsum("ikjl,kl->ij", r, kept) / kept.sum())
    result = torch.stack(found, -1)
    if k == 1:
        result.diagonal().fill_(torch.nan)
    return result


def compared(
    label: str, variant: str, training: int, predictors: list[Cell], settings: Settings
) -> Cell:
    """Agreement of one network with the laws, with the base and with its own variant, both of
    another training: group agreement.
    """
    theory = cells.compared(label, predictors, settings)
    other = "" if training > 1 or settings.trainings == 1 else ", training 2"
    rivals = {"base": f"base{other}"} if variant != "base" else {}
    rivals |= {"replicate": f"{variant}{other}"} if settings.trainings > 1 else {}

    def run(work: Work) -> dict[str, xr.Dataset]:
        def samples(of: str) -> Tensor:
            return torch.from_numpy(work.read(of)["samples/sample"].values[0])

        x = samples(label)
        parts = [theory.run(work)["agreement"]]
        parts += [cells.agreements(x, samples(of), label, name) for name, of in rivals.items()]
        return {"agreement": xr.concat(parts, "predictor")}

    return Cell(
        f"compare-{label}",
        run,
        after=tuple(dict.fromkeys((*theory.after, *rivals.values()))),
        seconds=1,
    )


def seconds_of(spec: UNet, side: int) -> float:
    """Estimated time of a training on two cores: 0.37 ms an image and 0.0215 ms for every million
    multiplications of one evaluation, a fit to what UNets of 8 to 16 channels took at 32x32 in bf16
    on two Xeon cores with matrix units.
    """
    return (
        len(spec.sigmas())
        * spec.train.steps
        * spec.train.batch
        * (0.37 + 0.0215e-6 * multiplications(spec, side))
        / 1e3
    )


def multiplications(spec: UNet, side: int, colours: int = 3) -> float:
    """Multiplications of all convolutions in one evaluation of one image; the modulation by the
    noise level is left out.
    """
    widths = [spec.channels * spec.multiplier**level for level in range(spec.levels + 1)]
    areas = [
        side**2 / (1 if spec.pooling == "none" else 4**level) for level in range(spec.levels + 1)
    ]
    further = 2 * spec.blocks - 1  # convolutions of a level after its first
    pooled = {"stride": lambda c: c * c, "blur": lambda c: 9 * c / 4}.get(spec.pooling, lambda c: 0)
    total = 9 * areas[0] * widths[0] * (colours - widths[0])  # the last convolution ends in colours
    for area, before, c in zip(areas, [colours, *widths], widths, strict=False):
        total += 9 * area * (before * c + further * c * c)
    for area, c, deeper in zip(areas, widths, widths[1:], strict=False):
        total += area * (9 * ((1 + spec.skips) + further) * c * c + c * deeper + pooled(c))
    return total


def grid(settings: Settings) -> list[Cell]:
    predictors = [
        cells.mean_image(settings),
        cells.law_of("wiener", Linear(), settings, seconds=20),
    ]
    networks = {
        label: network(label, *entry, settings) for label, entry in trained(settings).items()
    }
    comparisons = [
        compared(label, v, k, predictors, settings)
        for label, (v, k, _) in trained(settings).items()
    ]
    return [*predictors, reference(settings), *networks.values(), *comparisons, pairs(settings)]


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
                train=Train(
                    steps=50_000, batch=32, learning_rate=1e-3, ema=0.999, precision="bf16"
                ),
            ),
        },
    },
)
