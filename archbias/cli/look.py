"""archbias status | figures | tables | export | report: what a run folder holds."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from ..errors import InputError
from .shared import Command, err, out, path, study_folder

STUDY = "the study's folder, when it did not come with archbias"


def add(command: Command) -> None:
    """The commands of this file."""
    p = command("status", _status, "where a run stands")
    p.add_argument("folder", type=path, metavar="RUN")

    p = command("figures", _figures, "draw a run's figures again from its store")
    p.add_argument("folder", type=path, metavar="RUN")
    p.add_argument(
        "--study", type=path, help="the study's folder, when it did not come with archbias"
    )
    p.add_argument("--style", default="notebook", help="paper, slides or notebook")
    p.add_argument(
        "--venue",
        help="with --style paper: neurips, icml, iclr or cvpr, its column width and fonts",
    )
    p.add_argument("--format", default="png,pdf", help="comma-separated: pdf, png, svg")

    p = command("tables", _tables, "a run's tables")
    p.add_argument("folder", type=path, metavar="RUN")
    p.add_argument("--format", default="markdown", help="markdown, latex or csv")

    p = command("export", _export, "the numbers of a run in one NetCDF file, without any picture")
    p.add_argument("folder", type=path, metavar="RUN")
    p.add_argument("file", type=path, nargs="?", metavar="FILE", help="the .nc file to write")
    p.add_argument(
        "--with",
        dest="others",
        type=path,
        nargs="+",
        default=(),
        metavar="OTHER",
        help="runs or exported numbers of other rows of the study, joined with these",
    )
    p.add_argument(
        "--networks",
        type=path,
        metavar="STUDY",
        help="put the run's networks into the study's folder, so that its numbers can be computed "
        "again without training: archbias verify STUDY --replay",
    )

    p = command("report", _report, "one self-contained HTML page about a run")
    p.add_argument("folder", type=path, metavar="RUN")
    p.add_argument(
        "--study", type=path, help="the study's folder, when it did not come with archbias"
    )


def _status(a: argparse.Namespace) -> int:
    from .. import study as studies

    record, state = studies.status(a.folder)
    out.print(f"{record['study']}: {record['question']}", markup=False)
    images = record.get("images")
    if isinstance(images, dict):
        shape = "x".join(map(str, images.get("shape", ())))
        out.print(
            f"images: {images.get('n')} of {images.get('name')}, {shape}, "
            f"sha256 {str(images.get('hash'))[:16]}",
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
    draw(
        a.folder,
        study_folder(a.folder, a.study),
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
    shown = {"novelty", "agreement"} & tree.children.keys()
    if not shown:
        groups = ", ".join(tree.children) or "nothing"
        raise InputError(
            f"tables want novelty or agreement, {a.folder} holds {groups}; read it with "
            "archbias.open_study"
        )
    for group in shown:
        store.loaded(tree[group], a.folder)
    print(tables.render(tree, a.format))
    return 0


def _export(a: argparse.Namespace) -> int:
    from .. import store

    if a.file is None and a.networks is None:
        raise InputError("nothing to export; name a file of numbers, --networks STUDY, or both")
    if a.file is not None:
        if a.file.suffix != ".nc":
            raise InputError(
                f"numbers are exported to a NetCDF file, got {a.file}; name it for example "
                f"{a.file.with_suffix('.nc')}"
            )
        if a.others:
            from ..study import combine

            combine.combined([a.folder, *a.others], a.file)
        else:
            store.publish(store.open_study(a.folder), a.file)
        out.print(f"wrote {a.file}", markup=False)
    if a.networks is not None:
        from ..study import shipped

        out.print(shipped.write(a.folder, a.networks), markup=False)
    return 0


def _report(a: argparse.Namespace) -> int:
    from .. import report

    source = study_folder(a.folder, a.study)
    with drawing(a.folder):
        written = report.write(a.folder, source)
    out.print(f"wrote {written}", markup=False)
    return 0


@contextlib.contextmanager
def drawing(folder: Path) -> Iterator[None]:
    """What a study's figures.py or matplotlib raises, as one sentence."""
    from ..study.failures import headline

    try:
        yield
    except (InputError, OSError):
        raise
    except (Exception, SystemExit) as error:
        raise InputError(
            f"the numbers of {folder} are whole, but drawing them raised {headline(error)}; mend "
            f"its figures.py and run archbias figures {folder}"
        ) from error


def draw(
    folder: Path,
    source: Path | None,
    style: str,
    venue: str | None,
    formats: Sequence[str],
    quiet: bool,
) -> list[Path]:
    """Draw a run's figures into RUN/figures, those of the study at `source` if one is given;
    returns the files.
    """
    from .. import plots, report, store
    from .. import study as studies
    from ..store.names import file_name

    unknown = set(formats) - {"pdf", "png", "svg"}
    if unknown:
        raise InputError(f"unknown figure format {sorted(unknown)[0]!r}; choose from pdf, png, svg")
    studies.check_links(folder)
    module = studies.figures(source) if source else None
    tree = store.open_study(folder)
    written = []
    wide = plots.widths(module, venue)
    for columns in sorted({1, *wide.values()}):
        with plots.style(style, venue, columns), drawing(folder):
            for name, figure in report.drawn(module, tree).items():
                if wide.get(name, 1) == columns:
                    stem = folder / "figures" / file_name(str(name))
                    written += plots.save(figure, stem, formats, tree.attrs)
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


def summary(folder: Path, source: Path) -> None:
    """Print the study's findings, write its summary as RUN/summary.csv and print what of it fits
    the terminal.
    """
    from .. import store
    from .. import study as studies

    findings(folder, source)
    module = studies.figures(source)
    if module is None or not hasattr(module, "summary"):
        return
    with drawing(folder):
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
    table = Table(*(escape(str(c)) for c in frame.columns[:shown]))
    for row in rows:
        table.add_row(*map(escape, row[:shown]))
    out.print(table)
    if shown < len(frame.columns):
        out.print(
            f"{len(frame.columns) - shown} more columns in {folder / 'summary.csv'}", markup=False
        )


def findings(folder: Path, source: Path) -> None:
    """Print what the study at `source` finds in a run, in words."""
    from .. import report, store
    from .. import study as studies

    with drawing(folder):
        for line in report.findings(store.open_study(folder), studies.figures(source)):
            out.print(line, markup=False)
