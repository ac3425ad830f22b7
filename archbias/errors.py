"""Errors that tell a person what to do.

Every message is one sentence: what was wanted, what came, and the remedy. The command line prints
it and exits with 2.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """Input that cannot be used: the message says what was wanted, what came, and the remedy."""


def nearest(name: str, known: Iterable[str]) -> str:
    """The remedy for an unknown name: the closest valid names, or all of them when none is
    close.

    Example:
        >>> from archbias.errors import nearest
        >>> nearest("linaer", ["linear", "unet"])
        "did you mean 'linear'?"
    """
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    return (
        f"did you mean {' or '.join(map(repr, close))}?"
        if close
        else f"choose from {', '.join(known)}"
    )
