"""A judgement from Python: a network and its images, one folder, sentences."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import xarray as xr
from torch import nn

from .. import report, store
from .. import study as studies
from ..data import ImageSet
from ..denoise import Denoiser
from ..errors import InputError
from . import answers, target
from .findings import findings
from .grid import Given, grid, judged
from .images import Held
from .settings import Settings, Subject
from .trial import Convention

NAME = "judge"


@dataclass(frozen=True)
class Judgement:
    """What a judgement found: a run folder.

    folder: read by `archbias report`, `archbias figures`, `archbias.open_study`.
    failed: cells that raised, with the first line of why.
    """

    folder: Path
    failed: dict[str, str]

    @property
    def tree(self) -> xr.DataTree:
        """The store."""
        return store.open_study(self.folder)

    @property
    def findings(self) -> list[str]:
        """The findings in words, the most important first."""
        return findings(self.tree)

    def report(self) -> Path:
        """RUN/report.html, written."""
        return report.write(self.folder, studies.load(NAME).folder)

    def __str__(self) -> str:
        return "\n".join(self.findings)


def judge(
    denoiser: Denoiser | nn.Module | Callable,
    images: ImageSet,
    out: str | Path = "runs/judge",
    *,
    unseen: ImageSet | None = None,
    again: Denoiser | nn.Module | Callable | None = None,
    convention: Convention = Convention(),
    settings: Settings = Settings(),
    name: str | None = None,
    device: str = "cpu",
    listener: studies.Quiet | None = None,
) -> Judgement:
    """Judge a network: is it a denoiser, what has it built in, which theory predicts it?

    The same call goes on where a killed one stopped.

    Args:
        denoiser: a Denoiser, a network or a function of (y, sigma).
        images: what it was trained on; theories are told these.
        out: the run folder.
        unseen: images it has not seen, prepared in the same way.
        again: the same network from another training, for the ceiling.
        convention: what a network predicts, from what, how it is told the level; what is left out
            is found by trial.
        settings: how thoroughly; its target and data are not used.
        name: what the network is called.
        listener: hears of progress, for example `archbias.cli.progress.Bars()`.

    Raises:
        InputError: images of another shape, a network that can be called in no known way, or a
            folder that holds another judgement.
    """
    for what, other in (("unseen images", unseen),):
        if other is not None and other.shape != images.shape:
            raise InputError(
                f"{what} must have the shape {images.shape} of the images, got {other.shape}; "
                "resize with ImageSet.resize"
            )
    model, held = target.kind_of(denoiser), Held(images, unseen)
    name = name or _called(model)
    network = Subject(name, model, held, convention)
    second = None if again is None else Subject(name, target.kind_of(again), held, convention)
    settings = replace(
        settings,
        target=f"given: {name}",
        again="" if again is None else f"given: {target.fingerprint(again)[:16]}",
        weights=target.fingerprint(model),
        convention=convention,
        data=None,
        given=images.hash if unseen is None else f"{images.hash} {unseen.hash}",
    )
    given = Given(network, second, held)
    answers.check(Path(out), *judged(settings, given))
    study = replace(studies.load(NAME), cells=partial(grid, given=given))
    state = studies.run(study, settings, out, device=device, listener=listener)
    return Judgement(Path(out), state.failed)


def _called(model: object) -> str:
    """A name for a model, without what names of cells cannot hold."""
    if isinstance(model, Denoiser):
        given = getattr(model.spec, "model", None) or getattr(model.spec, "network", None)
        return str(given or type(model.spec).__name__)
    return getattr(model, "__name__", type(model).__name__).strip("<>")
