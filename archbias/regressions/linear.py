"""Linear denoisers: the affine map of least mean squared error, free or under an architecture's
restriction.

    D(y) = mu + A (y - mu),   A minimises E ||x - D(x + sigma n)||^2 over the maps the restriction
    allows

    None               A = Sigma (Sigma + sigma^2 I)^-1 = U diag(lam / (lam + sigma^2)) U^T
        the Wiener filter
    rank=r             the same over the r leading principal axes U_r             reduced-rank
        regression
    equivariant        per frequency f, T(f) = S(f) (S(f) + sigma^2 I)^-1,  S the C x C power
    spectrum of all translates
    local              a k x k circular convolution,  (R + sigma^2 I) w = R(window -> centre),  R of
    one window
    local_per_pixel    the same regression at every pixel by itself, with the pixel's own
                       covariances; zeros outside

Expectations over the images are sums over the N given ones and over the noise exact: nothing is
sampled. All maps are fitted from second moments (`moments`), which every noise level shares.

Sources: Wiener filter: Kay, *Fundamentals of statistical signal processing: estimation theory*,
section 12.7; reduced-rank regression: Izenman, *Reduced-rank regression for the multivariate linear
model*, J. Multivariate Analysis 5 (1975).
"""

from __future__ import annotations

import abc
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from ..denoise import Denoiser, Runtime, Spec
from ..errors import InputError
from . import moments

if TYPE_CHECKING:
    from ..data import ImageSet

CONSTRAINTS = (None, "equivariant", "local", "local_per_pixel")
KEEP = 2**30  # bytes of per-pixel weights kept for levels already visited
WORK = 2**24  # bytes of window covariances assembled at once; about what a cache holds


@dataclass(frozen=True, kw_only=True)
class Linear(Spec):
    """Settings of a linear denoiser.

    constraint: None, "equivariant" (circular convolution over the whole image), "local" (k x k
        circular convolution) or "local_per_pixel" (each pixel its own regression on its k x k
        window, not equivariant).
    window: k, odd; for the local constraints only.
    rank: width of a linear bottleneck; without a constraint only. None: no bottleneck.

    Example:
        >>> import archbias
        >>> images = archbias.load("fashion_mnist", n=20, size=6)
        >>> wiener = archbias.FAMILIES["linear"]().fit(images)
        >>> bool((wiener(images.images, 1e5) - images.images.mean(0)).abs().max() < 1e-3)
        True
    """

    constraint: str | None = None
    window: int | None = None
    rank: int | None = None

    summary: ClassVar[str] = "best affine map (Wiener filter), or a restricted one"

    def __post_init__(self) -> None:
        if self.constraint not in CONSTRAINTS:
            raise InputError(
                f"unknown constraint {self.constraint!r}; choose from None, 'equivariant', 'local' "
                "or 'local_per_pixel'"
            )
        if self.local:
            if not isinstance(self.window, int) or self.window < 1 or self.window % 2 == 0:
                raise InputError(
                    f"constraint={self.constraint!r} wants an odd window of at least 1, got "
                    f"{self.window!r}; give for example window=7"
                )
        elif self.window is not None:
            raise InputError(
                f"a window belongs to a local constraint, got window={self.window!r} with "
                f"constraint={self.constraint!r}; "
                "leave it out or set constraint='local'"
            )
        if self.rank is not None and (
            self.constraint is not None or not isinstance(self.rank, int) or self.rank < 1
        ):
            raise InputError(
                "rank must be an integer of at least 1 and without a constraint, got "
                f"rank={self.rank!r} with "
                f"constraint={self.constraint!r}; give for example Linear(rank=50)"
            )

    @property
    def local(self) -> bool:
        """Whether the map sees a window only."""
        return self.constraint in ("local", "local_per_pixel")

    @property
    def side(self) -> int:
        """The window of a local constraint."""
        assert self.window is not None  # checked at the start
        return self.window

    def fit(self, images: ImageSet, *, runtime: Runtime = Runtime()) -> LinearDenoiser:
        x = images.images
        h, w = images.shape[1:]
        # on the torus a pixel is seen once
        widest = min(h, w) if self.constraint == "local" else 2 * max(h, w) - 1
        if self.local and self.side > widest:
            raise InputError(
                f"the window of constraint={self.constraint!r} must be at most {widest} for "
                f"{h}x{w} images, got {self.window}; "
                "take a smaller odd one, or constraint='equivariant' for the whole torus"
            )
        if self.constraint is None:
            rank = self.rank or 0
            moments.check_rank(rank, x)
            mean, basis, variances = moments.principal(x)
            moments.check_rank(rank, x, len(variances))
            state = {
                "mean": mean,
                "basis": basis[:, : self.rank].contiguous(),
                "variances": variances[: self.rank],
            }
        elif self.constraint == "local_per_pixel":
            mean, covariances = moments.neighbours(x, self.side)
            state = {"mean": mean, "covariances": covariances}
        else:
            channel_mean, r = moments.stationary(x)
            mean = channel_mean[:, None, None].expand(images.shape).contiguous()
            if self.constraint == "local":
                values, vectors = torch.linalg.eigh(moments.window_of(r, self.side))
            else:
                values, vectors = torch.linalg.eigh(torch.fft.fft2(r).permute(2, 3, 0, 1))
                vectors = torch.view_as_real(vectors).contiguous()
            state = {"mean": mean, "values": values.clamp_min(0), "vectors": vectors}
        return self.rebuild(state)

    def rebuild(self, state: dict[str, Tensor]) -> LinearDenoiser:
        kind: dict[str | None, type[LinearDenoiser]] = {
            None: Wiener,
            "equivariant": Equivariant,
            "local": LocalConvolution,
            "local_per_pixel": LocalPerPixel,
        }
        return kind[self.constraint](self, tuple(state["mean"].shape), state)


class LinearDenoiser(Denoiser):
    """D(y) = mu + A_sigma (y - mu), with `state()["mean"]` mu (C, H, W)."""

    spec: Linear

    @property
    def mean(self) -> Tensor:
        """mu, (C, H, W) float64."""
        return self._tensors["mean"]


class Wiener(LinearDenoiser):
    """A = U diag(lam / (lam + sigma^2)) U^T; state: mean, basis U (d, r), variances lam (r,)."""

    def denoise(self, y: Tensor, sigma: Tensor, labels: Tensor | None = None) -> Tensor:
        t = self.tensors(y)
        z = (y - t["mean"]).flatten(1) @ t["basis"]
        gain = t["variances"] / (t["variances"] + sigma[:, None] ** 2)
        return t["mean"] + ((gain * z) @ t["basis"].T).reshape(y.shape)


class Convolution(LinearDenoiser):
    """A diagonal in frequency: D^(f) = mu^ + T_sigma(f) (y - mu)^(f), one C x C transfer matrix per
    frequency.
    """

    @abc.abstractmethod
    def transfer(self, sigma: Tensor) -> Tensor:
        """T_sigma(f) at levels (B,): (B, H, W, C, C) complex, of sigma's precision."""

    def denoise(self, y: Tensor, sigma: Tensor, labels: Tensor | None = None) -> Tensor:
        mean = self.tensors(y)["mean"]
        waves = torch.fft.fft2(y - mean)
        levels, row = sigma.unique(return_inverse=True)
        transfer = self.transfer(levels)
        if len(levels) == 1:
            return mean + torch.fft.ifft2(torch.einsum("hwce,behw->bchw", transfer[0], waves)).real
        return mean + torch.fft.ifft2(torch.einsum("bhwce,behw->bchw", transfer[row], waves)).real


class Equivariant(Convolution):
    """T = V diag(s / (s + sigma^2)) V^H; state: mean, values s (H, W, C), vectors V (H, W, C, C, 2
    = real and imaginary).
    """

    def transfer(self, sigma: Tensor) -> Tensor:
        t = self.tensors(sigma)
        vectors = torch.view_as_complex(t["vectors"])
        gain = t["values"] / (t["values"] + sigma[:, None, None, None] ** 2)
        return (vectors * gain.unsqueeze(-2)) @ vectors.mH


class LocalConvolution(Convolution):
    """w = Q diag(l / (l + sigma^2)) Q^T e_centre; state: mean, values l (k k C,), vectors Q (k k C,
    k k C).
    """

    def kernel(self, sigma: Tensor) -> Tensor:
        """W at levels (B,): (B, k, k, C in, C out), the weight of pixel p + x - k // 2 in the
        output at p.
        """
        k, c = self.spec.side, self.shape[0]
        t = self.tensors(sigma)
        gain = t["values"] / (t["values"] + sigma[:, None] ** 2)
        middle = (k * k // 2) * c
        centre = t["vectors"][middle : middle + c]
        return torch.einsum("am,bm,cm->bac", t["vectors"], gain, centre).reshape(
            len(sigma), k, k, c, c
        )

    def transfer(self, sigma: Tensor) -> Tensor:
        k, (_, h, w) = self.spec.side, self.shape
        torus = torch.nn.functional.pad(
            self.kernel(sigma).permute(0, 4, 3, 1, 2), (0, w - k, 0, h - k)
        )
        # (B, C out, C in, H, W), the centre at 0
        torus = torch.roll(torus, (-(k // 2), -(k // 2)), (3, 4))
        return torch.fft.fft2(torus).conj().resolve_conj().permute(0, 3, 4, 1, 2)


class LocalPerPixel(LinearDenoiser):
    """Each pixel regressed on its own window; state: mean, covariances K (H, W, 2k-1, 2k-1, C, C)
    of `moments.neighbours`.
    """

    def __init__(self, spec: Linear, shape: Sequence[int], tensors: dict[str, Tensor]):
        super().__init__(spec, shape, tensors)
        self._weights: OrderedDict[float, Tensor] = OrderedDict()

    def denoise(self, y: Tensor, sigma: Tensor, labels: Tensor | None = None) -> Tensor:
        levels = sigma.unique().tolist()
        if len(levels) == 1:
            return self._filter(y, levels[0])
        out = torch.zeros_like(y)
        for level in levels:
            out = torch.where((sigma == level)[:, None, None, None], self._filter(y, level), out)
        return out

    def _filter(self, y: Tensor, level: float) -> Tensor:
        """The affine map of one level: sum over the window's k k positions."""
        k, (_, h, w) = self.spec.side, self.shape
        mean, weights = self._tensors["mean"].to(y), self.weights(level).to(y)
        padded = torch.nn.functional.pad(y - mean, [k // 2] * 4)
        out = mean
        for i in range(k):
            for j in range(k):
                out = out + torch.einsum(
                    "behw,hwce->bchw", padded[:, :, i : i + h, j : j + w], weights[:, :, :, i, j]
                )
        return out

    def weights(self, level: float) -> Tensor:
        """(H, W, C out, k, k, C in) float64: the regression at one noise level, zero outside the
        image.
        """
        if level in self._weights:
            self._weights.move_to_end(level)
            return self._weights[level]
        k, (c, h, w) = self.spec.side, self.shape
        m, half = k * k * c, k // 2
        covariances = torch.nn.functional.pad(
            self._tensors["covariances"].cpu(), [0, 0, 0, 0, 0, 0, 0, 0, half, half, half, half]
        )
        out = torch.empty(h, w, c, k, k, c, dtype=torch.float64)
        step = max(1, WORK // (w * m * m * 8))
        for top in range(0, h, step):
            rows = min(step, h - top)
            window = torch.empty(rows, w, k, k, c, k, k, c, dtype=torch.float64)
            for i in range(k):
                for j in range(k):
                    here = covariances[top + i : top + i + rows, j : j + w]
                    window[:, :, i, j] = here[
                        :, :, k - 1 - i : 2 * k - 1 - i, k - 1 - j : 2 * k - 1 - j
                    ].permute(0, 1, 4, 2, 3, 5)
            to_centre = window[:, :, :, :, :, half, half].reshape(rows, w, m, c).clone()
            window = window.reshape(rows, w, m, m)
            window.diagonal(dim1=-2, dim2=-1).add_(level**2)
            solved = torch.cholesky_solve(to_centre, torch.linalg.cholesky(window))
            out[top : top + rows] = solved.transpose(-1, -2).reshape(rows, w, c, k, k, c)
        self._weights[level] = out
        while len(self._weights) > 1 and len(self._weights) * out.numel() * 8 > KEEP:
            self._weights.popitem(last=False)
        return out
