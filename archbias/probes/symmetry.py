"""Does the denoiser commute with translations, in the interior and at the border?

    e^2 = E |D(T y) - T D(y)|^2 / E |T D(y) - its mean|^2        over the pixels of a region

T moves every pixel around the torus. A circular network reads 0 everywhere; a zero-padded one 0 in
the interior, as far as its receptive field does not reach the border, and more at the border; one
that knows every pixel's place reads more everywhere. sqrt(2) is what unrelated images of equal
contrast read. The interior is what stays a quarter of the image away from every border before and
after the move.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .jacobian import Jacobian


def equivariance_error(jacobian: Jacobian, shifts: Sequence[tuple[int, int]]) -> Tensor:
    """(len(shifts), 2) float64: e in the interior and e at the border (everything else), over all
    rows.

    NaN where a region holds no pixel or D is constant there.
    """
    y, here = jacobian.y, jacobian.value().double()
    h, w = y.shape[-2:]
    errors = []
    for a, b in shifts:
        moved = Jacobian(
            jacobian.denoiser,
            y.roll((a, b), (2, 3)),
            jacobian.sigma,
            jacobian.labels,
            batch=jacobian.batch,
        )
        there, expected = moved.value().double(), here.roll((a, b), (2, 3))
        inside = (_inner(h, a)[:, None] & _inner(w, b)[None, :]).to(y.device)
        pair = []
        for region in (inside, ~inside):
            difference, base = (there - expected)[..., region], expected[..., region]
            spread = (
                (base - base.mean(-1, keepdim=True)).square().sum()
                if base.numel()
                else base.new_zeros(())
            )
            pair.append(
                float((difference.square().sum() / spread).sqrt()) if spread > 0 else float("nan")
            )
        errors.append(pair)
    return torch.tensor(errors, dtype=torch.float64)


def _inner(size: int, shift: int) -> Tensor:
    """Positions p for which p and p - shift are both at least size / 4 from either end."""
    p = torch.arange(size)
    margin = size // 4
    low, high = margin, size - 1 - margin
    return (p >= low) & (p <= high) & (p - shift >= low) & (p - shift <= high)
