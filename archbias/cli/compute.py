"""archbias run: compute a study."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from rich.markup import escape
from rich.table import Table

from ..errors import InputError
from .look import draw, summary
from .shared import Command, changes_of, err, out, path

if TYPE_CHECKING:
    from ..study import Study
    from ..study.runner import Listener
    from .progress import Bars


def add(command: Command) -> None:
    """The commands of this file."""
    p = command("run", _run, "compute a study: what is missing, then store, figures, summary")
    p.add_argument(
        "study",
        type=path,
        help="a bundled study's name, for example families, or a folder with study.py",
    )
    p.add_argument("--out", type=path, help="run folder (default: runs/NAME)")
    p.add_argument(
        "--preset", help="named settings of the study, for example toy (its README lists them)"
    )
    p.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change one setting, for example data=celeba",
    )
    p.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1")
    p.add_argument(
        "--threads",
        type=int,
        help="threads of every cell; the same number gives the same bits (default: of the run, "
        "else of this machine)",
    )
    p.add_argument(
        "--workers",
        type=int,
        help="cells side by side in this many local processes (needs the cluster extra)",
    )
    p.add_argument(
        "--cluster", metavar="ADDRESS", help="a running Dask scheduler, for example tcp://head:8786"
    )
    p.add_argument(
        "--dry-run",
        action="store_true",
        help="print the cells, their cost and what is done; compute nothing",
    )
    p.add_argument("--quiet", action="store_true", help="no progress")


def _run(a: argparse.Namespace) -> int:
    from .. import study as studies

    study = studies.load(a.study)
    settings = study.configure(a.preset, changes_of(a.set))
    folder = a.out or Path("runs") / study.name
    return carried_out(study, settings, folder, a)


def carried_out(study: Study, settings: Any, folder: Path, a: argparse.Namespace) -> int:
    """Compute the study, or print its plan; draw and sum up what is whole; the exit code."""
    from .. import study as studies

    if a.dry_run:
        return _plan(study, settings, folder)
    _check_device(a.device)
    listener: Listener = studies.Quiet() if a.quiet else _bars()
    start = time.perf_counter()
    if a.workers is not None or a.cluster is not None:
        from ..study import cluster

        with listener:
            state = cluster.run(
                study,
                settings,
                folder,
                workers=a.workers,
                address=a.cluster,
                device=a.device,
                threads=a.threads,
                listener=listener,
            )
    else:
        with listener:
            state = studies.run(
                study, settings, folder, device=a.device, threads=a.threads, listener=listener
            )
    if not state.failed and not state.waiting:
        draw(folder, study.folder, "notebook", None, ("png", "pdf"), a.quiet)
        summary(folder, cast(Path, study.folder))
    if not a.quiet:
        spent = time.perf_counter() - start
        err.print(f"{len(state.done)} cells in {folder}, {spent:.0f} s", markup=False)
    for name, line in state.failed.items():
        err.print(
            f"cell {name} failed: {line} (traceback in {studies.error_path(folder, name)})",
            markup=False,
            style="red",
        )
    return 1 if state.failed or state.waiting else 0


def _bars() -> Bars:
    from .progress import Bars

    return Bars()


def _check_device(device: str) -> None:
    import torch

    try:
        kind = torch.device(device)
    except RuntimeError:
        raise InputError(
            f"wanted a device of torch, got {device!r}; use cpu, cuda or cuda:1"
        ) from None
    try:
        torch.empty(1, device=kind)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"wanted device {device!r}, which this machine does not offer ({reason}); use --device "
            "cpu"
        ) from None


def _plan(study: Study, settings: Any, folder: Path) -> int:
    from .. import study as studies
    from ..nets import timing

    cells = study.plan(settings)
    studies.intended(study, settings, folder, cells)
    table = Table(
        "cell", "reads", "estimate", "state", title=escape(f"{study.name}: {study.question}")
    )
    left = 0.0
    for cell in cells:
        done = studies.cell_path(folder, cell.name).is_file()
        left += 0 if done else cell.seconds
        table.add_row(
            escape(cell.name),
            escape(", ".join(cell.after)),
            f"{cell.seconds:.0f} s",
            "done" if done else "to do",
        )
    out.print(table)
    out.print(
        f"{len(cells)} cells, about {left:.0f} s left on two cores, into {folder}", markup=False
    )
    usual = {c.name: c.seconds for c in study.plan(study.settings)}
    shared = [c for c in cells if c.name in usual]
    if shared and settings != study.settings and all(c.seconds == usual[c.name] for c in shared):
        out.print("the estimates are those of the default settings")
    if timing.was_busy():
        out.print("training steps were timed while other work ran: they may take far less")
    return 0
