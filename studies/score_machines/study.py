"""The study of Kamb & Ganguli (arXiv 2412.20292): do score machines predict, seed by seed, what
convolutional networks draw?

Image sets x networks x machines, on the same noise (`archbias.study.crossed`), and three cells of
its own: where pixels come from, what a window that does not shrink does, and how many parts
garments have.
"""

from dataclasses import dataclass, field, replace

from archbias.denoise import Spec
from archbias.errors import InputError
from archbias.nets.resnet import ResNet
from archbias.nets.train import Train
from archbias.nets.unet import UNet
from archbias.posteriors.ideal import Ideal
from archbias.posteriors.score_machines import BBELS, ELS, ES, LS
from archbias.posteriors.windows import SCHEDULES
from archbias.regressions.linear import Linear
from archbias.study import Cell, Images, Study, crossed, parts, sources
from archbias.study.crossed import Row, Theory
from archbias.study.crossed.settings import SETS

MACHINES = {"bbels": BBELS(), "els": ELS(), "ls": LS()}
REFERENCES = {"mean image": None, "wiener": Linear(), "ideal": Ideal(), "es": ES()}
SCALES = ("cosine", "monotone", "held-out", "published")


def _networks() -> dict[str, Spec]:
    train = Train(batch=32, steps=1500)
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
class Settings(crossed.Settings):
    """What this study asks beside `crossed.Settings`.

    unbroken: rows whose samples are also predicted by ELS at bbELS's windows, that is without the
        broken border.
    scales: protocols the predictions are made with, of SCALES; figures show the first.
    mosaic_seeds: judged seeds whose mosaics are kept.
    fixed: windows held fixed while the noise falls, for the first row of each set, on
        `collapse_seeds` judged seeds and `collapse_levels` noise levels; none for no such cells.
    kinds: labels of FashionMNIST whose parts are counted (0 T-shirt, 1 trousers, 6 shirt), on
        `part_seeds` seeds each.
    """

    rows: tuple[str, ...] = (
        "celeba resnet",
        "fashion_mnist resnet",
        "cifar10 unet",
        "cifar10 unet, attention",
    )
    families: dict[str, Spec] = field(default_factory=_networks)
    unbroken: tuple[str, ...] = ("celeba resnet", "fashion_mnist resnet")
    scales: tuple[str, ...] = ("cosine",)
    mosaic_seeds: int = 6
    fixed: tuple[int, ...] = (7, 13, 19)
    collapse_seeds: int = 2
    collapse_levels: int = 8
    kinds: tuple[int, ...] = (1, 0, 6)
    part_seeds: int = 24


def grid(settings: Settings) -> list[Cell]:
    """Every row's cells; what two rows share is one cell."""
    _check(settings)
    found: dict[str, Cell] = {}
    opened: set[str] = set()
    for row in settings.chosen():
        made = crossed_cells(row, settings) + extra_cells(row, settings, row.set not in opened)
        opened.add(row.set)
        for cell in made:
            found.setdefault(cell.name, cell)
    return list(found.values())


def crossed_cells(row: Row, settings: Settings) -> list[Cell]:
    """The network, its ceiling, the scales and samples of its machines, and how they agree."""
    own, fit = crossed.border_machine(row.maker), settings.fit
    references = [crossed.reference(row, name, spec) for name, spec in REFERENCES.items()]
    predictions = [
        crossed.again(
            row, crossed.retrained(row.maker, seed), f"replicate {k + 1}" if k else "replicate"
        )
        for k, seed in enumerate(settings.replicates)
    ]
    scales = []
    for machine in (own, "ls"):
        scales.append(crossed.calibrated(row, machine, fit))
        if fit.held_out:
            scales.append(crossed.held_out(row, machine, fit))
    unbroken = ["els"] if str(row) in settings.unbroken and own != "els" else []
    for machine in (own, "ls", *unbroken):
        for scale in settings.scales:
            if scale != "published" or crossed.publication(row.base, row.network) in SCHEDULES:
                name = machine if scale == settings.scales[0] else f"{machine}, {scale}"
                theory = theory_of(machine, scale, row)
                predictions.append(crossed.predicted(row, name, theory))
    compared = crossed.compared(row, predictions + references, also=(crossed.by_region,))
    return [*references, crossed.network(row), *scales, *predictions, compared]


def theory_of(machine: str, scale: str, row: Row) -> Theory:
    """A machine and its scale; ELS beside bbELS takes the same windows, so that only the border
    differs.
    """
    like = "ls" if machine == "ls" else crossed.border_machine(row.maker)
    return Theory(spec=MACHINES[machine], found=scale, like=like)


def extra_cells(row: Row, settings: Settings, first: bool) -> list[Cell]:
    """Where pixels come from, what fixed windows do, and how many parts garments have."""
    theory = theory_of(crossed.border_machine(row.maker), settings.scales[0], row)
    made = [sources.mosaics(row, theory, settings.mosaic_seeds)]
    if first and settings.fixed:
        count, levels = settings.collapse_seeds, settings.collapse_levels
        made.append(sources.collapsed(row, theory, settings.fixed, count=count, levels=levels))
    if row.base == "fashion_mnist" and row.labelled and settings.kinds:
        made.append(parts.counted(row, theory, settings.kinds, settings.part_seeds))
    return made


def _check(settings: Settings) -> None:
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


STUDY = Study(
    name="score_machines",
    question="Do score machines predict, seed by seed, what a convolutional network draws?",
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
        "overnight": {
            "sets": ("cifar10",),
            "rows": tuple(
                f"cifar10-{n} {net}"
                for n in (20_000, 5000, 1000)
                for net in ("unet", "unet, attention", "resnet")
            ),
            "families.unet.train.steps": 15_000,
            "families.unet, attention.train.steps": 15_000,
            "families.resnet.train.steps": 15_000,
            "seeds": 64,
            "held_out": 0,
            "scales": ("cosine", "published"),
            "fixed": (),
        },
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
