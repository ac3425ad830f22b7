"""A study on several processes or machines: the same cells as Dask tasks.

The workers write the cells, atomically, into the run folder, which all of them must see; only names
travel back. So a killed worker loses at most its unfinished cells (Dask gives them to another), and
a killed client loses nothing that was finished: the same command goes on. For SLURM, PBS or
Kubernetes start a scheduler with dask-jobqueue or dask-kubernetes and give its address; a cell that
asks for resources (`Cell.resources`, for example {"gpu": 1}) waits for a worker started with them
(`dask worker ADDRESS --resources gpu=1`).
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .. import store
from .. import study as studies
from ..denoise import Runtime
from ..errors import InputError
from . import Cell, Quiet, State, Study, Work
from .failures import headline
from .runner import Listener
from .study import checkpoint_path, error_path

# seconds after which workers that have joined are looked for, if no cell ends before
PATIENCE = 2.0


def run(
    study: Study,
    settings: Any,
    folder: str | Path,
    *,
    workers: int | None = None,
    address: str | None = None,
    device: str = "cpu",
    threads: int | None = None,
    listener: Listener | None = None,
) -> State:
    """As `archbias.study.run`, with cells side by side.

    Args:
        study: what to compute, with `settings` of its kind.
        settings: as `Study.configure` gives them.
        folder: the run folder, which all workers see.
        workers: local processes to start; or
        address: a running scheduler, for example "tcp://head:8786".
        device: where cells compute.
        threads: of every cell; recorded with the run and kept when it resumes. By default an equal
            share of the cores for local processes, one on a scheduler. The same number gives the
            same bits on one machine, here and without workers.
        listener: hears of the progress.
    """
    if importlib.util.find_spec("distributed") is None:
        raise InputError(
            "running on several workers wants Dask, which is not installed; pip install "
            "'archbias[cluster]'"
        )
    if (workers is None) == (address is None):
        raise InputError(
            "wanted either --workers N or --cluster ADDRESS, got both or neither; give one of them"
        )
    if workers is not None and workers < 1:
        raise InputError(
            f"the number of workers must be at least 1, got {workers}; two use two cores"
        )
    import cloudpickle
    from distributed import wait

    folder, listener = Path(folder).expanduser().resolve(), listener or Quiet()
    usual = max(1, (os.cpu_count() or 1) // workers) if workers else 1
    cells = study.plan(settings)
    # study files are no packages of the workers, so they travel with the task
    for module in ("study", "figures"):
        name = f"archbias_{module}_{study.folder.name}" if study.folder else ""
        if name in sys.modules:
            cloudpickle.register_pickle_by_value(sys.modules[name])
    with (
        studies.opened(
            study, settings, folder, cells, listener.say, threads=threads, usual=usual
        ) as record,
        _client(workers, address, record["threads"]) as client,
    ):
        attrs = studies.attributes(record)
        done = studies.finished(cells, folder, listener)
        listener.start(cells, sorted(done))
        waiting = [c for c in cells if c.name not in done]
        failed: set[str] = set()
        # a scheduler takes two tasks of one key for one, and may serve several runs
        own = f"{study.name} {hashlib.sha256(str(folder).encode()).hexdigest()[:16]}"
        running: dict[Any, tuple[Cell, dict[str, float]]] = {}

        def submit() -> None:
            """Start what can start now, in the order of the plan, and no more: a cell given early
            would wait behind a long one.
            """
            free = _free(
                client, (needs for _, needs in running.values()), named=address is not None
            )
            for cell in list(waiting):
                if failed.intersection(cell.after):
                    failed.add(cell.name)
                    waiting.remove(cell)
                    continue
                needs = {"threads": 1} | {k: v for k, v in cell.resources.items() if k in free}
                if done.issuperset(cell.after) and all(free[k] >= v for k, v in needs.items()):
                    free.subtract(needs)
                    waiting.remove(cell)
                    error_path(folder, cell.name).unlink(missing_ok=True)
                    work = Work(settings, folder, Runtime(device))
                    held = {k: v for k, v in needs.items() if k != "threads"}
                    future = client.submit(
                        _compute, cell, work, attrs, key=f"{own}/{cell.name}", resources=held
                    )
                    running[future] = cell, needs
                    if free["threads"] <= 0:
                        break

        client.wait_for_workers(1)
        submit()
        while running:
            try:
                ended = wait(list(running), timeout=PATIENCE, return_when="FIRST_COMPLETED").done
            except TimeoutError:
                ended = ()  # workers may have come meanwhile
            for future in ended:
                cell, _ = running.pop(future)
                error = None if future.status == "finished" else future.exception()
                (done if error is None else failed).add(cell.name)
                log = error_path(folder, cell.name)
                if error is not None and not log.is_file():  # the worker died, or could not write
                    store.write_text(log, f"{headline(error)}\n")
                listener.begin(cell)
                listener.end(cell, error)
            submit()
        for cell in waiting:
            listener.say(
                f"cell {cell.name} did not start: it wants {cell.resources}, more than the workers "
                "offer"
            )
        studies.join(cells, folder, attrs, listener)
    return studies.status(folder)[1]


@contextmanager
def _client(workers: int | None, address: str | None, threads: int) -> Iterator[Any]:
    """A client of the given scheduler, or of local processes that end with it."""
    import dask
    from distributed import Client, LocalCluster

    if address is not None:
        try:
            client = Client(address, timeout=15)
        except (OSError, TimeoutError, ValueError) as error:
            raise InputError(
                f"wanted a Dask scheduler at {address}, none answers ({error}); start one with "
                "`dask scheduler`"
            ) from error
        with client:
            yield client
        return
    # threads beyond these would spin
    pools = {"OMP_NUM_THREADS": str(threads), "NUMBA_NUM_THREADS": str(threads)}
    options = {"dashboard_address": "127.0.0.1:0", "silence_logs": 50, "env": pools}
    # Dask has workers give freed memory back at once, which takes half of a training's time
    kept = {"distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": None}
    with (
        _script_aside(),
        dask.config.set(kept),
        LocalCluster(n_workers=workers, threads_per_worker=1, processes=True, **options) as local,
        Client(local) as client,
    ):
        yield client


@contextmanager
def _script_aside() -> Iterator[None]:
    """Let new processes not run the caller's script again: without a guard (`if __name__ ==
    "__main__"`) it would start workers of its own. What cells need of it travels with them.
    """
    main = sys.modules["__main__"]
    file = main.__dict__.pop("__file__", None) if main.__spec__ is None else None
    try:
        yield
    finally:
        if file is not None:
            main.__file__ = file


def _free(client: Any, taken: Iterable[dict[str, float]], *, named: bool) -> Counter[str]:
    """Threads, and the resources workers were started with (`named`), less those that running cells
    hold.
    """
    free: Counter[str] = Counter()
    for worker in client.scheduler_info(n_workers=-1)["workers"].values():
        free.update(
            {"threads": worker["nthreads"]} | (worker.get("resources", {}) if named else {})
        )
    for needs in taken:
        free.subtract(needs)
    return free


def _compute(cell: Cell, work: Work, attrs: dict[str, Any]) -> str:
    """On the worker: run one cell and write it."""
    runtime = Runtime(
        device=work.runtime.device, checkpoint=checkpoint_path(work.folder, cell.name)
    )
    studies.compute(cell, Work(work.settings, work.folder, runtime), attrs)
    return cell.name
