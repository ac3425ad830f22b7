"""What is the matter with the files of a run, each with its remedy; nothing is changed.

    cell_problems(folder)      RUN/cells: damaged, newer
    store_problems(store)      RUN/store.zarr: lost, damaged or added files
    export_problems(path)      a file of `archbias export`

Every file is read once. Models are checked by `archbias.families.check`, images by their manifest.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError
from . import checksums
from .cell import CorruptCell, read_cell
from .open import open_study


@dataclass(frozen=True)
class Problem:
    """One file that cannot be trusted.

    path: the file. what: what is the matter. remedy: what mends it.
    """

    path: Path
    what: str
    remedy: str


def cell_problems(folder: str | Path) -> list[Problem]:
    """The cells of a run folder that are damaged or that a newer archbias wrote."""
    found = []
    for path in sorted((Path(folder) / "cells").glob("*.nc")):
        try:
            read_cell(path)
        except CorruptCell as error:
            remedy = "give the run's command again (archbias run), which computes it anew"
            found.append(Problem(path, str(error), remedy))
        except InputError as error:
            found.append(_of(path, error))
    return found


def store_problems(store: str | Path) -> list[Problem]:
    """The files of a store that are not what the join wrote; a store of format 1 has no list of
    them and is only opened.
    """
    store = Path(store)
    try:
        open_study(store)
    except InputError as error:
        opening = [_of(store, error)]
    else:
        opening = []
    if not (store / checksums.LIST).is_file():
        return opening
    try:
        files = checksums.read(store)
    except InputError as error:
        return [_of(store / checksums.LIST, error)]
    lost = dict(checksums.missing(store, files))
    for name, wanted in files.items():
        path = store / name
        if path not in lost:
            got = hashlib.sha256(path.read_bytes()).hexdigest()
            if got != wanted.partition(" ")[2]:
                lost[path] = "it does not match its checksum"
    there = (p for p in store.rglob("*") if p.is_file())
    known = {checksums.LIST, *files}
    for path in sorted(p for p in there if p.relative_to(store).as_posix() not in known):
        lost[path] = "no join wrote it"
    found = [Problem(path, what, checksums.REMEDY) for path, what in lost.items()]
    return found or opening


def export_problems(path: str | Path) -> list[Problem]:
    """What is the matter with a file of exported numbers."""
    try:
        open_study(path)
    except InputError as error:
        return [_of(Path(path), error)]
    return []


def _of(path: Path, error: InputError) -> Problem:
    what, _, remedy = str(error).rpartition("; ")
    return Problem(path, what or str(error), remedy)
