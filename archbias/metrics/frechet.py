"""How far are the Gaussians of two sets: Frechet distance and relative entropy. Set-level.

    frechet  = |m_a - m_b|^2 + tr S_a + tr S_b - 2 tr (S_a^(1/2) S_b S_a^(1/2))^(1/2)        squared
        2-Wasserstein distance
    kl       = (tr(S_b^-1 S_a) - d + (m_a - m_b)' S_b^-1 (m_a - m_b) + ln det S_b / det S_a) / 2
        in nats

Dowson & Landau 1982; on Inception features the first is FID (Heusel et al. 2017). With centred data
matrices A and B the cross term is a nuclear norm, tr (...)^(1/2) = |A B'|_* / sqrt((n-1)(m-1)),
which needs no matrix square root and is exact for fewer images than features. For nearly equal sets
the three traces cancel; there the same number is taken as a sum of squares, the least over
rotations U of |R_a - U R_b|^2 with R'R = S (orthogonal Procrustes; Bhatia, Jain & Lim 2019, *On the
Bures-Wasserstein distance between positive definite matrices*).

The estimate is biased upward, by more the fewer the samples (Chong & Forsyth 2020): `frechet` is to
be read beside its value between parts of the real data, which `frechet_with_null` does.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import InputError
from .features import Space, pixels
from .finite import check_sets
from .moments import centred
from .nulls import Nulled, against_splits

NEAR = 1e-6  # share of the traces below which their difference is measured as a sum of squares


def _factor(flat: Tensor) -> Tensor:
    """R with R'R = A'A/(n-1), at most d rows."""
    root = flat / (len(flat) - 1) ** 0.5
    return torch.linalg.qr(root, mode="r").R if len(flat) > flat.shape[1] else root


def _apart(ra: Tensor, rb: Tensor) -> Tensor:
    """The part of the distance made by covariances R_a'R_a and R_b'R_b, at least 0."""
    total = ra.square().sum() + rb.square().sum()
    found = total - 2 * torch.linalg.svdvals(ra @ rb.T).sum()
    if found > NEAR * total:
        return found
    rows = max(len(ra), len(rb))
    ra, rb = (torch.nn.functional.pad(r, (0, 0, 0, rows - len(r))) for r in (ra, rb))
    u, _, v = torch.linalg.svd(ra @ rb.T)
    return (ra - u @ (v @ rb)).square().sum()


def frechet(samples: Tensor, images: Tensor, *, space: Space = pixels) -> float:
    """Squared Frechet distance of the Gaussians with the sets' means and covariances in `space`; at
    least 0.

    Args:
        samples: (B, ...), images: (N, ...), each at least 2.
        space: a map to features, for example `features.principal(images, 30)`,
            `features.convolutional(3)`, `features.inception()`.
    """
    check_sets(samples, images)
    a, b = space(samples).double().flatten(1), space(images).double().flatten(1).to(samples.device)
    if a.shape[1] != b.shape[1]:
        raise InputError(
            f"samples and images must have one shape, got {a.shape[1]} and {b.shape[1]} values; "
            "resize one of them"
        )
    origin = b.mean(0)
    shift = ((a - origin).mean(0) - (b - origin).mean(0)).square().sum()
    return float(shift + _apart(_factor(centred(a)), _factor(centred(b))))


def frechet_with_null(
    samples: Tensor, images: Tensor, *, space: Space = pixels, splits: int = 20, seed: int = 0
) -> Nulled:
    """`frechet` beside its values between random parts of the real images: the small-sample bias,
    measured.
    """
    check_sets(samples, images)
    return against_splits(frechet, space(samples), space(images), splits=splits, seed=seed)


def _check_moments(*moments: Tensor) -> None:
    if not all(bool(torch.isfinite(m).all()) for m in moments):
        raise InputError(
            "means and covariances must be finite, got NaN or infinity; take them over the samples "
            "that metrics.finite.kept keeps"
        )


def frechet_gaussian(mean_a: Tensor, cov_a: Tensor, mean_b: Tensor, cov_b: Tensor) -> float:
    """The same distance from means (d,) and covariances (d, d), possibly singular."""
    _check_moments(mean_a, cov_a, mean_b, cov_b)
    roots = []
    for cov in (cov_a, cov_b):
        value, basis = torch.linalg.eigh(cov.double())
        roots.append((basis * value.clamp(min=0).sqrt()).T)
    shift = (mean_a.double() - mean_b.double()).square().sum()
    return float(shift + _apart(*roots))


def kl_gaussian(mean_a: Tensor, cov_a: Tensor, mean_b: Tensor, cov_b: Tensor) -> float:
    """KL(N_a || N_b) in nats, at least 0; means (d,), covariances (d, d).

    Raises:
        InputError: a covariance that is not positive definite.
    """
    _check_moments(mean_a, cov_a, mean_b, cov_b)
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
