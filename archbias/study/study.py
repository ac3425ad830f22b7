"""A study: a question, settings, and a grid of cells that together answer it.

A study is a folder: `study.py` defines `STUDY = Study(...)`, `figures.py` beside it turns the store
into pictures.

    cells(settings) -> [Cell, ...]     what to compute; a cell names the cells whose results it
                                       reads
    Cell.run(work)  -> {group: Dataset}  one finished, labelled result

`run` computes the cells that are not there yet, in order, and joins them in RUN/store.zarr.
Existing means done: kill a run at any moment, give the same command, and it ends with the same
numbers. A cell that raises is reported with its traceback; cells that do not depend on it go on.
"""

from __future__ import annotations

import contextlib
import errno
import html
import importlib.util
import json
import os
import shutil
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from functools import lru_cache
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_type_hints

import filelock
import xarray as xr

from .. import __version__, data, families, store
from ..data import ImageSet
from ..denoise import Denoiser, Runtime, Spec, to_json
from ..errors import InputError, nearest


@dataclass(frozen=True, kw_only=True)
class Images:
    """Which images a study uses; the first n of the set unless a seed draws them."""

    name: str = "fashion_mnist"
    root: str | None = None
    n: int = 1000
    size: int | None = None
    seed: int | None = None

    def load(self) -> ImageSet:
        """The image set; kept, so that the cells of one process share it."""
        return _load(self)

    def unseen(self, count: int) -> ImageSet:
        """The first `count` images of the set that are not among these, however these were
        chosen.
        """
        own = set(self.load().ids)
        more = replace(self, n=self.n + count, seed=None).load()
        return more.subset(ids=[i for i in more.ids if i not in own][:count])


@lru_cache(maxsize=4)
def _load(images: Images) -> ImageSet:
    return data.load(images.name, root=images.root, n=images.n, size=images.size, seed=images.seed)


@dataclass(frozen=True)
class Work:
    """What a running cell may use: the settings, the run folder, and where to compute."""

    settings: Any
    folder: Path
    runtime: Runtime

    def read(self, cell: str) -> xr.DataTree:
        """The result of a finished cell; name it in `after`."""
        return store.read_cell(_path(self.folder, cell))

    def save(self, name: str, denoiser: Denoiser) -> None:
        """Keep a fitted denoiser in RUN/models, whole or not at all."""
        families.save(denoiser, self.folder / "models" / f"{name}.safetensors")

    def denoiser(self, name: str) -> Denoiser:
        """A denoiser kept by a finished cell."""
        return families.load(self.folder / "models" / f"{name}.safetensors")


@dataclass(frozen=True)
class Cell:
    """One unit of work, finished or not at all.

    name: distinct in the study; the file's name.
    run: from `Work` to data sets by group. Dimensions that differ between cells (family, predictor)
        are kept as dimensions of size one with their label.
    after: names of the cells it reads.
    seconds: estimated cost on two cores, for the plan and the time left.
    resources: what a cluster worker must have, for example {"gpu": 1}.
    """

    name: str
    run: Callable[[Work], dict[str, xr.Dataset]] = field(repr=False)
    after: tuple[str, ...] = ()
    seconds: float = 1.0
    resources: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Study:
    """A question with the settings and cells that answer it.

    settings: a frozen dataclass with defaults; a field `data: Images` is loaded and checked before
        the first cell.
    presets: changes to the defaults by name, each {"dotted.key": value}.
    """

    name: str
    question: str
    settings: Any
    cells: Callable[[Any], Sequence[Cell]] = field(repr=False)
    presets: dict[str, dict[str, Any]] = field(default_factory=dict, repr=False)
    folder: Path | None = field(default=None, repr=False)

    def configure(self, preset: str | None = None, changes: dict[str, Any] | None = None) -> Any:
        """The settings of a preset with changes applied: {"data.n": 500, "data": "celeba"}."""
        if preset is not None and preset not in self.presets:
            raise InputError(
                f"study {self.name!r} has no preset {preset!r}; {nearest(preset, self.presets)}"
            )
        settings = self.settings
        # in turn: `data=mnist` keeps the preset's size
        for layer in (self.presets[preset] if preset else {}, changes or {}):
            for key, value in layer.items():
                settings = _set(settings, key.split("."), value, key)
        return settings

    def plan(self, settings: Any) -> list[Cell]:
        """The cells in an order in which each comes after those it reads."""
        try:
            cells = list(self.cells(settings))
        except InputError:
            raise
        except Exception as error:
            raise InputError(
                _raised(f"study {self.name!r} raised while listing its cells", error)
            ) from error
        by_name = {c.name: c for c in cells}
        if len(by_name) < len(cells):
            raise InputError(
                f"cells of study {self.name!r} must have distinct names, got "
                f"{[c.name for c in cells]}; rename one"
            )
        ordered: dict[str, Cell] = {}

        def place(cell: Cell, below: tuple[str, ...]) -> None:
            if cell.name in below:
                raise InputError(
                    f"cells must not wait for each other, got {' -> '.join((*below, cell.name))}; "
                    "cut one `after`"
                )
            for name in cell.after:
                if name not in by_name:
                    raise InputError(
                        f"cell {cell.name!r} waits for unknown cell {name!r}; "
                        f"{nearest(name, by_name)}"
                    )
                place(by_name[name], (*below, cell.name))
            ordered.setdefault(cell.name, cell)

        for cell in cells:
            place(cell, ())
        return list(ordered.values())

    def _repr_html_(self) -> str:
        cells = self.plan(self.settings)
        rows = [("presets", ", ".join(self.presets) or "none")]
        rows += [
            (f.name, repr(getattr(self.settings, f.name))) for f in fields(self.settings) if f.init
        ]
        rows += [
            ("cells", f"{len(cells)}, about {sum(c.seconds for c in cells):.0f} s on two cores")
        ]
        table = "".join(
            f"<tr><td>{html.escape(k)}</td><td>{html.escape(v)}</td></tr>" for k, v in rows
        )
        return (
            f"<div><b>{html.escape(self.name)}</b>: "
            f"{html.escape(self.question)}</div><table>{table}</table>"
        )


def _set(target: Any, keys: list[str], value: Any, whole: str) -> Any:
    """A copy of nested frozen settings with one value changed."""
    key, rest = keys[0], keys[1:]
    if isinstance(target, dict):
        if rest and key not in target:
            raise InputError(
                f"setting {whole!r} names unknown entry {key!r}; {nearest(key, target)}"
            )
        if rest:
            return target | {key: _set(target[key], rest, value, whole)}
        return target | {
            key: _typed(target.get(key, next(iter(target.values()), None)), value, whole)
        }
    if not is_dataclass(target):
        raise InputError(
            f"setting {whole!r} goes below {target!r}, which has no settings of its own; stop at "
            "its name"
        )
    names = {f.name for f in fields(target) if f.init}
    if key not in names:
        raise InputError(
            f"unknown setting {whole!r}: {type(target).__name__} has no {key!r}; "
            f"{nearest(key, names)}"
        )
    old = getattr(target, key)
    if value is None and not rest and NoneType in get_args(get_type_hints(type(target))[key]):
        return replace(target, **{key: None})
    return replace(
        target, **{key: _set(old, rest, value, whole) if rest else _typed(old, value, whole)}
    )


def _typed(old: Any, value: Any, key: str) -> Any:
    """The value in the type of the one it replaces; text for a group of settings sets the group's
    first field.
    """
    if isinstance(old, Spec) or isinstance(value, Spec) or is_dataclass(value):
        return families.parse(value) if isinstance(value, str) else value
    if is_dataclass(old):
        return replace(old, **{fields(old)[0].name: value})
    if isinstance(old, tuple):
        return tuple(value) if isinstance(value, list | tuple | range) else (value,)
    kind = type(old)
    if isinstance(old, str) and isinstance(value, int | float):
        return str(value)
    if isinstance(old, bool | int | float | str):
        fits = isinstance(value, int | float if kind is float else kind) and isinstance(
            value, bool
        ) == (kind is bool)
        if not fits:
            raise InputError(
                f"setting {key!r} must be {kind.__name__} like its default {old!r}, got {value!r}; "
                "give such a value"
            )
        return kind(value)
    return value


def _raised(what: str, error: BaseException) -> str:
    last = traceback.extract_tb(error.__traceback__)[-1]
    return (
        f"{what}: {type(error).__name__}: {error} ({Path(last.filename).name}, line "
        f"{last.lineno}); mend it and run again"
    )


def load(path: str | Path) -> Study:
    """The study in a folder or a file."""
    path = Path(path)
    file = path if path.suffix == ".py" else path / "study.py"
    if not file.is_file():
        raise InputError(
            f"wanted a study at {path}, found no {file.name}; give a folder with study.py, for "
            "example studies/families"
        )
    module = _module(file, "study")
    study = getattr(module, "STUDY", None)
    if not isinstance(study, Study):
        raise InputError(
            f"{file} must define STUDY = Study(...), found {type(study).__name__}; see "
            "studies/families/study.py"
        )
    return replace(study, folder=file.parent.resolve())


def figures(study_folder: Path) -> Any:
    """The `figures.py` beside a study, or None: `figures(tree) -> {name: Figure}`,
    `summary(tree) -> DataFrame`.
    """
    file = Path(study_folder) / "figures.py"
    return _module(file, "figures") if file.is_file() else None


def _module(file: Path, what: str) -> Any:
    name = f"archbias_{what}_{file.resolve().parent.name}"
    spec = importlib.util.spec_from_file_location(name, file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except InputError:
        raise
    except Exception as error:
        raise InputError(_raised(f"{file} raised", error)) from error
    return module


def _path(folder: Path, cell: str) -> Path:
    return folder / "cells" / f"{cell}.nc"


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
        if _path(folder, name).is_file():
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


def compute(cell: Cell, work: Work, attrs: dict[str, Any]) -> None:
    """Run one cell and write it; its traceback is kept beside the cells when it raises."""
    log = work.folder / "cells" / f"{cell.name}.error.txt"
    start = time.perf_counter()
    try:
        groups = cell.run(work)
        spent = round(time.perf_counter() - start, 3)
        store.write_cell(
            _path(work.folder, cell.name), groups, attrs | {"cell": cell.name, "seconds": spent}
        )
        log.unlink(missing_ok=True)
        if work.runtime.checkpoint is not None:
            shutil.rmtree(work.runtime.checkpoint, ignore_errors=True)
    except Exception as error:
        if not _of_the_disk(error):
            store.write_text(log, traceback.format_exc())
        raise


def _of_the_disk(error: Exception) -> bool:
    """Whether no cell could be written after this; other errors of the system, such as a missing
    file, are the cell's own.
    """
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


class Quiet:
    """Hears of a run's progress and says nothing; `archbias.cli.Bars` shows it."""

    def __enter__(self) -> Quiet:
        return self

    def __exit__(self, *_: object) -> None: ...

    def start(self, cells: Sequence[Cell], done: Sequence[str]) -> None: ...

    def begin(self, cell: Cell) -> None: ...

    def within(self, done: float, total: float, note: str) -> None: ...

    def end(self, cell: Cell, error: BaseException | None) -> None: ...

    def say(self, text: str) -> None: ...


def run(
    study: Study,
    settings: Any,
    folder: str | Path,
    *,
    device: str = "cpu",
    listener: Quiet | None = None,
) -> State:
    """Compute what is missing and join it; the same call resumes.

    Returns:
        The state at the end; `failed` names the cells that raised, whose tracebacks lie in
        RUN/cells/NAME.error.txt.
    """
    folder, listener = Path(folder), listener or Quiet()
    cells = study.plan(settings)
    with opened(study, settings, folder, cells) as record:
        attrs = attributes(record)
        done = finished(cells, folder, listener)
        listener.start(cells, sorted(done))
        failed: set[str] = set()
        for cell in cells:
            if cell.name in done:
                continue
            if failed.intersection(cell.after):
                failed.add(cell.name)
                continue
            runtime = Runtime(
                device=device,
                checkpoint=folder / "checkpoints" / cell.name,
                progress=listener.within,
            )
            listener.begin(cell)
            error = None
            try:
                compute(cell, Work(settings, folder, runtime), attrs)
            except Exception as raised:
                if _of_the_disk(raised):
                    raise
                error = raised
                failed.add(cell.name)
            listener.end(cell, error)
        join(cells, folder, attrs)
    return status(folder)[1]


def finished(cells: Sequence[Cell], folder: Path, listener: Quiet) -> set[str]:
    """Names of the cells whose files are whole; damaged ones are removed, and said."""
    done = set()
    for cell in cells:
        path = _path(folder, cell.name)
        if path.is_file():
            try:
                store.read_cell(path)
                done.add(cell.name)
            except store.CorruptCell as error:
                listener.say(f"{error}; computing it again")
                path.unlink()
    return done


def join(cells: Sequence[Cell], folder: Path, attrs: dict[str, Any]) -> None:
    """Collect the finished cells into RUN/store.zarr."""
    paths = [p for c in cells if (p := _path(folder, c.name)).is_file()]
    if paths:
        store.collect(paths, folder / "store.zarr", attrs)
