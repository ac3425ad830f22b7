"""The version of what is written: cells, stores, exported numbers and saved denoisers.

    1    as first published; no version is written
    2    attributes as `archbias.store.attributes` has them; checksums of files, chunks, tensors

An older one opens. A newer one is refused, since its numbers could be misread.
"""

from __future__ import annotations

from typing import Any

from ..errors import InputError

FORMAT = 2
KEY = "archbias_format"


def readable(found: Any, what: str) -> int:
    """The version found in a file, 1 if it carries none.

    Args:
        found: the attribute `KEY`, or None. what: the file, for the message.

    Raises:
        InputError: a newer archbias wrote it, or it is no version.
    """
    try:
        version = 1 if found is None else int(found)
    except (TypeError, ValueError):
        raise InputError(
            f"wanted a format of 1 to {FORMAT} in {what}, got {found!r}; write it again"
        ) from None
    if version > FORMAT:
        raise InputError(
            f"{what} has format {version}, written by a newer archbias, and this one reads up to "
            f"{FORMAT}; install the newer one: pip install --upgrade archbias"
        )
    return version
