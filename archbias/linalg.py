"""Symmetric operators on images: covariances kept in the form that makes them cheap.

    Dense      A = Q diag(l) Q^T                            any symmetric d x d matrix, by one
                                                            eigendecomposition
    LowRank    A = U diag(s) U^T + c I,  U^T U = I_r        N images of d >> N pixels; never a d x d
    array
    Circulant  A = F^H diag_f(B(f)) F                       stationary on the torus: one C x C block
                                                            per 2-D frequency

Every operator acts on vectors in the last axis: `matmul(x)` maps (..., d) to (..., d), images
flattened in C, H, W order. `apply(f)` is the spectral mapping A -> Q diag(f(l)) Q^T, of the same
form as A; solving, whitening, square roots and projectors are all one call of it.

Source: Golub & Van Loan, *Matrix Computations*, 4th ed., sections 2.5 and 4.8 (circulant systems by
    Fourier transform).
"""

from __future__ import annotations

import abc
from collections.abc import Callable
from functools import cached_property

import torch
from torch import Tensor

from .errors import InputError

Function = Callable[[Tensor], Tensor]


class Operator(abc.ABC):
    """A real symmetric d x d operator in float64.

    form: what is kept of it, in words.
    """

    size: int
    form: str = ""

    @property
    def shape(self) -> tuple[int, int]:
        """(d, d)."""
        return self.size, self.size

    @property
    @abc.abstractmethod
    def eigenvalues(self) -> Tensor:
        """(d,) all eigenvalues with their multiplicity, descending."""

    @abc.abstractmethod
    def matmul(self, x: Tensor) -> Tensor:
        """A x for every vector in the last axis: (..., d) -> (..., d) float64."""

    @abc.abstractmethod
    def apply(self, f: Function) -> Operator:
        """f(A) by spectral mapping; f takes a tensor of eigenvalues to one of the same shape."""

    @abc.abstractmethod
    def diagonal(self) -> Tensor:
        """(d,) the diagonal entries."""

    def dense(self) -> Tensor:
        """(d, d) the matrix itself."""
        return self.matmul(torch.eye(self.size, dtype=torch.float64))

    def trace(self) -> Tensor:
        """The sum of the diagonal, a scalar."""
        return self.diagonal().sum()

    def solve(self, x: Tensor) -> Tensor:
        """A^-1 x for every vector in the last axis; InputError when A is singular to working
        precision.
        """
        rank = self.rank()
        if rank < self.size:
            raise InputError(
                f"solve wants an invertible operator, got rank {rank} of {self.size}; "
                "invert on its range with pinv() or add noise first"
            )
        return self.apply(torch.reciprocal).matmul(x)

    def logdet(self) -> Tensor:
        """The sum of the log eigenvalues, in nats; -inf when singular, NaN when an eigenvalue is
        negative.
        """
        return self.eigenvalues.log().sum()

    def tolerance(self) -> float:
        """Eigenvalues at most this large in magnitude are rounding: d * eps * the largest
        magnitude.
        """
        return self.size * torch.finfo(torch.float64).eps * float(self.eigenvalues.abs().max())

    def rank(self) -> int:
        """How many eigenvalues exceed the tolerance in magnitude."""
        return int((self.eigenvalues.abs() > self.tolerance()).sum())

    def plane(self) -> Operator:
        """The orthogonal projector on the range of A."""
        tolerance = self.tolerance()
        return self.apply(lambda l: (l.abs() > tolerance).to(l.dtype))

    def pinv(self) -> Operator:
        """The Moore-Penrose inverse."""
        tolerance = self.tolerance()
        return self.apply(lambda l: torch.where(l.abs() > tolerance, 1 / l, 0.0))

    def _vectors(self, x: Tensor) -> Tensor:
        if x.ndim == 0 or x.shape[-1] != self.size:
            raise InputError(
                f"wanted vectors of {self.size} entries in the last axis, got shape "
                f"{tuple(x.shape)}; flatten images with x.flatten(1)"
            )
        return x.to(torch.float64)

    def __repr__(self) -> str:
        return f"<{type(self).__name__.lower()} operator, {self.size} x {self.size}: {self.form}>"


class Dense(Operator):
    """A = Q diag(l) Q^T, from the symmetric matrix `a` (d, d)."""

    def __init__(self, a: Tensor):
        if a.ndim != 2 or a.shape[0] != a.shape[1]:
            raise InputError(
                f"a dense operator must be a square matrix, got shape {tuple(a.shape)}; give (d, d)"
            )
        self.a = (a.to(torch.float64) + a.to(torch.float64).T) / 2
        self.size, self.form = len(a), "dense"

    @cached_property
    def spectrum(self) -> tuple[Tensor, Tensor]:
        """(l, Q), ascending as torch.linalg.eigh gives them; computed once."""
        return torch.linalg.eigh(self.a)

    @property
    def eigenvalues(self) -> Tensor:
        return self.spectrum[0].flip(0)

    def matmul(self, x: Tensor) -> Tensor:
        return self._vectors(x) @ self.a

    def apply(self, f: Function) -> Dense:
        l, q = self.spectrum
        mapped = f(l)
        out = Dense((q * mapped) @ q.T)
        order = mapped.argsort()
        out.__dict__["spectrum"] = (mapped[order], q[:, order])
        return out

    def diagonal(self) -> Tensor:
        return self.a.diagonal().clone()

    def dense(self) -> Tensor:
        return self.a.clone()


class LowRank(Operator):
    """A = U diag(s) U^T + c I.

    u: (d, r) with orthonormal columns, r <= d.
    s: (r,) what each column adds to c.
    c: the eigenvalue of everything outside the columns.
    """

    def __init__(self, u: Tensor, s: Tensor, c: float = 0.0):
        if u.ndim != 2 or s.shape != (u.shape[1],) or u.shape[1] > u.shape[0]:
            raise InputError(
                f"wanted u (d, r) with r <= d and s (r,), got {tuple(u.shape)} and "
                f"{tuple(s.shape)}; give orthonormal columns"
            )
        self.u, self.s, self.c = u.to(torch.float64), s.to(torch.float64), float(c)
        self.size = len(u)
        beside = f" beside {self.c:.3g} times the identity" if self.c else ""
        self.form = f"of rank {len(s)}{beside}"

    @property
    def eigenvalues(self) -> Tensor:
        outside = self.s.new_full((self.size - len(self.s),), self.c)
        return torch.cat([self.s + self.c, outside]).sort(descending=True).values

    def matmul(self, x: Tensor) -> Tensor:
        x = self._vectors(x)
        return (x @ self.u * self.s) @ self.u.T + self.c * x

    def apply(self, f: Function) -> LowRank:
        inside = f(self.s + self.c)
        if len(self.s) == self.size:
            return LowRank(self.u, inside)
        outside = float(f(self.s.new_tensor([self.c])))
        return LowRank(self.u, inside - outside, outside)

    def diagonal(self) -> Tensor:
        return (self.u**2) @ self.s + self.c


class Circulant(Operator):
    """Stationary on the torus: A[(c, p), (e, q)] = R_ce(p - q), with Fourier blocks B_ce(f) = sum_x
    R_ce(x) exp(-2 pi i f.x).

    blocks: (H, W, C, C) complex, Hermitian at every frequency, B(-f) = conj B(f).
    """

    def __init__(self, blocks: Tensor):
        if blocks.ndim != 4 or blocks.shape[2] != blocks.shape[3] or not blocks.is_complex():
            raise InputError(
                f"wanted complex Fourier blocks (H, W, C, C), got {blocks.dtype} of shape "
                f"{tuple(blocks.shape)}; "
                "use Circulant.of_covariance for a real autocovariance"
            )
        self.blocks = blocks.to(torch.complex128)
        self.height, self.width, self.channels = blocks.shape[:3]
        self.size = self.height * self.width * self.channels
        self.form = f"stationary on the torus, {self.channels} x {self.channels} per frequency"

    @classmethod
    def of_covariance(cls, r: Tensor) -> Circulant:
        """From the autocovariance r (C, C, H, W): r[c, e, x] = cov(channel c at p + x, channel e at
        p).
        """
        return cls(torch.fft.fft2(r.to(torch.float64)).permute(2, 3, 0, 1))

    def covariance(self) -> Tensor:
        """(C, C, H, W) the autocovariance, inverse of `of_covariance`."""
        return torch.fft.ifft2(self.blocks.permute(2, 3, 0, 1)).real

    @cached_property
    def spectrum(self) -> tuple[Tensor, Tensor]:
        """(l (H, W, C), V (H, W, C, C)): the eigenpairs of every block; computed once."""
        return torch.linalg.eigh(self.blocks)

    @property
    def eigenvalues(self) -> Tensor:
        return self.spectrum[0].flatten().sort(descending=True).values

    def matmul(self, x: Tensor) -> Tensor:
        x = self._vectors(x)
        waves = torch.fft.fft2(x.reshape(*x.shape[:-1], self.channels, self.height, self.width))
        mapped = torch.einsum("hwce,...ehw->...chw", self.blocks, waves)
        return torch.fft.ifft2(mapped).real.reshape(x.shape)

    def apply(self, f: Function) -> Circulant:
        l, v = self.spectrum
        return Circulant((v * f(l).unsqueeze(-2)) @ v.mH)

    def diagonal(self) -> Tensor:
        each = self.blocks.diagonal(dim1=-2, dim2=-1).real.mean((0, 1))
        return each.repeat_interleave(self.height * self.width)
