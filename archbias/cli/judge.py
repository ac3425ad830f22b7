"""archbias judge: any network, in one command."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ..errors import InputError
from .look import findings
from .shared import Command, changes_of, err, out, path

if TYPE_CHECKING:
    from ..judging import Judged


def add(command: Command) -> None:
    """The commands of this file."""
    p = command("judge", _judge, "any network: is it a denoiser, which theory predicts it?")
    p.add_argument(
        "target",
        metavar="TARGET",
        help="my_module:make, a saved denoiser, a diffusers pipeline's folder, a network's name",
    )
    p.add_argument("--images", help="what it was trained on: a folder, .npz .npy .zarr, or a set")
    p.add_argument("--size", type=int, help="crop to the centre square and resize to this side")
    p.add_argument("--n", type=int, help="theories are told the first so many (default: all)")
    p.add_argument("--unseen", help="images it has not seen: a folder or an array")
    p.add_argument("--held-out", type=int, default=0, help="so many after the first n are unseen")
    p.add_argument("--again", default="", metavar="TARGET", help="a second training: the ceiling")
    p.add_argument("--root", help="the folder of weight files, for a name of the catalogue")
    for name in ("predicts", "input", "level"):
        p.add_argument(f"--{name}", default="", help="found by trial when not given")
    p.add_argument("--scale", type=float, default=1.0, help="its pixels are scale x + shift")
    p.add_argument("--shift", type=float, default=0.0, help="of ours in [-1, 1]")
    p.add_argument("--out", type=path, default=Path("runs/judge"), help="run folder")
    p.add_argument("--preset", help="quick: five theories; toy: that it runs")
    p.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="one setting")
    p.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1")
    p.add_argument("--threads", type=int, help="threads of every cell")
    p.add_argument("--dry-run", action="store_true", help="print the cells and their cost")
    p.add_argument("--quiet", action="store_true", help="no progress")
    p.set_defaults(workers=None, cluster=None)


def _judge(a: argparse.Namespace) -> int:
    from .. import report
    from .. import study as studies
    from ..judging import answers
    from ..judging.grid import judged
    from .compute import carried_out

    sys.path.insert(0, os.getcwd())  # where a person looks for their own module
    study = studies.load("judge")
    settings = study.configure(a.preset, _asked(a) | changes_of(a.set))
    settings = replace(settings, **_of_the_network(settings))
    answers.check(a.out, *judged(settings))
    if not a.dry_run and not a.quiet:
        seconds = sum(cell.seconds for cell in study.plan(settings))
        err.print(
            f"judging {a.target}: about {max(1, round(seconds / 60))} min on two cores, of which "
            "the network's part was timed here; archbias report reads what is done so far",
            markup=False,
        )
    code = carried_out(study, settings, a.out, a)
    if code and not a.dry_run:  # what failed must not hide what was found
        findings(a.out, cast(Path, study.folder))
    if not a.dry_run:
        out.print(f"wrote {report.write(a.out, study.folder)}", markup=False)
    return code


def _asked(a: argparse.Namespace) -> dict[str, object]:
    """The command's options as settings."""
    from ..judging import Convention

    way = Convention(
        predicts=a.predicts, input=a.input, level=a.level, scale=a.scale, shift=a.shift
    )
    asked = {"target": a.target, "again": a.again, "convention": way}
    if a.root is not None:
        asked["root"] = a.root
    return asked | {"data": _images(a)}


def _images(a: argparse.Namespace) -> Judged:
    from .. import data, networks
    from ..judging import Judged
    from ..judging.images import kind_of

    if a.n is not None and a.n < 1:
        raise InputError(f"wanted at least one image, got --n {a.n}; leave it out for all")
    given: dict[str, Any] = {"other": a.unseen, "held_out": a.held_out}
    if a.target in networks.names():
        about = networks.entry(a.target)
        side = None if about.size is None else about.size[0]
        known: dict[str, Any] = {
            "name": "celeba" if "celeba" in a.target else "mnist",
            "like": a.target,
        }
        return Judged(root=a.images, n=a.n or 1000, size=side, **known, **given)
    if a.images is None:
        raise InputError(
            "judging wants the images the network was trained on, got none; give --images DIR"
        )
    known = {"name": kind_of(a.images), "root": a.images}
    known["crop"] = "none" if a.size is None else "centre"
    if a.images in data.sources() and not Path(a.images).exists():
        known = {"name": a.images}
    n = a.n
    if n is None:
        n = len(data.load(**known, size=a.size)) - a.held_out
    return Judged(n=n, size=a.size, **known, **given)


def _of_the_network(settings: Any) -> dict[str, object]:
    """What the settings record of the network itself: its fingerprint, whether it takes labels."""
    from ..judging.settings import subject
    from ..judging.target import fingerprint

    network = subject(settings, settings.target, settings.data)
    found = network.fit()
    tried = network.trial()
    if tried is not None:
        out.print(f"found by trial: {tried.best}", markup=False)
    return {"weights": fingerprint(network.model), "labelled": bool(found.classes)}
