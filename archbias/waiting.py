"""What a person who waits is told: one line that shows how far a long call is.

    told(done, total, note)     the usual `progress` of samplers, calibrations and trainings

It speaks where a person reads, in a terminal or in a notebook that someone opened, once a call has
taken `AFTER` seconds. Into files and pipes, and within the cells of a run, whose command
has bars of its own, nothing is written.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TextIO

AFTER, BETWEEN = 2.0, 0.5  # seconds before the first line, and between lines
SESSIONS = ("JPY_SESSION_NAME", "VSCODE_PID")  # set where a notebook is open before someone
WIDTH = 72


@dataclass
class _Call:
    """The call at work: how far it is, when it began, when it last spoke."""

    done: float = float("inf")
    begun: float = 0.0
    spoke: float = 0.0


_call = _Call()
_silent = 0


def person() -> bool:
    """Whether someone reads what is written now."""
    if _silent:
        return False
    if "ipykernel" in sys.modules:
        return any(os.environ.get(name) for name in SESSIONS)
    place = screen()
    return place is not None and place.isatty()


def screen() -> TextIO | None:
    """Where it is written; None where a process has no standard error."""
    return sys.stderr


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Within, nobody is told: the caller shows its own progress."""
    global _silent
    _silent += 1
    try:
        yield
    finally:
        _silent -= 1


def told(done: float, total: float, note: str = "") -> None:
    """Say how far a call is; one begins where less is done than before."""
    if not person():
        return
    now = time.monotonic()
    if done <= _call.done:
        _call.begun, _call.spoke = now, now
    _call.done = done
    if done >= total:
        if _call.spoke > _call.begun:
            _write("")
        _call.done = float("inf")
    elif now - _call.begun > AFTER and now - _call.spoke > BETWEEN:
        _call.spoke = now
        left = (now - _call.begun) / max(done, 1e-9) * (total - done)
        _write(f"{note or 'sampling'}: {done:.0f} of {total:.0f}, about {left:.0f} s left")


@contextlib.contextmanager
def saying(text: str) -> Iterator[None]:
    """One line while something that cannot count lasts."""
    heard = person()
    if heard:
        _write(text)
    try:
        yield
    finally:
        if heard:
            _write("")


def _write(text: str) -> None:
    """The line, in place of the one before."""
    place = screen()
    if place is not None:
        place.write(f"\r{text:<{WIDTH}.{WIDTH}}\r")
        place.flush()
