"""Weight files of other people: found, told apart by their sha256, read without running any code.

`torch.load(weights_only=True)` builds tensors and nothing else; a file that asks for more is
refused, as is one that holds anything but named tensors. Safetensors are read too.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from ..errors import InputError
from .facts import State

SUFFIXES = (".pt", ".pth", ".safetensors")


def networks_root() -> Path:
    """Where weight files are kept: ARCHBIAS_NETWORKS, else `networks` in the user's cache."""
    import pooch

    given = os.environ.get("ARCHBIAS_NETWORKS")
    return Path(given).expanduser() if given else Path(pooch.os_cache("archbias")) / "networks"


def sha256(path: Path) -> str:
    """Of the file's bytes, as hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def find(root: Path, name: str, size: int, digest: str) -> Path | None:
    """A published file: the root itself, the root's file of that name, or any weight file in it
    with the published contents, whatever it is called.
    """
    if root.is_file():
        return root
    if (root / name).is_file():
        return root / name
    if not root.is_dir():
        return None
    for path in sorted(p for p in root.iterdir() if p.suffix in SUFFIXES and p.is_file()):
        if path.stat().st_size == size and sha256(path) == digest:
            return path
    return None


def read(path: Path) -> State:
    """The named tensors of a weight file, on the CPU.

    Raises:
        InputError: no such file, a damaged one, one that needs code to be read, or one that holds
            anything but named tensors.
    """
    again = "give a state dict saved with torch.save(model.state_dict(), PATH) or safetensors"
    if not path.is_file():
        raise InputError(f"wanted a weight file at {path}, got nothing there; give its path")
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        with warnings.catch_warnings(action="ignore"):  # of how the file was written
            held = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(
            f"wanted tensors alone in {path}, got a file that is damaged or needs code to be read, "
            f"which is never run; {again}"
        ) from error
    except (
        OSError,
        RuntimeError,
        EOFError,
        ValueError,
        KeyError,
        safetensors.SafetensorError,
    ) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"wanted a weight file at {path}, got {reason}; {again}") from error
    if not isinstance(held, Mapping) or not held:
        raise InputError(f"wanted named tensors in {path}, got {type(held).__name__}; {again}")
    for key, value in held.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise InputError(
                f"wanted named tensors in {path}, got {key!r} of {type(value).__name__}; {again}"
            )
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise InputError(
                f"wanted finite numbers in {path}, got NaN or infinity in {key}; {again}"
            )
    return dict(held)
