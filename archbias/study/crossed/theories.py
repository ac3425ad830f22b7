"""Theories of a crossed design: a closed form, and how its free settings are found.

    given       the spec as it is
    cosine      on the network's own trajectories from other seeds: the scores' largest cosine
    monotone    there too: the least squared error, the window never growing as the noise falls
    held-out    on images outside the training set; no network is asked
    published   the windows published for this image set and network
    least       every free setting in turn, on the network's trajectories: the least squared error
    stacked     the weights of a blend of other theories, there too, these as they were found

What is found is a cell of its own, which the predictions read. No judged seed is fitted on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, cast

from ... import families
from ...denoise import Denoiser, Spec, changed
from ...errors import InputError, nearest
from ...posteriors.blend import Blend, BlendDenoiser
from ...posteriors.told import sees
from .. import Cell, Work
from . import free, scales, sight, stacked
from .rows import ByLabel, Row
from .scales import Fit

FOUND = ("given", "cosine", "monotone", "held-out", "published", "least", "stacked")


@dataclass(frozen=True, kw_only=True)
class Theory:
    """What predicts the samples of a row.

    spec: a closed form.
    found: one of FOUND.
    free: the settings that are found; all but `least` find the window.
    like: whose settings are taken, the spec's own family by default; for `least` and `stacked` the
        label they are kept under.
    parts: of a blend that is `stacked`: theories by label.
    """

    spec: Spec
    found: str = "given"
    free: tuple[str, ...] = ("window",)
    like: str = ""
    parts: Mapping[str, Theory] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.found not in FOUND:
            raise InputError(
                f"unknown way to find a setting, {self.found!r}; {nearest(self.found, FOUND)}"
            )
        if self.found == "stacked":
            if len(self.parts) < 2 or any(part.parts for part in self.parts.values()):
                raise InputError(
                    f"a stacked theory wants at least two parts that are none themselves, got "
                    f"{', '.join(self.parts) or 'none'}; name theories of the row"
                )
            return
        known = {f.name for f in fields(self.spec)}
        missing = [] if self.found == "given" else [name for name in self.free if name not in known]
        if missing or (self.found not in ("given", "least") and self.free != ("window",)):
            raise InputError(
                f"{self.found!r} cannot find {', '.join(missing or self.free)} of {self.spec!r}; "
                "take it as given, or find settings it has by 'least'"
            )

        if self.found in ("cosine", "monotone", "held-out") and not self.like:
            usual = families.family(families.name_of(self.spec))()
            if changed(self.spec, window=cast(Any, usual).window) != usual:
                raise InputError(
                    f"{self.found!r} finds the window of {usual!r}, got {self.spec!r}; find its "
                    "window by 'least', which takes the other settings as they are"
                )

    @property
    def fitted(self) -> str:
        """Whose settings are found."""
        return self.like or families.name_of(self.spec)

    @property
    def own(self) -> bool:
        """Whether it asks the network anything, and so differs from network to network."""
        return self.found not in ("given", "held-out") or sees(self.spec)


def named(
    specs: Mapping[str, Spec],
    found: Mapping[str, str],
    free: Mapping[str, tuple[str, ...]],
    parts: Mapping[str, tuple[str, ...]],
) -> dict[str, Theory]:
    """Theories by label, in the order of `specs`.

    Args:
        found: how the settings of a theory are found; "given" without it.
        free: which settings `least` finds; the window without it.
        parts: what a `stacked` theory blends; of these, what is among `specs`.
    """
    ways = {name: found.get(name, "given") for name in specs}
    made: dict[str, Theory] = {}
    for name in sorted(specs, key=lambda n: ways[n] == "stacked"):
        how = ways[name]
        if how == "least":  # what is found is kept under the theory's own label
            own = free.get(name, ("window",))
            made[name] = Theory(spec=specs[name], found=how, free=own, like=name)
        elif how == "stacked":
            blended = {p: made[p] for p in parts.get(name, ()) if p in made}
            spec = Blend(parts=tuple(p.spec for p in blended.values())) if blended else specs[name]
            made[name] = Theory(spec=spec, found=how, parts=blended, like=name)
        else:
            made[name] = Theory(spec=specs[name], found=how)
    return {name: made[name] for name in specs}


def border_machine(maker: object) -> str:
    """The score machine of a network's border: ELS for circular padding, bbELS for any other."""
    return "els" if getattr(maker, "padding", "zeros") == "circular" else "bbels"


def found_for(theory: Theory, row: Row, fit: Fit) -> list[Cell]:
    """The cells that find a theory's settings; none where they are given."""
    if theory.found == "held-out":
        return [scales.held_out(row, theory.fitted, fit)]
    if theory.found in ("cosine", "monotone"):
        return [scales.calibrated(row, theory.fitted, fit)]
    if theory.found == "least":
        return [free.fitted(row, theory.fitted, theory.spec, theory.free, fit)]
    if theory.found == "stacked":
        parts = theory.parts
        own = [cell for part in parts.values() for cell in found_for(part, row, fit)]
        weights = stacked.weighed(
            row,
            theory.fitted,
            {label: part.spec for label, part in parts.items()},
            lambda work: [fitted(part, row, work) for part in parts.values()],
            tuple(dict.fromkeys(name for p in parts.values() for name in source_of(p, row))),
            fit,
        )
        return [*own, weights]
    return []


def settled(theory: Theory, row: Row, work: Work) -> Spec:
    """The spec with what was found for it."""
    if theory.found == "given":
        return theory.spec
    if theory.found == "least":
        return free.with_found(row, theory.fitted, theory.spec, work)
    if theory.found == "stacked":
        specs = {label: settled(part, row, work) for label, part in theory.parts.items()}
        return stacked.with_weights(row, theory.fitted, specs, work)
    window = scales.schedule(row, theory.fitted, theory.found, work)
    return changed(theory.spec, window=window)


def fitted(theory: Theory, row: Row, work: Work) -> Denoiser | ByLabel:
    """The theory with its settings, fitted to the row's images and told its labels."""
    spec = settled(theory, row, work)
    if isinstance(spec, Blend) and theory.parts:
        parts = [fitted(part, row, work) for part in theory.parts.values()]
        return BlendDenoiser(spec, row.images.shape, {}, parts)  # parts may be fitted by label
    return sight.told_images(spec, row, work)


def source_of(theory: Theory, row: Row) -> tuple[str, ...]:
    """The cells that `fitted` reads."""
    if theory.found == "stacked":
        read = (name for part in theory.parts.values() for name in source_of(part, row))
        return (*dict.fromkeys(read), stacked.cell_of(row, theory.fitted))
    masks = sight.source_of(theory.spec, row)
    if theory.found == "given":
        return masks
    if theory.found == "least":
        return (*masks, free.cell_of(row, theory.fitted))
    return (*masks, *scales.source_of(row, theory.fitted, theory.found))
