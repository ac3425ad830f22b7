"""archbias copies: which samples of a folder are copies of the images of another."""

from __future__ import annotations

import argparse
from pathlib import Path

from .shared import Command, out


def add(command: Command) -> None:
    """The commands of this file."""
    p = command("copies", _copies, "which samples of a folder copy images of another")
    p.add_argument("samples", type=Path, metavar="SAMPLES", help="a folder, or .npz .npy .zarr")
    p.add_argument("images", type=Path, metavar="IMAGES", help="what the model was trained on")
    p.add_argument("--held-out", type=Path, help="new images of the same source")
    p.add_argument("--size", type=int, help="crop to the centre square and resize to this side")
    p.add_argument("--n", type=int, help="the first so many of the images")
    p.add_argument("--level", type=float, help="share of new images that may count (default: .01)")
    p.add_argument("--out", type=Path, default=Path("copies"), help="folder (default: copies)")


def _copies(a: argparse.Namespace) -> int:
    from .. import copies

    found = copies.of(
        copies.opened(a.samples, size=a.size),
        copies.opened(a.images, size=a.size, n=a.n),
        None if a.held_out is None else copies.opened(a.held_out, size=a.size),
        level=copies.LEVEL if a.level is None else a.level,
    )
    paths = found.write(a.out)
    out.print(found.sentence(), markup=False)
    for path in paths:
        out.print(f"wrote {path}", markup=False)
    return 0
