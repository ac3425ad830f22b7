"""Checkpoints of a training: weights, averages, the optimiser's moments and the losses so far.

A checkpoint is one safetensors file that takes the place of the one before when it is whole. It
carries the fingerprint of what was trained and the sha256 of what it holds; one of anything else,
or a damaged one, is not resumed.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Protocol

import safetensors
import torch
from torch import Tensor, nn

from ..data import ImageSet
from ..denoise import to_json
from ..errors import InputError
from ..store.tensors import KEY, digest, packed
from .train import Train

REMEDY = "delete it to train from the start"


def fingerprint(module: nn.Module, images: ImageSet, train: Train, *more: object) -> str:
    """What a checkpoint must agree on to be resumed: architecture, images, settings."""
    shapes = [(k, tuple(v.shape)) for k, v in module.state_dict().items()]
    text = json.dumps([str(module), shapes, images.hash, to_json(train), *map(repr, more)])
    return hashlib.sha256(text.encode()).hexdigest()


class Trained(Protocol):
    """Networks in training: what `stacked` has."""

    parameters: dict[str, Any]
    buffers: dict[str, Any]


def save(
    file: Path,
    key: str,
    done: int,
    net: Trained,
    average: dict[str, Tensor],
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    losses: Tensor,
) -> None:
    """Write the state after `done` steps, whole or not at all; a full disk is an OSError."""
    from ..store import replacing  # here, since it brings xarray, which nothing else in nets needs

    tensors = {f"weight.{k}": v for k, v in net.parameters.items()}
    tensors |= {f"buffer.{k}": v for k, v in net.buffers.items()}
    tensors |= {f"average.{k}": v for k, v in average.items()}
    for k, p in net.parameters.items():
        tensors |= {f"{what}.{k}": v for what, v in optimizer.state[p].items()}
    tensors["losses"] = losses[:done]
    header = {"key": key, "step": str(done), "scaler": json.dumps(scaler.state_dict())}
    state = {k: v.detach().contiguous().cpu().clone() for k, v in tensors.items()}
    header[KEY] = digest(header, state)
    whole = packed(header, state)
    with replacing(file) as part:
        part.write_bytes(whole)


def check(file: Path) -> None:
    """Whether a training can be resumed from a checkpoint.

    Raises:
        InputError: it is damaged, or no checkpoint.
    """
    try:
        header, _ = _read(file)
    except (OSError, safetensors.SafetensorError) as error:
        raise InputError(f"{file} cannot be read ({error}); {REMEDY}") from error
    if not {"key", "step"} <= header.keys():
        raise InputError(f"{file} is no checkpoint of a training; {REMEDY}")


def _read(file: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Header and tensors of a checkpoint; an InputError when they do not match its checksum, which
    an older archbias did not write.
    """
    with safetensors.safe_open(file, framework="pt") as saved:
        header = saved.metadata() or {}
        tensors = {k: saved.get_tensor(k) for k in saved.keys()}  # noqa: SIM118 (not a dict)
    wanted = header.pop(KEY, None)
    if wanted is not None and wanted != digest(header, tensors):
        raise InputError(f"{file} is damaged: it does not match its checksum; {REMEDY}")
    return header, tensors


@torch.no_grad()
def restore(
    file: Path | None,
    key: str,
    net: Trained,
    average: dict[str, Tensor],
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    losses: Tensor,
) -> int:
    """Steps done according to the checkpoint, everything put back; 0 when there is none of this
    very training.
    """
    if file is None:
        return 0
    try:
        with safetensors.safe_open(file, framework="pt") as saved:
            if (saved.metadata() or {}).get("key") != key:
                return 0
        header, tensors = _read(file)
    except (OSError, safetensors.SafetensorError, InputError):
        return 0
    done = int(header["step"])
    for prefix, there in (
        ("weight", net.parameters),
        ("buffer", net.buffers),
        ("average", average),
    ):
        for k, v in there.items():
            v.copy_(tensors[f"{prefix}.{k}"])
    for k, p in net.parameters.items():
        # what the loss does not use has none
        for what in ("step", "exp_avg", "exp_avg_sq") if f"step.{k}" in tensors else ():
            moment = tensors[f"{what}.{k}"]
            optimizer.state[p][what] = (
                moment.to(p.device) if what == "step" else torch.empty_like(p).copy_(moment)
            )
    if scale := json.loads(header["scaler"]):
        scaler.load_state_dict(scale)
    losses[:done] = tensors["losses"].to(losses.device)
    return done
