"""Are published numbers what the study computes? They are computed again, without training.

    for asked in replays("studies/score_machines", {"celeba.root": "faces"}):
        done = asked.run("runs/again")
        print(done.sentence())

Every file of numbers beside `study.py` is a run of its own, and can be asked for alone: the study
with the settings and the number of threads the file tells, whose trainings are replaced by the
networks shipped beside it (`archbias.study.shipped`). A cell that needs a network that is not there
is left out, and said; so is a set whose images are not at hand. What is computed is compared with
what is published, value by value.

A difference is within the tolerance where it is at most `TOLERANCE` of the quantity's largest
absolute value. Of whole numbers and names, that share of the values may differ.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from .. import data, store
from ..errors import InputError, nearest
from . import find, runner
from .crossed import Settings as Crossed
from .difference import Quantity, difference, lost
from .settings import changed, restored
from .shipped import Shipped
from .study import Cell, Images, Study

TOLERANCE = 1e-3
TRAINING = "training"  # the group of what only a training makes
NO_NETWORK = "no network"  # the row of what is asked of no network


@dataclass(frozen=True)
class Replay:
    """One file of published numbers, and what of it can be computed here.

    file: the numbers. study: with the kept cells, which cost no training. settings, threads: as
    published, and where the images lie. shipped: the networks. rows: the networks that are
    replayed. left: what is not, with the reason, by row. whole: whether everything is computed.
    """

    file: Path
    study: Study
    settings: Any
    threads: int | None
    shipped: Shipped = field(repr=False)
    rows: tuple[str, ...]
    left: dict[str, str]
    whole: bool

    @property
    def cells(self) -> list[Cell]:
        return self.study.plan(self.settings)

    @property
    def seconds(self) -> float:
        """Estimated cost on two cores."""
        return sum(c.seconds for c in self.cells)

    def run(self, folder: Path, listener: runner.Listener | None = None) -> Replayed:
        """Compute into FOLDER/NAME, where the same call resumes, and compare.

        Raises:
            InputError: the folder cannot be written, or holds another run.
        """
        out = Path(folder) / self.file.stem
        if not self.cells:
            return Replayed(self, [], {})
        state = runner.run(
            self.study,
            self.settings,
            out,
            threads=self.threads,
            trained=self.shipped.trained,
            listener=listener,
        )
        if not state.done:
            return Replayed(self, [], state.failed)
        found = [q for q in difference(self.file, out).quantities if q.group != TRAINING]
        whole = self.whole and not state.failed
        absent = lost(self.file, out, groups=whole, but=(TRAINING,))
        return Replayed(self, found, state.failed, absent)


@dataclass(frozen=True)
class Replayed:
    """What became of a replay.

    failed: cells that raised, with the first line of what they said. absent: published numbers of
    the replayed rows that were not computed, in words.
    """

    asked: Replay
    quantities: list[Quantity]
    failed: dict[str, str]
    absent: list[str] = field(default_factory=list)

    def beyond(self, tolerance: float = TOLERANCE) -> list[Quantity]:
        return [q for q in self.quantities if not within(q, tolerance)]

    def by_row(self) -> dict[str, list[Quantity]]:
        """The quantities of each network, and those that know no network."""
        found: dict[str, list[Quantity]] = {}
        for q in self.quantities:
            found.setdefault(q.labels[0] if q.labels else NO_NETWORK, []).append(q)
        return found

    def sentence(self, tolerance: float = TOLERANCE) -> str:
        """What was found, in one sentence."""
        name, count = self.asked.file, len(self.quantities)
        beyond = len(self.beyond(tolerance))
        if not count:
            text = f"{name}: nothing replayed"
        else:
            rows = [r for r in self.by_row() if r != NO_NETWORK]
            text = f"{name}: {count} quantities of {len(rows)} rows replayed, "
            if beyond:
                text += f"{beyond} of them not as published"
            elif all(q.same for q in self.quantities):
                text += "all the same bits"
            else:
                text += f"all as published within {tolerance:g}"
        if self.absent:
            text += f"; published and not computed: {', '.join(self.absent)}"
        if self.failed:
            text += f"; {len(self.failed)} cells failed"
        whys: dict[str, list[str]] = {}
        for row, why in self.asked.left.items():
            whys.setdefault(why, []).append(row)
        return text + "".join(f"; not replayed: {', '.join(r)} ({w})" for w, r in whys.items())


def within(q: Quantity, tolerance: float) -> bool:
    """Whether what was computed is what was published."""
    if q.same:
        return True
    if q.kind != "f":
        return q.differing <= tolerance * q.values
    numbers = q.worst is not None and np.isfinite([q.worst.first, q.worst.second]).all()
    return bool(numbers and q.largest <= tolerance * q.scale)


def replays(
    study: str | Path, places: Mapping[str, Any] | None = None, rows: Sequence[str] = ()
) -> list[Replay]:
    """What can be computed again of a study's files of numbers.

    Args:
        study: its folder, or the name of one that came with archbias: every file; or one file.
        places: where images lie, {"data.root": FOLDER}.
        rows: networks, by their label in the numbers; all by default. Their retrained ones belong
            to them.

    Raises:
        InputError: there are no numbers, they are damaged, or a row is not among them.
    """
    asked, files = published(study)
    shipped = Shipped(files[0].parent)
    found = [_replay(asked, file, shipped, dict(places or {}), tuple(rows)) for file in files]
    known = dict.fromkeys(row for one in found for row in (*one.rows, *one.left))
    for row in rows:
        if row not in known:
            raise InputError(f"no published network {row!r}; {nearest(row, known)}")
    return [
        replace(one, left={n: w for n, w in one.left.items() if _asked(n, rows)}) for one in found
    ]


def published(path: str | Path) -> tuple[Study, list[Path]]:
    """A study, and its files of numbers: the one at `path`, else all beside its `study.py`.

    Raises:
        InputError: there is no study, or there are no numbers.
    """
    one = Path(path).expanduser()
    alone = one.suffix == ".nc"
    if alone and not one.is_file():
        raise InputError(f"wanted a file of published numbers, found none at {one}; check the path")
    study = find.load(one.parent if alone else path)
    assert study.folder is not None  # of a study that was loaded
    files = [study.folder / one.name] if alone else sorted(study.folder.glob("*.nc"))
    if not files:
        raise InputError(
            f"wanted published numbers beside {study.folder / 'study.py'}, found none; write them: "
            f"archbias export RUN {study.folder / 'results.nc'}"
        )
    return study, files


def _replay(
    study: Study, file: Path, shipped: Shipped, places: dict[str, Any], rows: tuple[str, ...]
) -> Replay:
    tree = store.open_study(file)
    if tree.attrs.get("study") != study.name:
        raise InputError(
            f"{file} tells of the study {tree.attrs.get('study')!r}, not of {study.name!r}; move it"
        )
    settings = restored(study.settings, json.loads(tree.attrs["settings"]))
    for key, value in places.items():
        if not key.endswith("root"):
            raise InputError(
                f"a replay takes the published settings, got {key}; only where images lie can be "
                "told, for example --set data.root=DIR"
            )
        settings = changed(settings, key, value)
    networks, images = _networks(settings, study)
    hashes, absent = _at_hand(images, tree)
    if isinstance(settings, Crossed):
        here = tuple(name for name, of in networks.items() if of in hashes)
        settings = replace(settings, rows=here)
    plan = study.plan(settings) if hashes else []
    there = {
        c.name
        for c in plan
        if c.trains is not None
        and shipped.find(c.trains, hashes[_set_of(networks, c.name)]) is not None
    }
    left = {}
    for name, of in networks.items():
        if of in absent:
            left[name] = absent[of]
        elif name not in there:
            left[name] = "its network is not shipped"
    chosen = {n for n in there if _asked(n, rows)}
    kept = _kept(plan, chosen, everything=not rows)
    only = replace(study, cells=lambda _: kept)
    own = tuple(n for n in networks if n in chosen)
    threads = tree.attrs.get("threads")
    count = None if threads is None else int(threads)
    return Replay(file, only, settings, count, shipped, own, left, not left and not rows)


def _networks(settings: Any, study: Study) -> tuple[dict[str, str], dict[str, Images]]:
    """The networks of a study: cell -> label of its images; and these images by label."""
    if isinstance(settings, Crossed):
        rows = settings.chosen()
        return {str(row): row.set for row in rows}, {row.set: row.images_of for row in rows}
    cells = [c.name for c in study.plan(settings) if c.trains is not None]
    return dict.fromkeys(cells, "data"), {"data": settings.data} if cells else {}


def _set_of(networks: dict[str, str], cell: str) -> str:
    """The label of the images of a cell that trains."""
    if cell in networks:
        return networks[cell]
    return next(of for name, of in networks.items() if _belongs(cell, name))


def _belongs(cell: str, row: str) -> bool:
    """Whether a training is that of a row, or of its network once more."""
    return cell == row or cell.startswith((f"{row} replicate", f"{row}, training "))


def _asked(cell: str, rows: Sequence[str]) -> bool:
    return not rows or any(_belongs(cell, row) for row in rows)


def _at_hand(wanted: dict[str, Images], tree: Any) -> tuple[dict[str, str], dict[str, str]]:
    """(sha256 of the images by label, why the others are not there by label)."""
    hashes, absent = {}, {}
    told = _hashes(tree)
    for label, images in wanted.items():
        try:
            loaded = images.load()
        except InputError:
            absent[label] = f"needs {data.catalogue.named(images.name).summary.partition(',')[0]}"
            continue
        if told.get(label, loaded.hash) != loaded.hash:
            raise InputError(
                f"the published numbers are of other images of {images.name}, sha256 "
                f"{told[label][:12]}, got {loaded.hash[:12]}; give those images"
            )
        hashes[label] = loaded.hash
    return hashes, absent


def _hashes(tree: Any) -> dict[str, str]:
    """sha256 of the published images by label."""
    if "images" in tree.attrs:
        return {"data": json.loads(tree.attrs["images"])["hash"]}
    if "rows" not in tree.children:
        return {}
    rows = tree["rows"].to_dataset()
    return dict(zip(rows["set"].values.tolist(), rows["images_hash"].values.tolist(), strict=True))


def _kept(plan: Sequence[Cell], chosen: set[str], *, everything: bool) -> list[Cell]:
    """The cells all of whose networks are there, at their cost without training; with `everything`
    also those no network leads to.
    """
    by_name = {c.name: c for c in plan}
    behind: dict[str, set[str]] = {}  # every cell it rests on, itself too; the plan is in order
    for cell in plan:
        behind[cell.name] = {cell.name}.union(*(behind[name] for name in cell.after))
    whole = [
        c.name
        for c in plan
        if {n for n in behind[c.name] if by_name[n].trains is not None} <= chosen
    ]
    wanted = set(whole) if everything else set()
    for name in whole:
        if behind[name] & chosen:
            wanted |= behind[name]
    return [replace(c, seconds=c.seconds - c.training) for c in plan if c.name in wanted]
