"""Several free settings of a theory, coordinate by coordinate.

    v_j(sigma) <- the candidate that `calibrate` chooses at sigma, the other v_k as they are

for j = 1, 2, ..., as often as wanted. Each setting becomes a schedule; the seeds they were all
fitted on are kept, and judging on them is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from torch import Tensor

from ..denoise import Denoiser, Spec
from ..errors import InputError
from .calibrate import Calibration, apart, calibrate

if TYPE_CHECKING:
    from ..data import ImageSet


def _quiet(done: int, total: int) -> None:
    pass


@dataclass(frozen=True)
class Coordinates:
    """Several settings of a theory, fitted in turn.

    spec: the theory with every fitted schedule in its place. steps: what each turn measured, in
    order; a setting fitted twice is there twice.
    """

    spec: Spec
    steps: tuple[Calibration, ...]

    @property
    def seeds(self) -> tuple[int, ...]:
        """Fitted on."""
        return self.steps[-1].seeds

    def apart(self, judged: Iterable[int]) -> tuple[int, ...]:
        """The seeds to judge on; an InputError when a setting was fitted on one of them."""
        return apart(judged, self.seeds)


def calibrate_all(
    network: Denoiser | None,
    machine: Spec,
    images: ImageSet,
    fit_seeds: Iterable[int],
    settings: Mapping[str, Iterable[float]],
    *,
    protocol: str = "least",
    rounds: int = 1,
    sigmas: Tensor | None = None,
    labels: Tensor | None = None,
    held_out: ImageSet | None = None,
    batch: int = 16,
    fit: Callable[[Spec], Denoiser] | None = None,
    progress: Callable[[int, int], None] = _quiet,
) -> Coordinates:
    """Fit several settings of a theory, coordinate by coordinate.

    Each setting in turn is chosen at every level among its candidates, with the others at what they
    were last given (at first the spec's own values); `rounds` times over. Levels do not act on each
    other except under the protocol monotone, since the trajectories are the network's.

    Args:
        settings: candidates of each setting, in the order they are fitted. The other arguments are
            those of `calibrate`.
    """
    if not settings or rounds < 1:
        raise InputError(
            f"wanted settings to fit and at least 1 round, got {sorted(settings)} and {rounds}; "
            'give for example settings={"power": (0.2, 0.5, 1.0)}'
        )
    steps, names = [], tuple(fit_seeds)
    total = len(settings) * rounds
    for number, (name, values) in enumerate(list(settings.items()) * rounds):
        found = calibrate(
            network,
            machine,
            images,
            names,
            protocol=protocol,
            sigmas=sigmas,
            labels=labels,
            held_out=held_out,
            batch=batch,
            setting=name,
            candidates=values,
            fit=fit,
            progress=_part(progress, number, total),
        )
        machine = replace(machine, **{name: found.schedule})
        steps.append(found)
    return Coordinates(machine, tuple(steps))


def _part(progress: Callable[[int, int], None], k: int, total: int) -> Callable[[int, int], None]:
    """The progress of part k of all of them."""
    return lambda i, n: progress(k * n + i, total * n)
