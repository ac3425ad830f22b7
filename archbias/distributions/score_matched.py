"""The stationary law of a polynomial score at one noise level: an exponential family fitted by
score matching.

    q(v) = exp( (phi(v) - |v|^2 / 2) / sigma^2 ) / Z,   D = grad phi,   so grad log q = (D - v) /
    sigma^2

phi is a polynomial of degree p + 1 in the PCA coordinates v; the rest of the image is Gaussian,
N(0, lam + sigma^2), with lam = 0 outside the data's plane. It is a law of **noisy** images at level
sigma: what Langevin dynamics at that level converges to. It exists only when the leading form of
the exponent confines, that is, is negative in every direction; in one and two coordinates, and in
any number when they are separable, Z is computed by quadrature.

Source: Hyvarinen, *Estimation of non-normalized statistical models by score matching*, JMLR 6
    (2005).
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from .. import noise as levels
from ..errors import InputError
from ..linalg import LowRank, Operator
from ..regressions.hermite import Basis
from ..regressions.polynomial import PolynomialDenoiser
from .base import GeneratedDistribution
from .maps import LOG_2PI

DROP = 60.0  # nats below the maximum at which a density is cut off
FAR = 40.0  # standard deviations
NODES = {1: 20001, 2: 801}


class _Table:
    """A density on a grid in standardised coordinates t of one or two dimensions, with its
    transport from N(0, I).
    """

    def __init__(self, basis: Basis, theta: np.ndarray, scale: np.ndarray, sigma: float):
        self.basis, self.theta, self.scale, self.sigma = (
            basis,
            torch.from_numpy(theta),
            torch.from_numpy(scale),
            sigma,
        )
        _confines(self)
        reach = self._reach()
        axes = [torch.linspace(-reach, reach, NODES[basis.r], dtype=torch.float64)] * basis.r
        value = self.exponent(torch.cartesian_prod(*axes).reshape(-1, basis.r)).reshape(
            [len(a) for a in axes]
        )
        self.axis, self.step = axes[0], float(axes[0][1] - axes[0][0])
        top = value.max()
        self.weight = (value - top).exp()
        mass = self.weight.sum() * self.step**basis.r
        self.log_z = float(top + mass.log() + self.scale.log().sum())  # in v
        self.weight = self.weight / self.weight.sum()

    def exponent(self, t: Tensor) -> Tensor:
        """(phi - |v|^2 / 2) / sigma^2 at v = scale t: (n, r) -> (n,)."""
        return (
            (self.basis.features(t) @ self.theta) - ((self.scale * t) ** 2).sum(1) / 2
        ) / self.sigma**2

    def _reach(self) -> float:
        """The radius beyond which the density stays DROP nats below its maximum, seen along rays
        out to 10^6.
        """
        radius = torch.logspace(-1, 6, 700, dtype=torch.float64)
        units = torch.from_numpy(_directions(self.basis.r, 90))
        value = (
            self.exponent((radius[:, None, None] * units).reshape(-1, self.basis.r))
            .reshape(len(radius), -1)
            .max(1)
            .values
        )
        reach = 1.05 * float(radius[value > value.max() - DROP].max())
        if reach > FAR:
            raise LookupError(
                f"the score of degree {self.basis.degree - 1} has no usable stationary law at "
                f"sigma {self.sigma:g}: its mass lies "
                f"{reach:.3g} standard deviations out, where no data are; use another degree or "
                "noise level"
            )
        return reach

    def moments(self) -> tuple[Tensor, Tensor]:
        """Mean (r,) and covariance (r, r) of v."""
        grid = (
            torch.cartesian_prod(*[self.axis] * self.basis.r).reshape(-1, self.basis.r) * self.scale
        )
        weight = self.weight.flatten()
        mean = weight @ grid
        return mean, (weight[:, None] * (grid - mean)).T @ (grid - mean)

    def push(self, z: Tensor) -> Tensor:
        """Monotone (in 2-D triangular, Rosenblatt) transport of standard normals: (n, r) -> v (n,
        r).
        """
        u = torch.special.ndtr(z)
        if self.basis.r == 1:
            return self._invert(self.weight.expand(len(z), -1), u[:, 0])[:, None] * self.scale
        first = self._invert(self.weight.sum(1).expand(len(z), -1), u[:, 0])
        place = ((first - self.axis[0]) / self.step).clamp(0, len(self.axis) - 1.000001)
        low, part = place.floor().long(), (place - place.floor())[:, None]
        second = self._invert(self.weight[low] * (1 - part) + self.weight[low + 1] * part, u[:, 1])
        return torch.stack([first, second], 1) * self.scale

    def _invert(self, weight: Tensor, u: Tensor) -> Tensor:
        """The quantile u (n,) of each row of node weights (n, m), linear between nodes."""
        cells = (weight[:, :-1] + weight[:, 1:]).cumsum(1)
        cells = torch.nn.functional.pad(cells / cells[:, -1:], (1, 0))
        right = torch.searchsorted(cells, u[:, None].contiguous()).clamp(1, len(self.axis) - 1)
        a, b = cells.gather(1, right - 1)[:, 0], cells.gather(1, right)[:, 0]
        part = ((u - a) / (b - a).clamp_min(torch.finfo(torch.float64).tiny)).clamp(0, 1)
        return self.axis[right[:, 0] - 1] + part * self.step


class ScoreMatchedLaw(GeneratedDistribution):
    """q at one noise level; use `score_matched`.

    sample, push: exact monotone transport on the quadrature grid, no sampler's trajectory;
        `archbias.sample.langevin` is the dynamics that converges to it.
    """

    def __init__(self, denoiser: PolynomialDenoiser, sigma: float, tables: list[_Table]):
        self.denoiser, self.sigma, self.shape, self.tables = denoiser, sigma, denoiser.shape, tables
        self.source = f"stationary under the score of {denoiser.spec!r} at sigma {sigma:.3g}"
        state = denoiser.state()
        self._mu, self._basis = state["mean"].double(), state["basis"].double()
        self._rest = (denoiser.variances[denoiser.r :].double() + sigma**2).sqrt()

    @property
    def mean(self) -> Tensor:
        inside = torch.cat([table.moments()[0] for table in self.tables])
        return self._mu + (inside @ self._basis[: self.denoiser.r]).reshape(self.shape)

    @property
    def covariance(self) -> Operator:
        l, q = torch.linalg.eigh(torch.block_diag(*[table.moments()[1] for table in self.tables]))
        columns = torch.cat([q.T @ self._basis[: len(l)], self._basis[len(l) :]]).T
        return LowRank(columns, torch.cat([l, self._rest**2]) - self.sigma**2, self.sigma**2)

    def _push(self, n: Tensor) -> Tensor:
        flat, r = n.flatten(1), self.denoiser.r
        c = flat @ self._basis.T
        leading = torch.split(c[:, :r], [t.basis.r for t in self.tables], dim=1)
        inside = torch.cat([t.push(z) for t, z in zip(self.tables, leading, strict=True)], 1)
        moved = torch.cat([inside, self._rest * c[:, r:]], 1) @ self._basis + self.sigma * (
            flat - c @ self._basis
        )
        return self._mu + moved.reshape(n.shape)

    @property
    def form(self) -> str:
        """How many coordinates are an exponential family, and how many Gaussian."""
        r, d = self.denoiser.r, math.prod(self.shape)
        return f"exponential of a polynomial in {r} of {d} coordinates, Gaussian in the others"

    def _log_prob(self, x: Tensor) -> Tensor:
        away, r = (x - self._mu).flatten(1), self.denoiser.r
        c = away @ self._basis.T
        leading = torch.split(c[:, :r], [t.basis.r for t in self.tables], dim=1)
        out = sum(
            t.exponent(v / t.scale) - t.log_z for t, v in zip(self.tables, leading, strict=True)
        )
        outside = ((away - c @ self._basis) ** 2).sum(1) / self.sigma**2
        extra = away.shape[1] - len(self._basis)
        square = (c[:, r:] / self._rest).square().sum(1) + outside
        return (
            out
            - (square + (away.shape[1] - r) * LOG_2PI) / 2
            - self._rest.log().sum()
            - extra * math.log(self.sigma)
        )


def score_matched(denoiser: PolynomialDenoiser, sigma: float) -> ScoreMatchedLaw:
    """The stationary law of the denoiser's score at this level.

    Raises:
        LookupError: the score is no gradient, does not confine, or has more than two coordinates
            that mix.
    """
    sigma = levels.number(sigma, "sigma")
    if not 0 < sigma < math.inf:
        raise InputError(
            f"sigma must be positive and finite, got {sigma!r}; a score-matched law belongs to one "
            "noise level"
        )
    r, spec = denoiser.r, denoiser.spec
    if not (spec.conservative or spec.separable or r == 1):
        raise LookupError(
            f"no score-matched law is known for {spec!r}: its score is no gradient (curl "
            f"{denoiser.curl(sigma):.2g} at sigma {sigma:g}); "
            "fit with conservative=True"
        )
    if r > 2 and not spec.separable:
        raise LookupError(
            f"no score-matched law is known in {r} coordinates that mix: its normaliser wants "
            "quadrature in at most 2; "
            "set components=2 or separable=True"
        )
    basis, theta = denoiser.potential(float(sigma))
    scale = denoiser.scale(torch.tensor([sigma], dtype=torch.float64))[0].numpy()
    if not spec.separable:
        return ScoreMatchedLaw(denoiser, float(sigma), [_Table(basis, theta, scale, float(sigma))])
    tables = []
    for j in range(r):
        own = np.array([0, *range(1 + j, 1 + r * (spec.degree + 1), r)])
        line = Basis(np.arange(spec.degree + 2)[:, None])
        tables.append(_Table(line, theta[own], scale[j : j + 1], float(sigma)))
    return ScoreMatchedLaw(denoiser, float(sigma), tables)


def _directions(r: int, count: int) -> np.ndarray:
    """Unit vectors of the line, or `count` of the plane."""
    if r == 1:
        return np.array([[1.0], [-1.0]])
    angle = np.linspace(0, 2 * math.pi, count, endpoint=False)
    return np.stack([np.cos(angle), np.sin(angle)], 1)


def _confines(table: _Table) -> None:
    """LookupError unless the leading form of the exponent is negative in every direction."""
    degrees = table.basis.indices.sum(1)
    theta = table.theta.numpy()
    leading = theta / np.sqrt(
        [math.prod(map(math.factorial, a)) for a in table.basis.indices.tolist()]
    )
    if table.basis.degree == 2:  # the Gaussian part is of the same degree
        for j in range(table.basis.r):
            square = [k for k, a in enumerate(table.basis.indices) if a[j] == 2]
            leading[square] -= float(table.scale[j]) ** 2 / 2
    units = _directions(table.basis.r, 720)
    top = degrees == table.basis.degree
    form = np.prod(units[:, None, :] ** table.basis.indices[top][None], axis=2) @ leading[top]
    if form.max() >= 0:
        worst = units[form.argmax()] * table.scale.numpy()
        worst = ", ".join(f"{w:.2f}" for w in worst / np.linalg.norm(worst))
        raise LookupError(
            f"the score of degree {table.basis.degree - 1} has no stationary law at sigma "
            f"{table.sigma:g}: its density grows without "
            f"bound along ({worst}) in PCA coordinates, the exponent does not confine; use an odd "
            "degree, another degree or more noise"
        )
