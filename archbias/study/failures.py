"""What a person is told of an exception."""

from __future__ import annotations

import errno
import traceback
from pathlib import Path


def raised(what: str, error: BaseException) -> str:
    """One sentence: what raised, the exception, and the line it came from."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return (
        f"{what}: {type(error).__name__}: {error} ({Path(last.filename).name}, line "
        f"{last.lineno}); mend it and run again"
    )


def of_the_disk(error: Exception) -> bool:
    """Whether no cell could be written after this; other errors of the system, such as a missing
    file, are the cell's own.
    """
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
