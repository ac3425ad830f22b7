"""numba's compiler, with a place for what it compiles wherever the package runs.

numba keeps compiled code beside the source, or in the user's cache folder, or in NUMBA_CACHE_DIR,
and refuses the function itself where none of these can be written. Here it gets a temporary folder.
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable
from typing import Any

import numba
from numba.core import event

from .caches import temporary
from .waiting import saying


def njit(function: Callable | None = None, **options: Any) -> Any:
    """`numba.njit`, falling back to a temporary folder where `cache=True` finds none."""
    _announced()

    def compiled(function: Callable) -> Any:
        try:
            return numba.njit(**options)(function)
        except RuntimeError as error:
            if "cannot cache" not in str(error):
                raise
        folder = str(temporary())
        numba.config.CACHE_DIR = folder  # type: ignore[attr-defined]  # made when numba starts
        os.environ["NUMBA_CACHE_DIR"] = folder  # processes started by this one share it
        return numba.njit(**options)(function)

    return compiled if function is None else compiled(function)


class _Announced(event.Listener):
    """Says to a person who waits that code is compiled, which is kept for the next time."""

    def __init__(self) -> None:
        self.open: list[contextlib.ExitStack] = []

    def on_start(self, event: event.Event) -> None:
        name = getattr(event.data.get("dispatcher"), "__name__", "a function")
        stack = contextlib.ExitStack()
        if not self.open:  # what it calls is compiled within
            stack.enter_context(saying(f"compiling {name.strip('_')}, once on this machine"))
        self.open.append(stack)

    def on_end(self, event: event.Event) -> None:
        if self.open:
            self.open.pop().close()


@functools.cache
def _announced() -> None:
    event.register("numba:compile", _Announced())
