"""How do two runs differ? What was asked and by which versions, and every number, seed by seed.

    found = difference("runs/a", "runs/b")
    found.changes       what differs of settings, images and versions, with both values
    found.quantities    each variable, by label: the same bits, or the difference b - a

At the same seed the noise is the same, so values are paired: a difference is the median over seeds
of b - a, with its bootstrap interval (`archbias.metrics.intervals`). Of pictures and curves, it is
the root mean square of b - a over the picture. Labels that only one run has are named and left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ..metrics.intervals import Interval, bootstrap
from ..store import open_study

ASKED = ("study", "settings", "images", "threads")
MADE_BY = ("version", "archbias", "commit", "python", "torch", "numpy", "platform")
KEPT = ("family", "predictor")  # a row for each; over other labels a quantity is taken together
LABELS = 1e-9  # relative: labels nearer than this are one, a noise level on two processors


@dataclass(frozen=True)
class Change:
    """Something that differs: its dotted name, and both values; None where one lacks it."""

    what: str
    first: Any
    second: Any

    def __str__(self) -> str:
        return f"{self.what}: {_short(self.first)} -> {_short(self.second)}"


@dataclass(frozen=True)
class Worst:
    """One value of two runs: its place in words, and both values."""

    place: str
    first: Any
    second: Any

    def __str__(self) -> str:
        place = f"at {self.place} " if self.place else ""
        return f"{place}{_value_of(self.first)} and {_value_of(self.second)}"


@dataclass(frozen=True)
class Quantity:
    """One variable of one group, for one family and predictor.

    labels: the family and predictor it is of. same: whether all shared values are the same bits.
    difference: median over seeds of b - a, or of its root mean square where a seed has more than
    one value; None where there is no seed or no number. largest: the largest absolute difference.
    scale: the largest absolute value of a. differing, values: how many values differ, of how many.
    typical: the median of a and of b, None where there is no number. worst: where the largest
    difference is, with both values there; None where there is none. kind: NumPy's letter for the
    type of a.
    """

    group: str
    variable: str
    labels: tuple[str, ...]
    same: bool
    difference: Interval | None
    largest: float
    scale: float
    differing: int
    values: int
    typical: tuple[float, float] | None = None
    worst: Worst | None = None
    kind: str = ""

    @property
    def name(self) -> str:
        return f"{self.group}/{self.variable}"


@dataclass
class Difference:
    """Two runs compared; `first` is a, `second` b. apart: what only one of them has, in words.
    times: variables in seconds, which are the machine's and are not compared.
    """

    first: Path
    second: Path
    changes: list[Change] = field(default_factory=list)
    quantities: list[Quantity] = field(default_factory=list)
    apart: list[str] = field(default_factory=list)
    times: list[str] = field(default_factory=list)

    @property
    def differing(self) -> list[Quantity]:
        return [q for q in self.quantities if not q.same]

    @property
    def same(self) -> bool:
        """Whether both hold the same numbers, bit for bit, and nothing else."""
        return bool(self.quantities) and not self.differing and not self.apart

    def sentence(self) -> str:
        """What was found, in one sentence."""
        names = list(dict.fromkeys(q.name for q in self.quantities))
        both = f"{self.first} and {self.second}"
        if not names:
            return f"{both} share no number"
        if self.same:
            return f"{both} hold the same bits: {len(names)} variables"
        other = len({q.name for q in self.differing})
        if not other:
            return f"{both} hold the same bits in what they share: {len(names)} variables"
        return f"{both} differ in {other} of the {len(names)} variables they share"


def difference(first: str | Path, second: str | Path) -> Difference:
    """Compare two runs: folders, stores, or exported numbers.

    Raises:
        InputError: one of them cannot be opened, or is damaged where it is read.
    """
    found = Difference(Path(first), Path(second))
    a, b = open_study(first), open_study(second)
    for key in (*ASKED, *MADE_BY):
        if key in a.attrs or key in b.attrs:
            found.changes += changes(key, _value(a.attrs.get(key)), _value(b.attrs.get(key)))
    groups_a, groups_b = _groups(a), _groups(b)
    _apart(found, "group", groups_a, groups_b)
    for group in (g for g in groups_a if g in groups_b):
        _compare(found, group, groups_a[group], groups_b[group])
    return found


def lost(
    first: str | Path, second: str | Path, *, groups: bool = False, but: Sequence[str] = ()
) -> list[str]:
    """What of the first run's numbers the second lacks, in words, for families and predictors that
    both have: variables, and values at labels that are numbers (seeds, noise levels).

    groups: whole groups too. but: groups that are not looked at.

    Raises:
        InputError: one of them cannot be opened, or is damaged where it is read.
    """
    said = []
    here, there = (_groups(open_study(path)) for path in (first, second))
    here = {g: ds for g, ds in here.items() if g not in but}
    if groups:
        said += [f"the group {g}" for g in here if g not in there]
    for group, a in ((g, ds) for g, ds in here.items() if g in there):
        b = there[group]
        for dim in (d for d in a.dims if d in b.dims and d in a.coords and d in b.coords):
            b = _relabelled(str(dim), a, b)
        kept = [d for d in KEPT if d in a.dims and d in b.dims]
        a = a.sel({d: [v for v in a[d].values if v in b[d].values] for d in kept})
        numbered = [d for d in a.dims if d in b.coords and a[d].dtype.kind in "fiu"]
        shared = {d: [v for v in a[d].values if v in b[d].values] for d in numbered}
        for name in map(str, a.data_vars):
            if name not in b.data_vars:
                if not _empty(a[name].values):
                    said.append(f"{group}/{name}")
                continue
            # what no seed or level of the second could hold is left out of these
            own = a[name].sel({d: v for d, v in shared.items() if d in a[name].dims})
            gone = int(a[name].notnull().sum()) - int(own.notnull().sum())
            if gone:
                said.append(f"{gone} values of {group}/{name}")
    return said


def _groups(tree: xr.DataTree) -> dict[str, xr.Dataset]:
    nodes = ((n.path.strip("/"), n.to_dataset(inherit=False)) for n in tree.subtree)
    return {path: ds for path, ds in nodes if ds.data_vars}


def _value(text: Any) -> Any:
    """An attribute, read as JSON where it is."""
    try:
        return json.loads(text) if isinstance(text, str) and text[:1] in "{[" else text
    except ValueError:
        return text


def changes(name: str, a: Any, b: Any) -> list[Change]:
    """What differs of two values of this name, in dictionaries by dotted names."""
    if isinstance(a, dict) and isinstance(b, dict):
        keys = [*a, *(k for k in b if k not in a)]
        return [c for k in keys for c in changes(f"{name}.{k}", a.get(k), b.get(k))]
    return [] if a == b else [Change(name, a, b)]


def _short(value: Any) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _value_of(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _apart(found: Difference, what: str, a: Sequence | dict, b: Sequence | dict) -> None:
    """Say what only one of both has."""
    for where, own, other in ((found.first, a, b), (found.second, b, a)):
        if alone := [str(x) for x in own if x not in other]:
            more = f" and {len(alone) - 8} more" if len(alone) > 8 else ""
            line = f"only {where} has the {what} {', '.join(alone[:8])}{more}"
            if line not in found.apart:
                found.apart.append(line)


def _compare(found: Difference, group: str, a: xr.Dataset, b: xr.Dataset) -> None:
    _apart(found, f"variable of {group}", list(a.data_vars), list(b.data_vars))
    for dim in dict.fromkeys((*a.dims, *b.dims)):
        if dim in a.coords and dim in b.coords:
            renamed = _relabelled(str(dim), a, b)
            if renamed is not b:
                found.apart.append(f"labels {dim} of {group} differ by rounding")
            b = renamed
            own, other = (ds[dim].values.tolist() for ds in (a, b))
            _apart(found, "seeds" if dim == "seed" else str(dim), own, other)
    for name in (str(v) for v in a.data_vars if v in b.data_vars):
        one, other = a[name], b[name]
        if one.attrs.get("units") == "s":
            found.times.append(f"{group}/{name}")
            continue
        if set(one.dims) != set(other.dims):
            found.apart.append(f"{group}/{name} is over {one.dims} and over {other.dims}")
            continue
        bare = [d for d in one.dims if d not in one.coords or d not in other.coords]
        if any(one.sizes[d] != other.sizes[d] for d in bare):
            found.apart.append(f"{group}/{name} has {dict(one.sizes)} and {dict(other.sizes)}")
            continue
        one, other = xr.align(one, other.transpose(*one.dims), join="inner")
        if one.size:
            found.quantities += _rows(group, name, one, other)


def _relabelled(dim: str, a: xr.Dataset, b: xr.Dataset) -> xr.Dataset:
    """The second with labels that differ from those of the first by rounding, as noise levels of
    another processor do, as the first has them; itself where none do.
    """
    own, other = a[dim].values, b[dim].values
    if own.dtype.kind != "f" or other.dtype.kind != "f" or not own.size or not other.size:
        return b
    near = own[np.abs(own[:, None] - other[None]).argmin(0)]
    close = np.isclose(near, other, rtol=LABELS, atol=0) & (near != other)
    labels = np.where(close, near, other)
    if not close.any() or len(np.unique(labels)) != len(labels):
        return b
    return b.assign_coords({dim: (dim, labels, b[dim].attrs)})


def _rows(group: str, name: str, a: xr.DataArray, b: xr.DataArray) -> Iterator[Quantity]:
    """A quantity for every family and predictor that has a value."""
    kept = [d for d in KEPT if d in a.dims]
    for place in product(*(range(a.sizes[d]) for d in kept)):
        at = dict(zip(kept, place, strict=True))
        one, other = a.isel(at), b.isel(at)
        labels = tuple(str(one[d].values) for d in kept)
        x, y = one.load().values, other.load().values
        if not (_empty(x) and _empty(y)):
            yield _quantity(group, name, labels, one, x, y)


def _empty(x: np.ndarray) -> bool:
    if x.dtype.kind == "f":
        return bool(np.isnan(x).all())
    return x.dtype.kind == "U" and not (x != "").any()


def _quantity(
    group: str,
    name: str,
    labels: tuple[str, ...],
    of: xr.DataArray,
    x: np.ndarray,
    y: np.ndarray,
) -> Quantity:
    dims = of.dims
    numbers = x.dtype.kind in "fiu" and y.dtype.kind in "fiu"
    equal = (x == y) | (x != x) & (y != y)  # NaN is like NaN
    # texts stand in arrays as wide as the longest of them, which other rows decide
    alike = x.dtype == y.dtype or x.dtype.kind == y.dtype.kind == "U"
    same = alike and bool(equal.all())
    told = (group, name, labels, same)
    counts = int((~equal).sum()), int(equal.size)
    if not numbers:
        places = np.argwhere(~equal)
        worst = None if same or not len(places) else _at(of, tuple(places[0]), x, y)
        return Quantity(*told, None, np.nan, np.nan, *counts, None, worst, x.dtype.kind)
    kind, x, y = x.dtype.kind, x.astype(float), y.astype(float)
    with np.errstate(invalid="ignore"):
        gap = np.where(equal, 0.0, y - x)
    known = np.abs(gap[np.isfinite(gap)])
    largest = float(known.max()) if counts[0] == 0 or len(known) else np.nan
    size = np.abs(x[np.isfinite(x)])
    scale = float(size.max()) if size.size else np.nan
    interval = None
    if "seed" in dims and not same:
        gap = np.where(np.isfinite(gap), gap, np.nan)
        rows = np.moveaxis(gap, dims.index("seed"), 0).reshape(gap.shape[dims.index("seed")], -1)
        per_seed = rows[:, 0] if rows.shape[1] == 1 else np.sqrt(np.square(rows).mean(1))
        interval = bootstrap(per_seed)
    worst = None
    if counts[0]:
        size = np.where(np.isnan(gap), np.inf, np.abs(gap))  # a number in place of none is furthest
        worst = _at(of, np.unravel_index(size.argmax(), size.shape), x, y)
    return Quantity(*told, interval, largest, scale, *counts, _medians(x, y), worst, kind)


def _medians(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    known = [v[np.isfinite(v)] for v in (x, y)]
    first, second = (float(np.median(v)) if v.size else np.nan for v in known)
    return first, second


def _at(of: xr.DataArray, index: tuple, x: np.ndarray, y: np.ndarray) -> Worst:
    """The value at an index, its place told by the coordinates."""
    places = (
        f"{dim} {of[dim].values[i].item() if dim in of.coords else i}"
        for dim, i in zip(of.dims, index, strict=True)
    )
    return Worst(", ".join(places), x[index].item(), y[index].item())
