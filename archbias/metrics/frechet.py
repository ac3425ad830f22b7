"""How far are the Gaussians of two sets: Frechet distance and relative entropy. Set-level.

    frechet  = |m_a - m_b|^2 + tr S_a + tr S_b - 2 tr (S_a^(1/2) S_b S_a^(1/2))^(1/2)        squared
        2-Wasserstein distance
    kl       = (tr(S_b^-1 S_a) - d + (m_a - m_b)' S_b^-1 (m_a - m_b) + ln det S_b / det S_a) / 2
        in nats

Dowson & Landau 1982; on Inception features the first is FID (Heusel et al. 2017). With centred data
matrices A and B the cross term is a nuclear norm, tr (...)^(1/2) = |A B'|_* / sqrt((n-1)(m-1)),
which needs no matrix square root and is exact for fewer images than features.

The estimate is biased upward, by more the fewer the samples (Chong & Forsyth 2020): `frechet` is to
be read beside its value between parts of the real data, which `frechet_with_null` does.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import InputError
from .features import Space, pixels
from .moments import centred
from .nulls import Nulled, against_splits


def _factor(flat: Tensor) -> Tensor:
    """R with R'R = A'A/(n-1), at most d rows."""
    root = flat / (len(flat) - 1) ** 0.5
    return torch.linalg.qr(root, mode="r").R if len(flat) > flat.shape[1] else root


def frechet(samples: Tensor, images: Tensor, *, space: Space = pixels) -> float:
    """Squared Frechet distance of the Gaussians with the sets' means and covariances in `space`; at
    least 0.

    Args:
        samples: (B, ...), images: (N, ...), each at least 2.
        space: a map to features, for example `features.principal(images, 30)`,
            `features.convolutional(3)`, `features.inception()`.
    """
    a, b = space(samples).double().flatten(1), space(images).double().flatten(1).to(samples.device)
    if a.shape[1] != b.shape[1]:
        raise InputError(
            f"samples and images must have one shape, got {a.shape[1]} and {b.shape[1]} values; "
            "resize one of them"
        )
    shift = (a.mean(0) - b.mean(0)).square().sum()
    ra, rb = _factor(centred(a)), _factor(centred(b))
    cross = torch.linalg.svdvals(ra @ rb.T).sum()
    return float((shift + ra.square().sum() + rb.square().sum() - 2 * cross).clamp(min=0))


def frechet_with_null(
    samples: Tensor, images: Tensor, *, space: Space = pixels, splits: int = 20, seed: int = 0
) -> Nulled:
    """`frechet` beside its values between random parts of the real images: the small-sample bias,
    measured.
    """
    return against_splits(frechet, space(samples), space(images), splits=splits, seed=seed)


def frechet_gaussian(mean_a: Tensor, cov_a: Tensor, mean_b: Tensor, cov_b: Tensor) -> float:
    """The same distance from means (d,) and covariances (d, d), possibly singular."""
    roots = []
    for cov in (cov_a, cov_b):
        value, basis = torch.linalg.eigh(cov.double())
        roots.append((basis * value.clamp(min=0).sqrt()).T)
    cross = torch.linalg.svdvals(roots[0] @ roots[1].T).sum()
    shift = (mean_a.double() - mean_b.double()).square().sum()
    return float((shift + cov_a.double().trace() + cov_b.double().trace() - 2 * cross).clamp(min=0))


def kl_gaussian(mean_a: Tensor, cov_a: Tensor, mean_b: Tensor, cov_b: Tensor) -> float:
    """KL(N_a || N_b) in nats, at least 0; means (d,), covariances (d, d).

    Raises:
        InputError: a covariance that is not positive definite.
    """
    try:
        la, lb = torch.linalg.cholesky(cov_a.double()), torch.linalg.cholesky(cov_b.double())
    except torch.linalg.LinAlgError as e:
        raise InputError(
            "relative entropy needs positive definite covariances, got a singular one; compare in "
            "the leading "
            "principal coordinates or use frechet_gaussian"
        ) from e
    white = torch.linalg.solve_triangular(lb, la, upper=False)
    shift = torch.linalg.solve_triangular(lb, (mean_b - mean_a).double()[:, None], upper=False)
    logdet = 2 * (lb.diagonal().log().sum() - la.diagonal().log().sum())
    return float((white.square().sum() - len(la) + shift.square().sum() + logdet) / 2)
