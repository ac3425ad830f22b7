"""The command line: archbias data | list | run | status | figures | tables | export | report |
doctor.

Answers go to standard output, progress and messages to standard error. Exit code 0: done; 1: cells
failed; 2: the input cannot be used, with one sentence that says what was wanted, what came, and the
remedy.
"""

from __future__ import annotations

import argparse
import ast
import errno
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import fields
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from .. import __version__
from ..errors import InputError, nearest

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    arguments = parser().parse_args(argv)
    try:
        return arguments.run(arguments) or 0
    except InputError as error:
        err.print(f"archbias: {error}", markup=False, style="red")
        return 2
    except BrokenPipeError:
        return 0
    except OSError as error:
        where = f" at {error.filename}" if error.filename else ""
        remedy = "free some space" if error.errno == errno.ENOSPC else "choose another folder"
        err.print(
            f"archbias: the system refused{where}: {error.strerror or error}; {remedy} and run "
            "again",
            markup=False,
            style="red",
        )
        return 2
    except KeyboardInterrupt:
        err.print("\nstopped; the same command goes on from here")
        return 130


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="archbias", description="Why diffusion models invent, measured by architecture."
    )
    top.add_argument("--version", action="version", version=f"archbias {__version__}")
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, function, help: str) -> argparse.ArgumentParser:
        p = commands.add_parser(name, help=help, description=help)
        p.set_defaults(run=function)
        return p

    p = command(
        "run", _run, "compute a study: what is missing, then its store, figures and summary"
    )
    p.add_argument("study", type=Path, help="a folder with study.py, for example studies/families")
    p.add_argument("--out", type=Path, help="run folder (default: runs/NAME)")
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

    p = command("status", _status, "where a run stands")
    p.add_argument("folder", type=Path, metavar="RUN")

    p = command("figures", _figures, "draw a run's figures again from its store")
    p.add_argument("folder", type=Path, metavar="RUN")
    p.add_argument("--study", type=Path, help="the study's folder, when it has moved")
    p.add_argument("--style", default="notebook", help="paper, slides or notebook")
    p.add_argument(
        "--venue", help="with --style paper: neurips, icml or iclr, its column width and fonts"
    )
    p.add_argument("--format", default="png,pdf", help="comma-separated: pdf, png, svg")

    p = command("tables", _tables, "a run's tables")
    p.add_argument("folder", type=Path, metavar="RUN")
    p.add_argument("--format", default="markdown", help="markdown, latex or csv")

    p = command("export", _export, "the numbers of a run in one NetCDF file, without any picture")
    p.add_argument("folder", type=Path, metavar="RUN")
    p.add_argument("file", type=Path, metavar="FILE", help="the .nc file to write")

    p = command("report", _report, "one self-contained HTML page about a run")
    p.add_argument("folder", type=Path, metavar="RUN")
    p.add_argument("--study", type=Path, help="the study's folder, when it has moved")

    command("list", _list, "the denoiser families")

    p = command("data", _data, "image sets: list | show NAME | fetch NAME | prepare NAME")
    p.add_argument("action", choices=["list", "show", "fetch", "prepare"])
    p.add_argument("name", nargs="?")
    p.add_argument("--root", type=Path, help="folder that holds, or will hold, the set")
    p.add_argument("--n", type=int, help="number of images")
    p.add_argument("--size", type=int, help="side in pixels")
    p.add_argument(
        "--seed", type=int, help="draw the images with this seed instead of taking the first"
    )
    p.add_argument("--crop", help="prepare: centre or none, instead of the set's usual one")
    p.add_argument("--out", type=Path, help="prepare: the npz file to write")
    p.add_argument(
        "--mirror",
        help="fetch: another address that holds the same files; checksums stay those published",
    )
    p.add_argument("--quiet", action="store_true", help="no progress")

    p = command(
        "doctor", _doctor, "versions, device, threads, what is installed and what data is at hand"
    )
    p.add_argument("--root", type=Path, help="a data folder to look into")
    return top


def changes_of(pairs: Sequence[str]) -> dict[str, object]:
    """KEY=VALUE texts as a dictionary; values are Python literals, anything else is text."""
    changes = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key:
            raise InputError(f"--set wants KEY=VALUE, got {pair!r}; for example --set data.n=500")
        try:
            changes[key] = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            changes[key] = {"true": True, "false": False, "none": None}.get(text.lower(), text)
    return changes


def _run(a: argparse.Namespace) -> int:
    from .. import study as studies

    study = studies.load(a.study)
    settings = study.configure(a.preset, changes_of(a.set))
    folder = a.out or Path("runs") / study.name
    if a.dry_run:
        return _plan(study, settings, folder)
    _check_device(a.device)
    listener = studies.Quiet() if a.quiet else Bars()
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
                listener=listener,
            )
    else:
        with listener:
            state = studies.run(study, settings, folder, device=a.device, listener=listener)
    if not state.failed and not state.waiting:
        _draw(folder, study.folder, "notebook", None, ("png", "pdf"), a.quiet)
        _summary(folder, study.folder)
    if not a.quiet:
        err.print(f"{len(state.done)} cells in {folder}, {time.perf_counter() - start:.0f} s")
    for name, line in state.failed.items():
        err.print(
            f"cell {name} failed: {line} (traceback in {folder}/cells/{name}.error.txt)",
            markup=False,
            style="red",
        )
    return 1 if state.failed or state.waiting else 0


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


def _plan(study, settings, folder: Path) -> int:
    from .. import study as studies

    cells = study.plan(settings)
    studies.intended(study, settings, folder, cells)
    table = Table("cell", "reads", "estimate", "state", title=f"{study.name}: {study.question}")
    left = 0.0
    for cell in cells:
        done = (folder / "cells" / f"{cell.name}.nc").is_file()
        left += 0 if done else cell.seconds
        table.add_row(
            cell.name, ", ".join(cell.after), f"{cell.seconds:.0f} s", "done" if done else "to do"
        )
    out.print(table)
    out.print(f"{len(cells)} cells, about {left:.0f} s left on two cores, into {folder}")
    usual = {c.name: c.seconds for c in study.plan(study.settings)}
    if settings != study.settings and all(usual.get(c.name, c.seconds) == c.seconds for c in cells):
        out.print("the estimates are those of the default settings")
    return 0


class Bars:
    """Progress of a run on standard error: all cells weighted by cost, and the cell at work."""

    def __init__(self) -> None:
        self.bars = Progress(
            TextColumn("{task.description:<24.24}"),
            BarColumn(bar_width=30),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=err,
            transient=False,
        )
        self.inner: dict[str, int] = {}

    def __enter__(self) -> Bars:
        self.bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bars.stop()

    def start(self, cells, done) -> None:
        self.cost = {c.name: c.seconds for c in cells}
        total, spent = sum(self.cost.values()), sum(self.cost[n] for n in done)
        self.all = self.bars.add_task(
            "all cells", total=total, completed=spent, note=f"{len(done)} of {len(cells)}"
        )
        self.count, self.total = len(done), len(cells)

    def begin(self, cell) -> None:
        self.now = cell.name
        self.base = self.bars.tasks[self.all].completed
        self.inner[cell.name] = self.bars.add_task(cell.name, total=None, note="")

    def within(self, done: float, total: float, note: str) -> None:
        self.bars.update(self.inner[self.now], completed=done, total=total, note=note)
        self.bars.update(
            self.all, completed=self.base + self.cost[self.now] * min(1.0, done / max(total, 1e-9))
        )

    def end(self, cell, error) -> None:
        task = self.inner.pop(cell.name)
        self.bars.remove_task(task)
        self.count += 1
        spent = getattr(self, "base", 0.0) + self.cost[cell.name]
        self.bars.update(self.all, completed=spent, note=f"{self.count} of {self.total}")
        self.base = spent
        if error is not None:
            self.say(f"cell {cell.name} raised {type(error).__name__}: {error}")

    def say(self, text: str) -> None:
        err.print(text, markup=False, style="yellow")


def _study_folder(folder: Path, given: Path | None) -> Path:
    from .. import study as studies

    record, _ = studies.status(folder)
    source = given or (folder / record["source"])
    if not (source / "study.py").is_file():
        raise InputError(
            f"wanted the study of {folder} at {source}, found none; give its folder with --study"
        )
    if given and (name := studies.load(given).name) != record["study"]:
        raise InputError(
            f"wanted the study {record['study']!r} of {folder}, got {name!r} at {given}; give its "
            "folder with --study"
        )
    return source


def _draw(
    folder: Path, source: Path, style: str, venue: str | None, formats: Sequence[str], quiet: bool
) -> list[Path]:
    from .. import plots, store
    from .. import study as studies

    unknown = set(formats) - {"pdf", "png", "svg"}
    if unknown:
        raise InputError(f"unknown figure format {sorted(unknown)[0]!r}; choose from pdf, png, svg")
    module = studies.figures(source)
    tree = store.open_study(folder)
    written = []
    with plots.style(style, venue):
        for name, figure in plots.drawn(module, tree).items():
            written += plots.save(figure, folder / "figures" / name, formats, tree.attrs)
    if not written:
        err.print(
            f"no figure: {folder} holds no group of those they are drawn from; finish the run "
            "first",
            markup=False,
        )
    if not quiet:
        for path in written:
            err.print(f"wrote {path}", markup=False)
    return written


def _summary(folder: Path, source: Path) -> None:
    from .. import store
    from .. import study as studies

    module = studies.figures(source)
    if module is None or not hasattr(module, "summary"):
        return
    frame = module.summary(store.open_study(folder))
    store.write_text(folder / "summary.csv", frame.to_csv(index=False))
    rows = [
        [f"{v:.3g}" if isinstance(v, float) else str(v) for v in row]
        for row in frame.itertuples(index=False)
    ]
    shown, width = 0, 1
    # as many columns as fit without breaking a word
    for cells in zip(map(str, frame.columns), *rows, strict=True):
        width += max(len(word) for cell in cells for word in cell.split() or [""]) + 3
        shown += width <= out.width or shown == 0
    table = Table(*map(str, frame.columns[:shown]))
    for row in rows:
        table.add_row(*row[:shown])
    out.print(table)
    if shown < len(frame.columns):
        out.print(
            f"{len(frame.columns) - shown} more columns in {folder / 'summary.csv'}", markup=False
        )


def _status(a: argparse.Namespace) -> int:
    from .. import study as studies

    record, state = studies.status(a.folder)
    out.print(f"{record['study']}: {record['question']}", markup=False)
    images = record.get("images")
    if images:
        shape = "x".join(map(str, images["shape"]))
        out.print(
            f"images: {images['n']} of {images['name']}, {shape}, sha256 {images['hash'][:16]}",
            markup=False,
        )
    out.print(
        f"done {len(state.done)}, waiting {len(state.waiting)}, failed {len(state.failed)} of "
        f"{len(record['cells'])}"
    )
    for name in state.waiting[:20]:
        out.print(f"  waiting  {name}", markup=False)
    for name, line in state.failed.items():
        out.print(f"  failed   {name}: {line}", markup=False)
    return 0


def _figures(a: argparse.Namespace) -> int:
    _draw(
        a.folder,
        _study_folder(a.folder, a.study),
        a.style,
        a.venue,
        [f.strip() for f in a.format.split(",")],
        False,
    )
    return 0


def _tables(a: argparse.Namespace) -> int:
    from .. import store
    from ..report import tables

    tree = store.open_study(a.folder)
    if not {"novelty", "agreement"} & tree.children.keys():
        groups = ", ".join(tree.children) or "nothing"
        raise InputError(
            f"tables want novelty or agreement, {a.folder} holds {groups}; read it with "
            "archbias.open_study"
        )
    print(tables.render(tree, a.format))
    return 0


def _export(a: argparse.Namespace) -> int:
    from .. import store

    if a.file.suffix != ".nc":
        raise InputError(
            f"numbers are exported to a NetCDF file, got {a.file}; name it for example "
            f"{a.file.with_suffix('.nc')}"
        )
    store.publish(store.open_study(a.folder), a.file)
    out.print(f"wrote {a.file}", markup=False)
    return 0


def _report(a: argparse.Namespace) -> int:
    from .. import report

    out.print(f"wrote {report.write(a.folder, _study_folder(a.folder, a.study))}", markup=False)
    return 0


def _list(a: argparse.Namespace) -> int:
    from ..families import FAMILIES

    table = Table("family", "what it is", "fitted", "settings")
    for name, cls in FAMILIES.items():
        names = ", ".join(f.name for f in fields(cls))
        table.add_row(name, cls.summary, "by gradient" if cls.trained else "in closed form", names)
    out.print(table)
    return 0


def _data(a: argparse.Namespace) -> int:
    from .. import data

    if a.action == "list":
        table = Table("set", "what it is", "licence", "at hand")
        for name in data.sources():
            about = data.describe(name, a.root)
            table.add_row(name, about["summary"], about["licence"], about["at_hand"])
        out.print(table)
        return 0
    if a.name is None:
        raise InputError(
            f"archbias data {a.action} wants the name of a set; choose from "
            f"{', '.join(data.sources())}"
        )
    if a.name not in data.sources():
        raise InputError(f"unknown image set {a.name!r}; {nearest(a.name, data.sources())}")
    if a.action == "show":
        for key, value in data.describe(a.name, a.root).items():
            out.print(f"{key:>10}  {value}", markup=False)
    elif a.action == "fetch":
        for path in data.fetch(a.name, a.root, mirror=a.mirror, progress=not a.quiet):
            out.print(f"have {path}", markup=False)
    else:
        path = data.prepare(a.name, a.root, n=a.n, size=a.size, seed=a.seed, crop=a.crop, out=a.out)
        out.print(f"wrote {path}", markup=False)
    return 0


def _doctor(a: argparse.Namespace) -> int:
    import platform

    import torch

    from .. import data, store

    out.print(f"archbias {__version__} {store.commit()[:12]}")
    out.print(f"python {platform.python_version()} on {platform.platform()}")
    for name in (
        "torch",
        "numpy",
        "numba",
        "scikit-learn",
        "xarray",
        "zarr",
        "seaborn",
        "dask",
        "diffusers",
        "jupyterlab",
    ):
        try:
            out.print(f"  {name:<14}{version(name)}")
        except PackageNotFoundError:
            out.print(f"  {name:<14}not installed")
    gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "none"
    out.print(f"threads {torch.get_num_threads()} of {os.cpu_count()} cores, GPU {gpu}")
    for name in data.sources():
        out.print(f"  {name:<14}{data.describe(name, a.root)['at_hand']}", markup=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
