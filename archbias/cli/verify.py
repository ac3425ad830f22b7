"""archbias verify | diff: whether files are what was written, numbers what is computed, and how two
runs differ.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, cast

from ..errors import InputError
from .shared import Command, changes_of, err, out, path

if TYPE_CHECKING:
    from ..study.difference import Difference, Quantity
    from ..study.replay import Replayed
    from ..study.runner import Listener
    from ..study.verify import Verdict

SHOWN = 40  # quantities that differ, unless all are asked for


def add(command: Command) -> None:
    """The commands of this file."""
    p = command("verify", _verify, "every file of a run against its checksum; reads only")
    p.add_argument(
        "path",
        type=path,
        metavar="RUN",
        help="a run folder, a store, exported numbers, a saved denoiser or a study's folder",
    )
    p.add_argument(
        "--replay",
        action="store_true",
        help="compute a study's published numbers, or one file of them, again with the networks "
        "shipped beside them, and compare; nothing is trained",
    )
    p.add_argument("--rows", nargs="+", default=[], metavar="ROW", help="of --replay: these only")
    p.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=DIR",
        help="of --replay: where images lie, for example celeba.root=DIR",
    )
    p.add_argument(
        "--out",
        type=path,
        help="of --replay: folder of the replay's runs, where the same command goes on (default: "
        "runs/NAME-replay)",
    )
    p.add_argument(
        "--tolerance",
        type=float,
        help="of --replay: largest difference, as a share of the quantity's largest value "
        "(default: .001)",
    )
    p.add_argument("--quiet", action="store_true", help="of --replay: its sentences only")

    p = command("diff", _diff, "how two runs differ: settings, versions, numbers seed by seed")
    p.add_argument("first", type=path, metavar="RUN_A")
    p.add_argument("second", type=path, metavar="RUN_B", help="folders, stores or exported numbers")
    p.add_argument("--all", action="store_true", help=f"more than {SHOWN} quantities")


def _verify(a: argparse.Namespace) -> int:
    from ..study.verify import verify

    if a.replay:
        return _replay(a)
    if a.rows or a.set or a.out or a.tolerance is not None:
        raise InputError("--rows, --set, --out and --tolerance belong to --replay; add it")
    return _whole(verify(a.path))


def _whole(verdict: Verdict) -> int:
    for problem in verdict.problems:
        out.print(f"{problem.path}: {problem.what}", markup=False)
        out.print(f"    mend it: {problem.remedy}", markup=False)
    out.print(verdict.sentence(), markup=False)
    return 0 if verdict.whole else 1


def _replay(a: argparse.Namespace) -> int:
    from ..study import replay, verify

    study, _ = replay.published(a.path)
    verdict = verify.verify(cast(Path, study.folder))
    if not verdict.whole:
        return _whole(verdict)
    tolerance = replay.TOLERANCE if a.tolerance is None else a.tolerance
    asked = replay.replays(a.path, changes_of(a.set), a.rows)
    folder = a.out or Path("runs") / f"{study.name}-replay"
    if not a.quiet:
        cells = sum(len(one.cells) for one in asked)
        seconds = sum(one.seconds for one in asked)
        err.print(
            f"computing {cells} cells again, about {seconds:.0f} s on two cores, into {folder}; "
            "nothing is trained",
            markup=False,
        )
    bad = False
    for one in asked:
        with _listener(a.quiet) as listener:
            done = one.run(folder, listener)
        for row, quantities in done.by_row().items() if not a.quiet else ():
            out.print(f"{one.file.name}, {row}", markup=False)
            for q in quantities:
                out.print(f"    {line(q, tolerance)}", markup=False)
        _beyond(done, tolerance)
        out.print(done.sentence(tolerance), markup=False)
        bad |= bool(done.beyond(tolerance) or done.failed or done.absent)
    return 1 if bad else 0


def _listener(quiet: bool) -> Listener:
    from .. import study as studies
    from .progress import Bars

    return studies.Quiet() if quiet else Bars()


def _beyond(done: Replayed, tolerance: float) -> None:
    """What is not as published, each with both values."""
    for q in done.beyond(tolerance):
        of = f" ({', '.join(q.labels)})" if q.labels else ""
        out.print(f"not as published: {q.name}{of}, published and replayed {q.worst}", markup=False)
    for name, said in done.failed.items():
        out.print(f"cell {name} failed: {said}", markup=False)


def line(q: Quantity, tolerance: float) -> str:
    """One quantity: published, replayed, difference, and whether that is within the tolerance."""
    from ..study.replay import within

    name = ", ".join([q.name, *q.labels[1:]])
    if q.typical is None:
        values = f"{q.values} names"
    else:
        values = "published {:.6g}, replayed {:.6g}".format(*q.typical)
    if q.same:
        return f"{name}: {values}, same bits"
    said = "within" if within(q, tolerance) else "beyond"
    if q.kind == "f":
        return f"{name}: {values}, largest difference {q.largest:.3g}, {said} the tolerance"
    return f"{name}: {values}, {q.differing} of {q.values} values differ, {said} the tolerance"


def _diff(a: argparse.Namespace) -> int:
    from ..study.difference import difference

    found = difference(a.first, a.second)
    show(found, None if a.all else SHOWN)
    return 0 if found.same else 1


def show(found: Difference, most: int | None) -> None:
    """Print a difference; its sentence last."""
    for change in found.changes:
        out.print(str(change), markup=False)
    for line in found.apart:
        out.print(line, markup=False)
    if found.times:
        out.print(f"times are not compared: {', '.join(found.times)}", markup=False)
    for q in found.differing[:most]:
        of = f" ({', '.join(q.labels)})" if q.labels else ""
        seeds = "" if q.difference is None else f"median over {q.difference.n} seeds {q.difference}"
        largest = f"largest {q.largest:.3g}" if q.largest == q.largest else ""
        parts = [seeds, largest, f"{q.differing} of {q.values} values differ"]
        out.print(f"{q.name}{of}: {'; '.join(p for p in parts if p)}", markup=False)
    if most is not None and len(found.differing) > most:
        out.print(f"{len(found.differing) - most} more such lines with --all")
    out.print(found.sentence(), markup=False)
