"""Places for what libraries keep between runs, where the usual ones cannot be written.

In a container or on a compute node the installation may be read-only and the user without a home.
numba then refuses a function, matplotlib warns twice. There this process gets a private temporary
folder, which ends with it, and one line says so.
"""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from functools import cache
from pathlib import Path


@cache
def temporary() -> Path:
    """The folder of this process; processes started by it share what they find in it."""
    folder = tempfile.mkdtemp(prefix="archbias-caches-")  # ours alone: it will hold code
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    print(
        "archbias: nothing can be kept here, so compiled code and fonts are made anew in every "
        "run; name folders in NUMBA_CACHE_DIR and MPLCONFIGDIR to keep them",
        file=sys.stderr,
    )
    return Path(folder)


def for_matplotlib() -> None:
    """Before it is imported: a temporary folder unless its usual ones, or the one named in
    MPLCONFIGDIR, can be written.
    """
    if "MPLCONFIGDIR" not in os.environ and not all(map(_writable, _usual())):
        os.environ["MPLCONFIGDIR"] = str(temporary())


def _usual() -> list[str]:
    """The folders of matplotlib, of settings and of what it caches."""
    if not sys.platform.startswith(("linux", "freebsd")):
        return ["~/.matplotlib"]
    homes = (("XDG_CONFIG_HOME", "~/.config"), ("XDG_CACHE_HOME", "~/.cache"))
    return [os.path.join(os.environ.get(name) or usual, "matplotlib") for name, usual in homes]


def _writable(place: str) -> bool:
    try:
        path = Path(place).expanduser()
        path.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # RuntimeError: no home is known
        return False
    return os.access(path, os.W_OK)
