"""How long a network trains on this machine: a few real steps of it, timed.

    seconds of a training = networks x steps x (the least time of a few steps, after a first)

The least of several steps is what the machine can do; the rest is what else it did. Which precision
is faster is found the same way, since that depends on the processor: those without matrix units for
bfloat16 take several times as long with it. Timings are kept for a day in `timings.json` in the
user's cache folder, by machine and network; where nothing can be written they are kept for the
process. So are those of a busy machine, where this process had less than three quarters of its
threads' time: they may be twenty times too long, and would spoil a day of estimates (`was_busy`).
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .. import seeds
from ..data import ImageSet
from ..denoise import Runtime
from .batches import Batch
from .descent import steps

if TYPE_CHECKING:
    from .network import Network

STEPS, LONG = 4, 2.0  # timed steps, and the seconds after which no further one is begun
COMPARED = ("float32", "bf16")
GAIN = 0.9  # another precision must take less than this of float32's time
CALM = 0.75  # of the time of its threads, which a process has that computes alone
DAY = 24 * 3600.0  # seconds
_known: dict[str, tuple[float, float]] = {}  # seconds of a step, and when it was timed
_busy: set[str] = set()  # those of them timed while other work ran


def machine(device: str = "cpu") -> str:
    """The processor that trains, its threads, and the version of torch: what a timing is of."""
    if torch.device(device).type == "cuda":
        name = torch.cuda.get_device_name(device)
    else:
        name = f"{_processor()}, {torch.get_num_threads()} threads"
    return f"{name}, torch {torch.__version__}"


def step_seconds(
    spec: Network, shape: tuple[int, int, int], *, classes: int = 0, device: str = "cpu"
) -> float:
    """Seconds of one training step of one network, timed unless that is known.

    Args:
        shape: (C, H, W) of the images.
        classes: labels it is told, for `class_labels=True`.
    """
    spec = replace(spec, train=replace(spec.train, seed=0, steps=STEPS + 1))
    key = _key(spec, shape, classes, device)
    if key not in _known:
        _known.update(_kept())
    if key not in _known:
        seconds, calm = _timed(spec, shape, classes, device)
        _known[key] = seconds, time.time()
        if not calm:
            _busy.add(key)
        _keep()
    return _known[key][0]


def was_busy() -> bool:
    """Whether steps were timed in this process while other work ran: they may take less."""
    return bool(_busy)


def is_timed(spec: Network, shape: tuple[int, int, int], *, device: str = "cpu") -> bool:
    """Whether `faster_precision` of this network would answer without a training step."""
    kept = _kept() | _known
    spec = replace(spec, train=replace(spec.train, seed=0, steps=STEPS + 1))
    each = [replace(spec, train=replace(spec.train, precision=p)) for p in COMPARED]
    return all(_key(s, shape, 0, device) in kept for s in each)


def _key(spec: Network, shape: tuple[int, int, int], classes: int, device: str) -> str:
    text = f"{machine(device)} {spec!r} {shape} {classes}"
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def training_seconds(
    spec: Network, shape: tuple[int, int, int], *, classes: int = 0, device: str = "cpu"
) -> float:
    """Seconds of a whole training, from a few timed steps; "auto" counts as float32."""
    if spec.train.precision == "auto":
        spec = replace(spec, train=replace(spec.train, precision="float32"))
    one = step_seconds(spec, shape, classes=classes, device=device)
    return len(spec.sigmas()) * spec.train.steps * one


def faster_precision(
    spec: Network, shape: tuple[int, int, int], *, classes: int = 0, device: str = "cpu"
) -> tuple[str, dict[str, float]]:
    """The precision in which a network trains faster here, and the seconds of a step in each;
    float32 unless bf16 saves a tenth.
    """
    seconds = {
        p: step_seconds(
            replace(spec, train=replace(spec.train, precision=p)),
            shape,
            classes=classes,
            device=device,
        )
        for p in COMPARED
    }
    return "bf16" if seconds["bf16"] < GAIN * seconds["float32"] else "float32", seconds


def settled(
    spec: Network, shape: tuple[int, int, int], classes: int = 0, runtime: Runtime = Runtime()
) -> Network:
    """The spec with a precision in place of "auto", which is replaced by the faster one here.

    The choice is written beside the checkpoints, so that a training that is resumed goes on as it
    began, on another machine too.
    """
    if spec.train.precision != "auto":
        return spec
    name = hashlib.sha256(f"{spec!r} {shape} {classes}".encode()).hexdigest()[:12]
    file = (
        None if runtime.checkpoint is None else Path(runtime.checkpoint) / f"precision-{name}.json"
    )
    choice = None
    if file is not None and file.exists():
        try:
            choice = json.loads(file.read_text(encoding="utf-8"))["precision"]
        except (ValueError, LookupError, TypeError):
            choice = None  # damaged: chosen again
    if choice not in COMPARED:
        choice, seconds = faster_precision(spec, shape, classes=classes, device=runtime.device)
        if file is not None:
            from ..store import write_text  # here, since it brings xarray

            record = {"precision": choice, "seconds": seconds, "machine": machine(runtime.device)}
            write_text(file, json.dumps(record))
    return replace(spec, train=replace(spec.train, precision=choice))


def _timed(
    spec: Network, shape: tuple[int, int, int], classes: int, device: str
) -> tuple[float, bool]:
    """The least seconds of a step, and whether this process had the cores to itself."""
    n = spec.train.batch
    labels = torch.arange(n) % classes if classes else None
    images = ImageSet.from_array(seeds.normal(range(n), shape).tanh(), labels=labels)
    images, _ = spec.chart(images)
    levels = spec.sigmas()
    with torch.random.fork_rng(devices=[]):
        module = spec.module(images.shape, classes)

    def loss(module: Callable[..., Tensor], batch: Batch) -> Tensor:
        u = batch.y / (1 + batch.sigma[:, None, None, None])
        out = module(u, batch.sigma.log() / 4 if spec.told else None, batch.labels)
        return (out - batch.x).square().mean()

    taken = steps(
        [module],
        loss,
        images,
        spec.train,
        sigma=None if levels[0] is None else [levels[0]],
        labels=bool(classes),
        runtime=Runtime(device=device),
    )
    next(taken)  # not timed: it allocates, and may compile
    times: list[float] = []
    used = time.process_time()
    while len(times) < STEPS and sum(times) < LONG:
        began = time.perf_counter()
        next(taken)
        if torch.device(device).type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - began)
    used = time.process_time() - used
    taken.close()
    alone = CALM * torch.get_num_threads() * sum(times)
    return min(times), torch.device(device).type != "cpu" or used >= alone


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in text.splitlines() if "model name" in line]
    return names[0] if names else platform.machine()


def _file() -> Path:
    # here, because importing it in a notebook imports tqdm, which warns when widgets are missing
    import pooch

    return Path(os.environ.get("ARCHBIAS_CACHE") or pooch.os_cache("archbias")) / "timings.json"


def _kept() -> dict[str, tuple[float, float]]:
    now = time.time()
    try:
        kept = json.loads(_file().read_text(encoding="utf-8"))
        found = {str(key): (float(took), float(at)) for key, (took, at) in kept.items()}
        return {k: (took, at) for k, (took, at) in found.items() if took > 0 and now - at < DAY}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}  # none yet, or damaged: timed again


def _keep() -> None:
    from ..store import write_text  # here, since it brings xarray

    try:
        calm = {key: known for key, known in _known.items() if key not in _busy}
        write_text(_file(), json.dumps(_kept() | calm))
    except OSError:
        return  # nowhere to write: known in this process
