"""What the ideal denoiser and bottlenecks with a nonlinear decoder generate: atoms, or a mixture on
the r-dimensional plane.

The codes z = V^T (y - mu) move among themselves, whatever happens outside the plane: with g = E[c |
z] (`bottleneck`)

    dz / ds = (z - g(z, s)) / s,   z(s_0) ~ N(0, s_0^2 I_r) - V^T mu

which is the ideal flow of the projected data (or of the mixture). In the continuous limit from s_0
= infinity to 0

    ideal           (1/N) sum_i delta(x - x_i)                      the same flow with r = d: the
        training set again
    unrestricted    (1/N) sum_i delta(x - x_i)                      every sample is a training image
    confined        (1/N) sum_i delta(x - mu - V V^T (x_i - mu))    every sample is a projected
        training image
    mixture         sum_k w_k N(mu + V m_k, V C_k V^T)              and, ending at s_T > 0, the same
        convolved with N(0, s_T^2 I)

Finite steps have no closed law. `push` runs them in r dimensions and is exact seed by seed, also
outside the plane, where a step multiplies y - mu by s'/s; `mean`, `covariance` and `log_prob` are
those of the limit.

Sources: Levine & Weiss, arXiv 2605.16415, on bottleneck denoisers; Kamb & Ganguli, arXiv
    2412.20292, section 2, on the ideal one.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from .. import noise as levels
from .. import sample
from ..denoise import Denoiser
from ..linalg import LowRank, Operator
from ..metrics import novelty
from ..posteriors.ideal import IdealDenoiser
from ..regressions import moments
from ..regressions.bottleneck import (
    ConfinedBottleneck,
    InPlane,
    MixtureBottleneck,
    UnrestrictedBottleneck,
)
from ..seeds import generator
from .base import OFF, GeneratedDistribution, generated_by, source_of

FLOW = (1000, 1e-4, 1e3)  # steps, last and first level by which `push` follows the continuous limit
DRAWS = 1  # the stream of a seed that draws from a limit law; stream 0 is the sampler's noise


class Lifted(GeneratedDistribution):
    """A law that is explicit in the continuous limit and, for finite steps, runs them.

    steps: the sampler's levels, or None for the continuous limit.
    sampler: standard normal noise (B, C, H, W) float64 -> images.
    push: exact for finite steps; for the limit the flow is followed by 1000 steps from 1000 to
        1e-4, accurate to about a step.
    """

    def __init__(
        self, denoiser: Denoiser, steps: Tensor | None, sampler: Callable[[Tensor], Tensor]
    ):
        self.denoiser, self.steps, self._sampler = denoiser, steps, sampler
        self.shape, self.source = denoiser.shape, source_of(denoiser, steps)

    def sample(self, seeds: Iterable[int]) -> Tensor:
        """(B, C, H, W) float64: the sampler's output on each seed's own noise; for the limit an
        exact draw of the law.
        """
        seeds = list(seeds)
        if self.steps is not None:
            return super().sample(seeds)
        drawn = [self._draw(seed) for seed in seeds]
        return torch.stack(drawn) if drawn else torch.empty(0, *self.shape, dtype=torch.float64)

    def _push(self, n: Tensor) -> Tensor:
        return self._sampler(n)

    @abc.abstractmethod
    def _draw(self, seed: int) -> Tensor:
        """One exact draw (C, H, W) of the limit."""


class Atoms(Lifted):
    """N images with probability 1/N each.

    points: (N, C, H, W) float64.
    log_prob: log-probability of the very image, in nats: log(copies / N) on an atom, -inf
        elsewhere. The law has no density; its plane has dimension 0 and the measure counts points.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        points: Tensor,
        steps: Tensor | None,
        sampler: Callable[[Tensor], Tensor],
    ):
        super().__init__(denoiser, steps, sampler)
        self.points = points
        self._covariance: Operator | None = None

    @property
    def mean(self) -> Tensor:
        return self.points.mean(0)

    @property
    def covariance(self) -> Operator:
        if self._covariance is None:
            _, basis, variances = moments.principal(self.points)
            self._covariance = LowRank(basis, variances)
        return self._covariance

    def nearest(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(index (B,), L2 distance (B,)) of the atom nearest to each image of x (B, C, H, W)."""
        found = novelty.nearest(x.to("cpu", torch.float64), self.points)
        return found.index, found.distance

    @property
    def form(self) -> str:
        """How many atoms."""
        return f"{len(self.points)} atom{'s' if len(self.points) > 1 else ''} of equal probability"

    def _log_prob(self, x: Tensor) -> Tensor:
        flat, points = x.flatten(1), self.points.flatten(1)
        near = OFF * (flat - self.mean.flatten()).norm(dim=1, keepdim=True)
        return (
            (torch.cdist(flat, points, compute_mode="donot_use_mm_for_euclid_dist") <= near).sum(1)
            / len(points)
        ).log()

    def _draw(self, seed: int) -> Tensor:
        return self.points[int(generator(seed, DRAWS).integers(len(self.points)))]


class LiftedMixture(Lifted):
    """sum_k w_k N(mu + V m_k, V C_k V^T + s_T^2 I).

    log_prob: with respect to the volume of `plane`, of `rank` dimensions; -inf off it.
    """

    denoiser: MixtureBottleneck

    @property
    def rest(self) -> float:
        """s_T, the last level: the noise left on the images."""
        return 0.0 if self.steps is None else float(self.steps[-1])

    @property
    def plane(self) -> Operator:
        """The orthogonal projector on the directions in which the law varies; all of them when
        noise is left.
        """
        basis = self.denoiser.state()["basis"]
        return (
            LowRank(basis, basis.new_ones(basis.shape[1]))
            if self.rest == 0
            else LowRank(basis[:, :0], basis.new_empty(0), 1.0)
        )

    @property
    def rank(self) -> int:
        """The dimension of that plane."""
        return self.denoiser.spec.rank if self.rest == 0 else math.prod(self.shape)

    @property
    def mean(self) -> Tensor:
        state = self.denoiser.state()
        return self.denoiser.lift((state["weights"] @ state["centres"])[None])[0]

    @property
    def covariance(self) -> Operator:
        state = self.denoiser.state()
        w, away = state["weights"], state["centres"] - state["weights"] @ state["centres"]
        within = torch.einsum("k,kis,ks,kjs->ij", w, state["axes"], state["spreads"], state["axes"])
        lam, q = torch.linalg.eigh(within + torch.einsum("k,ki,kj->ij", w, away, away))
        return LowRank(state["basis"] @ q, lam, self.rest**2)

    @property
    def form(self) -> str:
        """How many components, in how many dimensions."""
        count, rank = self.denoiser.state()["centres"].shape
        return f"{count} Gaussian{'s' if count > 1 else ''} on a plane of {rank} dimensions"

    def _log_prob(self, x: Tensor) -> Tensor:
        state = self.denoiser.state()
        z = self.denoiser.encode(x)
        total = state["spreads"] + self.rest**2
        away = torch.einsum("bkr,krs->bks", z[:, None] - state["centres"], state["axes"])
        each = -0.5 * (away**2 / total + total.log() + math.log(2 * math.pi)).sum(-1)
        inside = torch.logsumexp(state["weights"].log() + each, dim=1)
        off = (x - self.denoiser.lift(z)).flatten(1).norm(dim=1)
        if self.rest == 0:
            return torch.where(
                off <= OFF * (x - state["mean"]).flatten(1).norm(dim=1), inside, -torch.inf
            )
        others = math.prod(self.shape) - z.shape[1]
        return inside - 0.5 * (
            off**2 / self.rest**2 + others * math.log(2 * math.pi * self.rest**2)
        )

    def _draw(self, seed: int) -> Tensor:
        state, random = self.denoiser.state(), generator(seed, DRAWS)
        k = int(
            torch.searchsorted(state["weights"].cumsum(0), random.random()).clamp_max(
                len(state["weights"]) - 1
            )
        )
        n = torch.from_numpy(random.standard_normal(state["centres"].shape[1]))
        return self.denoiser.lift(
            (state["centres"][k] + state["axes"][k] @ (state["spreads"][k].sqrt() * n))[None]
        )[0]


@generated_by.register
def _(denoiser: IdealDenoiser, sigmas: Tensor | None = None) -> GeneratedDistribution:
    steps = _to_zero(denoiser, sigmas)
    points = denoiser.state()["images"].to(torch.float64)
    return Atoms(denoiser, points, steps, lambda n: sample.ddim(denoiser, n, _levels(steps)))


@generated_by.register
def _(denoiser: UnrestrictedBottleneck, sigmas: Tensor | None = None) -> GeneratedDistribution:
    steps = _to_zero(denoiser, sigmas)
    state = denoiser.state()
    codes, points = state["codes"], state["images"].to(torch.float64)

    def push(n: Tensor) -> Tensor:
        z, weights = denoiser.encode(_levels(steps)[0] * n), n.new_zeros(len(n), len(codes))
        for s, r in levels.ratios(_levels(steps)):
            belief = denoiser.beliefs(z, n.new_full((len(n),), s))
            z, weights = r * z + (1 - r) * (belief @ codes), r * weights + (1 - r) * belief
        return (weights @ points.flatten(1)).reshape(n.shape)

    return Atoms(denoiser, points, steps, push)


@generated_by.register
def _(denoiser: ConfinedBottleneck, sigmas: Tensor | None = None) -> GeneratedDistribution:
    steps = _to_zero(denoiser, sigmas)
    return Atoms(
        denoiser, denoiser.lift(denoiser.state()["codes"]), steps, _in_plane(denoiser, steps)
    )


@generated_by.register
def _(denoiser: MixtureBottleneck, sigmas: Tensor | None = None) -> GeneratedDistribution:
    steps = None if sigmas is None else levels.check(sigmas)
    return LiftedMixture(denoiser, steps, _in_plane(denoiser, steps))


def _in_plane(denoiser: InPlane, steps: Tensor | None) -> Callable[[Tensor], Tensor]:
    """The sampler run in r dimensions: y_T = mu + V z_T + (s_T / s_0) (I - V V^T) (s_0 n - mu)."""

    def push(n: Tensor) -> Tensor:
        first, last = _levels(steps)[[0, -1]].tolist()
        start = first * n
        z = denoiser.encode(start)
        outside = (start - denoiser.lift(z)) * (last / first)
        for s, r in levels.ratios(_levels(steps)):
            z = r * z + (1 - r) * denoiser.centre(z, n.new_full((len(n),), s))
        return denoiser.lift(z) + outside

    return push


def _levels(steps: Tensor | None) -> Tensor:
    """The levels `push` runs: the sampler's own, or fine ones for the limit."""
    return levels.geometric(*FLOW) if steps is None else steps


def _to_zero(denoiser: Denoiser, sigmas: Tensor | None) -> Tensor | None:
    steps = None if sigmas is None else levels.check(sigmas)
    if steps is not None and steps[-1] > 0:
        raise LookupError(
            f"the law of {denoiser.spec!r} is known for samplers that end at sigma 0, where it is "
            "made of atoms, "
            f"got a last level of {float(steps[-1]):.3g}; end the schedule with 0"
        )
    return steps
