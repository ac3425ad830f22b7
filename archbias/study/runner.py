"""Running a study: compute the cells that are missing, join them.

`run` computes the cells that are not there yet, in order, and joins them in RUN/store.zarr.
Existing means done: kill a run at any moment, give the same command, and it ends with the same
numbers. A cell that raises is reported with its traceback; cells that do not depend on it go on.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import threadpoolctl
import torch

from .. import store, waiting
from ..data import ImageSet
from ..denoise import Denoiser, Runtime, Spec
from .failures import headline, of_the_disk, record
from .folder import State, attributes, opened, status
from .study import Cell, Study, Work, cell_path, checkpoint_path, error_path, model_path, sha256_of


def compute(cell: Cell, work: Work, attrs: dict[str, Any]) -> None:
    """Run one cell and write it; its traceback is kept beside the cells when it raises.

    It computes with the number of threads that `attrs` tell, since sums of floating-point numbers
    depend on it; the process has its own number again afterwards.

    Raises:
        RuntimeError: the cell called for the end of the process (`SystemExit`).
        Exception: whatever else the cell raised.
    """
    log = error_path(work.folder, cell.name)
    log.unlink(missing_ok=True)  # of an earlier try
    start = time.perf_counter()
    try:
        with _threads(int(attrs["threads"])), waiting.silence():
            groups = cell.run(work)
        spent = round(time.perf_counter() - start, 3)
        own = {"cell": cell.name, "seconds": spent}
        if work.saved:
            own["models"] = json.dumps(work.saved)
        if work.trained_on:
            own["trained_on"] = json.dumps(work.trained_on)
        store.write_cell(cell_path(work.folder, cell.name), groups, attrs | own)
        if work.runtime.checkpoint is not None:
            shutil.rmtree(work.runtime.checkpoint, ignore_errors=True)
    except (Exception, SystemExit) as error:
        if not of_the_disk(error):
            store.write_text(log, record(error))
        if isinstance(error, SystemExit):
            raise RuntimeError(f"the cell called for the end: {headline(error)}") from error
        raise


@contextlib.contextmanager
def _threads(count: int) -> Iterator[None]:
    """So many threads for torch and for NumPy's linear algebra."""
    before = torch.get_num_threads()
    with threadpoolctl.threadpool_limits(count):
        torch.set_num_threads(count)
        try:
            yield
        finally:
            torch.set_num_threads(before)


class Listener(Protocol):
    """What hears of a run's progress."""

    def __enter__(self) -> Any:
        return None

    def __exit__(self, *_: object) -> None:
        return None

    def start(self, cells: Sequence[Cell], done: Sequence[str]) -> None:
        return None

    def begin(self, cell: Cell) -> None:
        return None

    def within(self, done: float, total: float, note: str) -> None:
        return None

    def end(self, cell: Cell, error: BaseException | None) -> None:
        return None

    def say(self, text: str) -> None:
        return None


class Quiet(Listener):
    """Hears of a run's progress and says nothing; `archbias.cli.Bars` shows it."""

    def __enter__(self) -> Quiet:
        return self


def run(
    study: Study,
    settings: Any,
    folder: str | Path,
    *,
    device: str = "cpu",
    threads: int | None = None,
    trained: Callable[[Spec, ImageSet], Denoiser] | None = None,
    listener: Listener | None = None,
) -> State:
    """Compute what is missing and join it; the same call resumes.

    Args:
        study: what to compute, with `settings` of its kind.
        settings: as `Study.configure` gives them.
        folder: the run folder.
        device: where cells compute.
        threads: of every cell; recorded with the run and kept when it resumes. By default the
            number torch has in this process. The same number gives the same bits on one machine,
            here and on workers.
        trained: gives networks that are not to be trained again (`archbias.denoise.Runtime`).
        listener: hears of the progress.

    Returns:
        The state at the end; `failed` names the cells that raised, whose tracebacks lie in
        RUN/cells/NAME.error.txt.
    """
    folder, listener = Path(folder).expanduser(), listener or Quiet()
    cells = study.plan(settings)
    usual = torch.get_num_threads()
    with opened(
        study, settings, folder, cells, listener.say, threads=threads, usual=usual
    ) as asked:
        attrs = attributes(asked)
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
                checkpoint=checkpoint_path(folder, cell.name),
                progress=listener.within,
                trained=trained,
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
        join(cells, folder, attrs, listener)
    return status(folder)[1]


def finished(cells: Sequence[Cell], folder: Path, listener: Listener) -> set[str]:
    """Names of the cells whose files, and the denoisers they keep, are whole; others are removed,
    and said.
    """
    done = set()
    for cell in cells:
        path = cell_path(folder, cell.name)
        if path.is_file():
            try:
                trouble = _models(store.read_cell(path).attrs.get("models"), folder)
            except store.CorruptCell as error:
                trouble = str(error)
            if trouble:
                listener.say(f"{trouble}; computing cell {cell.name} again")
                path.unlink()
            else:
                # a run that was killed after it wrote the cell left them
                shutil.rmtree(checkpoint_path(folder, cell.name), ignore_errors=True)
                done.add(cell.name)
    return done


def _models(kept: str | None, folder: Path) -> str:
    """What is wrong with the denoisers a cell keeps, as its attribute tells them; "" if nothing."""
    try:
        models = dict(json.loads(kept or "{}"))
    except (TypeError, ValueError):
        return "its record of models cannot be read"
    for name, wanted in models.items():
        path = model_path(folder, name)
        if not path.is_file():
            return f"{path.name} is gone"
        if sha256_of(path) != wanted:
            return f"{path.name} does not match its checksum"
    return ""


def join(
    cells: Sequence[Cell], folder: Path, attrs: dict[str, Any], listener: Listener | None = None
) -> None:
    """Collect the finished cells into RUN/store.zarr; the listener hears of those left out."""
    paths = [p for c in cells if (p := cell_path(folder, c.name)).is_file()]
    if paths:
        left = store.collect(paths, folder / "store.zarr", attrs)
        for path, why in left.items():
            (listener or Quiet()).say(f"cell {path.stem} is not in the store: {why}")
