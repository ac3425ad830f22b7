"""A blend of theories: a convex combination whose weights change with the noise.

    D(y) = sum_k a_k(sigma) D_k(y),    a_k >= 0,   sum_k a_k = 1

A network may be partly what one theory says and partly what another does: part of it knows where it
is, part of it takes a patch from anywhere. The weights say how much of each, level by level.

They are found where a network can be asked, on its own trajectories y from seeds that are not
judged:

    a(sigma) = argmin_a  mean | D_network(y) - sum_k a_k D_k(y) |^2  =  argmin_a  a' G a
    G_jk     = mean ( D_j - D_network ) . ( D_k - D_network )

which `simplex` solves exactly, since the solution on each face of the simplex is linear. Theories
whose errors point apart gain most.

Source: stacked generalisation (Wolpert 1992; Breiman, *Stacked regressions*, 1996), here level by
level; that it predicts networks is ours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from .. import noise, seeds
from ..denoise import Denoiser, Runtime, Spec
from ..errors import InputError
from ..regressions.linear import Linear
from ..waiting import told
from .calibrate import apart
from .golden import Golden
from .graded import Graded
from .ideal import Ideal
from .levels import Schedule, at, check
from .masked import Masked
from .masks import Masks
from .patch_composite import PatchComposite
from .score_machines import BBELS, ELS, ES, LS
from .smoothed import Smoothed
from .told import combined, scale, sees

if TYPE_CHECKING:
    from ..data import ImageSet

PARTS = (
    Ideal, ES, LS, ELS, BBELS, Graded, Masked, Smoothed, PatchComposite, Golden, Linear,
)  # fmt: skip
MOST = 8  # parts, all of whose subsets are tried


@dataclass(frozen=True, kw_only=True)
class Blend(Spec):
    """A convex combination of theories, its weights following the noise.

    parts: specs of theories in closed form, at most 8; from Python, since text knows no nested
        families.
    weights: a number or a schedule for each, none negative, which sum to 1 at every level; () for
        all alike.

    Example:
        >>> import archbias
        >>> images = archbias.load("fashion_mnist", n=5, size=6)
        >>> half = archbias.FAMILIES["blend"]().fit(images)
        >>> y = images.images[:2] + archbias.seeds.normal(range(2), images.shape)
        >>> each = [part.fit(images)(y, 1.0) for part in half.spec.parts]
        >>> bool((half(y, 1.0) - (each[0] + each[1]) / 2).abs().max() < 1e-6)
        True
    """

    summary: ClassVar[str] = "a combination of theories, weighed by noise level"
    parts: tuple[Spec, ...] = (LS(), Linear())
    weights: tuple[float | Schedule, ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= len(self.parts) <= MOST or not all(type(p) in PARTS for p in self.parts):
            raise InputError(
                f"a blend takes 1 to {MOST} theories in closed form, got {self.parts!r:.200}; "
                f"choose of {', '.join(p.__name__ for p in PARTS)}"
            )
        if self.weights and len(self.weights) != len(self.parts):
            raise InputError(
                f"wanted a weight for each of {len(self.parts)} parts, got {len(self.weights)}; "
                "leave weights out for all alike"
            )
        for weight in self.weights:
            check("a weight", weight, lambda v: 0 <= v <= 1, "from 0 to 1")
        levels = {s for w in self.weights if isinstance(w, Schedule) for s in w.sigmas} or {1.0}
        for sigma in levels if self.weights else ():
            if abs(sum(at(w, sigma) for w in self.weights) - 1) > 1e-6:
                raise InputError(
                    f"weights must sum to 1 at every noise level, got "
                    f"{[at(w, sigma) for w in self.weights]} at {sigma:g}; divide them by their sum"
                )

    @property
    def told(self) -> str:
        """What of a network this theory is told: what its parts are, and a scale for weights that
        follow it.
        """
        return combined(*self.parts, also=scale(*self.weights))

    def fit(
        self, images: ImageSet, *, runtime: Runtime = Runtime(), masks: Masks | None = None
    ) -> BlendDenoiser:
        """Fit every part to the images.

        masks: of a network, for the parts that see it.
        """
        fitted = [
            part.fit(images, masks=masks)  # type: ignore[call-arg]  # those that see take masks
            if sees(part)
            else part.fit(images, runtime=runtime)
            for part in self.parts
        ]
        return BlendDenoiser(self, images.shape, _joined(fitted), fitted)

    def rebuild(self, state: dict[str, Tensor]) -> BlendDenoiser:
        """The blend of the parts whose tensors these are."""
        fitted = []
        for number, part in enumerate(self.parts):
            own = f"{number}."
            fitted.append(
                part.rebuild(
                    {k.removeprefix(own): v for k, v in state.items() if k.startswith(own)}
                )
            )
        return BlendDenoiser(self, fitted[0].shape, state, fitted)


class BlendDenoiser(Denoiser):
    """State: the tensors of part k under "k.NAME".

    Labels are taken when every part takes them.
    """

    spec: Blend

    def __init__(
        self,
        spec: Blend,
        shape: Sequence[int],
        tensors: dict[str, Tensor],
        parts: Sequence[Any],
    ):
        """parts: denoisers, or what is called as one and has `classes`."""
        super().__init__(spec, shape, tensors)
        self.parts = tuple(parts)
        known = [set(part.classes) for part in parts]
        self.classes = tuple(sorted(set.intersection(*known)))

    def denoise(self, y: Tensor, sigma: Tensor, labels: Tensor | None = None) -> Tensor:
        """The parts one after the other; one without weight is not asked."""
        levels, out = sigma.detach().tolist(), torch.zeros_like(y)
        alike = (1 / len(self.parts),) * len(self.parts)
        for part, weight in zip(self.parts, self.spec.weights or alike, strict=True):
            each = y.new_tensor([at(weight, level) for level in levels]).reshape(-1, 1, 1, 1)
            if bool((each != 0).any()):
                out = out + each * part(y, sigma, labels)
        return out


@dataclass(frozen=True)
class Weights:
    """What was found.

    sigmas: (T,) decreasing. weights: (T, K) float64, on the simplex. error: (T,) mean squared
    difference of blend and network there; alone: (T, K) of each part.
    seeds: fitted on.
    """

    sigmas: Tensor
    weights: Tensor
    error: Tensor
    alone: Tensor
    seeds: tuple[int, ...]

    def schedules(self) -> tuple[Schedule, ...]:
        """A schedule for each part, as `Blend` takes them."""
        levels = tuple(self.sigmas.flip(0).tolist())
        source = f"stacked: {len(self.seeds)} seeds"
        return tuple(
            Schedule(levels, tuple(values.flip(0).tolist()), source) for values in self.weights.T
        )

    def apart(self, judged: Iterable[int]) -> tuple[int, ...]:
        """The seeds to judge on; an InputError when the weights were fitted on one of them."""
        return apart(judged, self.seeds)


def stack(
    network: Callable[..., Tensor],
    parts: Sequence[Callable[..., Tensor]],
    shape: tuple[int, int, int],
    fit_seeds: Iterable[int],
    *,
    sigmas: Tensor | None = None,
    labels: Tensor | None = None,
    progress: Callable[[int, int], None] = lambda i, n: told(i, n, "weighing theories"),
) -> Weights:
    """The weights of a blend that are nearest to a network along its own trajectories.

    Args:
        network, parts: denoisers, called as D(y, sigma, labels).
        shape: (C, H, W) of the images.
        fit_seeds: seeds of the trajectories.
        sigmas: their noise levels, `noise.cosine(20)` by default.
        labels: (S,) one per seed, for networks that take them.
    """
    names = tuple(fit_seeds)
    levels = noise.check(noise.cosine(20) if sigmas is None else sigmas)
    y = seeds.normal(names, shape) * levels[0]
    found: list[tuple[Tensor, Tensor, Tensor]] = []
    with torch.no_grad():
        for step, (sigma, after) in enumerate(pairwise(levels.tolist())):
            target = network(y, sigma, labels)
            errors = torch.stack(
                [(part(y, sigma, labels) - target).double().flatten() for part in parts]
            )
            gram = errors @ errors.T / errors.shape[1]
            a = simplex(gram)
            found.append((a, a @ gram @ a, gram.diagonal()))
            y = target + (after / sigma) * (y - target)
            progress(step + 1, len(levels) - 1)
    weights, error, alone = (torch.stack(each) for each in zip(*found, strict=True))
    return Weights(levels[:-1], weights, error, alone, names)


def simplex(gram: Tensor) -> Tensor:
    """The a >= 0 with sum 1 that minimises a' G a, (K,) for a positive semidefinite G (K, K).

    On each face of the simplex the minimum is G^-1 1 / (1' G^-1 1) where that is inside the face;
    the least of all faces is the least of all.
    """
    k = len(gram)
    best, least = None, float("inf")
    for size in range(1, k + 1):
        for face in combinations(range(k), size):
            index = torch.tensor(face)
            part = gram[index][:, index]
            one = torch.ones(size, dtype=gram.dtype)
            # theories that say the same make it singular: the pseudo-inverse shares between them
            scaled = part / part.diagonal().max().clamp_min(1e-300)
            a = one if size == 1 else torch.linalg.pinv(scaled, hermitian=True) @ one
            if not (a.sum() > 0 and (a >= 0).all()):
                continue
            a = a / a.sum()
            value = float(a @ part @ a)
            if best is None or value < least * (1 - 1e-12):
                best, least = torch.zeros(k, dtype=gram.dtype).index_copy(0, index, a), value
    assert best is not None  # a corner is always inside
    return best


def _joined(parts: Sequence[Denoiser]) -> dict[str, Tensor]:
    """Tensors of all parts; a file of tensors shares no memory between them."""
    return {
        f"{number}.{name}": tensor.clone()
        for number, part in enumerate(parts)
        for name, tensor in part.state().items()
    }
