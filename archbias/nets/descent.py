"""Gradient descent: a generator of steps over a module and a loss.

    for step in steps([module], loss, images, train): ...        the modules end holding the
    averaged weights

Batch t is a function of the seed and t alone (`batches`), so a run that is killed and resumed takes
the same steps and ends with the same bits on the same machine. The averaged weights are

    w' <- b w' + (1 - b) w,   b = min(ema, (1 + t) / (10 + t))

and batch-norm statistics are measured again for them at the end. Several networks of one
architecture can descend at once (`stacked`).
"""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from ..data import ImageSet
from ..denoise import Runtime
from ..errors import InputError
from .batches import Batches, Loss
from .checkpoints import fingerprint, restore, save
from .stacked import Single, Stacked
from .train import OPTIMIZERS, PRECISIONS, Train

CHECK = 50  # steps between looks at the loss for NaN: a look waits for the device


class Diverged(RuntimeError):
    """The loss became NaN, infinite or absurd; names the step and the checkpoint that was kept."""


@dataclass(frozen=True)
class Step:
    """What the generator yields: the loss of every step done so far, (done, R) over the networks,
    on the device.
    """

    losses: Tensor


def steps(
    modules: Sequence[nn.Module],
    loss: Loss,
    images: ImageSet,
    train: Train,
    *,
    seed: Sequence[int] | None = None,
    sigma: Sequence[float] | None = None,
    labels: bool = False,
    runtime: Runtime = Runtime(),
    name: str = "training",
    of: object = None,
    every: float = 10.0,
) -> Generator[Step, None, None]:
    """Descend the loss; R networks of one architecture at once.

    Args:
        modules: R modules; at the end they hold the averaged weights and are in evaluation mode.
        loss: from a module and a batch to its mean loss.
        seed: R seeds of batches and noise; `train.seed` when not given.
        sigma: R fixed noise levels; the law of `train.noise` when not given.
        labels: whether batches carry the images' labels.
        name: of the checkpoint in `runtime.checkpoint` (followed by the fingerprint), and in the
            progress note.
        of: what else the loss and the modules depend on, by its repr; a checkpoint of another is
            not resumed.
        every: seconds between checkpoints.

    Raises:
        Diverged: at the step whose loss was NaN, infinite, or 100 times that of the beginning;
            checkpoints stay.
    """
    device = torch.device(runtime.device)
    if train.precision == "auto":
        raise InputError(
            "precision 'auto' is chosen before the first step, got it in the loop; settle it with "
            "archbias.nets.timing.settled(spec, shape) or choose 'float32'"
        )
    if train.precision == "fp16" and device.type != "cuda":
        raise InputError(
            f"precision 'fp16' needs a CUDA device, got {runtime.device!r}; use 'bf16' or 'float32'"
        )
    net = Single(modules[0], loss, device) if len(modules) == 1 else Stacked(modules, loss, device)
    draw = [
        Batches(images, train, s, None if sigma is None else sigma[i], labels, runtime.device)
        for i, s in enumerate(seed or [train.seed] * len(modules))
    ]
    parameters = list(net.parameters.values())
    optimizer = OPTIMIZERS[train.optimizer](
        parameters, lr=train.learning_rate, weight_decay=train.weight_decay, fused=True
    )
    scaler = torch.amp.GradScaler("cuda", enabled=train.precision == "fp16")
    average = {k: v.detach().clone() for k, v in net.parameters.items()}
    losses = torch.zeros(train.steps, len(modules), device=device)
    told = images.labels.tolist() if labels and images.labels is not None else None
    key = fingerprint(modules[0], images, train, seed, sigma, told, of)
    file = (
        None
        if runtime.checkpoint is None
        else Path(runtime.checkpoint) / f"{name}-{key[:12]}.safetensors"
    )
    start = restore(file, key, net, average, optimizer, scaler, losses)
    autocast = (
        torch.autocast(device.type, PRECISIONS[train.precision])
        if train.precision != "float32"
        else nullcontext()
    )
    evaluate = torch.compile(net.losses) if train.compile else net.losses
    began = saved = time.monotonic()
    good = start
    if start == train.steps:
        yield Step(losses)
    for step in range(start, train.steps):
        for group in optimizer.param_groups:
            group["lr"] = train.rate(step)
        with autocast:
            now = evaluate([d(step) for d in draw])
        optimizer.zero_grad(set_to_none=True)
        scaler.scale(now.sum()).backward()
        if train.clip:
            scaler.unscale_(optimizer)
            net.clip(train.clip)
        scaler.step(optimizer)
        scaler.update()
        if train.ema:
            beta = min(train.ema, (1 + step) / (10 + step))
            torch._foreach_lerp_(list(average.values()), [p.detach() for p in parameters], 1 - beta)
        losses[step] = now.detach()
        done, clock = step + 1, time.monotonic()
        late = clock - saved > every or done == train.steps
        if done % CHECK == 0 or late:
            _refuse(losses[:done], start=max(0, done - CHECK - 1), good=good, file=file)
            speed = (done - start) * train.batch * len(modules) / max(clock - began, 1e-9)
            runtime.progress(
                done,
                train.steps,
                f"{name}: {speed:.0f} images/s, loss {float(losses[done - 1].mean()):.4f}",
            )
        if late and file is not None:
            save(file, key, done, net, average, optimizer, scaler, losses)
            saved, good = time.monotonic(), done
        yield Step(losses[:done])
    net.finish(average if train.ema else None, draw, train)


def curves(taken: Iterator[Step], points: int = 500) -> list[dict[str, Tensor]]:
    """Take all the steps; per network {"step", "loss"}: means over at most `points` equal
    stretches, step the last of each.
    """
    for step in taken:
        values = step.losses
    pieces = values.double().cpu().split(math.ceil(len(values) / points))
    ends = torch.tensor([len(p) for p in pieces]).cumsum(0)
    means = torch.stack([p.mean(0) for p in pieces]).float()
    return [{"step": ends, "loss": means[:, r]} for r in range(means.shape[1])]


def _refuse(losses: Tensor, *, start: int, good: int, file: Path | None) -> None:
    """Diverged, at the first step from `start` on whose loss is not finite or absurd."""
    height = 100 * losses[: min(len(losses), 10)].mean(0).clamp(min=1e-3)
    bad = ~(losses[start:].isfinite() & (losses[start:] <= height)).all(1)
    if bool(bad.any()):
        step = start + int(bad.nonzero()[0, 0])
        kept = (
            "no checkpoint was asked for"
            if file is None
            else f"the checkpoint of step {good} is kept in {file}"
        )
        raise Diverged(
            f"training wanted a finite loss, got {float(losses[step].max()):.3g} at step "
            f"{step + 1} ({kept}); "
            "lower train.learning_rate or set train.clip"
        )
