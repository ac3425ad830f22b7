"""Settings of a judgement: which network, which images, how much is asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

from .. import noise
from ..data import ImageSet
from ..denoise import Denoiser, Runtime, Spec
from ..errors import InputError
from ..posteriors.blend import Blend
from ..posteriors.golden import Golden
from ..posteriors.graded import Graded
from ..posteriors.ideal import Ideal
from ..posteriors.masked import Masked
from ..posteriors.patch_composite import PatchComposite
from ..posteriors.score_machines import BBELS, ELS, LS
from ..posteriors.sighted import SIGHTED
from ..posteriors.smoothed import Smoothed
from ..regressions.linear import Linear
from ..study.crossed import Fit
from . import target
from .images import Held, Judged
from .trial import Convention, Trial, adapted, trial

STAND_IN = "archbias.judging.stand_ins:untrained"


def _theories() -> dict[str, Spec]:
    return {
        "wiener": Linear(),
        "ideal": Ideal(),
        "ls": LS(),
        "els": ELS(),
        "bbels": BBELS(),
        "golden": Golden(),
        "graded": Graded(),
        "smoothed": Smoothed(),
        "patch composites": PatchComposite(),
        "wiener masks": Masked(),
        "sighted": SIGHTED,
        "wiener masks, calibrated": Masked(largest="row", shared=True),
        "sighted, calibrated": SIGHTED,
        "stacked": Blend(),
    }


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What is judged, and how thoroughly.

    target, again: the network and, for the ceiling, the same network from another training; see
        `archbias.judging.target`. root: folder of the weight files of a catalogue's name.
    weights: sha256 of the network's tensors (`archbias.judging.target.fingerprint`); another
        network under the same name is refused. "" for any.
    convention: what it predicts, from what, how it is told the level; what is "" is found by trial.
    data: the images; None where they were given in Python. given: sha256 of those.
    labelled: whether the network is told labels, which the images must then have.
    seeds: seeds 0..seeds-1 are judged. steps, schedule: the sampler of network and theories.
    levels, points: noise levels, and images of each kind, of the comparison along the noise and of
        the network's Jacobian. health_levels, health_images: the same of its error.
    card_levels: noise levels of the bias card.
    theories: by label; "wiener" must be among them. found, free: how their settings are found, as
        in `archbias.study.crossed.theories`; those not named are taken as they are given. parts:
        what a `stacked` one blends, by its label.
    windows, fit_seeds, fit_steps: candidates of the calibrations, and their seeds and levels.
    """

    target: str = STAND_IN
    again: str = ""
    root: str | None = None
    weights: str = ""
    convention: Convention = Convention()
    data: Judged | None = Judged(name="fashion_mnist", n=984, held_out=16)
    given: str = ""
    labelled: bool = False
    seeds: int = 16
    steps: int = 20
    schedule: str = "cosine"
    levels: int = 8
    points: int = 8
    mask_points: int = 2
    health_levels: int = 8
    health_images: int = 32
    card_levels: tuple[float, ...] = (0.2, 1.0, 5.0)
    theories: dict[str, Spec] = field(default_factory=_theories)
    found: dict[str, str] = field(
        default_factory=lambda: {
            "ls": "monotone",
            "els": "monotone",
            "bbels": "monotone",
            "graded": "least",
            "smoothed": "least",
            "patch composites": "least",
            "wiener masks, calibrated": "least",
            "sighted, calibrated": "least",
            "stacked": "stacked",
        }
    )
    free: dict[str, tuple[str, ...]] = field(
        default_factory=lambda: {
            "graded": ("window", "rho"),
            "smoothed": ("smoothing",),
            "patch composites": ("size",),
            "wiener masks, calibrated": ("share",),
            "sighted, calibrated": ("power", "rho", "radius"),
        }
    )
    parts: dict[str, tuple[str, ...]] = field(
        default_factory=lambda: {"stacked": ("els", "bbels", "sighted, calibrated")}
    )
    windows: tuple[int, ...] = Fit.windows
    fit_seeds: int = 4
    fit_steps: int = 10

    def __post_init__(self) -> None:
        noise.schedule(self.schedule, self.steps)  # complains before anything runs
        counts = ("seeds", "levels", "points", "mask_points", "health_levels", "health_images")
        for name in counts:
            if getattr(self, name) < 1:
                raise InputError(
                    f"wanted {name} of at least 1, got {getattr(self, name)}; leave it at its "
                    "default"
                )
        if not isinstance(self.theories.get("wiener"), Linear):
            raise InputError(
                "theories are measured against the Wiener filter, got none of the label 'wiener'; "
                "keep theories.wiener=linear()"
            )

    @property
    def fit(self) -> Fit:
        """How scales are found."""
        return Fit(
            seeds=self.fit_seeds, windows=self.windows, steps=self.fit_steps, held_out=self.points
        )


@dataclass(frozen=True)
class Subject:
    """The network as the cells ask for it; what `study.crossed` calls a maker.

    name: its label. model: a denoiser, or a network whose convention may have to be found.
    images_of: the images. way: what is given of its convention.
    """

    name: str
    model: target.Model = field(repr=False)
    images_of: Judged | Held = field(repr=False)
    way: Convention = Convention()

    trained = False  # it is not kept in the run folder, which holds no code

    def fit(self, images: ImageSet | None = None, *, runtime: Runtime = Runtime()) -> Denoiser:
        """The denoiser, under the convention that was given or found."""
        return _denoiser(self)

    def trial(self) -> Trial | None:
        """What trying the conventions found; None where nothing had to be found."""
        return None if isinstance(self.model, Denoiser) or self.way.whole else _trial(self)

    def __hash__(self) -> int:
        return hash((id(self.model), self.images_of.load().hash, self.way))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Subject) and hash(self) == hash(other)


def subject(settings: Settings, text: str, images_of: Judged | Held) -> Subject:
    """The network of a target, checked against its fingerprint."""
    shape = images_of.load().shape
    name, model = target.opened(text, shape, settings.root)
    if settings.weights and text == settings.target:
        check(model, settings.weights, name)
    return Subject(name, model, images_of, settings.convention)


def check(model: target.Model, weights: str, name: str) -> None:
    """Refuse a network with other weights than those that were judged."""
    found = target.fingerprint(model)
    if found and found != weights:
        raise InputError(
            f"wanted {name} with weights of sha256 {weights[:16]}, got {found[:16]}; judge another "
            "network in another --out"
        )


@lru_cache(maxsize=4)
def _trial(one: Subject) -> Trial:
    return trial(one.model, one.images_of.load(), one.way, one.name)


@lru_cache(maxsize=4)
def _denoiser(one: Subject) -> Denoiser:
    images = one.images_of.load()
    if isinstance(one.model, Denoiser):
        denoiser = one.model
    else:
        tried = one.trial()
        way = one.way if tried is None else tried.best
        denoiser = adapted(one.model, images.shape, way, one.name)
    if denoiser.shape != images.shape:
        raise InputError(
            f"wanted images of the network's shape {denoiser.shape}, got {images.shape}; give "
            f"--size {denoiser.shape[1]}, or images with as many channels"
        )
    return denoiser
