"""archbias data: image sets."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from rich.table import Table

from ..errors import InputError, nearest
from .shared import Command, out, path

if TYPE_CHECKING:
    from ..data.near import Duplicates

SHOWN = 20  # groups of duplicates that are printed


def add(command: Command) -> None:
    """The commands of this file."""
    p = command("data", _data, "image sets: list | show NAME | fetch NAME | prepare NAME")
    p.add_argument("action", choices=["list", "show", "fetch", "prepare"])
    p.add_argument("name", nargs="?")
    p.add_argument("--root", type=path, help="folder that holds, or will hold, the set")
    p.add_argument("--n", type=int, help="number of images")
    p.add_argument("--size", type=int, help="side in pixels")
    p.add_argument(
        "--seed", type=int, help="draw the images with this seed instead of taking the first"
    )
    p.add_argument("--crop", help="centre or none, instead of the set's usual one")
    p.add_argument(
        "--duplicates", action="store_true", help="show: find images that repeat another one"
    )
    p.add_argument("--out", type=path, help="prepare: the npz file to write")
    p.add_argument(
        "--mirror",
        help="fetch: another address that holds the same files; checksums stay those published",
    )
    p.add_argument("--quiet", action="store_true", help="no progress")


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
        if a.duplicates:
            images = data.load(a.name, root=a.root, n=a.n, size=a.size, seed=a.seed, crop=a.crop)
            _duplicates(data.duplicates(images))
    elif a.action == "fetch":
        for path in data.fetch(a.name, a.root, mirror=a.mirror, progress=not a.quiet):
            out.print(f"have {path}", markup=False)
    else:
        path = data.prepare(a.name, a.root, n=a.n, size=a.size, seed=a.seed, crop=a.crop, out=a.out)
        out.print(f"wrote {path}", markup=False)
    return 0


def _duplicates(found: Duplicates) -> None:
    """The groups of images that repeat each other, the nearest first."""
    out.print(found.finding, markup=False)
    for group in found.groups[:SHOWN]:
        words = [
            f"{name} ({d:.3g}{', reflected' if mirror else ''})"
            for name, d, mirror in zip(group.ids, group.distances, group.reflected, strict=True)
        ]
        out.print(f"  {'  '.join(words[:8])}{'  ...' if len(words) > 8 else ''}", markup=False)
    if found.groups:
        out.print(
            f"  in brackets the distance to the nearest of the group, where {found.typical:.3g} "
            "is typical of the set",
            markup=False,
        )
    if len(found.groups) > SHOWN:
        more = len(found.groups) - SHOWN
        out.print(f"  {more} more groups: archbias.data.duplicates(images) has them all")
