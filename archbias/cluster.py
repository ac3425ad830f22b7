"""A study on several processes or machines: the same cells as Dask tasks.

The workers write the cells, atomically, into the run folder, which all of them must see; only names travel back. So a
killed worker loses at most its unfinished cells (Dask gives them to another), and a killed client loses nothing that was
finished: the same command goes on. For SLURM, PBS or Kubernetes start a scheduler with dask-jobqueue or dask-kubernetes
and give its address; a cell that asks for resources (`Cell.resources`, for example {"gpu": 1}) waits for a worker started
with them (`dask worker ADDRESS --resources gpu=1`).
"""

from __future__ import annotations

import importlib.util
import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from . import study as studies
from .denoise import Runtime
from .errors import InputError
from .study import Cell, Quiet, State, Study, Work


def run(
    study: Study,
    settings: Any,
    folder: str | Path,
    *,
    workers: int | None = None,
    address: str | None = None,
    device: str = "cpu",
    listener: Quiet | None = None,
) -> State:
    """As `archbias.study.run`, with cells side by side.

    Args:
        workers: local processes to start, each with an equal share of the cores; or
        address: a running scheduler, for example "tcp://head:8786".
    """
    if importlib.util.find_spec("distributed") is None:
        raise InputError("running on several workers wants Dask, which is not installed; pip install 'archbias[cluster]'")
    if (workers is None) == (address is None):
        raise InputError("wanted either --workers N or --cluster ADDRESS, got both or neither; give one of them")
    if workers is not None and workers < 1:
        raise InputError(f"the number of workers must be at least 1, got {workers}; two use two cores")
    import cloudpickle
    from distributed import as_completed

    folder, listener = Path(folder).resolve(), listener or Quiet()
    cells = study.plan(settings)
    for module in ("study", "figures"):  # study files are no packages of the workers, so they travel with the task
        name = f"archbias_{module}_{study.folder.name}" if study.folder else ""
        if name in sys.modules:
            cloudpickle.register_pickle_by_value(sys.modules[name])
    with studies.opened(study, settings, folder, cells) as record, _client(workers, address) as client:
        attrs = studies.attributes(record)
        done = studies.finished(cells, folder, listener)
        listener.start(cells, sorted(done))
        offered = set().union(*(w.get("resources", {}) for w in client.scheduler_info(n_workers=-1)["workers"].values()))
        futures, by_key = {}, {}
        for cell in cells:
            if cell.name not in done:
                needs = {k: v for k, v in cell.resources.items() if address is not None and k in offered}
                before = [futures[name] for name in cell.after if name in futures]
                key = f"{study.name}/{cell.name}"
                future = client.submit(
                    _compute, cell, Work(settings, folder, Runtime(device)), attrs, before, key=key, resources=needs
                )
                futures[cell.name], by_key[future.key] = future, cell
        for future in as_completed(futures.values()):
            cell = by_key[future.key]
            listener.begin(cell)
            listener.end(cell, future.exception() if future.status == "error" else None)
        studies.join(cells, folder, attrs)
    return studies.status(folder)[1]


@contextmanager
def _client(workers: int | None, address: str | None):
    """A client of the given scheduler, or of local processes that end with it."""
    from distributed import Client, LocalCluster

    if address is not None:
        try:
            client = Client(address, timeout=15)
        except (OSError, TimeoutError, ValueError) as error:
            raise InputError(
                f"wanted a Dask scheduler at {address}, none answers ({error}); start one with `dask scheduler`"
            ) from error
        with client:
            yield client
        return
    threads = max(1, (os.cpu_count() or 1) // workers)
    with (
        LocalCluster(n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=50) as local,
        Client(local) as client,
    ):
        client.run(_threads, threads)
        yield client


def _threads(count: int) -> None:
    import torch

    torch.set_num_threads(count)


def _compute(cell: Cell, work: Work, attrs: dict[str, Any], before: list[str]) -> str:
    """On the worker: run one cell and write it; `before` only orders it after the cells it reads."""
    runtime = Runtime(device=work.runtime.device, checkpoint=work.folder / "checkpoints" / cell.name)
    studies.compute(cell, Work(work.settings, work.folder, runtime), attrs)
    return cell.name
