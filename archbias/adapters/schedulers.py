"""The noise levels of the diffusers library's schedulers, by what they themselves add to an image.

Schedulers sample in coordinates of their own: steps may be fractional, repeated or rounded, levels
those of training or others. Whatever they are, the level of a step is the ratio of noise to image
in what the scheduler's own `add_noise` (or `scale_noise`) makes there.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor

from ..errors import InputError
from ..noise import sigma_of
from .conventions import choose

OF_DIFFUSERS = {
    "epsilon": "noise",
    "sample": "image",
    "v_prediction": "v",
    "flow_prediction": "velocity_to_noise",
}


def sigmas_of(scheduler: Any, steps: int) -> Tensor:
    """The noise levels of a diffusers scheduler in that many steps, and the level it ends on; each
    once, where the scheduler calls its network there several times.

    With them `archbias.sample.ddim` takes the same trajectory as DDIMScheduler, in y = x_t /
    sqrt(abar_t), where the number of steps divides the number of training steps ("leading" or
    "trailing" spacing). The scheduler itself is left as it is.

    Returns:
        (T + 1,) float64, decreasing; one fewer than the scheduler's steps and one where its last
        step goes nowhere (`set_alpha_to_one=False` at step 0).

    Raises:
        InputError: a scheduler that does not say its levels, or whose levels do not decrease.
    """
    name, scheduler = type(scheduler).__name__, copy.deepcopy(scheduler)
    try:
        scheduler.set_timesteps(steps)
        levels = own_levels(scheduler)
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"wanted a scheduler that says its {steps} noise levels, got {name} ({error}); give "
            "levels of archbias.noise instead"
        ) from error
    if not torch.isfinite(levels).all():
        raise InputError(
            "a schedule with zero terminal signal starts at infinite sigma, got abar = 0; use a "
            "scheduler without it or levels of archbias.noise"
        )
    levels = torch.cat([levels[:1], levels[1:][levels.diff() != 0]])
    if len(levels) < 2 or (levels.diff() > 0).any() or levels[-1] < 0:
        raise InputError(
            f"wanted a scheduler whose noise levels decrease, got {name} with "
            f"{[round(v, 4) for v in levels[:6].tolist()]}; give levels of archbias.noise instead"
        )
    return levels


def own_levels(scheduler: Any) -> Tensor:
    """The level of every step of a scheduler and the one it ends on, as its `add_noise` has it."""
    times = torch.as_tensor(scheduler.timesteps).cpu()
    by_index = hasattr(scheduler, "set_begin_index") and hasattr(scheduler, "sigmas")
    if not by_index and getattr(scheduler, "alphas_cumprod", None) is not None:
        last = torch.as_tensor(
            getattr(scheduler, "final_alpha_cumprod", 1.0), dtype=torch.float64
        ).reshape(1)
        levels = sigma_of(alphas(scheduler))[times.long()]
        signal, noise = (mixed(scheduler, times[-1:], x, 1 - x) for x in (1.0, 0.0))
        if abs(noise - signal * float(levels[-1])) > 1e-5:
            raise InputError(
                f"wanted a scheduler that adds noise at the level of its alphas, got "
                f"{type(scheduler).__name__}; give levels of archbias.noise instead"
            )
        return torch.cat([levels, sigma_of(last)])
    if not by_index:
        raise InputError(
            f"wanted a scheduler that says its noise levels, got {type(scheduler).__name__}; give "
            "levels of archbias.noise instead"
        )
    # by index, since a schedule may call the network twice at one step with different levels
    pairs = []
    for i in range(len(times)):
        at = copy.deepcopy(scheduler)
        at.set_begin_index(i)
        pairs.append([mixed(at, times[i : i + 1], x, 1 - x) for x in (1.0, 0.0)])
    signal, noise = torch.tensor(pairs, dtype=torch.float64).T
    levels, own = noise / signal, torch.as_tensor(scheduler.sigmas, dtype=torch.float64).cpu()
    end = own[-1]
    if torch.allclose(own[: len(levels)], noise) and not torch.allclose(
        signal, signal.new_ones(())
    ):
        end = end / (1 - end)  # of flow matching: the share of noise
    return torch.cat([levels, end.reshape(1)])


def mixed(scheduler: Any, time: Tensor, x: float, n: float) -> float:
    """What a scheduler makes of a pixel x and noise n at a time."""
    x, n = (torch.full((1, 1, 1, 1), v, dtype=torch.float64) for v in (x, n))
    if hasattr(scheduler, "scale_noise"):
        return float(scheduler.scale_noise(x, time, n))
    return float(scheduler.add_noise(x, n, time))


def flow_steps(scheduler: Any) -> int | None:
    """The number of training steps of a flow-matching scheduler that tells u times it; None for
    another.
    """
    count: Any = getattr(getattr(scheduler, "config", None), "num_train_timesteps", None)
    if getattr(scheduler.config, "use_flow_sigmas", False):
        return count
    if getattr(scheduler, "alphas_cumprod", None) is not None or not hasattr(
        scheduler, "scale_noise"
    ):
        return None
    times, sigmas = (
        torch.as_tensor(v).double().cpu() for v in (scheduler.timesteps, scheduler.sigmas)
    )
    same = len(times) and torch.allclose(times, count * sigmas[: len(times)], rtol=1e-4)
    return count if same else None


def alphas(scheduler: Any) -> Tensor:
    """The abar of every training step, descending."""
    given = getattr(scheduler, "alphas_cumprod", None)
    if given is None:
        raise InputError(
            "wanted a scheduler with alphas_cumprod, of flow matching or of EDM, got "
            f"{type(scheduler).__name__}; adapt the model with from_callable, giving sigma yourself"
        )
    return torch.as_tensor(given, dtype=torch.float64).cpu()


def straight(scheduler: Any) -> bool:
    """Whether a scheduler calls its network between whole steps, with levels interpolated in sigma
    and not in ln sigma.
    """
    config = getattr(scheduler, "config", None)
    others = ("use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas")
    return (
        hasattr(scheduler, "sigmas")
        and not hasattr(scheduler, "_sigma_to_alpha_sigma_t")  # these take whole steps
        and not any(getattr(config, k, False) for k in others)
        and getattr(config, "interpolation_type", "linear") == "linear"
    )


def prediction(scheduler: Any, usual: str = "epsilon") -> str:
    """What the network of a scheduler predicts, in the words of `archbias.adapters`."""
    kind = getattr(scheduler.config, "prediction_type", usual)
    return OF_DIFFUSERS[choose("prediction_type", kind, tuple(OF_DIFFUSERS))]


def level_at(step: Tensor, levels: Tensor, linear: bool) -> Tensor:
    """The level of a step, whole or between two."""
    low = step.floor().long().clamp(0, len(levels) - 1)
    level, part = levels[low], step - low
    above = levels[(low + 1).clamp(max=len(levels) - 1)]
    between = level.lerp(above, part) if linear else level.log().lerp(above.log(), part).exp()
    return torch.where(part > 0, between, level)  # the last level may be infinite
