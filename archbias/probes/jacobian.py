"""The Jacobian of a denoiser as an operator: J v and J' u at noisy images, never the d x d matrix.

    push   J v    forward-mode differentiation; where an operation has none, central differences in
                  float64,
                  (D(y + h v) - D(y - h v)) / 2h with |h v| = 1e-4 per pixel of root mean square:
                  error of order h^2
    pull   J' u   reverse mode

Rows are independent (row i alone equals row i in its batch), so one call differentiates every row
along its own direction.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch
from torch import Tensor
from torch.autograd import forward_ad

from ..denoise import Denoiser
from ..noise import number

STEP = 1e-4


class Jacobian:
    """J at each row of y (B, C, H, W); directions are (K, B, C, H, W): K for every row.

    batch: rows differentiated at once.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        y: Tensor,
        sigma: float,
        labels: Tensor | None = None,
        *,
        batch: int = 64,
    ):
        self.denoiser, self.y, self.sigma, self.labels, self.batch = (
            denoiser,
            y,
            number(sigma, "sigma"),
            labels,
            batch,
        )
        # becomes False when forward mode is not to be had and differences are taken
        self.exact = True

    def value(self) -> Tensor:
        """D at every row, (B, C, H, W)."""
        with torch.no_grad():
            parts = [
                self._apply(self.y[i : i + self.batch], self._labels(i, 1))
                for i in range(0, len(self.y), self.batch)
            ]
        return torch.cat(parts)

    def push(self, v: Tensor) -> Tensor:
        """J v, shape of v."""
        return self._each(v, self._push)

    def pull(self, u: Tensor) -> Tensor:
        """J' u, shape of u."""
        return self._each(u, self._pull)

    def _apply(self, y: Tensor, labels: Tensor | None) -> Tensor:
        return self.denoiser(y, self.sigma, labels)

    def _labels(self, start: int, count: int) -> Tensor | None:
        return (
            None if self.labels is None else self.labels.repeat(count)[start : start + self.batch]
        )

    def _each(self, v: Tensor, f: Callable[..., Tensor]) -> Tensor:
        k = len(v)
        rows, directions = self.y.repeat(k, 1, 1, 1), v.reshape(-1, *self.y.shape[1:])
        starts = range(0, len(rows), self.batch)
        parts = [
            f(rows[i : i + self.batch], directions[i : i + self.batch], self._labels(i, k))
            for i in starts
        ]
        return torch.cat(parts).reshape(v.shape)

    def _push(self, y: Tensor, v: Tensor, labels: Tensor | None) -> Tensor:
        sigma, labels = self.denoiser.check(y, self.sigma, labels)
        if self.exact:
            try:
                # PyTorch warns of its own torch.jit.script when it first loads the rules of forward
                # mode.
                with (
                    warnings.catch_warnings(action="ignore", category=DeprecationWarning),
                    torch.no_grad(),
                    forward_ad.dual_level(),
                ):
                    out = self.denoiser.denoise(forward_ad.make_dual(y, v), sigma, labels)
                    tangent = forward_ad.unpack_dual(out).tangent
                    return torch.zeros_like(y) if tangent is None else tangent.clone()
            except (RuntimeError, NotImplementedError):
                self.exact = False
        size = v.flatten(1).square().mean(1).sqrt().clamp(min=1e-300).reshape(-1, 1, 1, 1).double()
        step = STEP * v.double() / size
        with torch.no_grad():
            up, down = (
                self.denoiser.denoise(y.double() + s * step, sigma.double(), labels)
                for s in (1, -1)
            )
        return ((up - down) * size / (2 * STEP)).to(v.dtype)

    def _pull(self, y: Tensor, u: Tensor, labels: Tensor | None) -> Tensor:
        with torch.enable_grad():
            y = y.detach().requires_grad_()
            out = self._apply(y, labels)
            if not out.requires_grad:
                return torch.zeros_like(y)
            found = torch.autograd.grad(out, y, u, allow_unused=True)[0]
        return torch.zeros_like(y) if found is None else found.detach()
