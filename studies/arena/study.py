"""The arena: every theory of what a network draws, on the same images and the same noise.

Image sets x networks x theories (`archbias.study.crossed`). A theory is judged on whole samples,
between the Wiener filter and the network retrained; on one step at each noise level; and by what a
sample costs. Tables say how much of the network each theory was told.
"""

from dataclasses import dataclass, field, replace

from archbias.denoise import Spec
from archbias.errors import InputError
from archbias.nets.resnet import ResNet
from archbias.nets.train import Train
from archbias.nets.unet import UNet
from archbias.posteriors.blend import Blend
from archbias.posteriors.golden import Golden
from archbias.posteriors.ideal import Ideal
from archbias.posteriors.masked import Masked
from archbias.posteriors.patch_composite import PatchComposite
from archbias.posteriors.score_machines import BBELS, ELS, LS
from archbias.posteriors.sighted import SIGHTED
from archbias.posteriors.smoothed import Smoothed
from archbias.regressions.linear import Linear
from archbias.study import Cell, Images, Study, crossed, steps
from archbias.study.crossed import FOUND, Row, Theory

OURS, STACKED = "sighted, calibrated", "stacked"
OUR_SETTINGS = ("power", "rho", "radius")
LAPTOP = (  # of eleven rows those that fit three hours of two cores
    "fashion_mnist unet",
    "fashion_mnist resnet",
    "celeba unet",
    "cifar10 unet",
    "cifar10 unet, attention",
)
BORDERS = ("els", "bbels")  # of these two a row is answered by the machine of its border


def _networks() -> dict[str, Spec]:
    train = Train(batch=32, steps=1500)
    long = replace(train, steps=2500)
    return {
        "resnet": ResNet(depth=6, width=48, train=train),
        "resnet, circular": ResNet(depth=6, width=48, padding="circular", train=train),
        "unet": UNet(channels=16, levels=2, train=long),
        "unet, attention": UNet(channels=16, levels=2, attention="coarsest", train=long),
    }


def _theories() -> dict[str, Spec]:
    return {
        "wiener": Linear(),
        "ideal": Ideal(),
        "ls": LS(),
        "ls, held-out": LS(),
        "els": ELS(),
        "bbels": BBELS(),
        "golden": Golden(),
        "smoothed": Smoothed(),
        "patch composites": PatchComposite(),
        "wiener masks": Masked(),
        "wiener masks, calibrated": Masked(largest="row", shared=True),
        "jacobian masks": replace(SIGHTED, rho=0.0, radius=0),
        "sighted": SIGHTED,
        OURS: SIGHTED,
        STACKED: Blend(),
    }


@dataclass(frozen=True, kw_only=True)
class Settings(crossed.Settings):
    """What the arena asks beside `crossed.Settings`.

    theories: by label; "wiener" must be among them, for all are measured against it. Another one
        joins with `--set theories.NAME=FAMILY(...)`.
    found: how the free settings of a theory are found, by its label
        (`archbias.study.crossed.theories`); those not named are taken as they are given.
    free: which settings `least` finds, by the theory's label; the window without it.
    parts: what a `stacked` theory blends, by its label: theories, of which those that answer the
        row are taken.
    mask_points: images on which a network's Jacobian is measured, at `levels` noise levels.
    levels, points: noise levels of the one-step comparison, and images of each kind; no more than
        `held_out`.
    """

    fashion_mnist: Images = Images(name="fashion_mnist", n=984)
    rows: tuple[str, ...] = (
        "fashion_mnist unet",
        "fashion_mnist resnet",
        "mnist unet",
        "mnist resnet",
        "mnist resnet, circular",
        "celeba unet",
        "celeba resnet",
        "cifar10 unet",
        "cifar10 unet, attention",
        "cifar10 resnet",
        "cifar10 resnet, circular",
    )
    families: dict[str, Spec] = field(default_factory=_networks)
    theories: dict[str, Spec] = field(default_factory=_theories)
    found: dict[str, str] = field(
        default_factory=lambda: {
            "ls": "monotone",
            "ls, held-out": "held-out",
            "els": "monotone",
            "bbels": "monotone",
            "smoothed": "least",
            "patch composites": "least",
            "wiener masks, calibrated": "least",
            OURS: "least",
            STACKED: "stacked",
        }
    )
    free: dict[str, tuple[str, ...]] = field(
        default_factory=lambda: {
            "smoothed": ("smoothing",),
            "patch composites": ("size",),
            "wiener masks, calibrated": ("share",),
            OURS: OUR_SETTINGS,
        }
    )
    parts: dict[str, tuple[str, ...]] = field(
        default_factory=lambda: {STACKED: ("els", "bbels", OURS)}
    )
    seeds: int = 64
    fit_seeds: int = 6
    held_out: int = 16
    levels: int = 8
    points: int = 12
    mask_points: int = 2


def grid(settings: Settings) -> list[Cell]:
    """Every row's network, ceiling, theories, and how they agree; what rows share is one cell."""
    _check(settings)
    found: dict[str, Cell] = {}
    for row in settings.chosen():
        for cell in row_cells(row, settings):
            found.setdefault(cell.name, cell)
    return list(found.values())


def row_cells(row: Row, settings: Settings) -> list[Cell]:
    """The cells of one row: whole samples, then one step."""
    theories = theories_of(row, settings)
    mean = crossed.reference(row, "mean image")
    ceilings = [
        crossed.again(
            row, crossed.retrained(row.maker, seed), f"replicate {k + 1}" if k else "replicate"
        )
        for k, seed in enumerate(settings.replicates)
    ]
    found = [cell for t in theories.values() for cell in crossed.found_for(t, row, settings.fit)]
    # what asks no network is drawn once for all networks of the set
    drawn = [
        crossed.predicted(row, name, theory)
        if theory.found != "given" or theory.own
        else crossed.reference(row, name, theory.spec)
        for name, theory in theories.items()
    ]
    stepped = [
        steps.stepped(row, name, theory, levels=settings.levels, points=settings.points)
        for name, theory in theories.items()
    ]
    gaps = [
        steps.gaps(row, name, theory.spec)
        for name, theory in theories.items()
        if isinstance(theory.spec, Golden)
    ]
    return [
        mean,
        crossed.network(row),
        *ceilings,
        crossed.measured(row, settings.levels, settings.mask_points),
        *found,
        *drawn,
        crossed.compared(row, [*ceilings, *drawn, mean], also=(crossed.by_region,)),
        steps.states(row, settings.levels, settings.points),
        *stepped,
        *gaps,
    ]


def theories_of(row: Row, settings: Settings) -> dict[str, Theory]:
    """The theories that answer a row, by label."""
    other = {*BORDERS} - {crossed.border_machine(row.maker)}
    specs = {name: spec for name, spec in settings.theories.items() if name not in other}
    return crossed.named(specs, settings.found, settings.free, settings.parts)


def _check(settings: Settings) -> None:
    if not isinstance(settings.theories.get("wiener"), Linear):
        raise InputError(
            "theories are measured against the Wiener filter, got none of the label 'wiener'; "
            "keep theories.wiener=linear()"
        )
    for name, how in settings.found.items():
        if name not in settings.theories or how not in FOUND:
            raise InputError(
                f"found says how the settings of a theory is found, of {', '.join(FOUND)}, got "
                f"{name}={how!r}; the theories are {', '.join(settings.theories)}"
            )
    if not 1 <= settings.points <= settings.held_out:
        raise InputError(
            f"points must lie between 1 and held_out = {settings.held_out}, got "
            f"{settings.points}; as many images are unseen"
        )


STUDY = Study(
    name="arena",
    question=(
        "Which theory predicts what a network draws, how much of the network must it be told, "
        "and where along the noise does it fail?"
    ),
    settings=Settings(),
    cells=grid,
    presets={
        "toy": {
            "sets": ("fashion_mnist",),
            "fashion_mnist": Images(name="fashion_mnist", n=40, size=12),
            "rows": ("fashion_mnist unet", "fashion_mnist resnet, circular"),
            "families": {
                "unet": UNet(channels=8, levels=1, train=Train(batch=8, steps=20)),
                "resnet, circular": ResNet(
                    depth=3, width=8, padding="circular", train=Train(batch=8, steps=20)
                ),
            },
            "seeds": 4,
            "steps": 5,
            "network_steps": 10,
            "windows": (3, 5, 9),
            "scale_steps": 4,
            "fit_seeds": 2,
            "held_out": 4,
            "levels": 3,
            "points": 3,
            "mask_points": 1,
        },
        "bundled": {"sets": ("fashion_mnist",)},
        "laptop": {"rows": LAPTOP},
    },
)
