"""Random power features h(y) = (R y)^p and their regression onto clean images, with exact
expectations over the noise.

With rows r, s of R, a = r.x, b = s.x, and y = x + sigma n,

    M_q(a) = E[(r.y)^q] = sum_k C(q, 2k) (2k - 1)!! (sigma |r|)^{2k} a^{q-2k}
    E[(r.y)^p (s.y)^p] = sum_m C(p, m)^2 m! (sigma^2 r.s)^m M_{p-m}(a) M_{p-m}(b)
        per training image

    D(y) = A h(y) + b,  A = X^T W,  W = (1/N) (F - mean F) (C + ridge * tr(C) / K)^-1

F holds each training image's expected features, C is their covariance over images and noise: the
solution is a weighting W of the N training images (centred, X), which is all that has to be kept of
a noise level. The ridge is relative to the mean feature variance, so that it means the same at
every noise level; sums are means over images.

`normalize` divides a feature vector by its own largest absolute value, h -> h / max |h|. That is no
polynomial, and its expectations have no closed form: F and C are then means over seeded noise
draws, the same for every noise level. Sources: Levine & Weiss, arXiv 2605.16415 (the features);
Isserlis 1918 (moments of Gaussian products).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

from ..data.limits import check_memory
from ..denoise import Spec
from ..errors import InputError
from ..seeds import generator


def projections(rows: int, width: int, seed: int) -> Tensor:
    """R: (rows, width), standard normal over sqrt(width), float64; a function of its arguments
    alone.
    """
    check_size(rows, width)
    draws = generator(seed).standard_normal((rows, width))
    return torch.from_numpy(draws) / math.sqrt(width)


def check_size(rows: int, width: int) -> None:
    """An InputError where R, or the covariance of its features, would not fit into memory."""
    check_memory((rows, width), 8, "the random projections", "lower features")
    check_memory((4, rows, rows), 8, "the features' covariance", "lower features")


def features(projected: Tensor, degree: int, normalize: bool) -> Tensor:
    """H from R y: (B, K) -> (B, K)."""
    if normalize:  # the largest power is the power of the largest: the same, without overflow
        projected = projected / projected.abs().amax(-1, keepdim=True).clamp_min(
            torch.finfo(projected.dtype).tiny
        )
    return projected**degree


def gaussian_power(a: Tensor, spread: Tensor, degree: int) -> Tensor:
    """M_q(a) = E[(a + spread g)^q], g standard normal; shape of a (N, K), spread (K,)."""
    out = torch.zeros_like(a)
    for k in range(degree // 2 + 1):
        double_factorial = math.prod(range(2 * k - 1, 0, -2))
        out = out + math.comb(degree, 2 * k) * double_factorial * spread ** (2 * k) * a ** (
            degree - 2 * k
        )
    return out


def expectations(
    projected: Tensor, gram: Tensor, sigma: float, degree: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Exact mean features (N, K) and their second moment (K, K) over images and noise, of h /
    scale^degree, and scale.

    projected: (N, K) = X R^T; gram: (K, K) = R R^T. Dividing by `scale`, the root mean square of R
        y, keeps numbers near 1.
    """
    scale = (projected.square().mean() + sigma**2 * gram.diagonal().mean()).sqrt()
    a, cross = projected / scale, (sigma / scale) ** 2 * gram
    spread = cross.diagonal().sqrt()
    second = torch.zeros_like(gram)
    for m in range(degree + 1):
        lower = gaussian_power(a, spread, degree - m)
        second += (
            math.comb(degree, m) ** 2 * math.factorial(m) * cross**m * (lower.T @ lower / len(a))
        )
    return gaussian_power(a, spread, degree), second, scale


def drawn(
    projected: Tensor,
    root: Tensor,
    sigma: float,
    degree: int,
    draws: int,
    seed: int,
    normalize: bool,
) -> tuple[Tensor, Tensor]:
    """The same two means over seeded noise draws: (N, K), (K, K).

    root: (K, m) with root root^T = R R^T, so that R n is drawn in m <= K dimensions.
    """
    mean, second = (
        torch.zeros_like(projected),
        projected.new_zeros(projected.shape[1], projected.shape[1]),
    )
    for number in range(draws):
        n = torch.from_numpy(
            generator(seed, 1 + number).standard_normal((len(projected), root.shape[1]))
        )
        h = features(projected + sigma * (n @ root.T), degree, normalize)
        mean += h / draws
        second += h.T @ h / (draws * len(h))
    return mean, second


@dataclass(frozen=True, kw_only=True)
class Powers(Spec):
    """Settings common to families of power features.

    degree: the power p, at least 1.
    features: rows of R.
    ridge: the penalty on A relative to the mean feature variance.
    normalize: divide a feature vector by its largest absolute value (not a polynomial any more;
        fitted on noise draws).
    draws: noise draws per training image with `normalize`.
    seed: of R and of those draws.
    """

    degree: int = 3
    features: int = 1024
    ridge: float = 1e-5
    normalize: bool = False
    draws: int = 8
    seed: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.degree, int) or not 1 <= self.degree <= 12:
            raise InputError(
                f"degree must be an integer from 1 to 12, got {self.degree!r}; 3 is usual"
            )
        for name in ("features", "draws"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise InputError(
                    f"{name} must be an integer of at least 1, got {value!r}; leave it at its "
                    "default"
                )
        if not self.ridge > 0:
            raise InputError(f"ridge must be positive, got {self.ridge!r}; 1e-5 is usual")
        if not isinstance(self.seed, int) or self.seed < 0:
            raise InputError(
                f"seed must be an integer of at least 0, got {self.seed!r}; 0 is usual"
            )

    @classmethod
    def published(cls, **settings: Any) -> Self:
        """The features of the published experiments, divided by their own largest absolute value:
        1024 of them, ridge 1e-5. A denoiser of them is blind to scale, D(c y) = D(y) for c > 0.
        """
        return cls(**{"features": 1024, "ridge": 1e-5, "normalize": True, **settings})

    def weigh(self, projected: Tensor, r: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
        """W (N, K) and the mean feature (K,): the estimate is mean(x) + X^T W (h(y) - mean
        feature), X centred.

        projected: (N, K) = X R^T, or several windows' worth of rows for a shared regression.
        """
        gram = r @ r.T
        if self.normalize:
            l, q = torch.linalg.eigh(gram)
            kept = l > 1e-13 * l[-1]
            root = q[:, kept] * l[kept].sqrt()
            mean, second = drawn(
                projected, root, sigma, self.degree, self.draws, self.seed, normalize=True
            )
            scale = torch.ones((), dtype=torch.float64)
        else:
            mean, second, scale = expectations(projected, gram, sigma, self.degree)
        centre = mean.mean(0)
        covariance = second - torch.outer(centre, centre)
        covariance.diagonal().add_(self.ridge * float(covariance.diagonal().mean()))
        w = torch.cholesky_solve((mean - centre).T, torch.linalg.cholesky(covariance)).T / len(mean)
        return w / scale**self.degree, centre * scale**self.degree
