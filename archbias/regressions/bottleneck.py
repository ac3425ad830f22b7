"""Bottleneck denoisers: everything the output knows of y has passed through r numbers.

    z = V^T (y - mu) = V^T (x - mu) + sigma n_r,   V the r leading principal axes of the images

    linear         D = mu + V diag(lam / (lam + sigma^2)) z                   affine encoder and
        decoder: reduced-rank Wiener
    mixture        D = mu + V E[c | z],  c a Gaussian mixture in the plane    E by Bayes' rule over
    the components
    confined       D = mu + V E[c | z],  c one of the N projected images      any decoder into the
    plane, at its optimum
    unrestricted   D = E[x | z],         x one of the N images                any decoder at all, at
    its optimum

With c_i = V^T (x_i - mu) the last two weigh image i by softmax_i( -|z - c_i|^2 / (2 sigma^2) ). For
a mixture with weights w_k, means m_k and covariances C_k = Q_k diag(l_k) Q_k^T,

    E[c | z] = sum_k p_k(z) ( m_k + Q_k diag(l_k / (l_k + sigma^2)) Q_k^T (z - m_k) ),   p_k ~ w_k
    N(z; m_k, C_k + sigma^2 I)

Source: Levine & Weiss, arXiv 2605.16415, on bottleneck denoisers; mixtures by EM (scikit-learn).
"""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from ..data.limits import check_memory
from ..denoise import Denoiser, Runtime, Spec
from ..errors import InputError, nearest
from . import moments

if TYPE_CHECKING:
    from ..data import ImageSet


@dataclass(frozen=True, kw_only=True)
class Bottleneck(Spec):
    """Settings of a bottleneck denoiser.

    kind: "linear", "mixture", "confined" or "unrestricted", what the decoder may do with the r
        numbers.
    rank: r, how many numbers pass.
    components: of the mixture, for kind="mixture" only.
    seed: of the mixture's starting point.
    """

    kind: str = "linear"
    rank: int = 10
    components: int | None = None
    seed: int = 0

    summary: ClassVar[str] = "r numbers between an encoder and one of four decoders"

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InputError(
                f"unknown kind of bottleneck {self.kind!r}; {nearest(str(self.kind), KINDS)}"
            )
        if not isinstance(self.rank, int) or self.rank < 1:
            raise InputError(
                f"rank must be an integer of at least 1, got {self.rank!r}; give for example "
                "rank=10"
            )
        if self.kind == "mixture" and (not isinstance(self.components, int) or self.components < 1):
            raise InputError(
                "kind='mixture' wants components, an integer of at least 1, got "
                f"{self.components!r}; give for example components=8"
            )
        if self.kind != "mixture" and self.components is not None:
            raise InputError(
                f"components belong to kind='mixture', got components={self.components!r} with "
                f"kind={self.kind!r}; leave them out"
            )
        if not isinstance(self.seed, int) or self.seed < 0:
            raise InputError(
                f"seed must be an integer of at least 0, got {self.seed!r}; give for example seed=0"
            )

    def fit(self, images: ImageSet, *, runtime: Runtime = Runtime()) -> BottleneckDenoiser:
        moments.check_rank(self.rank, images.images)
        if self.kind == "mixture":
            self._affordable(len(images))
        mean, basis, variances = moments.principal(images.images)
        moments.check_rank(self.rank, images.images, len(variances))
        state = {"mean": mean, "basis": basis[:, : self.rank].contiguous()}
        if self.kind == "linear":
            return self.rebuild(state | {"variances": variances[: self.rank]})
        codes = torch.cat(
            [
                (x.double() - mean).flatten(1) @ state["basis"]
                for x in images.images.split(moments.CHUNK)
            ]
        )
        if self.kind == "mixture":
            assert self.components is not None
            state |= _mixture(codes, self.components, self.seed)
        else:
            state |= {"codes": codes}
        if self.kind == "unrestricted":
            state |= {"images": images.images}
        return self.rebuild(state)

    def _affordable(self, n: int) -> None:
        """A mixture has at most one component per image, and its covariances fit into memory."""
        assert self.components is not None  # checked at the start
        if self.components > n:
            raise InputError(
                f"wanted at most one component per image, got {self.components} for {n} images; "
                "take fewer"
            )
        size = (3, self.components, self.rank, self.rank)
        check_memory(size, 8, "the mixture's covariances", "take a smaller rank, fewer components")

    def rebuild(self, state: dict[str, Tensor]) -> BottleneckDenoiser:
        return KINDS[self.kind](self, tuple(state["mean"].shape), state)


def _mixture(codes: Tensor, components: int, seed: int) -> dict[str, Tensor]:
    """EM on the codes (N, r): weights (K,), centres (K, r), spreads l (K, r), axes Q (K, r, r)."""
    from sklearn.mixture import GaussianMixture

    scale = codes.var(0, correction=0).mean().sqrt()  # EM regularises in units of pixels otherwise
    em = GaussianMixture(components, random_state=seed, max_iter=1000, reg_covar=1e-6).fit(
        (codes / scale).numpy()
    )
    spreads, axes = torch.linalg.eigh(torch.from_numpy(em.covariances_) * scale**2)
    return {
        "weights": torch.from_numpy(em.weights_),
        "centres": torch.from_numpy(em.means_) * scale,
        "spreads": spreads,
        "axes": axes,
    }


class BottleneckDenoiser(Denoiser):
    """D as a function of z; state: mean (C, H, W), basis V (d, r) and what the decoder needs."""

    spec: Bottleneck

    def encode(self, y: Tensor) -> Tensor:
        """Z (B, r) of y (B, C, H, W)."""
        t = self.tensors(y)
        return (y - t["mean"]).flatten(1) @ t["basis"]

    def lift(self, z: Tensor) -> Tensor:
        """Mu + V z: (B, r) -> (B, C, H, W)."""
        t = self.tensors(z)
        return t["mean"] + (z @ t["basis"].T).reshape(-1, *self.shape)


class InPlane(BottleneckDenoiser):
    """A decoder into the plane mu + V R^r: D = mu + V g(z)."""

    @abc.abstractmethod
    def centre(self, z: Tensor, sigma: Tensor) -> Tensor:
        """g(z) = E[c | z], (B, r), at levels (B,)."""

    def denoise(self, y: Tensor, sigma: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.lift(self.centre(self.encode(y), sigma))


class LinearBottleneck(InPlane):
    """state: variances lam (r,)."""

    def centre(self, z: Tensor, sigma: Tensor) -> Tensor:
        lam = self.tensors(z)["variances"]
        return lam / (lam + sigma[:, None] ** 2) * z


class MixtureBottleneck(InPlane):
    """state: weights (K,), centres (K, r), spreads (K, r), axes (K, r, r)."""

    def centre(self, z: Tensor, sigma: Tensor) -> Tensor:
        t = self.tensors(z)
        total = t["spreads"] + sigma[:, None, None] ** 2  # (B, K, r)
        away = torch.einsum("bkr,krs->bks", z[:, None] - t["centres"], t["axes"])
        score = t["weights"].log() - 0.5 * (away**2 / total + total.log()).sum(-1)
        belief = torch.softmax(score, dim=1)
        each = t["centres"] + torch.einsum("bks,krs->bkr", t["spreads"] / total * away, t["axes"])
        return (belief[:, :, None] * each).sum(1)


def _beliefs(codes: Tensor, z: Tensor, sigma: Tensor) -> Tensor:
    """softmax_i( -|z - c_i|^2 / (2 sigma^2) ), (B, N), computed in float64 and returned in the
    dtype of z.
    """
    codes, wide = codes.to(z.device), z.to(torch.float64)
    score = (wide @ codes.T - (codes**2).sum(1) / 2) / sigma[:, None].to(torch.float64) ** 2
    return torch.softmax(score, dim=1).to(z.dtype)


class ConfinedBottleneck(InPlane):
    """state: codes c (N, r)."""

    def centre(self, z: Tensor, sigma: Tensor) -> Tensor:
        return self.beliefs(z, sigma) @ self.tensors(z)["codes"]

    def beliefs(self, z: Tensor, sigma: Tensor) -> Tensor:
        """How much of the output is image i, (B, N)."""
        return _beliefs(self._tensors["codes"], z, sigma)


class UnrestrictedBottleneck(BottleneckDenoiser):
    """state: codes c (N, r), images (N, C, H, W)."""

    def beliefs(self, z: Tensor, sigma: Tensor) -> Tensor:
        """How much of the output is image i, (B, N)."""
        return _beliefs(self._tensors["codes"], z, sigma)

    def denoise(self, y: Tensor, sigma: Tensor, labels: Tensor | None = None) -> Tensor:
        images = self.tensors(y)["images"]
        return (self.beliefs(self.encode(y), sigma) @ images.flatten(1)).reshape(y.shape)


KINDS: dict[str, type[BottleneckDenoiser]] = {
    "linear": LinearBottleneck,
    "mixture": MixtureBottleneck,
    "confined": ConfinedBottleneck,
    "unrestricted": UnrestrictedBottleneck,
}
