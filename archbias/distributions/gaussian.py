"""The Gaussian an affine denoiser generates: D(y) = mu + A_sigma (y - mu) and the start N(0, s_0^2
I).

A DDIM step from s to s' is affine, y' - mu = (r I + (1 - r) A_s) (y - mu) with r = s' / s, so

    y_T = mu + M (s_0 n - mu),  M = prod over steps of (r I + (1 - r) A_s)
    law = N( mu - M mu,  s_0^2 M M^T )                                        exact for any finite
    steps, seed by seed

    free, rank r       modes of the data: g = prod (r + (1 - r) lam / (lam + s^2)); outside the
                       basis g = s_T / s_0
    convolutions       one C x C product per frequency
    local per pixel    the A_s do not commute: M by pushing every unit picture through the steps, d
                       x d, only when asked

In the continuous limit dM / ds = (I - A_s) M / s, integrated from s_0 to 0. For the free family g =
sqrt(lam / (lam + s_0^2)); as s_0 grows the law tends to N(mu, Sigma): the mean and the covariance
of the data and nothing else of it. For a local convolution on one channel, with window covariance Q
diag(l) Q^T and e the window's centre,

    s_0 g(f) = exp( 1/2 sum_j b_j(f) log(l_j / (1 + l_j / s_0^2)) ),   b_j(f) = Q_ej sum_x Q_xj
    cos(2 pi f.x),  sum_j b_j = 1

so the generated spectrum is a weighted geometric mean of the window's eigenvalues (some weights are
negative). On several channels the C x C maps of different levels do not commute and M is integrated
by the fourth-order Magnus method.

Sources: Levine & Weiss, arXiv 2605.16415 (linear denoisers generate Gaussians); Song et al. 2021,
eq. 13 (the flow); Blanes et al., *The Magnus expansion and some of its applications*, Physics
Reports 470 (2009), section 5. The closed form of the local limit is derived here.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from .. import noise as levels
from .. import sample
from ..denoise import Denoiser
from ..errors import InputError
from ..linalg import Circulant, Dense, LowRank, Operator
from ..regressions.bottleneck import LinearBottleneck
from ..regressions.linear import Convolution, LinearDenoiser, LocalConvolution, Wiener
from .base import OFF, GeneratedDistribution, generated_by, source_of

DENSE = 2**31  # bytes a d x d covariance may take where no cheaper form exists


class Gaussian(GeneratedDistribution):
    """N(mean, covariance), with the sampler that makes it.

    mean: (C, H, W).
    covariance: an Operator, or a function that builds it when first asked (where it is expensive).
    sampler: standard normal noise (B, C, H, W) float64 -> images.
    source: what makes it, in words.

    log_prob: with respect to the volume of `plane`, of `rank` dimensions; -inf off it.
    """

    def __init__(
        self,
        mean: Tensor,
        covariance: Operator | Callable[[], Operator],
        sampler: Callable[[Tensor], Tensor],
        source: str = "",
    ):
        c, h, w = mean.shape
        self.shape, self.source = (c, h, w), source
        self._mean, self._covariance, self._sampler = mean.to(torch.float64), covariance, sampler

    @property
    def mean(self) -> Tensor:
        return self._mean

    @property
    def covariance(self) -> Operator:
        if not isinstance(self._covariance, Operator):
            self._covariance = self._covariance()
        return self._covariance

    @property
    def rank(self) -> int:
        """The dimension of the plane through the mean that carries the law; d when nothing is
        degenerate.
        """
        return self.covariance.rank()

    @property
    def plane(self) -> Operator:
        """The orthogonal projector on the directions in which the law varies; the degenerate ones
        are its null space.
        """
        return self.covariance.plane()

    def _push(self, n: Tensor) -> Tensor:
        return self._sampler(n)

    @property
    def form(self) -> str:
        """The covariance's form, without computing one that has not been asked for."""
        if isinstance(self._covariance, Operator):
            return f"covariance {self._covariance.form}"
        return "covariance made when asked for"

    def _log_prob(self, x: Tensor) -> Tensor:
        away = (x - self.mean).flatten(1)
        covariance = self.covariance
        lam = covariance.eigenvalues
        lam = lam[lam > covariance.tolerance()]
        square = (away * covariance.pinv().matmul(away)).sum(1)
        out = -0.5 * (square + lam.log().sum() + len(lam) * math.log(2 * math.pi))
        if len(lam) < covariance.size:
            off = (away - covariance.plane().matmul(away)).norm(dim=1)
            out = torch.where(off <= OFF * away.norm(dim=1), out, -torch.inf)
        return out


def limit(denoiser: LinearDenoiser | LinearBottleneck, sigma_max: float = math.inf) -> Gaussian:
    """The law of infinitely many steps from sigma_max to 0; `generated_by(denoiser, None)` is
    sigma_max = inf.

    Raises:
        LookupError: the maps of the levels do not commute, so no closed form exists; use many
            finite steps.
    """
    sigma_max = levels.number(sigma_max, "sigma_max")
    if not sigma_max > 0:
        raise InputError(
            f"sigma_max must be positive, got {sigma_max}; use the first level of the sampler, or "
            "infinity"
        )
    source = source_of(denoiser, None)
    if isinstance(denoiser, Wiener | LinearBottleneck):
        lam = denoiser.state()["variances"]
        scale = (lam / (1 + lam / sigma_max**2)).sqrt()
        return _wiener(denoiser, scale, 0.0, scale / sigma_max, 0.0, source)
    if isinstance(denoiser, Convolution):
        if isinstance(denoiser, LocalConvolution):
            scale = (_magnus if denoiser.shape[0] > 1 else _geometric)(denoiser, sigma_max)
        else:
            scale = _stationary(denoiser, sigma_max)
        return _convolution(denoiser, scale, scale[0, 0].real / sigma_max, source)
    raise LookupError(
        f"no continuous limit is known for {denoiser.spec!r}: its maps at different noise levels "
        "do not commute; "
        "use generated_by(denoiser, archbias.noise.geometric(1000)), which is exact for those steps"
    )


@generated_by.register(LinearDenoiser)
@generated_by.register(LinearBottleneck)
def _(
    denoiser: LinearDenoiser | LinearBottleneck, sigmas: Tensor | None = None
) -> GeneratedDistribution:
    if sigmas is None:
        return limit(denoiser)
    sigmas = levels.check(sigmas)
    start, source = float(sigmas[0]), source_of(denoiser, sigmas)
    if isinstance(denoiser, Wiener | LinearBottleneck):
        lam = denoiser.state()["variances"]
        gain, outside = torch.ones_like(lam), float(sigmas[-1] / sigmas[0])
        for s, r in levels.ratios(sigmas):
            gain = gain * (r + (1 - r) * lam / (lam + s**2))
        return _wiener(denoiser, start * gain, start * outside, gain, outside, source)
    if isinstance(denoiser, Convolution):
        one = product = torch.eye(denoiser.shape[0], dtype=torch.complex128)
        for s, r in levels.ratios(sigmas):
            transfer = denoiser.transfer(torch.tensor([s], dtype=torch.float64))[0]
            product = (r * one + (1 - r) * transfer) @ product
        return _convolution(denoiser, start * product, product[0, 0].real, source)
    return affine(denoiser, sigmas)


def affine(
    denoiser: Denoiser, sigmas: Tensor, batch: int = 512, plane: Tensor | None = None
) -> Gaussian:
    """The law of any denoiser that is affine in y at every level, by running its own steps;
    float64, exact.

    The mean is what the steps make of zero noise. The covariance is d x d: d unit pictures are
    pushed through all steps when it is first asked for (sample and push never need it). That the
    denoiser is affine is the caller's claim.

    plane: U (d, r) with orthonormal columns when, at every level, D depends on U^T y only and moves
        along U only; then r pictures suffice, and outside the plane the noise is scaled by s_T /
        s_0.
    """
    zero = torch.zeros(1, *denoiser.shape, dtype=torch.float64)
    offset = sample.ddim(denoiser, zero, sigmas)[0]

    def respond(units: Tensor) -> Tensor:
        return (
            sample.ddim(denoiser, units.reshape(-1, *denoiser.shape), sigmas, batch=batch) - offset
        ).flatten(1)

    def covariance() -> Operator:
        d = zero.numel()
        if plane is not None:
            m = respond(plane.T) @ plane  # row i: the response to axis i
            lam, v = torch.linalg.eigh(m.T @ m)
            return LowRank(plane @ v, lam - float(sigmas[-1]) ** 2, float(sigmas[-1]) ** 2)
        if d * d * 8 > DENSE:
            raise InputError(
                f"the covariance of {denoiser.spec!r} has no form cheaper than {d} x {d} numbers "
                f"({d * d * 8 / 2**30:.1f} GiB), wanted "
                f"at most {DENSE / 2**30:.0f} GiB; estimate it from law.sample(seeds), or resize "
                "the images"
            )
        rows = torch.empty(d, d, dtype=torch.float64)  # row i: the response to unit picture i
        for i in range(0, d, batch):
            unit = torch.zeros(min(batch, d - i), d, dtype=torch.float64)
            unit[torch.arange(len(unit)), i + torch.arange(len(unit))] = 1
            rows[i : i + len(unit)] = respond(unit)
        return Dense(rows.T @ rows)

    def sampler(n: Tensor) -> Tensor:
        return sample.ddim(denoiser, n, sigmas, batch=batch)

    return Gaussian(offset, covariance, sampler, source_of(denoiser, sigmas))


def _wiener(
    denoiser: Wiener | LinearBottleneck,
    scale: Tensor,
    outside: float,
    gain: Tensor,
    gain_outside: float,
    source: str,
) -> Gaussian:
    """Scale multiplies the noise and gain (1 - gain) the mean, per mode and outside the basis."""
    state = denoiser.state()
    mu, u = state["mean"], state["basis"]
    flat = mu.flatten()
    kept = flat @ u

    def sampler(n: Tensor) -> Tensor:
        z = n.flatten(1) @ u
        moved = (z * (scale - outside) - kept * (gain - gain_outside)) @ u.T
        return mu + (moved + outside * n.flatten(1) - gain_outside * flat).reshape(n.shape)

    mean = mu - ((kept * (gain - gain_outside)) @ u.T + gain_outside * flat).reshape(mu.shape)
    return Gaussian(mean, LowRank(u, scale**2 - outside**2, outside**2), sampler, source)


def _convolution(
    denoiser: Convolution, scale: Tensor, gain_of_mean: Tensor, source: str
) -> Gaussian:
    """Scale (H, W, C, C) multiplies the noise per frequency; gain_of_mean (C, C) is what the steps
    make of a constant.
    """
    mu = denoiser.mean
    mean = mu - torch.einsum("ce,ehw->chw", gain_of_mean, mu)

    def sampler(n: Tensor) -> Tensor:
        return (
            mean + torch.fft.ifft2(torch.einsum("hwce,behw->bchw", scale, torch.fft.fft2(n))).real
        )

    return Gaussian(mean, Circulant(scale @ scale.mH), sampler, source)


def _stationary(denoiser: Convolution, sigma_max: float) -> Tensor:
    """s_0 M (H, W, C, C) of the continuous flow of the full-width convolution."""
    state = denoiser.state()
    values, vectors = state["values"], torch.view_as_complex(state["vectors"])
    return (vectors * (values / (1 + values / sigma_max**2)).sqrt().unsqueeze(-2)) @ vectors.mH


def _geometric(denoiser: LocalConvolution, sigma_max: float) -> Tensor:
    """s_0 M (H, W, 1, 1) of the continuous flow of a local convolution on one channel, by the
    formula on top.
    """
    k, (_, h, w) = denoiser.spec.side, denoiser.shape
    l, q = (
        denoiser.state()["values"].clamp_min(torch.finfo(torch.float64).tiny),
        denoiser.state()["vectors"],
    )
    torus = torch.zeros(len(l), h, w, dtype=torch.float64)
    torus[:, :k, :k] = (q * q[k * k // 2]).T.reshape(-1, k, k)
    b = torch.fft.fft2(torch.roll(torus, (-(k // 2), -(k // 2)), (1, 2))).real
    scale = torch.exp(torch.einsum("jhw,j->hw", b, torch.log(l / (1 + l / sigma_max**2))) / 2)
    return scale[:, :, None, None].to(torch.complex128)


def _magnus(denoiser: LocalConvolution, sigma_max: float, step: float = 0.1) -> Tensor:
    """s_0 M (H, W, C, C) by dM / du = (I - T) M, u = log s; both ends where the rest of the way
    changes M by about 1e-6.
    """
    l = denoiser.state()["values"]
    l = l[l > len(l) * torch.finfo(torch.float64).eps * l.max()]
    start = math.log(min(sigma_max, 1e3 * math.sqrt(l.max())))
    end = min(math.log(1e-3 * math.sqrt(l.min())), start)
    count = max(1, math.ceil((start - end) / step))
    width = (start - end) / count
    one = torch.eye(denoiser.shape[0], dtype=torch.complex128)
    m = math.exp(start) * one

    def slope(u: float) -> Tensor:
        return denoiser.transfer(torch.tensor([math.exp(u)], dtype=torch.float64))[0] - one

    for i in range(count):
        middle = start - (i + 0.5) * width
        early, late = (
            slope(middle + width * math.sqrt(3) / 6),
            slope(middle - width * math.sqrt(3) / 6),
        )
        commutator = late @ early - early @ late
        m = (
            torch.linalg.matrix_exp(
                width * (early + late) / 2 + width**2 * math.sqrt(3) / 12 * commutator
            )
            @ m
        )
    return m
