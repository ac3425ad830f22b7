"""archbias verify: whether what lies on the disk is what was written."""

from __future__ import annotations

import argparse

from .shared import out, path


def add(command) -> None:
    """The commands of this file."""
    p = command("verify", _verify, "every file of a run against its checksum; reads only")
    p.add_argument(
        "path",
        type=path,
        metavar="RUN",
        help="a run folder, a store, exported numbers, a saved denoiser or a study's folder",
    )


def _verify(a: argparse.Namespace) -> int:
    from ..study.verify import verify

    verdict = verify(a.path)
    for problem in verdict.problems:
        out.print(f"{problem.path}: {problem.what}", markup=False)
        out.print(f"    mend it: {problem.remedy}", markup=False)
    out.print(verdict.sentence(), markup=False)
    return 0 if verdict.whole else 1
