"""What a person is told of an exception."""

from __future__ import annotations

import errno
import re
import traceback
from collections.abc import Iterator
from pathlib import Path

# after these no other file can be written either
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
# how HDF5 and Rust write the number of an error of the system
_NUMBER = re.compile(r"errno = (\d+)|os error (\d+)")


def headline(error: BaseException) -> str:
    """The exception's type and the first line of its message."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def record(error: BaseException) -> str:
    """The text kept of a cell that raised: its headline, then the traceback."""
    trace = "".join(traceback.format_exception(error))
    return f"{headline(error)}\n\n{trace}"


def headline_of(text: str) -> str:
    """The headline of a text that `record` wrote, or of a bare traceback."""
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        return "an error without a message"
    if not lines[0].startswith("Traceback "):
        return lines[0].strip()
    frames = [i for i, line in enumerate(lines) if line.startswith("  ")]
    after = [line for line in lines[frames[-1] + 1 :] if frames and line.strip()]
    return (after or lines[-1:])[0].strip()


def raised(what: str, error: BaseException) -> str:
    """One sentence: what raised, the exception, and the line it came from."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    return f"{what}: {headline(error)}{where}; mend it and run again"


def of_the_disk(error: BaseException) -> bool:
    """Whether a disk that takes nothing more is behind it; other errors of the system, such as a
    missing file, are the cell's own.
    """
    return any(_number(e) in FULL for e in _behind(error))


def _behind(error: BaseException | None) -> Iterator[BaseException]:
    """The error and those it was raised from or while handling."""
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        seen.append(error)
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _number(error: BaseException) -> int | None:
    """The system's number of an error; libraries that bring none as a field write it as text."""
    if isinstance(error, OSError) and error.errno:
        return error.errno
    found = _NUMBER.search(str(error))
    return int(found[1] or found[2]) if found else None
