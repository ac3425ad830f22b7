"""The flow law of a polynomial denoiser: the exact law of DDIM with given steps.

In the PCA coordinates of the data the start N(0, s_0^2 I) has coordinates v_0 = s_0 z - V^T mu, and

    x = mu + V T(z)                       leading r coordinates, T the composed polynomial steps
                                          (`maps`)
          + V' g (s_0 z' - V'^T mu)       the rest, linear: g = prod (rho + (1 - rho) lam / (lam +
                                          s^2))
          + (s_T / s_0) (outside the data's plane)

so the density is that of T(z) times a Gaussian, with respect to the volume of the data's plane when
the last level is 0. Sources: Levine & Weiss, arXiv 2605.16415; Chen et al., *Neural ordinary
differential equations*, 2018 (change of variables).
"""

from __future__ import annotations

import math
from functools import cached_property

import torch
from torch import Tensor

from .. import noise as levels
from ..linalg import LowRank, Operator
from ..regressions.polynomial import PolynomialDenoiser
from .base import OFF, GeneratedDistribution, generated_by, source_of
from .maps import LOG_2PI, Line, Sheet, Space, Step

DRAWS = 16384  # seeds of the estimates in three coordinates and more


class FlowLaw(GeneratedDistribution):
    """What DDIM with these levels makes of noise through a polynomial denoiser.

    escape: the share of trajectories that leave (see `maps`): by quadrature in one and two
        coordinates and when separable, else the share among `DRAWS` seeds, whose standard error is
        sqrt(e (1 - e) / DRAWS).
    sample, push: NaN in the rows whose trajectory escaped; `escaped` names them.
    mean, covariance: over the trajectories that stay, computed in the same way.
    log_prob: its exponential integrates to 1 - escape. In three coordinates and more, unless
        separable, it follows one branch (`Space.log_density`), NaN where none is found.
    """

    def __init__(self, denoiser: PolynomialDenoiser, sigmas: Tensor):
        self.denoiser, self.shape = denoiser, denoiser.shape
        self.sigmas = levels.check(sigmas)
        self.source = source_of(denoiser, self.sigmas)
        state = denoiser.state()
        self._mu, self._basis = state["mean"].double(), state["basis"].double()
        self.r = denoiser.r
        kept = self._basis @ self._mu.flatten()
        self._offset, self._kept = kept[: self.r], kept[self.r :]
        self._start, self._outside = float(self.sigmas[0]), float(self.sigmas[-1] / self.sigmas[0])
        rest = denoiser.variances[self.r :].double()
        self._gain = torch.ones_like(rest)
        for s, ratio in levels.ratios(self.sigmas):
            self._gain = self._gain * (ratio + (1 - ratio) * rest / (rest + s**2))
        self._space = Space(denoiser, self.sigmas, self._offset)

    @cached_property
    def lines(self) -> list[Line]:
        """One map per coordinate, where coordinates do not mix."""
        table = [
            (r, self.denoiser.coefficients(s), self._scale(s))
            for s, r in levels.ratios(self.sigmas)
        ]
        width = self.denoiser.variances[: self.r].double().sqrt()
        out = []
        for j in range(self.r):
            own = [0, *range(1 + j, 1 + self.r * self.denoiser.spec.degree, self.r)]
            maps = [Step(float(scale[j]), c[own, j], ratio) for ratio, c, scale in table]
            out.append(Line(maps, self._start, float(self._offset[j]), float(width[j])))
        return out

    @cached_property
    def sheet(self) -> Sheet:
        """The map of two coordinates on its triangles."""
        return Sheet(self._space)

    @property
    def escape(self) -> float:
        if self._alone:
            return 1 - math.prod(1 - line.escape for line in self.lines)
        return (
            self.sheet.escape if self.r == 2 else float(self._draws.isnan().any(1).double().mean())
        )

    @property
    def mean(self) -> Tensor:
        rest = -self._gain * self._kept
        inside = torch.cat([self._moments[0], rest]) @ self._basis
        outside = self._mu.flatten() - (self._basis @ self._mu.flatten()) @ self._basis
        return self._mu + (inside - self._outside * outside).reshape(self.shape)

    @property
    def covariance(self) -> Operator:
        l, q = torch.linalg.eigh(self._moments[1])
        columns = torch.cat([q.T @ self._basis[: self.r], self._basis[self.r :]]).T
        c = (self._start * self._outside) ** 2
        return LowRank(columns, torch.cat([l, (self._start * self._gain) ** 2]) - c, c)

    def _push(self, n: Tensor) -> Tensor:
        flat = n.flatten(1)
        c = flat @ self._basis.T
        inside = self._space.push(c[:, : self.r])
        rest = self._gain * (self._start * c[:, self.r :] - self._kept)
        away = self._start * flat - self._mu.flatten()
        outside = self._outside * (away - (away @ self._basis.T) @ self._basis)
        return (self._mu.flatten() + torch.cat([inside, rest], 1) @ self._basis + outside).reshape(
            n.shape
        )

    def escaped(self, noise: Tensor) -> Tensor:
        """(B,) whether the trajectory from this noise leaves."""
        return self.push(noise).flatten(1).isnan().any(1)

    @property
    def form(self) -> str:
        """How many coordinates are polynomial, and how many Gaussian."""
        rest = math.prod(self.shape) - self.r
        return f"polynomial in {self.r} of {rest + self.r} coordinates, Gaussian in the others"

    def _log_prob(self, x: Tensor) -> Tensor:
        away = (x - self._mu).flatten(1)
        c = away @ self._basis.T
        v = c[:, : self.r].contiguous()
        if self._alone:
            out = sum(
                (line.log_density(v[:, j]) for j, line in enumerate(self.lines)),
                torch.zeros(len(v), dtype=torch.float64),
            )
        else:
            out = self.sheet.log_density(v) if self.r == 2 else self._space.log_density(v)
        scale = self._start * self._gain
        out = out + _normal(c[:, self.r :] + self._gain * self._kept, scale)
        perpendicular = away - c @ self._basis
        extra = perpendicular.shape[1] - len(self._basis)
        if not extra:
            return out
        if self._outside == 0:
            return torch.where(perpendicular.norm(dim=1) <= OFF * away.norm(dim=1), out, -torch.inf)
        mu = self._mu.flatten()
        centre = -self._outside * (mu - (self._basis @ mu) @ self._basis)
        spread = self._start * self._outside
        square = ((perpendicular - centre) ** 2).sum(1) / spread**2
        return out - (square + extra * (LOG_2PI + 2 * math.log(spread))) / 2

    @property
    def _alone(self) -> bool:
        return self.r < 2 or self.denoiser.spec.separable

    @cached_property
    def _draws(self) -> Tensor:
        """(DRAWS, r) pushed coordinates, NaN where escaped."""
        generator = torch.Generator().manual_seed(0)
        return self._space.push(
            torch.randn(DRAWS, self.r, generator=generator, dtype=torch.float64)
        )

    @cached_property
    def _moments(self) -> tuple[Tensor, Tensor]:
        """Mean (r,) and covariance (r, r) of the leading coordinates, over the trajectories that
        stay.
        """
        if self._alone:
            mean = [line.moment(1) for line in self.lines]
            spread = [line.moment(2, m) for line, m in zip(self.lines, mean, strict=True)]
            return torch.tensor(mean, dtype=torch.float64), torch.tensor(
                spread, dtype=torch.float64
            ).diag()
        if self.r == 2:
            return self.sheet.moments()
        kept = self._draws[~self._draws.isnan().any(1)]
        return kept.mean(0), torch.cov(kept.T)

    def _scale(self, s: float) -> Tensor:
        return self.denoiser.scale(torch.tensor([s], dtype=torch.float64))[0]


def _normal(x: Tensor, scale: Tensor) -> Tensor:
    """Log density of independent centred normals: x (n, m), scale (m,) -> (n,)."""
    return -((x / scale) ** 2).sum(1) / 2 - scale.log().sum() - x.shape[1] / 2 * LOG_2PI


@generated_by.register
def _(denoiser: PolynomialDenoiser, sigmas: Tensor | None = None) -> GeneratedDistribution:
    if sigmas is None:
        raise LookupError(
            "the law of a polynomial denoiser wants the sampler's noise levels, got None: its "
            "limit of infinitely many steps has "
            "no closed form; use generated_by(denoiser, archbias.noise.geometric(200))"
        )
    return FlowLaw(denoiser, sigmas)
