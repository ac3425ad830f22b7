"""Settings of networks, checked: each function raises an InputError with the remedy."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import InputError, nearest


def choose(name: str, value: str, known: Sequence[str]) -> None:
    """An InputError unless the value is one of those known."""
    if value not in known:
        raise InputError(f"unknown {name} {value!r}; {nearest(str(value), known)}")


def count(name: str, value: int, least: int, most: int) -> None:
    """An InputError unless the value is an integer in [least, most]."""
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise InputError(
            f"{name} must be an integer from {least} to {most}, got {value!r}; give one in that "
            "range"
        )


def odd(name: str, value: int, usual: int) -> None:
    """An InputError unless the value is an odd integer of at least 1."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1 or value % 2 == 0:
        raise InputError(
            f"{name} must be an odd integer of at least 1, got {value!r}; {usual} is usual"
        )
