"""numba's compiler, with a place for what it compiles wherever the package runs.

numba keeps compiled code beside the source, or in the user's cache folder, or in NUMBA_CACHE_DIR.
In a container or on a compute node none of these may be writable, and numba then refuses the
function itself. Here such a process gets a private temporary folder, which ends with it.
"""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from typing import Any

import numba


def njit(function: Callable | None = None, **options: Any) -> Any:
    """`numba.njit`, falling back to a temporary folder where `cache=True` finds none."""

    def compiled(function: Callable) -> Any:
        try:
            return numba.njit(**options)(function)
        except RuntimeError as error:
            if "cannot cache" not in str(error):
                raise
        _use_temporary_folder()
        return numba.njit(**options)(function)

    return compiled if function is None else compiled(function)


def _use_temporary_folder() -> None:
    folder = tempfile.mkdtemp(prefix="archbias-compiled-")  # ours alone: it will hold code
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    numba.config.CACHE_DIR = folder  # type: ignore[attr-defined]  # numba makes it when it starts
    os.environ["NUMBA_CACHE_DIR"] = folder  # processes started by this one share it
    print(
        "archbias: compiled code cannot be kept here and is made anew in every run; "
        "name a folder in NUMBA_CACHE_DIR to keep it",
        file=sys.stderr,
    )
