"""What the Jacobian looks like at one noise level, from products with it alone.

receptive field   G(q) = E |J' e_p|^2 at offset q from p, over centre pixels p and output channels;
                  the radius that
                  holds a share of the energy is that of the smallest square window around p
trace             tr J = E v'J v, v = +-1 (Hutchinson 1990); tr J is the degrees of freedom
asymmetry         |J - J'|_F / (2 |J|_F) in [0, 1]: 0 for the gradient of a potential, as every
                  posterior mean is
participation     (sum s^2)^2 / sum s^4 over singular values s: the effective rank, from |J v|^2 and
                  |J'J v|^2
directions        leading singular triples by block subspace iteration (Halko, Martinsson & Tropp
                  2011, alg. 4.4)
"""

from __future__ import annotations

import torch
from torch import Tensor

from .. import seeds
from .jacobian import Jacobian

FRACTIONS = (0.5, 0.9, 0.99)
EXTRA = 8
SUPPORT = 1e-12  # share of energy that counts as nothing


def _norm2(v: Tensor) -> Tensor:
    return v.flatten(2).square().sum(2)


def signs(count: int, like: Tensor, *, stream: int = 300) -> Tensor:
    """(count, *like.shape) of +-1."""
    return (
        seeds.normal(range(count), like.shape, stream=stream, dtype=torch.float64).sign().to(like)
    )


def receptive_field(jacobian: Jacobian, positions: int = 2) -> Tensor:
    """Energy of the input pixels behind a centre pixel, (H, W), sum 1; the pixel itself at (H // 2,
    W // 2).

    All 0 where the Jacobian is: a denoiser that is sure of one image does not respond.

    Averaged over the rows, the output channels and a positions x positions block of centre pixels.
    Far offsets are wrapped, which for a pixel in the centre moves at most `positions` - 1 rows or
    columns.
    """
    y = jacobian.y
    b, c, h, w = y.shape
    total = torch.zeros(h, w, dtype=torch.float64, device=y.device)
    for r in range(h // 2, min(h // 2 + positions, h)):
        for s in range(w // 2, min(w // 2 + positions, w)):
            u = torch.zeros(c, b, c, h, w, dtype=y.dtype, device=y.device)
            for channel in range(c):
                u[channel, :, channel, r, s] = 1
            energy = jacobian.pull(u).double().square().sum((0, 1, 2))
            total += energy.roll((h // 2 - r, w // 2 - s), (0, 1))
    return total / total.sum().clamp(min=1e-300)


def radii(field: Tensor, fractions: tuple[float, ...] = FRACTIONS) -> tuple[list[int], int]:
    """Half-widths of the smallest centred square windows (2 r + 1 wide) that hold each fraction of
    the energy, and all of it.

    0 for a field without energy.
    """
    h, w = field.shape
    rows = (torch.arange(h, device=field.device) - h // 2).abs()
    cols = (torch.arange(w, device=field.device) - w // 2).abs()
    ring = torch.maximum(rows[:, None], cols[None, :])
    held = torch.zeros(int(ring.max()) + 1, dtype=torch.float64, device=field.device)
    held = held.index_add(0, ring.flatten(), field.double().flatten()).cumsum(0)
    held = held / held[-1] if held[-1] > 0 else torch.ones_like(held)
    levels = [*fractions, 1 - SUPPORT]
    *some, whole = (int((held >= level - 1e-15).nonzero()[0, 0]) for level in levels)
    return some, whole


def moments(jacobian: Jacobian, probes: int) -> dict[str, Tensor]:
    """Hutchinson estimates at every row, (B,) float64: "trace", "asymmetry", "participation"; error
    about probes^(-1/2).
    """
    v = signs(probes, jacobian.y)
    jv, jtv = jacobian.push(v), jacobian.pull(v)
    jtjv = jacobian.pull(jv)
    trace = (v.double() * jv.double()).flatten(2).sum(2).mean(0)
    # v'J'J v estimates |J|_F^2 = sum s^2 and |J'J v|^2 estimates sum s^4.
    second, fourth = _norm2(jv.double()).mean(0), _norm2(jtjv.double()).mean(0)
    both = second + _norm2(jtv.double()).mean(0)
    apart = _norm2((jv - jtv).double()).mean(0)
    return {
        "trace": trace,
        "asymmetry": torch.where(both > 0, (apart / (2 * both)).sqrt(), torch.nan),
        "participation": torch.where(fourth > 0, second**2 / fourth, torch.nan),
    }


def directions(
    jacobian: Jacobian, count: int, iterations: int = 4
) -> tuple[Tensor, Tensor, Tensor]:
    """Leading singular triples at every row, from a block of EXTRA more vectors than asked for.

    Returns:
        values (B, K) descending, right vectors (B, K, C, H, W), left vectors (B, K, C, H, W); K =
        min(count, d). Values are lower bounds; in a slowly falling spectrum the last ones are a few
        per cent low.
    """
    y = jacobian.y
    b, d = len(y), y[0].numel()
    wanted, count = min(count, d), min(count + EXTRA, d)
    v = seeds.normal(range(count), y.shape, stream=301, dtype=torch.float64).to(y)

    def orthonormal(block: Tensor) -> Tensor:
        flat = block.reshape(count, b, d).permute(1, 2, 0).double()
        q = torch.linalg.qr(flat)[0]
        return q.permute(2, 0, 1).reshape(count, *y.shape).to(y)

    for _ in range(iterations):
        v = orthonormal(jacobian.pull(orthonormal(jacobian.push(v))))
    image = jacobian.push(v).double().reshape(count, b, d).permute(1, 2, 0)
    left, values, mix = torch.linalg.svd(image, full_matrices=False)
    basis = v.double().reshape(count, b, d).permute(1, 2, 0) @ mix.mT
    shape = (b, count, *y.shape[1:])
    right, left = (vectors.mT.reshape(shape)[:, :wanted] for vectors in (basis, left))
    return values[:, :wanted], right, left
