"""The cells of a judgement: health, samples, card, every theory, how they agree."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import cast

import torch

from .. import seeds
from ..study import Cell, Images, cards, crossed, steps
from ..study.crossed import Row
from . import answers, cells
from .images import Held, Judged
from .settings import Settings, Subject, subject

SET, AGAIN = "images", "replicate"
CALLS = 3  # timed calls of the network


@dataclass(frozen=True)
class Given:
    """What was given in Python in place of texts: the network, its second training, the images."""

    network: Subject
    again: Subject | None
    images_of: Held


def grid(settings: Settings, given: Given | None = None) -> list[Cell]:
    """All cells; what the network costs is timed in a few calls of it."""
    row, networks = judged(settings, given)
    network, again = networks[""], networks.get(AGAIN)
    call = seconds_a_call(network, row.labelled)
    drawn = row.seeds * row.steps * call

    def costing(cell: Cell, seconds: float) -> Cell:
        return replace(cell, seconds=cell.seconds + seconds)

    made = [answers.answered(row, one, label) for label, one in networks.items()]
    made += [] if network.trial() is None else [cells.tried(row, network)]
    made += [
        cells.healthy(row, settings, call),
        costing(crossed.network(row), drawn),
        cells.looked(row),
        cells.repeated(row),
        cells.copied(row),
    ]
    ceilings = []
    if again is not None:
        ceilings = [costing(crossed.again(row, again), drawn)]
    return [*made, *_card(row, settings, call), *ceilings, *_theories(row, settings, ceilings)]


def judged(settings: Settings, given: Given | None = None) -> tuple[Row, dict[str, Subject]]:
    """The row that is judged, and its networks by label: "" and, with a second training, AGAIN."""
    images_of = cast(Judged | Held, settings.data if given is None else given.images_of)
    network = given.network if given else subject(settings, settings.target, images_of)
    again = given.again if given else None
    if given is None and settings.again:
        again = subject(settings, settings.again, images_of)
    networks = {"": network} | ({} if again is None else {AGAIN: again})
    return row_of(network, images_of, settings), networks


def row_of(network: Subject, images_of: Judged | Held, settings: Settings) -> Row:
    """The network on its images, as `study.crossed` has it."""
    return Row(
        set=SET,
        network=network.name,
        maker=network,
        images_of=cast(Images, images_of),  # `Held` has what rows ask of it
        labelled=settings.labelled,
        seeds=settings.seeds,
        steps=settings.steps,
        network_steps=settings.steps,
        schedule=settings.schedule,
        levels=network.fit().levels,
    )


@lru_cache(maxsize=8)
def seconds_a_call(network: Subject, labelled: bool = False) -> float:
    """The time the network takes for an image, from a few calls."""
    denoiser, images = network.fit(), network.images_of.load()
    low, high = denoiser.levels or (0.0, 80.0)
    sigma = min(max(1.0, 1.01 * low), high)
    y = images.images[:4] + sigma * seeds.normal(range(min(4, len(images))), images.shape)
    labels = images.labels[: len(y)] if labelled and images.labels is not None else None
    with torch.no_grad():
        denoiser(y, sigma, labels)
        start = time.perf_counter()
        for _ in range(CALLS):
            denoiser(y, sigma, labels)
    return (time.perf_counter() - start) / (CALLS * len(y))


def _card(row: Row, settings: Settings, call: float) -> list[Cell]:
    """The bias card, at the levels the network was trained at, and the theory it proposes."""
    high, low = row.sigmas[[0, -2]].tolist()
    sigmas = torch.tensor([s for s in settings.card_levels if low <= s <= high] or [low])
    points = 2
    each = points * (4 * row.images.shape[0] + 24 + 96) + 8 * (128 + 4 * points)
    card = cards.carded(
        row,
        sigmas.double(),
        held_out=settings.health_images,
        points=points,
        seconds=5 + 2 * len(sigmas) * each * call,
    )
    return [cells.blanked(row, card), cells.proposed(row)]


def _theories(row: Row, settings: Settings, ceilings: list[Cell]) -> list[Cell]:
    """Every theory: its settings found on other seeds, its samples, its answer along the noise."""
    how = settings.found, settings.free, settings.parts
    theories = crossed.named(settings.theories, *how)
    cells_of = (crossed.found_for(t, row, settings.fit) for t in theories.values())
    # by name: a blend shares those of its parts
    found = {cell.name: cell for own in cells_of for cell in own}
    mean = crossed.reference(row, "mean image")
    drawn = [
        crossed.predicted(row, name, theory)
        if theory.found != "given" or theory.own
        else crossed.reference(row, name, theory.spec)
        for name, theory in theories.items()
    ]
    asked = {"levels": settings.levels, "points": settings.points}
    compared = crossed.compared(row, [*ceilings, *drawn, cells.proposed(row), mean])
    return [
        mean,
        crossed.measured(row, settings.levels, settings.mask_points),
        *found.values(),
        *drawn,
        compared,
        cells.blanked(row, steps.states(row, **asked)),
        *(steps.stepped(row, name, theory, **asked) for name, theory in theories.items()),
    ]
