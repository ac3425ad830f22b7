"""Files are written whole or not at all, and what a killed process left is swept by the next."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock

from ..errors import InputError
from .reading import plain


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """A temporary sibling of `path` that takes its place when the block ends well.

    One process writes at a time; the next sweeps what a killed one left. Errors of the file system
    become InputErrors.
    """
    # here, because the store knows xarray, which reading images does not need
    from ..store import replacing

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(path.with_name(f".{path.name}.lock"))
        with lock:
            try:
                for left in path.parent.glob(f".{_literal(path.name)}.*.part"):
                    left.unlink(missing_ok=True)
                with replacing(path) as part:
                    yield part
            finally:
                Path(lock.lock_file).unlink(missing_ok=True)
    except OSError as error:
        raise InputError(
            f"wanted to write {plain(path)}, got {error.strerror or error}; give another path or "
            "make room"
        ) from error


def _literal(name: str) -> str:
    """A name as a pattern that matches nothing else."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)
