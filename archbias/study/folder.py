"""The run folder: its record, its lock, and where it stands.

RUN/run.json        the study, its settings, the version and the cells
RUN/manifest.json   the images
RUN/cells/          finished cells, and the tracebacks of those that raised
RUN/models/         fitted denoisers
RUN/store.zarr      all cells, joined
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock

from .. import __version__, data, store
from ..denoise import to_json
from ..errors import InputError
from .study import Cell, Images, Study, cell_path


@dataclass(frozen=True)
class State:
    """Where a run stands: cells by what became of them."""

    done: tuple[str, ...]
    waiting: tuple[str, ...]
    failed: dict[str, str]  # name -> last line of the traceback


def status(folder: str | Path) -> tuple[dict[str, Any], State]:
    """What a run folder is (its run.json) and where it stands."""
    folder = Path(folder)
    record = _record(folder)
    if record is None:
        raise InputError(
            f"wanted a run folder with run.json, found none at {folder}; run a study first: "
            "archbias run STUDY"
        )
    done, waiting, failed = [], [], {}
    for name in record["cells"]:
        log = folder / "cells" / f"{name}.error.txt"
        if cell_path(folder, name).is_file():
            done.append(name)
        elif log.is_file():
            failed[name] = log.read_text().strip().splitlines()[-1]
        else:
            waiting.append(name)
    return record, State(tuple(done), tuple(waiting), failed)


def _record(folder: Path) -> dict[str, Any] | None:
    file = folder / "run.json"
    if not file.is_file():
        return None
    try:
        return json.loads(file.read_text())
    except ValueError as error:
        raise InputError(
            f"{file} is not readable JSON ({error}); delete the folder {folder} or choose another "
            "--out"
        ) from error


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
        "source": os.path.relpath(study.folder, folder) if study.folder else "",
    }
    old = _record(folder)
    for key in ("study", "version", "settings") if old else ():
        if old.get(key) != json.loads(json.dumps(record[key])):
            raise InputError(
                f"{folder} holds a run with {key} {_difference(old.get(key), record[key])}; choose "
                "another --out or delete the folder"
            )
    return record


@contextlib.contextmanager
def opened(
    study: Study, settings: Any, folder: Path, cells: Sequence[Cell]
) -> Iterator[dict[str, Any]]:
    """The run folder, made or checked, locked against a second run; yields its record.

    Raises:
        InputError: another study, version or settings live there, another run holds it, or it
            cannot be written.
    """
    record = intended(study, settings, folder, cells)
    images = getattr(settings, "data", None)
    # what is refused leaves no folder behind
    loaded = images.load() if isinstance(images, Images) else None
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
        intended(study, settings, folder, cells)  # again, now that no other run can begin
        store.sweep(folder)
        if loaded is not None:
            manifest = folder / "manifest.json"
            if manifest.is_file():
                data.Manifest.read(manifest).check(loaded)
            else:
                loaded.manifest().write(manifest)
            record["images"] = {
                "name": loaded.name,
                "hash": loaded.hash,
                "n": len(loaded),
                "shape": list(loaded.shape),
            }
        store.write_text(folder / "run.json", json.dumps(record, indent=1))
        yield record
    except OSError as error:
        raise InputError(
            f"writing {folder} failed ({error.strerror or error}); free space or choose another "
            "--out, then run again"
        ) from error
    finally:
        lock.release()


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
        k: v if isinstance(v, str) else json.dumps(v)
        for k, v in record.items()
        if k not in ("cells", "source")
    }
    return asked | store.provenance()
