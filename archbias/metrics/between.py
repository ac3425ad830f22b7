"""Agreement between variants that were each trained several times, seed by seed.

    R_ijb = mean over trainings k != l of r(x_ikb, x_jlb)

Variants trained from one seed share batches, and some the initial weights. Leaving those pairs out
puts different variants (i != j) on the footing of the ceiling (i = j).
"""

from __future__ import annotations

import torch
from torch import Tensor


def between(samples: Tensor) -> Tensor:
    """Pearson r between the samples of two variants, averaged over pairs of unlike trainings.

    Args:
        samples: (V, K, B, C, H, W), training k of variant v at seed b.

    Returns:
        (V, V, B) float64, symmetric. With K = 1 the one pair is taken and the diagonal is NaN.
    """
    v, k = samples.shape[:2]
    kept = 1 - torch.eye(k, dtype=torch.float64) if k > 1 else torch.ones(1, 1, dtype=torch.float64)
    found = []
    for x in samples.unbind(2):
        z = x.double().flatten(2).flatten(0, 1)
        z = z - z.mean(1, keepdim=True)
        z = z / z.norm(dim=1, keepdim=True)
        r = (z @ z.T).clamp(-1, 1).reshape(v, k, v, k)
        found.append(torch.einsum("ikjl,kl->ij", r, kept) / kept.sum())
    result = torch.stack(found, -1)
    if k == 1:
        result.diagonal().fill_(torch.nan)
    return result


def apart(between: Tensor, i: int, j: int) -> Tensor:
    """How much less two variants agree than each with itself retrained, seed by seed.

    R_ijb - (R_iib + R_jjb) / 2; below 0 where the change moves the sample further than training
    again does.

    Args:
        between: (V, V, B) of `between`.

    Returns:
        (B,) float64, NaN where a variant was trained once.
    """
    return between[i, j] - (between[i, i] + between[j, j]) / 2
