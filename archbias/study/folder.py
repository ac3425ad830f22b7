"""The run folder: its record, its lock, and where it stands.

RUN/run.json        the study, its settings, the version and the cells
RUN/manifest.json   the images
RUN/cells/          finished cells, and the tracebacks of those that raised
RUN/models/         fitted denoisers
RUN/store.zarr      all cells, joined
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock
import numpy as np

from .. import __version__, data, store
from ..data import ImageSet
from ..denoise import to_json
from ..errors import InputError
from .failures import headline, headline_of, of_the_disk
from .study import Cell, Images, Study, cell_path, error_path, sha256_of

# what a record must hold to be one
KEYS = {"study": str, "question": str, "version": str, "settings": object, "cells": list}
PLACES = ("cells", "models", "checkpoints", "checkpoints/*", "figures", "store.zarr", ".lock")


@dataclass(frozen=True)
class State:
    """Where a run stands: cells by what became of them."""

    done: tuple[str, ...]
    waiting: tuple[str, ...]
    failed: dict[str, str]  # name -> type and first line of what it raised


class _Damaged(Exception):
    """A run.json that cannot be used, and why."""


def status(folder: str | Path) -> tuple[dict[str, Any], State]:
    """What a run folder is (its run.json) and where it stands.

    Raises:
        InputError: there is no record of a run, or it is damaged.
    """
    folder = Path(folder).expanduser()
    try:
        record = _record(folder)
    except _Damaged as error:
        raise InputError(f"{folder / 'run.json'} {error}; {_remedy(folder)}") from error
    if record is None:
        raise InputError(
            f"wanted a run folder with run.json, found none at {folder}; {_remedy(folder)}"
        )
    done, waiting, failed = [], [], {}
    for name in record["cells"]:
        log = error_path(folder, name)
        if cell_path(folder, name).is_file():
            done.append(name)
        elif log.is_file():
            failed[name] = headline_of(log.read_text(encoding="utf-8", errors="replace"))
        else:
            waiting.append(name)
    return record, State(tuple(done), tuple(waiting), failed)


def _record(folder: Path) -> dict[str, Any] | None:
    """The contents of run.json, None when there is none.

    Raises:
        _Damaged: it is no record of a run.
    """
    file = folder / "run.json"
    if not file.is_file():
        return None
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise _Damaged(f"is not readable JSON ({error})") from error
    if not isinstance(record, dict):
        raise _Damaged(f"is no record of a run, but a {type(record).__name__}")
    for key, kind in KEYS.items():
        if key not in record or not isinstance(record[key], kind):
            raise _Damaged(
                f"is no record of a run: {key!r} is missing or not as archbias writes it"
            )
    wanted = record.pop("sha256", None)  # an older archbias wrote none
    if wanted is not None and wanted != _digest(record):
        raise _Damaged("does not match its checksum")
    if not all(isinstance(c, str) for c in record["cells"]):
        raise _Damaged("is no record of a run: 'cells' are not names")
    return record


def _digest(record: dict[str, Any]) -> str:
    """sha256 of a record, however its JSON is laid out."""
    text = json.dumps(json.loads(json.dumps(record)), sort_keys=True)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _told_by_cells(folder: Path) -> list[dict[str, Any]]:
    """What the finished cells say of the run they belong to, each differing record once."""
    found: list[dict[str, Any]] = []
    for path in sorted((folder / "cells").glob("*.nc")):
        try:
            attrs = store.read_cell(path).attrs
            told = {k: attrs[k] for k in ("study", "version")}
            told |= {k: json.loads(attrs[k]) for k in ("settings", "images", "sets") if k in attrs}
            told["threads"] = int(np.ravel(attrs["threads"])[0])
        except (store.CorruptCell, KeyError, ValueError):
            continue
        if told not in found:
            found.append(told)
    return found


def _remedy(folder: Path) -> str:
    told = _told_by_cells(folder)
    if not told:
        return "run a study into another folder: archbias run STUDY --out DIR"
    names = " or ".join(sorted({str(t["study"]) for t in told}))
    return (
        f"its finished cells are whole: archbias run with the study {names}, the same settings and "
        f"--out {folder} writes it again"
    )


def intended(study: Study, settings: Any, folder: Path, cells: Sequence[Cell]) -> dict[str, Any]:
    """The record of a run that is to be in this folder.

    Raises:
        InputError: another study, version or settings live there.
    """
    record = {
        "study": study.name,
        "question": study.question,
        "version": __version__,
        "settings": to_json(settings),
        "cells": [c.name for c in cells],
    }
    usual = to_json(study.settings)
    for old in _old(folder)[0]:
        old = old | {"settings": _filled(old.get("settings"), usual)}
        for key in ("study", "version", "settings"):
            if old.get(key) != json.loads(json.dumps(record[key])):
                raise InputError(
                    f"{folder} holds a run with {key} {_difference(old.get(key), record[key])}; "
                    "choose another --out"
                )
    return record


def _filled(told: Any, usual: Any) -> Any:
    """Recorded settings with those they lack at their defaults: an older archbias had fewer."""
    alike = isinstance(told, dict) and isinstance(usual, dict)
    if not alike or told.get("type") != usual.get("type"):
        return told
    lacking = {k: v for k, v in usual.items() if k not in told} if "type" in told else {}
    return lacking | {k: _filled(v, usual.get(k)) for k, v in told.items()}


def _old(folder: Path) -> tuple[list[dict[str, Any]], str]:
    """What is known of the run in a folder, and why run.json does not tell it ("" if it does)."""
    try:
        record = _record(folder)
        if record is not None:
            return [record], ""
        told = _told_by_cells(folder)
        return told, "is missing" if told else ""
    except _Damaged as error:
        told = _told_by_cells(folder)
        if not told:
            raise InputError(
                f"{folder / 'run.json'} {error}, and no finished cell says which run this is; "
                "choose another --out"
            ) from error
        return told, str(error)


@contextlib.contextmanager
def opened(
    study: Study,
    settings: Any,
    folder: Path,
    cells: Sequence[Cell],
    say: Callable[[str], None] = lambda text: None,
    *,
    threads: int | None = None,
    usual: int = 1,
) -> Iterator[dict[str, Any]]:
    """The run folder, made or checked, locked against a second run; yields its record.

    Args:
        study: whose run it is, with `settings` and `cells`.
        settings: of the study.
        folder: the run folder.
        cells: of the study with these settings.
        say: told what was mended.
        threads: asked for, for every cell; None takes the number the run began with, and `usual`
            when it begins.
        usual: the number of threads of a run that begins.

    Raises:
        InputError: another study, version or settings live there, another run holds it, or it
            cannot be written.
    """
    if threads is not None and threads < 1:
        raise InputError(f"wanted at least one thread, got {threads}; leave it out for the usual")
    check_links(folder)
    intended(study, settings, folder, cells)
    images = getattr(settings, "data", None)
    # what is refused leaves no folder behind
    loaded = images.load() if isinstance(images, Images) else None
    several = settings.hashes() if hasattr(settings, "hashes") else {}
    try:
        (folder / "cells").mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(folder / ".lock")
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise InputError(
            f"another run is writing {folder}; wait for it to end or choose another --out"
        ) from None
    except OSError as error:
        raise InputError(
            f"cannot write the run folder {folder} ({error.strerror}); choose another --out"
        ) from error
    try:
        # again, now that no other run can begin
        record = intended(study, settings, folder, cells)
        old, lost = _old(folder)
        if lost:
            say(f"{folder / 'run.json'} {lost}; written again from the finished cells")
        record["threads"] = _threads(folder, old, threads, usual)
        store.sweep(folder)
        if loaded is not None:
            _same_images(loaded, folder, old)
            record["images"] = {
                "name": loaded.name,
                "hash": loaded.hash,
                "n": len(loaded),
                "shape": list(loaded.shape),
                "manifest": sha256_of(folder / "manifest.json"),
            }
        if several:
            record["sets"] = _same_sets(several, folder, old)
        written = record | {"sha256": _digest(record)}
        store.write_text(folder / "run.json", json.dumps(written, indent=1))
        yield record
    except Exception as error:
        if not isinstance(error, OSError) and not of_the_disk(error):
            raise
        reason = getattr(error, "strerror", None) or headline(error)
        raise InputError(
            f"writing {folder} failed ({reason}); free space or choose another --out, then run "
            "again"
        ) from error
    finally:
        lock.release()


def _threads(folder: Path, old: Sequence[dict[str, Any]], asked: int | None, usual: int) -> int:
    """The number of threads of every cell of a run: the one it began with."""
    begun = [n for told in old if isinstance(n := told.get("threads"), int) and n >= 1]
    if begun and asked not in (None, begun[0]):
        raise InputError(
            f"{folder} holds a run whose cells compute with {begun[0]} threads, got {asked}; leave "
            "--threads out or choose another --out"
        )
    return begun[0] if begun else usual if asked is None else asked


def check_links(folder: str | Path) -> None:
    """Refuse a run folder in which a link leads out of it: what is written would land there.

    Raises:
        InputError: one of its parts is such a link.
    """
    folder = Path(folder)
    for place in (p for pattern in PLACES for p in folder.glob(pattern) if p.is_symlink()):
        if not place.resolve().is_relative_to(folder.resolve()):
            raise InputError(
                f"{place} is a link out of the run folder, to {place.resolve()}; copy what it "
                "leads to, or choose another folder"
            )


def _same_images(loaded: ImageSet, folder: Path, old: Sequence[dict[str, Any]]) -> None:
    """Check the images against the folder's manifest and the hash the run told of, or write the
    manifest where there is none.

    Raises:
        InputError: they differ.
    """
    manifest = folder / "manifest.json"
    if manifest.is_file():
        data.Manifest.read(manifest).check(loaded)
    for told in old:
        wanted = told["images"].get("hash") if isinstance(told.get("images"), dict) else None
        if wanted not in (None, loaded.hash):
            raise InputError(
                f"{folder} was computed from images of sha256 {str(wanted)[:12]}, got "
                f"{loaded.hash[:12]}; give those images or choose another --out"
            )
    if not manifest.is_file():
        loaded.manifest().write(manifest)


def _same_sets(
    several: dict[str, str], folder: Path, old: Sequence[dict[str, Any]]
) -> dict[str, str]:
    """The sha256 of every set the run has read or will read, by label.

    Raises:
        InputError: a set is not the one the run began with.
    """
    begun: dict[str, str] = {}
    for told in old:
        begun |= told["sets"] if isinstance(told.get("sets"), dict) else {}
    for label, found in several.items():
        if (wanted := begun.get(label, found)) != found:
            raise InputError(
                f"{folder} was computed from images of {label} of sha256 {str(wanted)[:12]}, got "
                f"{found[:12]}; give those images or choose another --out"
            )
    return begun | several


def _difference(old: Any, new: Any, at: str = "") -> str:
    new = json.loads(json.dumps(new))
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(k for k in new if k not in old)]:
            if old.get(key) != new.get(key):
                return _difference(old.get(key), new.get(key), f"{at}.{key}".lstrip("."))
    return f"{at + ' = ' if at else ''}{old!r}, this run wants {new!r}"


def attributes(record: dict[str, Any]) -> dict[str, Any]:
    """Root attributes of cells and store: what was asked, of which images, by which code."""
    asked = {
        k: v if isinstance(v, str | int) else json.dumps(v)
        for k, v in record.items()
        if k != "cells"
    }
    return store.provenance() | asked
