"""A safetensors file: its bytes, the same for the same contents, and its checksum.

The checksum is the sha256 over header and tensors, kept in the header: a flipped byte in such a
file loads like any other number, and only the checksum tells. The library writes the header's
entries in an order that differs from call to call; here they are sorted.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

import safetensors.torch
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
        sha.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return sha.hexdigest()


def packed(header: Mapping[str, str], state: Mapping[str, Tensor]) -> bytes:
    """The bytes of a file with these tensors and, sorted, this header.

    Made in memory: the library's own writer may map the file, and a mapped file on a full disk ends
    the process by a signal.
    """
    data = safetensors.torch.save(dict(state), metadata=dict(header))
    end = 8 + int.from_bytes(data[:8], "little")
    table = json.loads(data[8:end])
    table["__metadata__"] = dict(sorted(header.items()))
    text = json.dumps(table, separators=(",", ":"), ensure_ascii=False).encode("utf-8")
    text += b" " * (-len(text) % 8)  # tensors begin at a multiple of eight bytes
    return len(text).to_bytes(8, "little") + text + data[end:]
