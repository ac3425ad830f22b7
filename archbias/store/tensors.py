"""The checksum of a safetensors file: sha256 over its header and its tensors, kept in the header.

A flipped byte in such a file loads like any other number; only the checksum tells.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

import torch
from torch import Tensor

KEY = "sha256"


def digest(header: Mapping[str, str], state: Mapping[str, Tensor]) -> str:
    """sha256 over the header and over names, types, shapes and bytes of the tensors.

    Args:
        header: without `KEY`.
        state: contiguous tensors on the CPU.
    """
    sha = hashlib.sha256(json.dumps(dict(header), sort_keys=True).encode("utf-8"))
    for name, tensor in sorted(state.items()):
        sha.update(f"{name}{tensor.dtype}{tuple(tensor.shape)}".encode())
        sha.update(tensor.reshape(-1).view(torch.uint8).numpy())
    return sha.hexdigest()
