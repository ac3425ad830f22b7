"""Whatever is wrong with a file is one sentence: what was wanted, what came, the remedy.

Readers of archives and tables raise many kinds of error for a damaged file (zlib's, struct's,
pyarrow's, bare RuntimeErrors), and which one differs between versions. So every read of a file that
a person gave goes through `reading`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import InputError

LONGEST = 200  # characters of a reader's own words


@contextmanager
def reading(wanted: str, where: str | Path, remedy: str) -> Iterator[None]:
    """Any error of the block as an InputError about the file `where`; InputErrors pass."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"wanted {wanted} at {plain(where)}, got {why(error)}; {remedy}"
        ) from error


def why(error: BaseException) -> str:
    """An error's own words on one line, short and printable; its type where it has no words."""
    text = getattr(error, "strerror", None) or str(error)
    if isinstance(error, MemoryError):
        text = "more than the memory holds"
    if not text or isinstance(error, KeyError):
        text = f"{type(error).__name__} {text}".strip()
    text = plain(" ".join(text.split()))
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."


def plain(text: object) -> str:
    """Text for a message: what a terminal would obey or cannot show is escaped."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(text))
