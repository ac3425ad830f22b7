"""The free settings of a theory, level by level: which value makes it behave most like a network?

On the network's own trajectories y_t (DDIM from seeds), with D its denoised image and D_k the
theory's at candidate k:

    cosine    argmax_k  cos(D - y, D_k - y), the scores' cosine, for every seed; the schedule is the
                        median over seeds
              (Kamb & Ganguli, arXiv 2412.20292, section 4, for windows)
    monotone  argmin_k  ||D - D_k||^2 from high to low noise, the candidate never larger than at the
                        noise level before; the schedule does this with the error averaged over
                        seeds
    least     argmin_k  ||D - D_k||^2 averaged over seeds, each level by itself
    held-out  argmin_k  ||x - D_k(x + sigma n)||^2 on images x outside the training set: no network
                        at all

`calibrate` fits one setting of any theory: the window of a score machine, the share, power, rho or
radius of a masked posterior mean. `coordinates` fits several in turn.

Settings are fitted on some seeds and judged on others: `Calibration.apart(judged)` refuses seeds
that were fitted on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from itertools import pairwise
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from .. import noise, seeds
from ..denoise import Denoiser, Spec
from ..errors import InputError, nearest
from ..waiting import told
from .levels import Schedule
from .windows import WindowSchedule, check_window

if TYPE_CHECKING:
    from ..data import ImageSet

PROTOCOLS = ("cosine", "monotone", "least", "held-out")


def _told(done: int, total: int) -> None:
    told(done, total, "calibrating")


@dataclass(frozen=True)
class Calibration:
    """What was measured and what was chosen.

    schedule: k(sigma), to be given to a theory as its setting.
    protocol: one of PROTOCOLS. seeds: fitted on.
    sigmas: (T,) decreasing, without the final 0. windows: (K,) candidates, of windows or of
        whichever setting, increasing.
    cosine: (T, S, K) between the scores of target and machine; for held-out the target is the clean
        image.
    error: (T, S, K) mean squared difference of the denoised images, in squared pixel values.
    choice: (T, S) the candidate each seed alone would choose under the protocol.
    setting: which setting was fitted.
    """

    schedule: WindowSchedule | Schedule
    protocol: str
    seeds: tuple[int, ...]
    sigmas: Tensor
    windows: Tensor
    cosine: Tensor
    error: Tensor
    choice: Tensor
    setting: str = "window"

    def apart(self, judged: Iterable[int]) -> tuple[int, ...]:
        """The seeds to judge on; an InputError when the scale was fitted on one of them."""
        return apart(judged, self.seeds)

    def under(self, protocol: str) -> Calibration:
        """The same measurements under the other protocol that follows a network: what `calibrate`
        would choose by it.
        """
        if protocol not in PROTOCOLS or "held-out" in (protocol, self.protocol):
            raise InputError(
                f"only protocols that follow a network share their measurements, got "
                f"{self.protocol!r} and {protocol!r}; calibrate again"
            )
        chosen, choice = _choose(protocol, self.cosine, self.error)
        source = self.schedule.source.replace(self.protocol, protocol, 1)
        schedule = _schedule(self.setting, self.sigmas, self.windows[chosen], source)
        return replace(self, schedule=schedule, protocol=protocol, choice=self.windows[choice])


def calibrate(
    network: Denoiser | None,
    machine: Spec,
    images: ImageSet,
    fit_seeds: Iterable[int],
    *,
    protocol: str = "cosine",
    windows: Iterable[int] | None = None,
    sigmas: Tensor | None = None,
    labels: Tensor | None = None,
    held_out: ImageSet | None = None,
    batch: int = 16,
    setting: str = "window",
    candidates: Iterable[float] | None = None,
    fit: Callable[[Spec], Denoiser] | None = None,
    progress: Callable[[int, int], None] = _told,
) -> Calibration:
    """Fit one setting of a theory to a network, or to held-out images.

    Args:
        network: the denoiser to imitate; None for the protocol held-out.
        machine: a spec with that setting; its value is replaced by the candidates.
        images: the theory's training set.
        fit_seeds: seeds to fit on. Held-out: seed number j takes image j of `held_out` (round and
            round) and its own noise.
        windows: candidates of the setting window, odd; 3, 5, ... up to the smaller image side by
            default.
        sigmas: noise levels of the trajectories, `noise.cosine(20)` by default.
        labels: (S,) one per seed, for class-conditional networks.
        batch: seeds computed at once.
        setting: the name of the setting to fit. candidates: its values to choose from; for windows
            `windows` is the same.
        fit: how a spec with a candidate becomes a denoiser, `spec.fit(images)` by default; give
            `lambda spec: spec.fit(images, masks=masks)` to masks measured on a network.
        progress: called as progress(done, total) after each noise level and batch.
    """
    names = tuple(fit_seeds)
    _check(network, machine, protocol, images, held_out, names, labels, setting)
    shape = images.shape
    candidates = _candidates(setting, windows, candidates, shape)
    levels = noise.check(noise.cosine(20) if sigmas is None else sigmas)
    fit = fit or (lambda spec: spec.fit(images))
    machines = [fit(replace(machine, **{setting: k})) for k in candidates]
    cosine = torch.empty(len(levels) - 1, len(names), len(candidates), dtype=torch.float64)
    error = torch.empty_like(cosine)
    starts = list(range(0, len(names), batch))
    for number, start in enumerate(starts):
        rows = slice(start, start + batch)
        draws = seeds.normal(names[rows], shape)
        lab = None if labels is None else torch.as_tensor(labels)[rows]
        y = draws * levels[0]
        clean = None
        if held_out is not None:  # of the protocol held-out alone
            clean = held_out.images[[j % len(held_out) for j in range(len(names))][rows]]
        for t, (sigma, after) in enumerate(pairwise(levels.tolist())):
            if clean is not None:
                y, target = clean + sigma * draws, clean
            else:
                assert network is not None  # checked at the start
                target = network(y, sigma, lab)
            for j, candidate in enumerate(machines):
                cosine[t, rows, j], error[t, rows, j] = _agreement(
                    candidate(y, sigma, lab), target, y
                )
            if clean is None:
                y = target + (after / sigma) * (y - target)
            progress(number * (len(levels) - 1) + t + 1, len(starts) * (len(levels) - 1))
    whole = all(isinstance(v, Integral) for v in candidates)
    k = torch.tensor(candidates, dtype=torch.int64 if whole else torch.float64)
    levels = levels[:-1]
    chosen, choice = _choose(protocol, cosine, error)
    source = f"calibrated: {protocol}, {len(names)} seeds, {type(machine).__name__}"
    schedule = _schedule(setting, levels, k[chosen], source)
    return Calibration(schedule, protocol, names, levels, k, cosine, error, k[choice], setting)


def apart(judged: Iterable[int], fitted: Iterable[int]) -> tuple[int, ...]:
    """The seeds to judge on; an InputError when a scale was fitted on one of them."""
    judged = tuple(judged)
    shared = sorted(set(judged) & set(fitted))
    if shared:
        raise InputError(
            f"a scale is judged on seeds it was not fitted on, got {shared} in both; judge on "
            "other seeds"
        )
    return judged


def _schedule(
    setting: str, levels: Tensor, chosen: Tensor, source: str
) -> WindowSchedule | Schedule:
    """The chosen values (T,) of decreasing levels (T,) as a schedule."""
    kind = WindowSchedule if setting == "window" else Schedule
    return kind(tuple(levels.flip(0).tolist()), tuple(chosen.flip(0).tolist()), source)


def _candidates(
    setting: str,
    windows: Iterable[int] | None,
    candidates: Iterable[float] | None,
    shape: tuple[int, int, int],
) -> Sequence[float]:
    """Distinct candidates, increasing."""
    if setting == "window":
        given: Iterable[Any] = windows or candidates or range(3, min(shape[1:]) + 1, 2)
        sides = sorted({check_window(k) for k in given})
        if not sides:
            raise InputError(
                f"wanted windows to choose from, got none for {shape[1]}x{shape[2]} images; give "
                "for example windows=[1]"
            )
        return sides
    found = sorted(set(candidates or ()))
    if windows is not None or not found or not all(isinstance(v, Real) for v in found):
        raise InputError(
            f"wanted candidates of the setting {setting}, numbers, got {found or windows}; give "
            "for example candidates=(0.2, 0.5, 1.0)"
        )
    return found


def _check(
    network: Denoiser | None,
    machine: Spec,
    protocol: str,
    images: ImageSet,
    held_out: ImageSet | None,
    names: tuple[int, ...],
    labels: Tensor | None,
    setting: str,
) -> None:
    if protocol not in PROTOCOLS:
        raise InputError(
            f"unknown calibration protocol {protocol!r}; {nearest(protocol, PROTOCOLS)}"
        )
    known = [f.name for f in fields(machine)]
    if setting not in known:
        other = nearest(setting, known) if known else "it has no settings"
        raise InputError(f"a theory to calibrate has a setting {setting}, got {machine!r}; {other}")
    if not names or len(set(names)) < len(names):
        raise InputError(
            f"calibration needs distinct seeds, at least one, got {names}; use for example "
            "range(100, 116)"
        )
    if protocol == "held-out" and (held_out is None or network is not None):
        raise InputError(
            "the protocol held-out takes held_out images and no network; pass network=None and "
            "held_out=ImageSet"
        )
    if protocol != "held-out" and (network is None or held_out is not None):
        raise InputError(
            f"the protocol {protocol} takes a network and no held_out images; pass the network or "
            "choose held-out"
        )
    if held_out is not None and held_out.shape != images.shape:
        raise InputError(
            f"held-out images must have the training images' shape {images.shape}, got "
            f"{held_out.shape}; resize them"
        )
    if labels is not None and len(labels) != len(names):
        raise InputError(
            f"labels must be one per seed, got {len(labels)} for {len(names)} seeds; give as many "
            "as seeds"
        )


def _agreement(machine: Tensor, target: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Cosine of the two scores and mean squared difference, (B,) each, in float64."""
    a, b = (target.double() - y.double()).flatten(1), (machine.double() - y.double()).flatten(1)
    return torch.nn.functional.cosine_similarity(a, b, eps=1e-300), (a - b).square().mean(1)


def _choose(protocol: str, cosine: Tensor, error: Tensor) -> tuple[Tensor, Tensor]:
    """Indices of the candidates chosen together (T,) and by each seed (T, S); ties go to the
    smaller.
    """
    if protocol == "cosine":
        choice = cosine.argmax(2)
        return choice.median(1).values, choice
    if protocol in ("least", "held-out"):
        return error.mean(1).argmin(1), error.argmin(2)
    return _descend(error.mean(1, keepdim=True))[:, 0], _descend(error)


def _descend(error: Tensor) -> Tensor:
    """Least error at each level (T, S, K), from high noise to low, never a larger candidate
    than before.
    """
    limit = torch.full((error.shape[1],), error.shape[2] - 1)
    out = []
    for level in error:
        open_ = torch.arange(error.shape[2]) <= limit[:, None]
        limit = level.masked_fill(~open_, torch.inf).argmin(1)
        out.append(limit)
    return torch.stack(out)
