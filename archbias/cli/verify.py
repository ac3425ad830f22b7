"""archbias verify | diff: whether files are what was written, and how two runs differ."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from .shared import out, path

if TYPE_CHECKING:
    from ..study.difference import Difference

SHOWN = 40  # quantities that differ, unless all are asked for


def add(command) -> None:
    """The commands of this file."""
    p = command("verify", _verify, "every file of a run against its checksum; reads only")
    p.add_argument(
        "path",
        type=path,
        metavar="RUN",
        help="a run folder, a store, exported numbers, a saved denoiser or a study's folder",
    )

    p = command("diff", _diff, "how two runs differ: settings, versions, numbers seed by seed")
    p.add_argument("first", type=path, metavar="RUN_A")
    p.add_argument("second", type=path, metavar="RUN_B", help="folders, stores or exported numbers")
    p.add_argument("--all", action="store_true", help=f"more than {SHOWN} quantities")


def _verify(a: argparse.Namespace) -> int:
    from ..study.verify import verify

    verdict = verify(a.path)
    for problem in verdict.problems:
        out.print(f"{problem.path}: {problem.what}", markup=False)
        out.print(f"    mend it: {problem.remedy}", markup=False)
    out.print(verdict.sentence(), markup=False)
    return 0 if verdict.whole else 1


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
