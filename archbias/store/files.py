"""Files that are written whole or not at all.

A file is written under a temporary name beside its own, flushed to the disk, and renamed: a killed
run leaves no half file.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary sibling of `path` that takes its place when the block ends well and vanishes
    otherwise.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    os.close(handle)
    part = Path(name)
    try:
        yield part
        with part.open("rb+") as f:
            os.fsync(f.fileno())
        part.chmod(0o644)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Delete what a run that was killed while writing left in its folder."""
    for pattern in (
        "cells/.*.part",
        "models/.*.part",
        "checkpoints/*/.*.part",
        ".run.json.*.part",
        ".store.zarr.*",
    ):
        for path in folder.glob(pattern):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def write_text(path: Path, text: str) -> None:
    """Write a small file whole or not at all."""
    with replacing(path) as part:
        part.write_text(text)
