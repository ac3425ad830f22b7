"""Where numbers came from: versions, commit, machine, time."""

from __future__ import annotations

import platform
import socket
import subprocess
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import numpy as np

from .. import __version__


@cache
def commit() -> str:
    """The git commit of the package's checkout, with `+` when files differ from it; empty outside a
    checkout.
    """
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return ""

    def git(*words: str) -> str:
        done = subprocess.run(
            ["git", "-C", root, *words], capture_output=True, check=True, timeout=10
        )
        return done.stdout.decode("utf-8", errors="replace").strip()

    try:
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain") else "")
    except (OSError, subprocess.SubprocessError):
        return ""


def provenance() -> dict[str, str | int]:
    """Where numbers came from: versions, commit, host, threads, time."""
    import torch  # here, so that writing a file waits for no framework

    return {
        "archbias": __version__,
        "commit": commit(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "host": socket.gethostname(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "torch": str(torch.__version__),  # a subclass of str, which HDF5 does not take
        "numpy": np.__version__,
        "threads": torch.get_num_threads(),
    }
