"""The study of Kamb & Ganguli (arXiv 2412.20292): do score machines foretell, seed by seed, what
convolutional networks draw?
"""

from dataclasses import dataclass, field, replace

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from archbias import noise, sample, seeds
from archbias.data import ImageSet
from archbias.denoise import Denoiser, Spec
from archbias.errors import InputError
from archbias.metrics.parts import THRESHOLD, parts, strands
from archbias.nets.resnet import ResNet
from archbias.nets.train import Train
from archbias.nets.unet import UNet
from archbias.posteriors import calibrate
from archbias.posteriors.ideal import Ideal
from archbias.posteriors.score_machines import BBELS, ELS, ES, LS
from archbias.posteriors.windows import SCHEDULES, WindowSchedule, published
from archbias.regressions.linear import Linear
from archbias.store import about
from archbias.study import Cell, Images, Study, Work, cells

MACHINES = {"bbels": BBELS, "els": ELS, "ls": LS}
SETS = ("celeba", "fashion_mnist", "mnist", "cifar10")
SCALES = ("cosine", "monotone", "held-out", "published")
# first seeds of the calibration and of the pictures whose parts are counted: none is judged
FIT, PIECES = 500_000, 600_000
FRAME = 2  # pixels of the border whose median colour counts as background
REST, VANISHING = 5, 0.01  # calls, and the noise level of each, after which a mosaic is looked at
DRAWN_WITH = about("window of the machine", "pixel")


def _networks() -> dict[str, Spec]:
    train = Train(batch=32, steps=1500, precision="bf16")
    long = replace(train, steps=2500)
    return {
        "resnet": ResNet(depth=6, width=48, train=train),
        "resnet, circular": ResNet(depth=6, width=48, padding="circular", train=train),
        "unet": UNet(channels=16, levels=2, train=long),
        "unet, circular": UNet(channels=16, levels=2, padding="circular", train=long),
        "unet, attention": UNet(channels=16, levels=2, attention="coarsest", train=long),
    }


def _unet(**changes: str) -> UNet:
    """The UNet of Kamb & Ganguli with the training of their ResNet: 64, 128 and 256 channels,
    predicting the noise.
    """
    return UNet(
        channels=64,
        levels=2,
        predicts="noise",
        precondition="vp",
        train=ResNet.published().train,
        **changes,
    )


@dataclass(frozen=True, kw_only=True)
class Settings(cells.Settings):
    """A row is an image set and a network, "celeba resnet": trained, calibrated, predicted,
    compared.

    sets: those at hand; rows of others are left out.
    celeba, cifar10, mnist, fashion_mnist: the training images of each (`--set celeba.root=FOLDER`);
        `data` is not used. FashionMNIST leaves `held_out` of the bundled thousand to the protocol
        held-out.
    conditional: sets whose networks and machines are told the label; seed s has the label number s
        mod (number of labels).
    rows: what is run, as far as its set is at hand.
    families: the networks by label. Circular padding is answered by ELS, every other padding by
        bbELS.
    unbroken: rows whose samples are also predicted by ELS at bbELS's windows, that is without the
        broken border.
    seeds: seeds 0..seeds-1 are judged.
    network_steps: of the network's sampler; `steps` are the machines'.
    replicates: training seeds of the noise ceiling.
    windows, scale_steps: candidates of the calibration, and its number of noise levels.
    fit_seeds: how many other seeds it is fitted on. held_out: images after the training ones, for
        the protocol held-out.
    scales: protocols the predictions are made with, of "cosine", "monotone", "held-out",
        "published"; figures show the first.
    mosaic_seeds: judged seeds whose mosaics are kept.
    fixed: windows held fixed while the noise falls, for the first row of each set, on
        `collapse_seeds` judged seeds and `collapse_levels` noise levels; none for no such cells.
    kinds: labels of FashionMNIST whose parts are counted (0 T-shirt, 1 trousers, 6 shirt), on
        `part_seeds` seeds each.
    """

    data: Images | None = None
    sets: tuple[str, ...] = SETS
    celeba: Images = Images(name="celeba", n=1000, size=32)
    cifar10: Images = Images(name="cifar10", n=1000)
    mnist: Images = Images(name="mnist", n=1000)
    fashion_mnist: Images = Images(name="fashion_mnist", n=992)
    conditional: tuple[str, ...] = ("fashion_mnist", "cifar10")
    rows: tuple[str, ...] = (
        "celeba resnet",
        "fashion_mnist resnet",
        "cifar10 unet",
        "cifar10 unet, attention",
    )
    families: dict[str, Spec] = field(default_factory=_networks)
    unbroken: tuple[str, ...] = ("celeba resnet", "fashion_mnist resnet")
    seeds: int = 16
    network_steps: int = 150
    replicates: tuple[int, ...] = (1,)
    windows: tuple[int, ...] = (3, 5, 7, 9, 11, 13, 15, 19, 25)
    scale_steps: int = 10
    fit_seeds: int = 4
    held_out: int = 8
    scales: tuple[str, ...] = ("cosine",)
    mosaic_seeds: int = 6
    fixed: tuple[int, ...] = (7, 13, 19)
    collapse_seeds: int = 2
    collapse_levels: int = 8
    kinds: tuple[int, ...] = (1, 0, 6)
    part_seeds: int = 24

    def chosen(self) -> list["Row"]:
        """The rows whose set is at hand."""
        return [row for name in self.rows if (row := Row.of(name, self)).set in self.sets]

    def candidates(self, images: ImageSet) -> list[int]:
        return [k for k in self.windows if k <= min(images.shape[1:])]

    def held(self, images: ImageSet) -> list[int]:
        return [k for k in self.fixed if k <= min(images.shape[1:])]


@dataclass(frozen=True)
class Row:
    """A row of the table: image set, network, and what follows from them."""

    set: str
    network: str
    spec: Spec
    images_of: Images
    labelled: bool

    @classmethod
    def of(cls, name: str, settings: Settings) -> "Row":
        known, network = name.partition(" ")[::2]
        if (
            not isinstance(getattr(settings, known, None), Images)
            or network not in settings.families
        ):
            raise InputError(
                "a row is SET NETWORK with a network of `families` "
                f"({', '.join(settings.families)}), got {name!r}; "
                "for example rows='celeba resnet'"
            )
        labelled = known in settings.conditional
        return cls(
            known,
            network,
            replace(settings.families[network], class_labels=labelled),
            getattr(settings, known),
            labelled,
        )

    def __str__(self) -> str:
        return f"{self.set} {self.network}"

    @property
    def own(self) -> str:
        """The machine of the network's border."""
        return "els" if self.spec.padding == "circular" else "bbels"

    @property
    def images(self) -> ImageSet:
        return self.images_of.load()


def labels_of(images: ImageSet, which: range, labelled: bool) -> Tensor | None:
    """The label of each seed, round and round; None where none is told."""
    return (
        torch.tensor([images.classes[s % len(images.classes)] for s in which]) if labelled else None
    )


def drawn(
    denoiser: Denoiser,
    images: ImageSet,
    labelled: bool,
    settings: Settings,
    work: Work,
    note: str,
    steps: int,
) -> Tensor:
    """Samples of the judged seeds."""
    which = range(settings.seeds)
    at = replace(settings, steps=steps)
    return cells.draw(
        denoiser, at, images, work.runtime, note, which, labels_of(images, which, labelled)
    )


# --- the network
# ------------------------------------------------------------------------------


def trained(row: Row, settings: Settings) -> Cell:
    """The network: trained, kept, sampled; groups SET/samples, SET/novelty, novelty, training and
    rows.
    """

    def run(work: Work) -> dict[str, xr.Dataset]:
        images = row.images
        denoiser = row.spec.fit(images, runtime=work.runtime)
        work.save(str(row), denoiser)
        x = drawn(
            denoiser,
            images,
            row.labelled,
            settings,
            work,
            f"{row}: sampling",
            settings.network_steps,
        )
        near = cells.novelty_of(x, images, str(row))
        nearest = near[["nearest_image"]].assign_coords(family=[row.network])
        return {
            f"{row.set}/samples": cells.dataset("sample", x, family=row.network),
            f"{row.set}/novelty": nearest,
            "novelty": near.drop_vars("nearest_image"),
            "rows": described(row, images, settings),
            **cells.training(denoiser, str(row)),
        }

    return Cell(str(row), run, seconds=training_seconds(row, settings), resources={"gpu": 1})


def described(row: Row, images: ImageSet, settings: Settings) -> xr.Dataset:
    """What a small run must not be mistaken for: images, steps, epochs, parameters."""
    train = row.spec.train
    classes = len(images.classes) if row.labelled else 0
    values = {
        "set": (row.set, "image set", ""),
        "network": (row.network, "network", ""),
        "machine": (row.own, "score machine of the network's border", ""),
        "images_hash": (images.hash, "sha256 of the training images", ""),
        "n": (len(images), "number of training images", "1"),
        "side": (images.shape[1], "side of the images", "pixel"),
        "training_steps": (train.steps, "training steps", "step"),
        "epochs": (train.steps * train.batch / len(images), "passes over the training images", "1"),
        "parameters": (row.spec.parameters(images.shape, classes), "trained numbers", "1"),
        "network_steps": (settings.network_steps, "steps of the network's sampler", "step"),
        "machine_steps": (settings.steps, "steps of the machines' sampler", "step"),
    }
    variables = {
        k: (("family",), np.array([v]), about(name, units))
        for k, (v, name, units) in values.items()
    }
    return xr.Dataset(variables, {"family": [str(row)]})


def replicated(row: Row, number: int, settings: Settings) -> Cell:
    """The same network from another training seed, on the same noise: the ceiling."""
    seed = settings.replicates[number]
    name = "replicate" if number == 0 else f"replicate {number + 1}"

    def run(work: Work) -> dict[str, xr.Dataset]:
        images = row.images
        denoiser = replace(row.spec, train=replace(row.spec.train, seed=seed)).fit(
            images, runtime=work.runtime
        )
        x = drawn(
            denoiser, images, row.labelled, settings, work, f"{row}: {name}", settings.network_steps
        )
        return {
            f"{row.set}/predictions": cells.dataset(
                "prediction", x, family=row.network, predictor=name
            )
        }

    return Cell(f"{row} {name}", run, seconds=training_seconds(row, settings), resources={"gpu": 1})


# --- scales
# ------------------------------------------------------------------------------


def calibrated(row: Row, machine: str, settings: Settings) -> Cell:
    """The scale of a machine on the network's own trajectories, by both protocols that follow a
    network: group calibration.
    """

    def run(work: Work) -> dict[str, xr.Dataset]:
        images = row.images
        which = range(FIT, FIT + settings.fit_seeds)
        found = calibrate.calibrate(
            work.denoiser(str(row)),
            MACHINES[machine](),
            images,
            which,
            protocol="cosine",
            windows=settings.candidates(images),
            sigmas=noise.cosine(settings.scale_steps),
            labels=labels_of(images, which, row.labelled),
            progress=lambda i, n: work.runtime.progress(i, n, f"{row}: scale of {machine}"),
        )
        found.apart(range(settings.seeds))
        both = [
            scale_of(found.under(protocol), str(row), machine)
            for protocol in ("cosine", "monotone")
        ]
        measured = xr.Dataset(
            {
                "score_cosine": _measured(
                    found.cosine, "cosine between the scores of network and machine", "1"
                ),
                "score_error": _measured(
                    found.error,
                    "mean squared difference of the denoised images",
                    "squared pixel value",
                ),
            },
            {
                "family": [str(row)],
                "machine": [machine],
                "sigma": found.sigmas.numpy(),
                "fit_seed": list(found.seeds),
                "window": found.windows.numpy(),
            },
        )
        return {"calibration": xr.merge([xr.concat(both, "protocol"), measured])}

    seconds = 2 + settings.scale_steps * settings.fit_seeds * 2 * score_seconds(
        row.set, settings, machine
    )
    return Cell(f"{row} scale {machine}", run, after=(str(row),), seconds=seconds)


def _measured(values: Tensor, name: str, units: str) -> tuple:
    dims = ("family", "machine", "sigma", "fit_seed", "window")
    return dims, values.numpy()[None, None], about(name, units)


def held_out(of: str, labelled: bool, machine: str, settings: Settings) -> Cell:
    """The scale that denoises images outside the training set best, no network involved: group
    held_out.
    """

    def run(work: Work) -> dict[str, xr.Dataset]:
        images, unseen = (
            getattr(settings, of).load(),
            getattr(settings, of).unseen(settings.held_out),
        )
        rows = [j % len(unseen) for j in range(settings.fit_seeds)]
        found = calibrate.calibrate(
            None,
            MACHINES[machine](),
            images,
            range(FIT, FIT + settings.fit_seeds),
            protocol="held-out",
            windows=settings.candidates(images),
            sigmas=noise.cosine(settings.scale_steps),
            labels=unseen.labels[rows] if labelled else None,
            held_out=unseen,
            progress=lambda i, n: work.runtime.progress(i, n, f"{of}: held-out scale of {machine}"),
        )
        return {
            "held_out": scale_of(found, of, machine)
            .isel(protocol=0, drop=True)
            .rename(family="set")
        }

    seconds = 2 + settings.scale_steps * settings.fit_seeds * 2 * score_seconds(
        of, settings, machine
    )
    return Cell(f"{of} held-out scale {machine}", run, seconds=seconds)


def scale_of(found: calibrate.Calibration, family: str, machine: str) -> xr.Dataset:
    """Windows chosen together and by each seed alone, sigma decreasing."""
    dims = ("family", "machine", "protocol", "sigma")
    return xr.Dataset(
        {
            "scale": (
                dims,
                np.array(found.schedule.windows[::-1], float)[None, None, None],
                DRAWN_WITH,
            ),
            "choice": (
                (*dims, "fit_seed"),
                found.choice.double().numpy()[None, None, None],
                about("window each seed alone would choose", "pixel"),
            ),
        },
        {
            "family": [family],
            "machine": [machine],
            "protocol": [found.protocol],
            "sigma": found.sigmas.numpy(),
            "fit_seed": list(found.seeds),
        },
    )


def schedule(row: Row, machine: str, scale: str, work: Work) -> WindowSchedule:
    """The windows of a machine by one of SCALES, from the finished cell that found them."""
    if scale == "published":
        return published(publication(row))
    if scale == "held-out":
        one = (
            work.read(f"{row.set} held-out scale {machine}")["held_out"]
            .to_dataset()
            .isel(set=0, machine=0)
        )
    else:
        one = (
            work.read(f"{row} scale {machine}")["calibration"]
            .to_dataset()
            .isel(family=0, machine=0)
            .sel(protocol=scale)
        )
    one = one.sortby("sigma")
    return WindowSchedule(
        tuple(one["sigma"].values.tolist()),
        tuple(one["scale"].values.astype(int).tolist()),
        f"{row}: {scale}",
    )


def publication(row: Row) -> str:
    """The name of the row's published windows."""
    return f"{row.set}-{row.network}"


def source_of(row: Row, machine: str, scale: str) -> tuple[str, ...]:
    """The cell that `schedule` reads."""
    if scale == "published":
        return ()
    return (
        (f"{row.set} held-out scale {machine}",)
        if scale == "held-out"
        else (f"{row} scale {machine}",)
    )


# --- predictions
# ------------------------------------------------------------------------------


def predicted(row: Row, machine: str, scale: str, settings: Settings) -> Cell:
    """What a machine makes of the judged seeds, named after machine and, if not the first,
    protocol: SET/predictions.
    """
    name = machine if scale == settings.scales[0] else f"{machine}, {scale}"
    # ELS beside bbELS: the same windows, only the border differs
    fitted = machine if machine == "ls" else row.own

    def run(work: Work) -> dict[str, xr.Dataset]:
        images = row.images
        spec = MACHINES[machine](window=schedule(row, fitted, scale, work))
        x = drawn(
            spec.fit(images), images, row.labelled, settings, work, f"{row}: {name}", settings.steps
        )
        return {
            f"{row.set}/predictions": cells.dataset(
                "prediction", x, family=row.network, predictor=name
            )
        }

    seconds = 1 + settings.steps * settings.seeds * score_seconds(row.set, settings, machine)
    return Cell(f"{row} {name}", run, after=source_of(row, fitted, scale), seconds=seconds)


def reference(of: str, labelled: bool, name: str, settings: Settings) -> Cell:
    """Predictions that know no network of the set: ideal, es, wiener, the mean image (of the seed's
    label): SET/references.
    """

    def run(work: Work) -> dict[str, xr.Dataset]:
        images = getattr(settings, of).load()
        if name in ("ideal", "es"):
            denoiser = {"ideal": Ideal, "es": ES}[name]().fit(images)
            x = drawn(denoiser, images, labelled, settings, work, f"{of}: {name}", settings.steps)
        else:
            x = by_label(images, labelled, settings, gaussian if name == "wiener" else mean_image)
        return {f"{of}/references": cells.dataset("prediction", x, predictor=name)}

    scores = (
        settings.steps * settings.seeds * score_seconds(of, settings, "es") if name == "es" else 0
    )
    return Cell(f"{of} {name}", run, seconds=3 + scores)


def by_label(images: ImageSet, labelled: bool, settings: Settings, predict) -> Tensor:
    """predict(images, noise, settings) for the seeds of each label from the images of that label,
    or for all from all.
    """
    start = settings.start(images)
    labels = labels_of(images, range(settings.seeds), labelled)
    if labels is None:
        return predict(images, start, settings)
    out = torch.empty_like(start)
    for label in labels.unique().tolist():
        ids = [
            name
            for name, own in zip(images.ids, images.labels.tolist(), strict=True)
            if own == label
        ]
        out[labels == label] = predict(images.subset(ids=ids), start[labels == label], settings)
    return out


def gaussian(images: ImageSet, start: Tensor, settings: Settings) -> Tensor:
    """The law of the Wiener filter, pushed: images and noise's mean and covariance, nothing
    else.
    """
    return sample.ddim(Linear().fit(images), start, settings.sigmas)


def mean_image(images: ImageSet, start: Tensor, settings: Settings) -> Tensor:
    return images.images.double().mean(0).float().expand_as(start)


# --- comparison
# ------------------------------------------------------------------------------


def compared(row: Row, own: list[Cell], common: list[Cell], settings: Settings) -> Cell:
    """Agreement with every prediction, and r by region of the picture: agreement, regions,
    SET/regions.
    """

    def run(work: Work) -> dict[str, xr.Dataset]:
        x = torch.from_numpy(work.read(str(row))[f"{row.set}/samples/sample"].values[0])
        found = dict(
            p for cell in own for p in predictions(work, cell.name, f"{row.set}/predictions")
        )
        found |= dict(
            p for cell in common for p in predictions(work, cell.name, f"{row.set}/references")
        )
        found["another seed"] = x.roll(-1, 0)
        masks = regions(x)
        values = torch.full((len(found), len(masks), len(x)), torch.nan, dtype=torch.float64)
        for values_of, p in zip(values, found.values(), strict=True):
            for one, mask in zip(values_of, masks.values(), strict=True):
                one[: len(p)] = masked_r(x[: len(p)], p, mask[: len(p)])
        by_region = xr.Dataset(
            {
                "region_r": (
                    ("family", "predictor", "region", "seed"),
                    values.numpy()[None],
                    about("Pearson correlation within a region"),
                )
            },
            {
                "family": [str(row)],
                "predictor": list(found),
                "region": list(masks),
                "seed": np.arange(len(x)),
            },
        )
        agreement = xr.concat(
            [cells.agreements(x[: len(p)], p, str(row), name) for name, p in found.items()],
            "predictor",
            join="outer",
        )
        described = about("pixel of the foreground of the network's sample", "")
        foreground = xr.Dataset(
            {
                "foreground": (
                    ("family", "seed", "row", "column"),
                    masks["foreground"].numpy()[None],
                    described,
                )
            },
            {"family": [row.network], "seed": np.arange(len(x))},
        )
        return {"agreement": agreement, "regions": by_region, f"{row.set}/regions": foreground}

    return Cell(f"{row} compare", run, after=(str(row), *(c.name for c in own + common)), seconds=1)


def predictions(work: Work, cell: str, group: str):
    """(name, images) of a cell's predictions."""
    values = work.read(cell)[group].to_dataset()["prediction"]
    for name in values["predictor"].values.tolist():
        yield name, torch.from_numpy(values.sel(predictor=name).values.reshape(values.shape[-4:]))


def regions(x: Tensor) -> dict[str, Tensor]:
    """Where a picture is looked at, masks (B, H, W), two pairs of complements.

    centre      the central rectangle of half the height and width's square root of 1/2, so about
                half the pixels; border: the rest
    foreground  the half of the pixels whose colour is farthest from the median colour of the
                picture's outer two pixels;
                background: the rest
    """
    b, _, h, w = x.shape
    rows, columns = (torch.arange(n) for n in (h, w))

    def middle(at: Tensor, n: int) -> Tensor:
        return (at - (n - 1) / 2).abs() < n * 0.5**0.5 / 2

    centre = (middle(rows, h)[:, None] & middle(columns, w)).expand(b, h, w)
    edge = torch.ones(h, w, dtype=torch.bool)
    edge[FRAME:-FRAME, FRAME:-FRAME] = False
    usual = x[:, :, edge].median(2).values
    distance = (x - usual[:, :, None, None]).square().sum(1)
    foreground = distance > distance.flatten(1).median(1).values[:, None, None]
    return {
        "centre": centre,
        "border": ~centre,
        "foreground": foreground,
        "background": ~foreground,
    }


def masked_r(x: Tensor, p: Tensor, mask: Tensor) -> Tensor:
    """Pearson correlation of (B, C, H, W) pairs over the pixels of a mask (B, H, W), all channels;
    NaN where one is constant.
    """
    weight = mask[:, None].expand_as(x).flatten(1).double()

    def centred(v: Tensor) -> Tensor:
        v = v.double().flatten(1)
        return (v - (v * weight).sum(1, keepdim=True) / weight.sum(1, keepdim=True)) * weight

    a, b = centred(x), centred(p)
    return (a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1))


# --- mosaics, collapse, parts
# ------------------------------------------------------------------------------------------


def mosaics(row: Row, settings: Settings) -> Cell:
    """The source of every pixel, for the machine's samples (as they are, and settled) and the
    network's: SET/mosaic, mosaic.
    """
    scale = settings.scales[0]

    def run(work: Work) -> dict[str, xr.Dataset]:
        images, few = row.images, settings.mosaic_seeds
        machine = MACHINES[row.own](window=schedule(row, row.own, scale, work)).fit(images)
        labels = labels_of(images, range(min(few, settings.seeds)), row.labelled)
        predicted = next(predictions(work, f"{row} {row.own}", f"{row.set}/predictions"))[1][:few]
        makers = {
            row.own: predicted,
            f"{row.own}, settled": settled(machine, predicted, labels),
            "network": torch.from_numpy(work.read(str(row))[f"{row.set}/samples/sample"].values[0]),
        }
        found = [
            machine.mosaic(x[:few], settings.sigmas[-2].item(), labels) for x in makers.values()
        ]
        source, equal = (
            np.stack([getattr(m, k).numpy() for m in found])[None] for k in ("image", "consistent")
        )
        dims = ("family", "maker", "seed")
        seeds_ = np.arange(source.shape[2])
        places = about("training image the pixel comes from", "position in the set")
        share = about("share of pixels equal to the centre of the nearest training window")
        coordinates = {"maker": list(makers), "seed": seeds_}
        return {
            f"{row.set}/mosaic": xr.Dataset(
                {"source": ((*dims, "row", "column"), source, places)},
                {"family": [row.network], **coordinates},
            ),
            "mosaic": xr.Dataset(
                {"consistent": (dims, equal, share)}, {"family": [str(row)], **coordinates}
            ),
        }

    after = (str(row), f"{row} {row.own}", *source_of(row, row.own, scale))
    scores = (3 + REST) * settings.mosaic_seeds  # to find the nearest windows costs about a score
    seconds = 2 + scores * score_seconds(row.set, settings, row.own)
    return Cell(f"{row} mosaic", run, after=after, seconds=seconds)


def settled(machine: Denoiser, x: Tensor, labels: Tensor | None) -> Tensor:
    """Samples after REST more calls at vanishing noise, each of which puts the centre of the
    nearest window at every pixel.

    The theorem speaks of an image this leaves alone; the last step of a sampler is not there yet.
    """
    for _ in range(REST):
        x = machine(x, VANISHING, labels)
    return x


def collapsed(row: Row, settings: Settings) -> Cell:
    """The row's machine with its window held fixed, and falling: beliefs on the way, samples,
    copies; SET/collapse, collapse.
    """
    scale = settings.scales[0]

    def run(work: Work) -> dict[str, xr.Dataset]:
        images, which = row.images, range(settings.collapse_seeds)
        labels = labels_of(images, which, row.labelled)
        sigmas = settings.sigmas
        watched = sorted(
            {round(i) for i in np.linspace(0, len(sigmas) - 2, settings.collapse_levels)}
        )
        start = seeds.normal(which, images.shape)
        falling = {"falling": schedule(row, row.own, scale, work)}
        windows = falling | {f"fixed at {k}": k for k in settings.held(images)}
        parts_, drawings = [], []
        for number, (name, window) in enumerate(windows.items()):
            machine = MACHINES[row.own](window=window).fit(images)

            def progress(i: int, n: int, number=number, name=name) -> None:
                work.runtime.progress(number * n + i, len(windows) * n, f"{row}: {name}")

            path = sample.ddim(machine, start, sigmas, labels=labels, path=True, progress=progress)
            entropy = torch.stack(
                [
                    machine.posterior(path[t], sigmas[t].item(), labels, top=1).entropy
                    for t in watched
                ],
                1,
            )
            end = machine.mosaic(path[-1], sigmas[-2].item(), labels).image.flatten(1)
            near = cells.novelty_of(path[-1], images, str(row))
            dims, seeds_ = ("family", "window", "seed"), np.arange(len(start))
            variables = {
                "entropy": ((*dims, "sigma"), entropy.mean((2, 3)).numpy()[None, None], ENTROPY),
                "effective": (
                    (*dims, "sigma"),
                    entropy.exp().mean((2, 3)).numpy()[None, None],
                    EFFECTIVE,
                ),
                "images": (dims, [[[len(e.unique()) for e in end]]], IMAGES),
                "copy": (dims, near["copy"].values[None]),
                "distance_ratio": (dims, near["distance_ratio"].values[None]),
            }
            coordinates = {"window": [name], "seed": seeds_}
            parts_.append(
                xr.Dataset(
                    variables,
                    {"family": [str(row)], **coordinates, "sigma": sigmas[watched].numpy()},
                )
            )
            pictures = {
                "sample": path[-1].numpy()[None, None],
                "nearest_image": near["nearest_image"].values[None],
            }
            drawings.append(
                xr.Dataset(
                    {k: ((*dims, *cells.IMAGE), v) for k, v in pictures.items()},
                    {"family": [row.network], **coordinates},
                )
            )
        return {
            f"{row.set}/collapse": xr.concat(drawings, "window"),
            "collapse": xr.concat(parts_, "window"),
        }

    scores = (
        (1 + len(settings.fixed))
        * settings.collapse_seeds
        * (settings.steps + settings.collapse_levels)
    )
    seconds = 2 + scores * score_seconds(row.set, settings, row.own)
    return Cell(f"{row} collapse", run, after=source_of(row, row.own, scale), seconds=seconds)


ENTROPY = about("entropy of a pixel's belief over its sources, mean over pixels", "nat")
EFFECTIVE = about("effective number of sources of a pixel, exp(entropy), mean over pixels")
IMAGES = about("training images a sample is made of")


def counted(row: Row, settings: Settings) -> Cell:
    """Parts and strands of trousers and shirts: training images, the machine's, the network's;
    SET/parts, parts.
    """
    scale = settings.scales[0]

    def run(work: Work) -> dict[str, xr.Dataset]:
        images = row.images
        makers = {
            row.own: (
                MACHINES[row.own](window=schedule(row, row.own, scale, work)).fit(images),
                settings.steps,
            ),
            "network": (work.denoiser(str(row)), settings.network_steps),
        }
        by_kind, drawings = [], []
        for number, kind in enumerate(settings.kinds):
            which = range(
                PIECES + number * settings.part_seeds, PIECES + (number + 1) * settings.part_seeds
            )
            labels = torch.full((len(which),), kind)
            found = {"training": images.images[images.labels == kind]}
            for maker, (denoiser, steps) in makers.items():
                at = replace(settings, steps=steps)
                found[maker] = cells.draw(
                    denoiser,
                    at,
                    images,
                    work.runtime,
                    f"{row}: {maker}, kind {kind}",
                    which,
                    labels,
                )
            for maker, x in found.items():
                by_kind.append(pieces(x, str(row), maker, kind))
                x = x[: settings.part_seeds]
                values = x.numpy()[None, None, None]
                coordinates = {
                    "family": [row.network],
                    "maker": [maker],
                    "kind": [kind],
                    "picture": np.arange(len(x)),
                }
                described = about("picture whose parts were counted", "pixel value in [-1, 1]")
                dims = ("family", "maker", "kind", "picture", *cells.IMAGE)
                drawings.append(xr.Dataset({"image": (dims, values, described)}, coordinates))
        return {
            f"{row.set}/parts": xr.merge(drawings, join="outer", compat="no_conflicts"),
            "parts": xr.merge(by_kind, join="outer", compat="no_conflicts"),
        }

    scores = settings.steps * settings.part_seeds * len(settings.kinds)
    seconds = 5 + scores * score_seconds(row.set, settings, row.own)
    return Cell(
        f"{row} parts", run, after=(str(row), *source_of(row, row.own, scale)), seconds=seconds
    )


def pieces(x: Tensor, family: str, maker: str, kind: int) -> xr.Dataset:
    """Parts and strands of pictures as a data set."""
    dims = ("family", "maker", "kind", "picture")
    above = f"lighter than {THRESHOLD}"
    values = {
        "parts": (parts(x), f"connected parts of five or more pixels {above}"),
        "strands": (strands(x), f"runs of pixels {above} side by side in three or more rows"),
    }
    variables = {
        k: (dims, v.double().numpy()[None, None, None], about(n)) for k, (v, n) in values.items()
    }
    return xr.Dataset(
        variables,
        {"family": [family], "maker": [maker], "kind": [kind], "picture": np.arange(len(x))},
    )


# --- the plan
# ------------------------------------------------------------------------------

# core-seconds of a bbELS score per pair of pixels, and more for each channel (measured)
PAIR = (4.0e-10, 0.9e-10)
DEARER = {"bbels": 1.0, "els": 1.5}  # all shifts instead of those that keep the border (measured)
# core-seconds of a score per pixel of the training set (measured)
PLACE = {"ls": 3e-8, "es": 1.5e-7}
WEIGHT = {
    "bf16": 1.4e-10,
    "float32": 2.2e-10,
}  # core-seconds of training per pixel, image and channel^2 of every layer (measured)
CORES = 1.8  # what two cores give of one


def pixels(of: str, settings: Settings) -> tuple[int, int]:
    """(channels, pixels) of a set's images, without loading them."""
    side = getattr(settings, of).size or (28 if "mnist" in of else 32)
    return (1 if "mnist" in of else 3), side * side


def score_seconds(of: str, settings: Settings, machine: str) -> float:
    """Estimated seconds of one score of a machine on two cores."""
    colours, side = pixels(of, settings)
    n = getattr(settings, of).n / (10 if of in settings.conditional else 1)
    if machine in PLACE:
        return n * side * PLACE[machine] / CORES
    return n * side * side * (PAIR[0] + PAIR[1] * colours) * DEARER[machine] / CORES


def training_seconds(row: Row, settings: Settings) -> float:
    """Estimated seconds of training and sampling a network on two cores."""
    spec, side = row.spec, pixels(row.set, settings)[1]
    layers = spec.width**2 * spec.depth if isinstance(spec, ResNet) else spec.channels**2 * 28
    attending = 1.8 if getattr(spec, "attention", "none") != "none" else 1.0
    per_image = WEIGHT[spec.train.precision] * side * layers * attending
    return (
        4
        + per_image
        * (spec.train.steps * spec.train.batch + settings.network_steps * settings.seeds)
        / CORES
    )


def grid(settings: Settings) -> list[Cell]:
    _check(settings)
    found: dict[str, Cell] = {}

    def add(cell: Cell) -> Cell:
        return found.setdefault(cell.name, cell)

    for row in settings.chosen():
        first = row.set not in {name.split()[0] for name in found}
        common = [
            add(reference(row.set, row.labelled, name, settings))
            for name in ("mean image", "wiener", "ideal", "es")
        ]
        add(trained(row, settings))
        own = [add(replicated(row, number, settings)) for number in range(len(settings.replicates))]
        for machine in (row.own, "ls"):
            add(calibrated(row, machine, settings))
            if settings.held_out:
                add(held_out(row.set, row.labelled, machine, settings))
        for machine in (
            row.own,
            "ls",
            *(["els"] if str(row) in settings.unbroken and row.own != "els" else []),
        ):
            for scale in settings.scales:
                if scale != "published" or publication(row) in SCHEDULES:
                    own.append(add(predicted(row, machine, scale, settings)))
        add(compared(row, own, common, settings))
        add(mosaics(row, settings))
        if first and settings.fixed:
            add(collapsed(row, settings))
        if row.set == "fashion_mnist" and row.labelled and settings.kinds:
            add(counted(row, settings))
    return list(found.values())


def _check(settings: Settings) -> None:
    if settings.data is not None:
        raise InputError(
            "every set of this study has its own settings, got data; use for example sets=mnist "
            "and mnist.n=500"
        )
    for scale in settings.scales:
        if scale not in SCALES or (scale == "held-out" and not settings.held_out):
            raise InputError(
                f"scales are of {', '.join(SCALES)}, held-out with held_out images, got {scale!r}; "
                "choose of those"
            )
    if not settings.scales or settings.scales[0] == "published":
        raise InputError(
            "the first of the scales must exist for every row, got none or 'published'; put "
            "'cosine' first"
        )
    if not set(settings.sets) <= set(SETS):
        raise InputError(f"sets are of {', '.join(SETS)}, got {settings.sets}; choose of those")


STUDY = Study(
    name="score_machines",
    question="Do score machines foretell, seed by seed, what a convolutional network draws?",
    settings=Settings(),
    cells=grid,
    presets={
        "toy": {
            "sets": ("fashion_mnist",),
            "fashion_mnist": Images(name="fashion_mnist", n=40, size=12),
            "rows": tuple(
                f"fashion_mnist {n}"
                for n in ("resnet", "resnet, circular", "unet", "unet, attention")
            ),
            "families": {
                "resnet": ResNet(depth=3, width=8, train=Train(batch=8, steps=20)),
                "resnet, circular": ResNet(
                    depth=3, width=8, padding="circular", train=Train(batch=8, steps=20)
                ),
                "unet": UNet(channels=8, levels=1, train=Train(batch=8, steps=20)),
                "unet, attention": UNet(
                    channels=8, levels=1, attention="coarsest", train=Train(batch=8, steps=20)
                ),
            },
            "seeds": 3,
            "steps": 5,
            "network_steps": 10,
            "windows": (3, 5, 9),
            "scale_steps": 4,
            "fit_seeds": 2,
            "held_out": 4,
            "scales": ("cosine", "monotone", "held-out", "published"),
            "mosaic_seeds": 2,
            "fixed": (9,),
            "collapse_levels": 3,
            "kinds": (1, 0),
            "part_seeds": 3,
        },
        "laptop": {},
        "paper": {
            "celeba": Images(name="celeba", n=50_000, size=32),
            "cifar10": Images(name="cifar10", n=49_900, size=32),
            "mnist": Images(name="mnist", n=50_000, size=32),
            "fashion_mnist": Images(name="fashion_mnist", n=50_000, size=32),
            "rows": (
                *(f"{of} {net}" for of in SETS for net in list(_networks())[:4]),
                "cifar10 unet, attention",
            ),
            "families": {
                "resnet": ResNet.published(),
                "resnet, circular": ResNet.published(padding="circular"),
                "unet": _unet(),
                "unet, circular": _unet(padding="circular"),
                "unet, attention": _unet(attention="coarsest"),
            },
            "seeds": 100,
            "windows": tuple(range(3, 33, 2)),
            "scale_steps": 20,
            "fit_seeds": 20,
            "held_out": 20,
            "scales": SCALES,
            "part_seeds": 100,
        },
    },
)
