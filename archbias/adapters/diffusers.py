"""Networks of the diffusers library with the scheduler they were trained with.

The library is not imported: a network with `.config` and a scheduler are enough. A scheduler says
at which levels its network was trained, what the network is given and what it predicts:

    with `alphas_cumprod`       z = sqrt(abar) x + sqrt(1 - abar) n, told the step
    flow matching               z = (1 - u) x + u n, told u times the number of training steps
    EDM                         z = y, with the scheduler's own preconditioning

Its levels are those of `schedulers.py`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from ..denoise import Denoiser
from ..errors import InputError
from ..noise import sigma_of
from .adapted import Adapted, AdaptedDenoiser, taken
from .conventions import Steps
from .frozen import Frozen
from .outward import to_module
from .schedulers import alphas, flow_steps, level_at, own_levels, prediction, straight

# settings of a network that is told more than a level and a class
TOLD_MORE = ("cross_attention_dim", "encoder_hid_dim", "addition_embed_type", "caption_channels")


def from_diffusers(
    unet: nn.Module,
    scheduler: Any,
    *,
    shape: tuple[int, int, int] | None = None,
    null: int | None = None,
    clip: float | None = None,
) -> Denoiser:
    """A pixel-space network of the diffusers library (UNet2DModel, DiTTransformer2DModel) with the
    scheduler it was trained with.

    Between the levels the network was trained at, the time step is interpolated, in ln sigma or as
    the scheduler itself does; a network with learned time embeddings is told the nearest whole
    step. Levels outside are refused. A network that also predicts a variance is read up to its
    first C channels.

    Args:
        scheduler: one with `alphas_cumprod`, of flow matching, or of EDM; its `prediction_type`
            says what the network predicts.
        shape: (C, H, W) where the network's configuration does not say.
        null: the label that stands for no label, for a network that was trained with one.
        clip: bound on the denoised pixels. The scheduler's own `clip_sample` bounds D without
            changing the noise direction unless `use_clipped_model_output` is set; clip=1 here
            equals the two together.
    """
    config = _config(unet)
    if shape is None:
        size = config.sample_size
        if size is None:
            raise InputError("the network's configuration has no sample_size; give shape=(C, H, W)")
        height, width = (size, size) if isinstance(size, int) else size
        shape = (config.in_channels, height, width)
    classes = getattr(config, "num_class_embeds", None) or 0
    if ada := getattr(config, "num_embeds_ada_norm", None):  # DiT: its last label stands for none
        classes, null = ada + 1, ada if null is None else null
    whole = getattr(config, "time_embedding_type", "") == "learned"
    given = _given(scheduler, whole)
    model = Frozen(unet)
    if null is not None and not 0 <= null < classes:
        raise InputError(
            f"null must be one of the network's {classes} labels, got {null!r}; count from 0"
        )
    spec = Adapted(
        model=type(model.module).__name__,
        predicts=given.predicts,
        input=given.input,
        told=given.told,
        levels=given.levels,
        null=null,
        clip=clip,
    )

    def call(network: Callable, z: Tensor, sigma: Tensor, labels: Tensor | None) -> object:
        def run(inner: Tensor, told: Tensor) -> Tensor:
            out = network(inner, told) if labels is None else network(inner, told, labels)
            return (out[0] if isinstance(out, tuple) else taken(out, None))[:, : shape[0]]

        return given.call(run, z, sigma)

    return AdaptedDenoiser(spec, shape, classes, call, model)


def to_diffusers(denoiser: Denoiser, scheduler: Any) -> nn.Module:
    """A denoiser as a network that a diffusers pipeline can call: unet(x_t, t,
    class_labels=None).sample.

    It predicts what the scheduler's `prediction_type` asks for, at the scheduler's noise levels;
    between whole steps these are interpolated as the scheduler does.

    Raises:
        InputError: a scheduler whose steps do not tell the level of its states to one part in 50,
            for example because levels of its own are rounded to whole steps.
    """
    grid, trial = sigma_of(alphas(scheduler)), copy.deepcopy(scheduler)
    trial.set_timesteps(10)
    told = level_at(torch.as_tensor(trial.timesteps).double().cpu(), grid, straight(scheduler))
    own = own_levels(trial)[:-1]
    apart = (told[:, None].log() - own.log()).abs().amin(0)
    if bool((apart[own.isfinite()] > 0.02).any()):
        worst = int(apart.nan_to_num().argmax())
        raise InputError(
            "wanted a scheduler whose steps tell the level of its states, got "
            f"{type(scheduler).__name__} with a state at {own[worst]:.4g}, where no step is; use "
            "one with uniform steps, for example DDIMScheduler"
        )
    return _UNet(denoiser, scheduler)


class _UNet(nn.Module):
    levels: Tensor

    def __init__(self, denoiser: Denoiser, scheduler: Any):
        super().__init__()
        channels, height, width = denoiser.shape
        self.module = to_module(denoiser, predicts=prediction(scheduler), input="vp")
        self.config = SimpleNamespace(
            in_channels=channels,
            out_channels=channels,
            sample_size=(height, width),
            num_class_embeds=len(denoiser.classes) or None,
        )
        self.register_buffer("levels", sigma_of(alphas(scheduler)), persistent=False)
        self.straight = straight(scheduler)
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
        step = torch.as_tensor(timestep, device=self.levels.device).double()
        level = level_at(step, self.levels, self.straight)
        out = self.module(sample, level.expand(len(sample)).to(sample), class_labels)
        return SimpleNamespace(sample=out) if return_dict else (out,)


def _config(unet: nn.Module) -> Any:
    """The configuration of a network that is told a level and at most a class."""
    config = getattr(unet, "config", None)
    inner = getattr(unet, "module", getattr(unet, "_orig_mod", None))
    if config is None and isinstance(inner, nn.Module):
        return _config(inner)  # a wrapper that only carries it
    more = [k for k in TOLD_MORE if getattr(config, k, None)]
    kind = getattr(config, "class_embed_type", None)
    if config is None or not hasattr(config, "in_channels") or more or kind is not None:
        what = f" ({', '.join(more)})" if more else f" (classes by {kind})" if kind else ""
        raise InputError(
            "wanted an unconditional or class-conditional pixel-space UNet2DModel, got "
            f"{type(unet).__name__}{what}; "
            "adapt other networks with archbias.adapters.from_module"
        )
    return config


def _given(scheduler: Any, whole: bool) -> SimpleNamespace:
    """What a scheduler's network is given, told and predicts: input, told, predicts, levels, and
    call(run, z, sigma).
    """
    config = getattr(scheduler, "config", SimpleNamespace())
    if hasattr(scheduler, "precondition_outputs"):

        def edm(run: Callable, z: Tensor, sigma: Tensor) -> Tensor:
            s = sigma[:, None, None, None]
            out = run(scheduler.precondition_inputs(z, s), scheduler.precondition_noise(sigma))
            return scheduler.precondition_outputs(z, out, s)

        return SimpleNamespace(
            input="ve", told="ln(sigma) / 4", predicts="image", call=edm,
            levels=(float(config.sigma_min), float(config.sigma_max)),
        )  # fmt: skip
    if (count := flow_steps(scheduler)) is not None:
        # u from 1 / count to 1, where the level is infinite: a step below that
        ends = (1 / (count - 1), count - 1.0)

        def flow(run: Callable, z: Tensor, sigma: Tensor) -> Tensor:
            return run(z, count * sigma / (1 + sigma))

        predicts = prediction(scheduler, "flow_prediction")
        return SimpleNamespace(
            input="flow", told=f"{count} (1 - t)", predicts=predicts, call=flow, levels=ends
        )
    told = Steps(alphas(scheduler), whole=whole, linear=straight(scheduler))
    return SimpleNamespace(
        input="vp", told=repr(told), predicts=prediction(scheduler), levels=told.range,
        call=lambda run, z, sigma: run(z, told(sigma)),
    )  # fmt: skip
