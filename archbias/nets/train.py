"""Gradient descent: a generator of steps over a module and a loss.

    for step in steps([module], loss, images, train): ...        the modules end holding the
    averaged weights

Batch t of seed s is a function of (s, t) alone: images from the s-th shuffling of each epoch, noise
levels and noise from a generator seeded by (s, t). No random state has to be stored, so a run that
is killed and resumed takes the same steps and ends with the same bits on the same machine.

Noise levels within a batch of B are stratified, u_i = (i + v_i) / B with v_i uniform: one level in
every B-th of the law (Kingma et al. 2021, appendix I.1), which lowers the variance of the loss at
no cost. The averaged weights are

    w' <- b w' + (1 - b) w,   b = min(ema, (1 + t) / (10 + t))

and batch-norm statistics are measured again for them at the end. Several networks of one
architecture can descend at once: their weights are stacked and the loss mapped over the stack
(`torch.func`), each with its own batches; the result is that of training one after the other, to
rounding.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import safetensors
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from .. import seeds
from ..data import ImageSet
from ..denoise import Denoiser, Runtime, to_json
from ..errors import InputError, nearest

OPTIMIZERS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
SCHEDULES = ("constant", "cosine", "exponential")
PRECISIONS = {"float32": None, "bf16": torch.bfloat16, "fp16": torch.float16}
CHECK = 50  # steps between looks at the loss for NaN: a look waits for the device
# streams of a seed, apart from those of starting noise
EPOCHS, STEPS, WEIGHTS, ERRORS = (k << 40 for k in (1, 2, 3, 4))


def _cosine(u: Tensor) -> Tensor:
    return torch.tan((1 - u) / 1.008 * (math.pi / 2)).clamp(min=2e-3)


def _lognormal(u: Tensor) -> Tensor:
    return torch.exp(-1.2 + 1.2 * torch.special.ndtri(u.clamp(1e-6, 1 - 1e-6)))


def _loguniform(u: Tensor) -> Tensor:
    return torch.exp(math.log(80.0) + u * math.log(0.01 / 80.0))


# from u in (0, 1) to sigma
LAWS = {"cosine": _cosine, "lognormal": _lognormal, "loguniform": _loguniform}


class Diverged(RuntimeError):
    """The loss became NaN, infinite or absurd; names the step and the checkpoint that was kept."""


@dataclass(frozen=True, kw_only=True)
class Train:
    """How a network is trained.

    steps, batch: gradient steps, and images in each.
    optimizer: "adam" or "adamw" (decoupled weight decay of `weight_decay`).
    learning_rate: at its highest, after `warmup` steps of linear growth.
    schedule: "constant"; "cosine" to 0 at the last step; "exponential", times `decay` a step (Kamb
        & Ganguli: 1e-4, 0.999965).
    ema: decay of the averaged weights; 0 keeps the last ones.
    clip: largest norm of a gradient; 0 for no limit.
    noise: law of the noise levels: "cosine" (t uniform in Kamb & Ganguli's schedule, sigma 0.002 to
        80), "lognormal" (Karras et al. 2022: ln sigma ~ N(-1.2, 1.2^2)), "loguniform" (0.01 to 80).
    precision: "float32", or autocast to "bf16" or "fp16" (CUDA only, with loss scaling).
    compile: through `torch.compile`; pays on GPUs and for long runs, needs a C++ compiler on the
        CPU.
    seed: of the initial weights, the batches and the noise.
    """

    steps: int = 2000
    batch: int = 64
    optimizer: str = "adam"
    learning_rate: float = 2e-3
    weight_decay: float = 0.0
    schedule: str = "cosine"
    decay: float = 0.999965
    warmup: int = 50
    ema: float = 0.995
    clip: float = 1.0
    noise: str = "cosine"
    precision: str = "float32"
    compile: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        for name, known in (
            ("optimizer", OPTIMIZERS),
            ("schedule", SCHEDULES),
            ("noise", LAWS),
            ("precision", PRECISIONS),
        ):
            if getattr(self, name) not in known:
                raise InputError(
                    f"unknown {name} {getattr(self, name)!r}; "
                    f"{nearest(str(getattr(self, name)), known)}"
                )
        for name, least in (("steps", 1), ("batch", 1), ("warmup", 0), ("seed", 0)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise InputError(
                    f"train.{name} must be an integer of at least {least}, got {value!r}; the "
                    "default is usual"
                )
        for name, low, high in (
            ("learning_rate", 1e-12, 10.0),
            ("weight_decay", 0.0, 10.0),
            ("decay", 0.5, 1.0),
            ("ema", 0.0, 0.999999),
            ("clip", 0.0, math.inf),
        ):
            value = getattr(self, name)
            if not isinstance(value, int | float) or not low <= value <= high:
                raise InputError(
                    f"train.{name} must lie in [{low:g}, {high:g}], got {value!r}; the default is "
                    "usual"
                )

    def rate(self, step: int) -> float:
        """The learning rate of a step, counted from 0."""
        rate = self.learning_rate * min(1.0, (step + 1) / (self.warmup + 1))
        if self.schedule == "cosine":
            return rate * (1 + math.cos(math.pi * step / self.steps)) / 2
        return rate * self.decay**step if self.schedule == "exponential" else rate


@dataclass(frozen=True)
class Batch:
    """Clean images x (B, C, H, W), standard normal noise of that shape, sigma (B,), labels (B,) or
    None; y = x + sigma noise.
    """

    x: Tensor
    noise: Tensor
    sigma: Tensor
    labels: Tensor | None

    @property
    def y(self) -> Tensor:
        return self.x + self.sigma[:, None, None, None] * self.noise


class Batches:
    """Batch t of a seed, for every t; the whole image set lies on the device.

    sigma: one level for all batches, or None for the law of `train.noise`.
    """

    def __init__(
        self,
        images: ImageSet,
        train: Train,
        seed: int,
        sigma: float | None,
        labels: bool,
        device: str,
    ):
        self.train, self.seed, self.sigma, self.device = train, seed, sigma, device
        self.images = images.images.to(device)
        self.labels = images.labels.to(device) if labels else None
        self.generator = torch.Generator(device)
        self.orders: dict[int, Tensor] = {}

    def order(self, epoch: int) -> Tensor:
        """The shuffling of an epoch; the two latest are kept, since a batch may straddle them."""
        if epoch not in self.orders:
            while len(self.orders) > 1:
                self.orders.pop(min(self.orders))
            shuffled = seeds.generator(self.seed, EPOCHS + epoch).permutation(len(self.images))
            self.orders[epoch] = torch.from_numpy(shuffled).to(self.device)
        return self.orders[epoch]

    def __call__(self, step: int) -> Batch:
        size, n = self.train.batch, len(self.images)
        first, last = step * size, (step + 1) * size
        parts = [
            self.order(e)[max(first - e * n, 0) : min(last - e * n, n)]
            for e in range(first // n, (last - 1) // n + 1)
        ]
        index = torch.cat(parts)
        x = self.images[index]
        self.generator.manual_seed(int(seeds.generator(self.seed, STEPS + step).integers(1 << 31)))
        v = torch.rand(size, generator=self.generator, device=self.device)
        sigma = LAWS[self.train.noise]((torch.arange(size, device=self.device) + v) / size)
        if self.sigma is not None:
            sigma = torch.full_like(sigma, self.sigma)
        noise = torch.randn(x.shape, generator=self.generator, device=self.device)
        return Batch(x, noise, sigma, None if self.labels is None else self.labels[index])


Loss = Callable[[nn.Module, Batch], Tensor]  # the mean loss of one batch, a number


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
) -> Iterator[Step]:
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
    if train.precision == "fp16" and device.type != "cuda":
        raise InputError(
            f"precision 'fp16' needs a CUDA device, got {runtime.device!r}; use 'bf16' or 'float32'"
        )
    net = (
        _Single(modules[0], loss, device) if len(modules) == 1 else _Stacked(modules, loss, device)
    )
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
    key = fingerprint(
        modules[0], images, train, seed, sigma, images.labels.tolist() if labels else None, of
    )
    file = (
        None
        if runtime.checkpoint is None
        else Path(runtime.checkpoint) / f"{name}-{key[:12]}.safetensors"
    )
    start = _restore(file, key, net, average, optimizer, scaler, losses)
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
            _save(file, key, done, net, average, optimizer, scaler, losses)
            saved, good = time.monotonic(), done
        yield Step(losses[:done])
    net.finish(average if train.ema else None, draw, train)


def curves(taken: Iterator[Step], points: int = 500) -> list[dict[str, Tensor]]:
    """Take all the steps; per network {"step", "loss"}: means over at most `points` equal
    stretches, step the last of each.
    """
    values = None
    for step in taken:
        values = step.losses
    pieces = values.double().cpu().split(math.ceil(len(values) / points))
    ends = torch.tensor([len(p) for p in pieces]).cumsum(0)
    means = torch.stack([p.mean(0) for p in pieces]).float()
    return [{"step": ends, "loss": means[:, r]} for r in range(means.shape[1])]


@torch.no_grad()
def losses(
    denoiser: Denoiser,
    images: ImageSet,
    sigmas: Tensor,
    *,
    seed: int = 0,
    batch: int = 64,
    device: str = "cpu",
) -> Tensor:
    """Mean squared error per pixel of a denoiser at each noise level, on any images: training or
    held out.

    Args:
        sigmas: noise levels; a final 0 is left out.

    Returns:
        (T,) float64. Image i meets the same noise at every level and for every denoiser.
    """
    sigmas = [s for s in sigmas.tolist() if s > 0]
    total = torch.zeros(len(sigmas), dtype=torch.float64)
    for i in range(0, len(images), batch):
        x = images.images[i : i + batch].to(device)
        lab = (
            images.labels[i : i + batch] if denoiser.classes and images.labels is not None else None
        )
        n = torch.cat(
            [
                seeds.normal([seed], x.shape[1:], stream=ERRORS + i + j, device=device)
                for j in range(len(x))
            ]
        )
        for k, s in enumerate(sigmas):
            total[k] += (
                (denoiser(x + s * n, s, lab) - x).double().square().mean((1, 2, 3)).sum().cpu()
            )
    return total / len(images)


def fingerprint(module: nn.Module, images: ImageSet, train: Train, *more: object) -> str:
    """What a checkpoint must agree on to be resumed: architecture, images, settings."""
    shapes = [(k, tuple(v.shape)) for k, v in module.state_dict().items()]
    text = json.dumps([str(module), shapes, images.hash, to_json(train), *map(repr, more)])
    return hashlib.sha256(text.encode()).hexdigest()


class _Single:
    """One module, as it is; convolutions with channels last in memory, which is faster."""

    def __init__(self, module: nn.Module, loss: Loss, device: torch.device):
        self.module, self.loss = (
            module.to(device=device, memory_format=torch.channels_last).train(),
            loss,
        )
        self.parameters = dict(module.named_parameters())
        self.buffers = dict(module.named_buffers())

    def losses(self, batches: list[Batch]) -> Tensor:
        return self.loss(self.module, batches[0])[None]

    def clip(self, norm: float) -> None:
        torch.nn.utils.clip_grad_norm_(self.parameters.values(), norm)

    def finish(self, average: dict[str, Tensor] | None, draw: list[Batches], train: Train) -> None:
        with torch.no_grad():
            for k, v in (average or {}).items():
                self.parameters[k].copy_(v)
        _remeasure(self.module, self.loss, draw[0], train)


class _Stacked:
    """R modules of one architecture as one module with stacked weights."""

    def __init__(self, modules: Sequence[nn.Module], loss: Loss, device: torch.device):
        self.modules = [m.to(device).train() for m in modules]
        self.loss, self.shell = loss, modules[0]
        self.parameters, self.buffers = torch.func.stack_module_state(self.modules)

    def losses(self, batches: list[Batch]) -> Tensor:
        def one(parameters, buffers, x, noise, sigma, labels):
            call = _Call(self.shell, {**parameters, **buffers})
            return self.loss(call, Batch(x, noise, sigma, labels))

        x, noise, sigma = (
            torch.stack([getattr(b, k) for b in batches]) for k in ("x", "noise", "sigma")
        )
        labels = None if batches[0].labels is None else torch.stack([b.labels for b in batches])
        dims = (0, 0, 0, 0, 0, None if labels is None else 0)
        return torch.func.vmap(one, dims)(self.parameters, self.buffers, x, noise, sigma, labels)

    def clip(self, norm: float) -> None:
        grads = [p.grad for p in self.parameters.values() if p.grad is not None]
        total = torch.stack([g.flatten(1).square().sum(1) for g in grads]).sum(0).sqrt()
        scale = (norm / (total + 1e-6)).clamp(max=1.0)
        for g in grads:
            g.mul_(scale.reshape(-1, *[1] * (g.ndim - 1)))

    def finish(self, average: dict[str, Tensor] | None, draw: list[Batches], train: Train) -> None:
        for r, module in enumerate(self.modules):
            stacked = {**self.parameters, **self.buffers, **(average or {})}
            module.load_state_dict({k: v[r].detach() for k, v in stacked.items()}, strict=False)
            _remeasure(module, self.loss, draw[r], train)


class _Call:
    """A module called with other weights."""

    def __init__(self, module: nn.Module, tensors: dict[str, Tensor]):
        self.module, self.tensors = module, tensors

    def __call__(self, *args: object) -> Tensor:
        return torch.func.functional_call(self.module, self.tensors, args)


@torch.no_grad()
def _remeasure(
    module: nn.Module, loss: Loss, draw: Batches, train: Train, batches: int = 50
) -> None:
    """Statistics of normalisation layers, measured on training batches with the final weights;
    evaluation mode after.
    """
    layers = [
        m
        for m in module.modules()
        if hasattr(m, "reset_running_stats") and getattr(m, "momentum", None) is not None
    ]
    if layers:
        momenta = [m.momentum for m in layers]
        for m in layers:
            m.reset_running_stats()
            m.momentum = None  # a plain mean over the batches
        for t in range(batches):
            loss(module, draw(train.steps + t))
        for m, momentum in zip(layers, momenta, strict=True):
            m.momentum = momentum
    module.eval()


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


def _save(file: Path, key: str, done: int, net, average, optimizer, scaler, losses: Tensor) -> None:
    tensors = {f"weight.{k}": v for k, v in net.parameters.items()}
    tensors |= {f"buffer.{k}": v for k, v in net.buffers.items()}
    tensors |= {f"average.{k}": v for k, v in average.items()}
    for k, p in net.parameters.items():
        tensors |= {f"{what}.{k}": v for what, v in optimizer.state[p].items()}
    tensors["losses"] = losses[:done]
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f".{file.name}.part")
    header = {"key": key, "step": str(done), "scaler": json.dumps(scaler.state_dict())}
    save_file(
        {k: v.detach().contiguous().cpu().clone() for k, v in tensors.items()},
        part,
        metadata=header,
    )
    part.replace(file)


@torch.no_grad()
def _restore(file: Path | None, key: str, net, average, optimizer, scaler, losses: Tensor) -> int:
    """Steps done according to the checkpoint, everything put back; 0 when there is none of this
    very training.
    """
    if file is None:
        return 0
    try:
        with safetensors.safe_open(file, framework="pt") as saved:
            header = saved.metadata() or {}
            if header.get("key") != key:
                return 0
            tensors = {k: saved.get_tensor(k) for k in saved.keys()}  # noqa: SIM118 (not a dict)
    except (OSError, safetensors.SafetensorError):
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
