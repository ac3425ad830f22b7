"""Running a study: compute the cells that are missing, join them.

`run` computes the cells that are not there yet, in order, and joins them in RUN/store.zarr.
Existing means done: kill a run at any moment, give the same command, and it ends with the same
numbers. A cell that raises is reported with its traceback; cells that do not depend on it go on.
"""

from __future__ import annotations

import shutil
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .. import store
from ..denoise import Runtime
from .failures import of_the_disk
from .folder import State, attributes, opened, status
from .study import Cell, Study, Work, cell_path


def compute(cell: Cell, work: Work, attrs: dict[str, Any]) -> None:
    """Run one cell and write it; its traceback is kept beside the cells when it raises."""
    log = work.folder / "cells" / f"{cell.name}.error.txt"
    start = time.perf_counter()
    try:
        groups = cell.run(work)
        spent = round(time.perf_counter() - start, 3)
        store.write_cell(
            cell_path(work.folder, cell.name), groups, attrs | {"cell": cell.name, "seconds": spent}
        )
        log.unlink(missing_ok=True)
        if work.runtime.checkpoint is not None:
            shutil.rmtree(work.runtime.checkpoint, ignore_errors=True)
    except Exception as error:
        if not of_the_disk(error):
            store.write_text(log, traceback.format_exc())
        raise


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
                if of_the_disk(raised):
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
        path = cell_path(folder, cell.name)
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
    paths = [p for c in cells if (p := cell_path(folder, c.name)).is_file()]
    if paths:
        store.collect(paths, folder / "store.zarr", attrs)
