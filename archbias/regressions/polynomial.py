"""The best denoiser whose output is a polynomial of total degree p in the noisy image.

In PCA coordinates u = V^T (x - mu), v = V^T (y - mu) = u + sigma n, standardised t_j = v_j /
sqrt(lambda_j + sigma^2):

    D(y) = mu + V [ sum_{|a| <= p} c_a(sigma) psi_a(t) ]        leading r components, psi of
        `hermite`
              + V' diag(lambda / (lambda + sigma^2)) V'^T (y - mu)     linear (Wiener) in the rest
    E[psi_a psi_b] c_b = E[u psi_a]                                    normal equations, exact in
        the noise

With `conservative` the polynomial is a gradient, D = grad phi, phi of degree p + 1:

    E[grad psi_a . grad psi_b] theta_b = E[u . grad psi_a]

which, by E[u | y] = v + sigma^2 grad log p_sigma and partial integration, is score matching for the
exponential family with polynomial statistics, E[g_a . g_b] theta = -E[div g_a] (Hyvarinen 2005, eq.
4). In one dimension both are the same. With `separable` each coordinate has a polynomial of its
own, D_j = f_j(v_j).

What is kept of the data are Hermite moments up to order 2p: two sets that agree on those give the
same denoiser. Source: Hyvarinen, JMLR 6 (2005); Levine & Weiss, arXiv 2605.16415.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from ..data import ImageSet
from ..denoise import Denoiser, Runtime, Spec
from ..errors import InputError
from .hermite import Basis, MomentBasis, pure_powers, total_degree, values
from .moments import principal, span

MOST_FEATURES = 1000
KEPT_LEVELS = 256


@dataclass(frozen=True, kw_only=True)
class Polynomial(Spec):
    """Settings.

    degree: total degree p, at least 1 (1 is the Wiener denoiser).
    components: PCA coordinates treated by the polynomial; all of them where the data have no more,
        the rest is linear.
    conservative: force D to be a gradient, so that a stationary law exists at every noise level.
    separable: one polynomial per PCA coordinate instead of one of all.
    """

    summary: ClassVar[str] = "best polynomial of degree p in principal coordinates"

    degree: int = 3
    components: int = 8
    conservative: bool = False
    separable: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.degree, int) or not 1 <= self.degree <= 30:
            raise InputError(
                f"degree must be an integer from 1 to 30, got {self.degree!r}; 3 is usual, beyond "
                "9 rounding rules"
            )
        if not isinstance(self.components, int) or self.components < 1:
            raise InputError(
                f"components must be an integer of at least 1, got {self.components!r}; 8 is usual"
            )

    def fit(self, images: ImageSet, *, runtime: Runtime = Runtime()) -> PolynomialDenoiser:
        if not self.separable:
            self._affordable(min(self.components, span(images.images)))
        mean, axes, variances = principal(images.images)
        r = min(self.components, len(variances))
        w = (images.images.double() - mean).flatten(1) @ axes[:, :r] / variances[:r].sqrt()
        if self.separable:
            moments = values(w, 2 * self.degree).mean(0)
            moments = moments * torch.tensor(
                [math.sqrt(math.factorial(k)) for k in range(2 * self.degree + 1)]
            )
        else:
            moments = _moment_basis(r, self.degree).moments(w)
        state = {
            "mean": mean,
            "basis": axes.T.contiguous(),
            "variances": variances,
            "moments": moments,
        }
        return PolynomialDenoiser(self, state)

    def rebuild(self, state: dict[str, Tensor]) -> PolynomialDenoiser:
        return PolynomialDenoiser(self, state)

    def _affordable(self, r: int) -> None:
        if (size := math.comb(r + self.degree, r)) > MOST_FEATURES:
            raise InputError(
                f"a polynomial may have at most {MOST_FEATURES} terms, got {size} for degree "
                f"{self.degree} in {r} coordinates; "
                "lower components or degree, or set separable=True"
            )


class PolynomialDenoiser(Denoiser):
    """Fitted moments; the coefficients of a noise level are solved when it is first met, and kept.

    variances: (m,) of the principal components, descending; the first r enter the polynomial.
    """

    spec: Polynomial

    def __init__(self, spec: Polynomial, tensors: dict[str, Tensor]):
        super().__init__(spec, tuple(tensors["mean"].shape), tensors)
        self.variances = tensors["variances"]
        self.r = min(spec.components, len(self.variances))
        self.terms = (
            _powers(self.r, spec.degree) if spec.separable else _moment_basis(self.r, spec.degree)
        )
        # numpy, because a level is solved wherever it is first met, also inside torch.func
        # transforms
        self._moments = tensors["moments"].double().cpu().numpy()
        self._deviation = np.sqrt(self.variances[: self.r].double().cpu().numpy())
        self._solved = lru_cache(KEPT_LEVELS)(self._solve)

    def denoise(self, y: Tensor, sigma: Tensor, labels: Tensor | None = None) -> Tensor:
        s = self.tensors(y)
        mean, basis = s["mean"].flatten(), s["basis"]
        c = (y.flatten(1) - mean) @ basis.T
        rest = s["variances"][self.r :]
        linear = c[:, self.r :] * (rest / (rest + sigma[:, None] ** 2))
        inside = self.block(c[:, : self.r].double(), sigma.double()).to(y.dtype)
        return (mean + torch.cat([inside, linear], 1) @ basis).reshape(y.shape)

    def block(self, v: Tensor, sigma: Tensor) -> Tensor:
        """The polynomial in its own coordinates: v (B, r) float64, sigma (B,) -> (B, r)."""
        psi = self.terms.features(v / self.scale(sigma).to(v.device))
        levels = sigma.tolist()
        if len(set(levels)) == 1:
            return psi @ self.coefficients(levels[0]).to(v.device)
        rows = torch.stack([self.coefficients(level) for level in levels]).to(v.device)
        return torch.einsum("bk,bkr->br", psi, rows)

    def differential(self, v: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
        """The block at one level with its exact Jacobian d block_i / d v_j: v (B, r) float64 -> (B,
        r), (B, r, r).
        """
        scale = self.scale(torch.tensor([sigma], dtype=torch.float64))
        psi, c = self.terms.features(v / scale), self.coefficients(sigma)
        columns = [
            torch.from_numpy(self.terms.derivative(c.numpy(), j)) / scale[0, j]
            for j in range(self.r)
        ]
        together = psi @ torch.cat([c, *columns], dim=1)
        value, slopes = together[:, : self.r], together[:, self.r :]
        return value, slopes.reshape(-1, self.r, self.r).transpose(1, 2)

    def scale(self, sigma: Tensor) -> Tensor:
        """Standard deviations of v: sigma (B,) -> (B, r) float64."""
        variances = self.variances[: self.r].double().to(sigma.device)
        return (variances + sigma.double()[:, None] ** 2).sqrt()

    def coefficients(self, sigma: float) -> Tensor:
        """c_a(sigma), one column per coordinate, over `terms`: (K, r) float64."""
        return self._solved(sigma)

    def gram(self, sigma: float) -> np.ndarray:
        """E[psi_a psi_b] over data and noise, of the joint polynomial: (K, K)."""
        return self._joint.gram(self._moments, self._alpha(sigma))

    def curl(self, sigma: float) -> float:
        """E|J - J^T|^2 / (4 E|J|^2) of the polynomial block, Frobenius norms, over data and noise:
        0 for a gradient, at most 1.
        """
        if self.spec.separable or self.r < 2:
            return 0.0
        scale = np.sqrt(self._deviation**2 + sigma**2)
        c, gram = self.coefficients(sigma).numpy(), self.gram(sigma)
        # (j, K, i)
        slopes = np.stack([self.terms.derivative(c, j) / scale[j] for j in range(self.r)])
        twist = slopes - slopes.transpose(2, 1, 0)
        energy = [
            float(np.einsum("jki,kl,jli->", s, gram, s, optimize=True)) for s in (twist, slopes)
        ]
        return energy[0] / (4 * energy[1])

    def potential(self, sigma: float) -> tuple[Basis, np.ndarray]:
        """Theta of phi = sum_a theta_a psi_a(t) with D = grad phi; its basis has degree p + 1.
        InputError unless a gradient.
        """
        if not (self.spec.conservative or self.spec.separable or self.r == 1):
            raise InputError(
                f"a potential wants a gradient field, got curl {self.curl(sigma):.2g} at sigma "
                f"{sigma:g}; fit with conservative=True"
            )
        if self.spec.separable:
            higher, c = _powers(self.r, self.spec.degree + 1), self.coefficients(sigma).numpy()
            return higher, _integrate(higher, c, np.sqrt(self._deviation**2 + sigma**2))
        return self._higher(), self._score_match(sigma)

    @property
    def _joint(self) -> MomentBasis:
        assert isinstance(self.terms, MomentBasis)  # of a polynomial that is not separable
        return self.terms

    def _alpha(self, sigma: float) -> np.ndarray:
        return self._deviation / np.sqrt(self._deviation**2 + sigma**2)

    def _solve(self, sigma: float) -> Tensor:
        moments, alpha, deviation = self._moments, self._alpha(sigma), self._deviation
        if not self.r:  # all images alike
            return torch.zeros(self.terms.size, 0, dtype=torch.float64)
        if self.spec.separable:
            out, one = np.zeros((self.terms.size, self.r)), _moment_basis(1, self.spec.degree)
            for j in range(self.r):
                a = alpha[j : j + 1]
                own = (
                    least_squares(one.gram(moments[j], a), one.cross(moments[j], a)) * deviation[j]
                )
                out[0, j], out[1 + j :: self.r, j] = own[0, 0], own[1:, 0]
            return torch.from_numpy(out)
        if not self.spec.conservative:
            return torch.from_numpy(
                least_squares(self.gram(sigma), self._joint.cross(moments, alpha)) * deviation
            )
        higher, theta = self._higher(), self._score_match(sigma)[:, None]
        scale = np.sqrt(deviation**2 + sigma**2)
        columns = [
            higher.derivative(theta, j)[: self.terms.size, 0] / scale[j] for j in range(self.r)
        ]
        return torch.from_numpy(np.stack(columns, axis=1))

    def _higher(self) -> Basis:
        return _basis(self.r, self.spec.degree + 1)

    def _score_match(self, sigma: float) -> np.ndarray:
        """Theta (K',), theta_0 = 0. The gradient of psi_a has components sqrt(a_j) psi_{a-e_j} /
        s_j, all of degree <= p.
        """
        higher, deviation = self._higher(), self._deviation
        gram, cross = self.gram(sigma), self._joint.cross(self._moments, self._alpha(sigma))
        scale = np.sqrt(deviation**2 + sigma**2)
        left, right = np.zeros((higher.size, higher.size)), np.zeros(higher.size)
        for j in range(self.r):
            (has,) = np.nonzero(higher.lower[j] >= 0)
            down, weight = higher.lower[j][has], np.sqrt(higher.indices[has, j]) / scale[j]
            left[np.ix_(has, has)] += np.outer(weight, weight) * gram[np.ix_(down, down)]
            right[has] += weight * deviation[j] * cross[down, j]
        theta = least_squares(left[1:, 1:], right[1:, None])
        return np.concatenate([[0.0], theta[:, 0]])


def least_squares(gram: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Solve gram c = right for a positive semidefinite Gram matrix; directions below rounding are
    left at zero.
    """
    scale = 1 / np.sqrt(np.maximum(np.diag(gram), np.finfo(float).tiny))
    l, q = np.linalg.eigh(gram * scale[:, None] * scale)
    kept = l > 1e-12 * l[-1]
    return scale[:, None] * (
        q[:, kept] @ ((q[:, kept].T @ (scale[:, None] * right)) / l[kept, None])
    )


def _integrate(higher: Basis, c: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Theta with d/dv_j sum_a theta_a psi_a = column j of c, for polynomials of one coordinate
    each.

    Lists of pure powers of degree p and p + 1 start alike, so places in one are places in the
    other.
    """
    theta = np.zeros(higher.size)
    for j in range(higher.r):
        (own,) = np.nonzero(higher.indices[:, j])
        theta[own] = c[higher.lower[j][own], j] * scale[j] / np.sqrt(higher.indices[own, j])
    return theta


@cache
def _moment_basis(r: int, degree: int) -> MomentBasis:
    return MomentBasis(r, degree)


@cache
def _basis(r: int, degree: int) -> Basis:
    return Basis(total_degree(r, degree))


@cache
def _powers(r: int, degree: int) -> Basis:
    return Basis(pure_powers(r, degree))
