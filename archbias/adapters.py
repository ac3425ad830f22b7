"""Other people's models as denoisers, and denoisers as other people's models.

    y = x + sigma n                    the variance-exploding (VE) input, what a Denoiser takes
    u = y / sqrt(1 + sigma^2)          the variance-preserving (VP) input; abar = 1 / (1 + sigma^2)

A model is given y or u, is told the level in its own way, and predicts one of

    image   x0                                  D = x0
    noise   eps                                 D = y - sigma eps
    v       sqrt(abar) eps - sqrt(1 - abar) x0  D = (u - sigma v) / sqrt(1 + sigma^2)      Salimans
        & Ho 2022, section 4

`from_diffusers`, `from_module` and `from_callable` make a Denoiser of it; `to_diffusers`,
`to_module` and `to_callable` go back.
The diffusers library is not imported: a network with `.config` and a scheduler with
`.alphas_cumprod` are enough.
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from .denoise import Denoiser, Runtime, Spec
from .errors import InputError, nearest
from .noise import sigma_of

PREDICTIONS = ("image", "noise", "v")
INPUTS = ("ve", "vp")
OF_DIFFUSERS = {"epsilon": "noise", "sample": "image", "v_prediction": "v"}
Level = Callable[[Tensor], Tensor]


@dataclass(frozen=True, kw_only=True)
class Adapted(Spec):
    """A model that was made elsewhere.

    model: what it is called in results.
    predicts: "image", "noise" or "v".
    input: "ve" (y) or "vp" (u).
    clip: bound on |D|, or None.
    """

    model: str
    predicts: str = "image"
    input: str = "ve"
    clip: float | None = None

    summary = "a model made elsewhere, brought in by archbias.adapters"

    def __post_init__(self) -> None:
        _choose("predicts", self.predicts, PREDICTIONS)
        _choose("input", self.input, INPUTS)
        if self.clip is not None and not self.clip > 0:
            raise InputError(
                f"clip must be a positive bound or None, got {self.clip!r}; 1.0 keeps images in "
                "[-1, 1]"
            )

    def fit(self, images: Any, *, runtime: Runtime = Runtime()) -> Denoiser:
        raise InputError(
            f"{self.model} is fitted already, got images to fit it to; sample the adapted denoiser "
            "as it is"
        )

    def rebuild(self, state: dict[str, Tensor]) -> Denoiser:
        raise InputError(
            f"wanted the code of {self.model}, got its tensors alone; build the model again and "
            "adapt it"
        )


class AdaptedDenoiser(Denoiser):
    """D from what a model predicts; the model's parameters follow the dtype and device of y."""

    def __init__(
        self,
        spec: Adapted,
        shape: tuple[int, int, int],
        classes: int,
        call: Callable,
        model: nn.Module | None,
    ):
        super().__init__(spec, shape, _tensors(model))
        self.classes = tuple(range(classes))
        self._call, self._model = call, model

    def denoise(self, y: Tensor, sigma: Tensor, labels: Tensor | None = None) -> Tensor:
        if self.classes and labels is None:
            raise InputError(
                f"{self.spec.model} is class-conditional, got no labels; give one of 0 to "
                f"{len(self.classes) - 1} per row"
            )
        s = sigma[:, None, None, None]
        c = (1 + s**2).rsqrt()
        out = self._call(
            self._functional(y), c * y if self.spec.input == "vp" else y, sigma, labels
        )
        if not isinstance(out, Tensor) or out.shape != y.shape:
            got = f"shape {tuple(out.shape)}" if isinstance(out, Tensor) else type(out).__name__
            raise InputError(
                f"{self.spec.model} must return a tensor of shape {tuple(y.shape)}, got {got}; "
                "wrap it so that it does"
            )
        out = out.to(y)
        if self.spec.predicts == "noise":
            out = y - s * out
        elif self.spec.predicts == "v":
            out = c * (c * y - s * out)
        return out if self.spec.clip is None else out.clamp(-self.spec.clip, self.spec.clip)

    def _functional(self, y: Tensor) -> Callable:
        if self._model is None:
            return lambda *inputs: None
        tensors = self.tensors(y)
        return lambda *inputs: torch.func.functional_call(self._model, tensors, inputs)


def from_module(
    module: nn.Module,
    shape: tuple[int, int, int],
    *,
    predicts: str = "image",
    input: str = "ve",
    level: Level | None = lambda sigma: sigma,
    classes: int = 0,
    clip: float | None = None,
) -> Denoiser:
    """A network as a denoiser; a copy of it in evaluation mode is kept.

    Args:
        module: called as module(input, level), with the labels (B,) after it if there are classes;
            without a level as module(input).
        shape: (C, H, W).
        predicts, input: see the head of this module.
        level: from sigma (B,) to what the module is told, for example `lambda s: s.log() / 4`; None
            for a noise-blind module.
        classes: the labels are 0 to classes - 1; 0 for none.
        clip: bound on the denoised pixels.
    """
    spec = Adapted(model=type(module).__name__, predicts=predicts, input=input, clip=clip)

    def call(functional: Callable, x: Tensor, sigma: Tensor, labels: Tensor | None) -> Tensor:
        told = [] if level is None else [level(sigma)]
        return functional(x, *told, *([] if labels is None else [labels]))

    return AdaptedDenoiser(spec, shape, classes, call, _frozen(module))


def from_callable(
    model: Callable[..., Tensor],
    shape: tuple[int, int, int],
    *,
    classes: int = 0,
    clip: float | None = None,
) -> Denoiser:
    """A k-diffusion or EDM style model, called as model(y, sigma) or model(y, sigma, labels) -> D,
    sigma (B,).

    Used as it is: it stays on its own device and in its own dtype, and its output is cast to that
    of y. EDM's own networks take labels one-hot: give
    `lambda y, s, l: net(y, s, torch.nn.functional.one_hot(l, 10).float())`.
    """
    name = getattr(model, "__name__", type(model).__name__)

    def call(_: Callable, y: Tensor, sigma: Tensor, labels: Tensor | None) -> Tensor:
        return model(y, sigma) if labels is None else model(y, sigma, labels)

    return AdaptedDenoiser(Adapted(model=name, clip=clip), shape, classes, call, None)


def from_diffusers(
    unet: nn.Module,
    scheduler: Any,
    *,
    shape: tuple[int, int, int] | None = None,
    clip: float | None = None,
) -> Denoiser:
    """A pixel-space network of the diffusers library (UNet2DModel) with the scheduler it was
    trained with.

    Between the levels the network was trained at, the time step is interpolated linearly in ln
    sigma; a network with learned time embeddings is told the nearest whole step. A network that
    also predicts a variance is read up to its first C channels.

    Args:
        scheduler: any with `alphas_cumprod`; its `prediction_type` says what the network predicts.
        shape: (C, H, W) where the network's configuration does not say.
        clip: bound on the denoised pixels. The scheduler's own `clip_sample` bounds D without
            changing the noise direction unless `use_clipped_model_output` is set; clip=1 here
            equals the two together.
    """
    config = getattr(unet, "config", None)
    if (
        config is None
        or not hasattr(config, "in_channels")
        or getattr(config, "cross_attention_dim", None)
    ):
        raise InputError(
            "wanted an unconditional or class-conditional pixel-space UNet2DModel, got "
            f"{type(unet).__name__}; "
            "adapt other networks with archbias.adapters.from_module"
        )
    if shape is None:
        size = config.sample_size
        if size is None:
            raise InputError("the network's configuration has no sample_size; give shape=(C, H, W)")
        height, width = (size, size) if isinstance(size, int) else size
        shape = (config.in_channels, height, width)
    grid = _levels(scheduler)
    log_grid = grid[torch.isfinite(grid)].log()
    whole = getattr(config, "time_embedding_type", "") == "learned"
    predicts = _prediction(scheduler)
    spec = Adapted(model=type(unet).__name__, predicts=predicts, input="vp", clip=clip)

    def call(functional: Callable, u: Tensor, sigma: Tensor, labels: Tensor | None) -> Tensor:
        step = _step_of(sigma, log_grid.to(sigma.device))
        step = step.round().long() if whole else step.to(u.dtype)
        out = functional(u, step, labels) if labels is not None else functional(u, step)
        out = out[0] if isinstance(out, tuple) else out.sample
        return out[:, : shape[0]]

    return AdaptedDenoiser(spec, shape, config.num_class_embeds or 0, call, _frozen(unet))


def sigmas_of(scheduler: Any, steps: int) -> Tensor:
    """The noise levels at which a diffusers scheduler calls its network in that many steps, and the
    level it ends on.

    With them `archbias.sample.ddim` takes the same trajectory as DDIMScheduler, in y = x_t /
    sqrt(abar_t), where the number of steps divides the number of training steps ("leading" or
    "trailing" spacing). The scheduler itself is left as it is.

    Returns:
        (steps + 1,) float64, decreasing; one fewer where the scheduler's last step goes nowhere
        (`set_alpha_to_one=False` at step 0).
    """
    grid, scheduler = _levels(scheduler), copy.deepcopy(scheduler)
    scheduler.set_timesteps(steps)
    last = torch.as_tensor(
        getattr(scheduler, "final_alpha_cumprod", 1.0), dtype=torch.float64
    ).reshape(1)
    sigmas = torch.cat([grid[scheduler.timesteps.long().cpu()], sigma_of(last)])
    if not torch.isfinite(sigmas).all():
        raise InputError(
            "a schedule with zero terminal signal starts at infinite sigma, got abar = 0; use a "
            "scheduler without it"
        )
    return sigmas[:-1] if sigmas[-1] == sigmas[-2] else sigmas


def to_module(denoiser: Denoiser, *, predicts: str = "image", input: str = "ve") -> nn.Module:
    """A denoiser as a plain network: module(input, sigma, labels=None), sigma a number or (B,); see
    the head of this module.
    """
    return _Module(
        denoiser, _choose("predicts", predicts, PREDICTIONS), _choose("input", input, INPUTS)
    )


def to_callable(denoiser: Denoiser) -> Callable[..., Tensor]:
    """A denoiser as a k-diffusion or EDM style model: model(y, sigma, labels=None) -> D, sigma of
    one element or B.
    """

    def model(y: Tensor, sigma: float | Tensor, labels: Tensor | None = None) -> Tensor:
        sigma = torch.as_tensor(sigma, dtype=y.dtype, device=y.device).flatten()
        return denoiser(y, sigma if len(sigma) == len(y) else sigma.squeeze(), labels)

    return model


def to_diffusers(denoiser: Denoiser, scheduler: Any) -> nn.Module:
    """A denoiser as a network that a diffusers pipeline can call: unet(x_t, t,
    class_labels=None).sample.

    It predicts what the scheduler's `prediction_type` asks for, at the scheduler's noise levels.
    """
    return _UNet(denoiser, scheduler)


class _Module(nn.Module):
    def __init__(self, denoiser: Denoiser, predicts: str, input: str):
        super().__init__()
        self.denoiser, self.predicts, self.input = denoiser, predicts, input

    def forward(self, x: Tensor, sigma: float | Tensor, labels: Tensor | None = None) -> Tensor:
        sigma = torch.as_tensor(sigma, dtype=x.dtype, device=x.device).expand(len(x))
        s = sigma[:, None, None, None]
        c = (1 + s**2).rsqrt()
        y = x / c if self.input == "vp" else x
        denoised = self.denoiser(y, sigma, labels)
        noise = (y - denoised) / s
        return {"image": denoised, "noise": noise, "v": c * (noise - s * denoised)}[self.predicts]


class _UNet(nn.Module):
    def __init__(self, denoiser: Denoiser, scheduler: Any):
        super().__init__()
        channels, height, width = denoiser.shape
        self.module = to_module(denoiser, predicts=_prediction(scheduler), input="vp")
        self.config = SimpleNamespace(
            in_channels=channels,
            out_channels=channels,
            sample_size=(height, width),
            num_class_embeds=len(denoiser.classes) or None,
        )
        self.register_buffer("levels", _levels(scheduler), persistent=False)
        self.dtype = torch.float32

    @property
    def device(self) -> torch.device:
        return self.levels.device

    def forward(
        self,
        sample: Tensor,
        timestep: float | Tensor,
        class_labels: Tensor | None = None,
        return_dict: bool = True,
    ) -> SimpleNamespace | tuple[Tensor]:
        step = torch.as_tensor(timestep, device=self.levels.device).long().expand(len(sample))
        out = self.module(sample, self.levels[step].to(sample), class_labels)
        return SimpleNamespace(sample=out) if return_dict else (out,)


def _levels(scheduler: Any) -> Tensor:
    """Sigma at every training step of a diffusers scheduler, ascending; the last is infinite with
    zero terminal signal.
    """
    alphas = getattr(scheduler, "alphas_cumprod", None)
    if alphas is None:
        raise InputError(
            f"wanted a scheduler with alphas_cumprod, got {type(scheduler).__name__}; "
            "adapt the model with from_callable, giving sigma yourself"
        )
    return sigma_of(torch.as_tensor(alphas, dtype=torch.float64).cpu())


def _prediction(scheduler: Any) -> str:
    kind = getattr(scheduler.config, "prediction_type", "epsilon")
    return OF_DIFFUSERS[_choose("prediction_type", kind, tuple(OF_DIFFUSERS))]


def _step_of(sigma: Tensor, log_grid: Tensor) -> Tensor:
    """The fractional training step of sigma (B,), by linear interpolation in ln sigma, held at the
    ends.
    """
    # a level of the grid that was rounded to float32 still means its own whole step
    x = sigma.double().log().clamp(log_grid[0], log_grid[-1])
    high = torch.searchsorted(log_grid, x).clamp(1, len(log_grid) - 1)
    low = high - 1
    step = low + (x - log_grid[low]) / (log_grid[high] - log_grid[low])
    near = step.round()
    return torch.where((step - near).abs() < 1e-4, near, step)


def _tensors(model: nn.Module | None) -> dict[str, Tensor]:
    return {} if model is None else OrderedDict([*model.named_parameters(), *model.named_buffers()])


def _frozen(module: nn.Module) -> nn.Module:
    return copy.deepcopy(module).eval().requires_grad_(False)


def _choose(setting: str, value: str, known: tuple[str, ...]) -> str:
    if value not in known:
        raise InputError(f"unknown {setting} {value!r}; {nearest(str(value), known)}")
    return value
