"""From a bias card to the theory that matches it: chosen by measurement of the denoiser, before any
sample is seen.

    window k(sigma)   2 radius + 1, the radius that holds `fraction` of the Jacobian's energy at
                      sigma, made monotone in sigma
    place             equivariance error (`symmetry`) under the longest move, median over levels:
                      e inside, b at the border
        e > tolerance                   each place its own belief: ls (ideal where the window is
                                        whole)
        b <= 1.5 e + 0.02, every move   windows shared around the torus: els
        otherwise                       windows shared inside, apart at the border: bbels
    affine            R^2 of the affine fit above 1 - `linear` at every level: a linear law as
                      well, with the same window or rank
    rank              fewer singular directions than were looked for: the reduced-rank linear law

The longest move (that leaves an interior) decides: a smooth image moved by one pixel is nearly
itself whatever the denoiser knows, and a network that pools commutes with multiples of its stride
alone, which the default of 4 rows and 4 columns is for up to two poolings. 0 is exact equivariance
and sqrt 2 what unrelated images read; the default tolerance of 0.35 is a quarter of that. The
energy fraction is a choice too; 0.9 by default. How well the proposals predict is what a study has
to show.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..denoise import Spec
from ..errors import InputError
from ..metrics import finite
from ..posteriors.ideal import Ideal
from ..posteriors.score_machines import BBELS, ELS, LS
from ..posteriors.windows import WindowSchedule
from ..regressions.linear import Linear
from .card import FRACTIONS, BiasCard


@dataclass(frozen=True)
class Proposal:
    """A family by name, its settings, and the measurement that speaks for it, in words."""

    family: str
    spec: Spec
    because: str


def window_schedule(card: BiasCard, fraction: float = 0.9) -> WindowSchedule:
    """Windows by noise level from the receptive field, never larger at a smaller sigma.

    Args:
        fraction: 0.5, 0.9 or 0.99 of the Jacobian's energy.
    """
    if fraction not in FRACTIONS:
        raise InputError(
            f"the card holds the radii of {FRACTIONS} of the energy, got {fraction}; choose one of "
            "those"
        )
    order = card.sigmas.argsort()
    widest = 2 * min(card.shape[1:]) - 1
    windows = (
        (2 * card.radius[order, FRACTIONS.index(fraction)] + 1).cummax(0).values.clamp(max=widest)
    )
    return WindowSchedule(
        tuple(card.sigmas[order].tolist()),
        tuple(windows.tolist()),
        f"bias card, {fraction:.0%} of energy",
    )


def predictors(
    card: BiasCard, *, fraction: float = 0.9, tolerance: float = 0.35, linear: float = 0.02
) -> list[Proposal]:
    """The score machine and the laws that match a card, the score machine first.

    A card whose receptive field is not finite at a level is refused.

    Args:
        fraction: energy within the window. tolerance: equivariance error that counts as none.
            linear: share of variance an affine map may leave.
    """
    finite.check(card.receptive, "level of a card", "measure it again without that level")
    schedule = window_schedule(card, fraction)
    length = card.shifts.abs().sum(1).masked_fill(card.interior.isnan().any(0), -1)
    insides, edges = card.interior.median(0).values, card.border.median(0).values
    inside, edge = float(insides[length.argmax()]), float(edges[length.argmax()])
    shared = inside <= tolerance
    circular = shared and not bool((edges > 1.5 * insides + 0.02).any())
    whole = min(schedule.windows) >= min(card.shape[1:])
    errors = f"equivariance error {inside:.2g} inside, {edge:.2g} at the border"
    size = f"windows {schedule.windows[0]} to {schedule.windows[-1]}"
    if circular:
        first = Proposal("els", ELS(window=schedule), f"{errors}: circular; {size}")
    elif shared:
        first = Proposal(
            "bbels", BBELS(window=schedule), f"{errors}: broken at the border only; {size}"
        )
    elif whole:
        first = Proposal(
            "ideal", Ideal(), f"{errors}: every place its own; it sees the whole image"
        )
    else:
        first = Proposal("ls", LS(window=schedule), f"{errors}: every place its own; {size}")
    found = [first]
    affine = float(card.affine.min())
    if affine >= 1 - linear:
        found.append(_linear(card, circular, schedule, affine))
    return found


def _linear(card: BiasCard, circular: bool, schedule: WindowSchedule, affine: float) -> Proposal:
    because = f"affine share {affine:.3f} or more"
    rank, looked = int(card.rank.max()), card.values.shape[1]
    h, w = card.shape[1:]
    support = 2 * int(card.support.max()) + 1
    if rank < looked:
        return Proposal("linear", Linear(rank=rank), f"{because}, rank {rank}")
    if circular and support < min(h, w):
        return Proposal(
            "linear",
            Linear(constraint="local", window=support),
            f"{because}, circular, window {support}",
        )
    if circular:
        return Proposal("linear", Linear(constraint="equivariant"), f"{because}, circular")
    if support < min(h, w):
        return Proposal(
            "linear",
            Linear(constraint="local_per_pixel", window=support),
            f"{because}, window {support}",
        )
    return Proposal("linear", Linear(), because)
