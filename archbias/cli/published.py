"""archbias networks: networks that other people trained."""

from __future__ import annotations

import argparse
import textwrap
from pathlib import Path

from ..errors import InputError
from .shared import Command, out

ACTIONS = ["list", "show", "fetch", "check"]


def add(command: Command) -> None:
    """The commands of this file."""
    p = command("networks", _networks, "other people's: list | show NAME | fetch NAME | check NAME")
    p.add_argument("action", choices=ACTIONS)
    p.add_argument("name", nargs="?", metavar="NAME")
    p.add_argument("--root", type=Path, help="folder that holds, or will hold, the weight files")
    p.add_argument(
        "--mirror",
        help="fetch: another address that holds the same files; checksums stay those published",
    )
    p.add_argument("--quiet", action="store_true", help="no progress")


def _networks(a: argparse.Namespace) -> int:
    from .. import networks

    if a.action == "list":
        width = max(map(len, networks.names())) + 2
        for name in networks.names():
            about = networks.describe(name, a.root)
            there = "  " if about["at hand"].startswith("no:") else "* "
            line = textwrap.shorten(about["summary"], 78 - width, placeholder=" ...")
            out.print(f"{there}{name:<{width}}{line}", markup=False)
        out.print("* the weight file is at hand", markup=False)
        return 0
    if a.name is None:
        raise InputError(
            f"archbias networks {a.action} wants the name of a network; choose from "
            f"{', '.join(networks.names())}"
        )
    if a.action == "fetch":
        path = networks.fetch(a.name, a.root, mirror=a.mirror, progress=not a.quiet)
        out.print(f"have {path}", markup=False)
        return 0
    described = networks.describe if a.action == "show" else networks.check
    for key, value in described(a.name, a.root).items():
        out.print(f"{key:>10}  {value}", markup=False)
    return 0
