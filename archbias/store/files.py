"""Files that are written whole or not at all.

A file is written under a temporary name beside its own, flushed to the disk, and renamed: a killed
run leaves no half file, and what it left under the temporary name goes when the file is written
again. Formats whose libraries write through maps or at closing (HDF5,
safetensors) are made in memory and written here: on a full disk those libraries end the process by
a signal, an ordinary write raises OSError.

A sealed file carries the sha256 of what comes before as its last bytes. HDF5 reads no further than
its own end, so a sealed NetCDF file is an ordinary one.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows, where a temporary name of a killed process stays until the next run
    fcntl = None  # type: ignore[assignment]

SEAL = b"\narchbias sha256 "
SEALED = len(SEAL) + 64  # bytes that a seal adds
BLOCK = 2**20  # bytes read at a time


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary sibling of `path` that takes its place when the block ends well and vanishes
    otherwise.

    Raises:
        OSError: the folder cannot be written, or the disk is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.part"):
        if _abandoned(left):
            left.unlink(missing_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    part = Path(name)
    try:
        with _held(handle):
            yield part
            with part.open("rb+") as f:
                os.fsync(f.fileno())
            part.chmod(0o644)
            part.replace(path)
    finally:
        part.unlink(missing_ok=True)


@contextlib.contextmanager
def _held(handle: int) -> Iterator[None]:
    """Lock an open file, by which others see that its writer lives; the system unlocks it when the
    writer dies. Windows renames no open file, so there it is closed at once.
    """
    if fcntl is None:
        os.close(handle)
        yield
        return
    try:
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)


def _abandoned(part: Path) -> bool:
    """Whether the writer of a temporary file is dead."""
    if fcntl is None:
        return False
    try:
        with part.open("rb+") as f:
            fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # locked, gone, or a file system without locks
        return False
    return True


def write_bytes(path: Path, data: bytes | memoryview, *, seal: bool = False) -> None:
    """Write a file whole or not at all; with `seal`, its sha256 after it.

    Raises:
        OSError: the folder cannot be written, or the disk is full.
    """
    with replacing(path) as part, part.open("wb") as f:
        f.write(data)
        if seal:
            f.write(SEAL + hashlib.sha256(data).hexdigest().encode("ascii"))


def write_text(path: Path, text: str) -> None:
    """Write a small file in UTF-8, whole or not at all; line ends stay as they are."""
    write_bytes(path, text.encode("utf-8"))


def unbroken(path: Path) -> bool | None:
    """Whether a sealed file is what was written; None if it bears no seal."""
    size = path.stat().st_size - SEALED
    sha = hashlib.sha256()
    with path.open("rb") as f:
        if size < 0:
            return None
        f.seek(size)
        seal = f.read()
        if not seal.startswith(SEAL):
            return None
        f.seek(0)
        while size > 0 and (block := f.read(min(size, BLOCK))):
            sha.update(block)
            size -= len(block)
    return seal == SEAL + sha.hexdigest().encode("ascii")


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
