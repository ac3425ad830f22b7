"""What every trained family shares: its settings, the denoiser they become, and its fit.

A network F becomes a denoiser D by the scalings of `scaling.py`. `fit_replicates` trains several at
once; `NetworkDenoiser` is what remains of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from .. import noise as levels
from .. import seeds
from ..data import ImageSet
from ..denoise import Denoiser, Runtime, Spec
from ..errors import InputError
from . import descent
from .batches import losses
from .checks import choose
from .scaling import loss_of, wrap
from .timing import settled
from .train import WEIGHTS, Train

CONDITIONING = ("told", "per_level", "blind")
PREDICTIONS = ("image", "noise", "v")
PRECONDITIONS = ("edm", "vp")


@dataclass(frozen=True, kw_only=True)
class Network(Spec):
    """Settings common to networks.

    conditioning: "told" the noise level, one network "per_level", or "blind".
    predicts: "image", "noise" or "v".
    precondition: "edm" or "vp".
    levels_of, noise_levels: the schedule whose positive levels the networks of "per_level" are
        trained at.
    class_labels: condition on the labels of the image set.
    train: how it is trained.
    """

    trained = True

    conditioning: str = "told"
    predicts: str = "v"
    precondition: str = "edm"
    levels_of: str = "cosine"
    noise_levels: int = 10
    class_labels: bool = False
    train: Train = Train()

    def __post_init__(self) -> None:
        choose("conditioning", self.conditioning, CONDITIONING)
        choose("predicts", self.predicts, PREDICTIONS)
        choose("precondition", self.precondition, PRECONDITIONS)
        levels.schedule(self.levels_of, self.noise_levels)
        if self.conditioning == "blind" and self.predicts == "v":
            raise InputError(
                "a blind network predicts 'image' or 'noise', got 'v', which needs the noise "
                "level; choose one of those"
            )

    def module(self, shape: tuple[int, int, int], classes: int = 0) -> nn.Module:
        """The network: forward(u (B, C, H, W), c (B,) or None, label (B,) or None) -> (B, C, H, W).

        classes: number of classes it is told, 0 for none.
        """
        raise NotImplementedError

    @property
    def told(self) -> bool:
        """Whether the network is given the noise level."""
        return self.conditioning == "told"

    @property
    def receptive_field(self) -> int | None:
        """Side of the smallest square, centred on a pixel, that holds all the input its output
        depends on; None: everything.
        """
        return None

    @property
    def equivariance(self) -> int | None:
        """The least shift (pixels, on the torus) that commutes with the network; None when the
        border breaks it.
        """
        return None

    def parameters(self, shape: tuple[int, int, int], classes: int = 0) -> int:
        """Number of trained numbers in one network."""
        with torch.device("meta"):
            return sum(p.numel() for p in self.module(shape, classes).parameters())

    def sigmas(self) -> tuple[float | None, ...]:
        """The noise level of each network; one network for all levels has (None,)."""
        if self.conditioning != "per_level":
            return (None,)
        return tuple(levels.schedule(self.levels_of, self.noise_levels)[:-1].tolist())

    def chart(self, images: ImageSet) -> tuple[ImageSet, dict[str, Tensor]]:
        """The images in the coordinates the network works in, and tensors for `rebuild` to lead
        back; here the pixels.
        """
        return images, {}

    def fit(self, images: ImageSet, *, runtime: Runtime = Runtime()) -> Denoiser:
        """Train on the images, or take the network that `runtime.trained` has of that training;
        resumes from `runtime.checkpoint`.
        """
        if runtime.trained is not None:
            return runtime.trained(self, images)
        return fit_replicates(self, images, [self.train.seed], runtime=runtime)[0]

    def rebuild(self, state: dict[str, Tensor]) -> Denoiser:
        return NetworkDenoiser(self, state)

    def stacks(self, device: str) -> bool:
        """Whether several networks are trained faster at once than one after the other: on a GPU,
        where kernels are small.
        """
        return torch.device(device).type == "cuda"


class NetworkDenoiser(Denoiser):
    """A trained network; `history` holds its training record as plain tensors.

    history: "step", "loss" (the training loss), "sigma", "error" (squared error per pixel on
        training images at those levels).
    """

    spec: Network

    def __init__(self, spec: Network, state: dict[str, Tensor]):
        super().__init__(spec, tuple(state["shape"].tolist()), state)
        self.classes = tuple(state["classes"].tolist())
        self.known = spec.sigmas()
        with torch.device("meta"):
            self.network = spec.module(self.shape, len(self.classes)).eval()

    def tensors(self, y: Tensor) -> dict[str, Tensor]:
        """As for every denoiser; convolutions with channels last in memory, which is faster."""
        fresh = (y.dtype, y.device) not in self._cast
        cast = super().tensors(y)
        if fresh:
            for name, v in cast.items():
                if name.startswith("net.") and v.ndim == 4:
                    # not `contiguous`, which leaves the strides of 1x1 kernels, and the sums they
                    # choose, as they were read
                    cast[name] = torch.empty_like(v, memory_format=torch.channels_last).copy_(v)
        return cast

    @property
    def history(self) -> dict[str, Tensor]:
        return {
            k.removeprefix("history."): v
            for k, v in self._tensors.items()
            if k.startswith("history.")
        }

    def denoise(self, y: Tensor, sigma: Tensor, labels: Tensor | None = None) -> Tensor:
        tensors = self.tensors(y)
        if labels is not None:
            labels = torch.searchsorted(tensors["classes"], labels.contiguous())
        if self.spec.conditioning != "per_level":
            return self.through(0, tensors, y, sigma, labels)
        known = torch.tensor(self.known, dtype=torch.float64, device=y.device).log()
        nearest_level = (sigma.double().log()[:, None] - known).abs().argmin(1)
        out = torch.zeros_like(y)
        for k in nearest_level.unique().tolist():
            here = self.through(k, tensors, y, sigma, labels)
            out = torch.where((nearest_level == k)[:, None, None, None], here, out)
        return out

    def through(
        self, k: int, tensors: dict[str, Tensor], y: Tensor, sigma: Tensor, labels: Tensor | None
    ) -> Tensor:
        prefix = f"net.{k}."
        weights = {
            name.removeprefix(prefix): v for name, v in tensors.items() if name.startswith(prefix)
        }

        def call(*inputs: Tensor | None) -> Tensor:
            return torch.func.functional_call(self.network, weights, inputs)

        return wrap(self.spec, call, y, sigma, labels, tensors["scale"])

    def check(
        self, y: Tensor, sigma: float | Tensor, labels: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        if self.classes and labels is None:
            raise InputError(
                f"this {type(self.spec).__name__} wants labels, got none; give one of "
                f"{self.classes} for each row"
            )
        return super().check(y, sigma, labels)


def fit_replicates(
    spec: Network,
    images: ImageSet,
    replicates: Sequence[int],
    *,
    runtime: Runtime = Runtime(),
    stack: bool | None = None,
) -> list[Denoiser]:
    """One denoiser per training seed, each what
    `replace(spec, train=replace(spec.train, seed=s)).fit(images)` gives.

    Args:
        replicates: training seeds.
        stack: train all networks at once (equal to one by one, to rounding); None: where that is
            faster.
    """
    pictures = images
    images, chart = spec.chart(images)
    images, classes = relabelled(spec, images)
    spec = settled(spec, images.shape, len(classes), runtime)
    scale = images.images.double().square().mean().sqrt().float()
    loss = loss_of(spec, scale.to(runtime.device))
    fixed = spec.sigmas()
    jobs = [(s + (k << 32), level) for s in replicates for k, level in enumerate(fixed)]
    nets = [build(spec, images.shape, len(classes), seed) for seed, _ in jobs]
    stack = spec.stacks(runtime.device) if stack is None else stack
    groups = [range(len(jobs))] if stack else [range(i, i + 1) for i in range(len(jobs))]
    curves: list[dict[str, Tensor]] = []
    for number, group in enumerate(groups):
        part = replace(runtime, progress=_share(runtime, number, len(groups), spec.train.steps))
        taken = descent.steps(
            [nets[i] for i in group],
            loss,
            images,
            spec.train,
            seed=[jobs[i][0] for i in group],
            sigma=[level for i in group if (level := jobs[i][1]) is not None] or None,
            labels=spec.class_labels,
            runtime=part,
            name=f"{type(spec).__name__.lower()}{number}",
            of=spec,
        )
        curves += descent.curves(taken)
    common = {
        "scale": scale,
        "shape": torch.tensor(images.shape),
        "classes": torch.tensor(classes, dtype=torch.int64),
    }
    common |= chart
    denoisers = []
    for r, s in enumerate(replicates):
        own = range(r * len(fixed), (r + 1) * len(fixed))
        state = dict(common)
        for k, i in enumerate(own):
            state |= {
                f"net.{k}.{name}": v.detach().cpu() for name, v in nets[i].state_dict().items()
            }
        state["history.step"] = curves[own[0]]["step"]
        state["history.loss"] = torch.stack([curves[i]["loss"] for i in own]).mean(0)
        denoiser = replace(spec, train=replace(spec.train, seed=s)).rebuild(state)
        denoisers.append(with_errors(denoiser, pictures, runtime.device))
    return denoisers


def build(spec: Network, shape: tuple[int, int, int], classes: int, seed: int) -> nn.Module:
    """The network with the initial weights of a seed, drawn on the CPU; torch's own random state is
    left alone.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(seeds.generator(seed, WEIGHTS).integers(1 << 62)))
        return spec.module(shape, classes)


def relabelled(spec: Network, images: ImageSet) -> tuple[ImageSet, tuple[int, ...]]:
    """The images with labels counted 0, 1, ... for the network, and the labels they stand for."""
    if not spec.class_labels:
        return images, ()
    if images.labels is None:
        raise InputError(
            f"class_labels=True wants images with labels, got {images.name!r} without; "
            "give ImageSet.from_array(..., labels=...) or leave class_labels=False"
        )
    classes = images.classes
    return replace(images, labels=torch.searchsorted(torch.tensor(classes), images.labels)), classes


def with_errors(denoiser: Denoiser, images: ImageSet, device: str) -> Denoiser:
    """The denoiser with its squared error on (at most 128) training images at ten noise levels in
    its history.
    """
    sigmas = levels.cosine(10)[:-1]
    few = replace(images, images=images.images[:128], ids=images.ids[:128])
    if images.labels is not None:
        few = replace(few, labels=images.labels[:128])
    error = losses(denoiser, few, sigmas, device=device)
    state = denoiser.state() | {"history.sigma": sigmas, "history.error": error}
    return denoiser.spec.rebuild(state)


def _share(
    runtime: Runtime, number: int, groups: int, steps: int
) -> Callable[[float, float, str], None]:
    """Progress of one of several trainings as progress of the whole."""
    return lambda done, total, note: runtime.progress(number * steps + done, groups * steps, note)
