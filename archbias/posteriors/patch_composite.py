"""Patch set posterior composites: each patch denoised as a whole by its own belief, then averaged.

    d_C(y) = sum_i w_i(C) phi_i[C],   w(C) = softmax_i( -||y[C] - phi_i[C]||^2 / (2 sigma^2) )
    D(y)[x] = sum_{C contains x} d_C(y)[x] / #{C contains x}

The patch set of a patch C is that patch of every training image, at the same place. Unlike the
local score machine, which keeps the centre of a window, every pixel of a patch is kept, and a pixel
is the mean of as many beliefs as patches cover it.

    square   all k x k patches that lie inside the image; a k beyond the image is the image
    flex     one patch for each pixel, the fewest pixels that hold a share of a heat map E_p(x) >= 0

The published heat maps are a network's mean gradients; given to `fit` as measured masks they are
that, and else the squared Wiener weights of the images, which is ours. Pixels that no patch covers
cannot be (a pixel without any patch would have none to average): each patch of flex holds its own
pixel here.

With patches as rows of a 0-1 matrix M (J, HW) both sums are products: logits -(M Z) / (2 sigma^2)
with Z (HW, N) as in `gaps`, then M' W with the beliefs W (J, N). Memory: J N numbers a row.

Source: Niedoba, Zwartsenberg, Murphy & Wood, *Towards a mechanistic explanation of diffusion model
generalization*, arXiv 2411.19339 (PSPC-Square, PSPC-Flex; SIZES and SHARES are their schedules for
CIFAR10 at 18 levels).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from ..denoise import Denoiser, Runtime, Spec
from ..errors import InputError, nearest
from ..noise import karras
from ..regressions.moments import principal
from .gaps import centre_of, logits_of, positions_first
from .levels import Schedule, at, check
from .masks import Masks, fewest, wiener_energy
from .told import JACOBIAN, scale

if TYPE_CHECKING:
    from ..data import ImageSet

PATCHES = ("square", "flex")
LEVELS = tuple(karras(18).flip(0)[1:].tolist())
SIZES = Schedule(
    LEVELS,
    tuple(reversed((*[32] * 7, 23, 15, 11, 7, 5, *[3] * 6))),
    "rule: arXiv 2411.19339, CIFAR10",
)
SHARES = Schedule(
    LEVELS,
    tuple(reversed((*[1.0] * 7, 0.7, 0.7, 0.5, *[0.4] * 4, *[0.3] * 4))),
    "rule: arXiv 2411.19339, CIFAR10",
)


@dataclass(frozen=True, kw_only=True)
class PatchComposite(Spec):
    """Every patch denoised by its own belief, overlapping patches averaged.

    patches: square, or flex, the fewest pixels that hold a share of a heat map.
    size: side of square patches, at least 1, or a schedule.
    share: of the heat map that a patch of flex holds, above 0 and at most 1, or a schedule.
    measured: whether the heat maps of flex are a network's, given to `fit` as masks; False takes
        the squared Wiener weights of the images.
    """

    summary: ClassVar[str] = "patches each with a belief of its own, averaged"
    patches: str = "square"
    size: int | Schedule = 7
    share: float | Schedule = 0.5
    measured: bool = False

    def __post_init__(self) -> None:
        if self.patches not in PATCHES:
            raise InputError(
                f"unknown patches {self.patches!r}; {nearest(str(self.patches), PATCHES)}"
            )
        check("size", self.size, lambda v: v >= 1 and isinstance(v, Integral), "a whole number")
        check("share", self.share, lambda v: 0 < v <= 1, "a number above 0 and at most 1")
        if not isinstance(self.measured, bool) or (self.measured and self.patches != "flex"):
            raise InputError(
                f"measured is True or False, and True for patches='flex' only, got "
                f"{self.measured!r}; leave it out for the images' own heat maps"
            )

    @property
    def told(self) -> str:
        """What of a network this theory is told."""
        return JACOBIAN if self.measured else scale(self.size, self.share)

    def fit(
        self, images: ImageSet, *, runtime: Runtime = Runtime(), masks: Masks | None = None
    ) -> CompositeDenoiser:
        """Keep the images and what the heat maps are made of.

        masks: shared ones of a network, for measured=True.
        """
        state = {"images": images.images}
        if images.labels is not None:
            state["labels"] = images.labels
        if self.measured != (masks is not None):
            raise InputError(
                f"measured={self.measured} takes {'' if self.measured else 'no '}masks, got "
                f"{masks!r}; measure them with archbias.posteriors.measured.of_network"
            )
        if masks is not None:
            if masks.shape != images.shape or not masks.shared:
                raise InputError(
                    f"wanted shared masks of {images.shape} images, got {masks!r}; measure them "
                    "again"
                )
            state |= {"mask_sigmas": masks.sigmas, "mask_energy": masks.energy}
        elif self.patches == "flex":
            found = principal(images.images)
            state |= {"basis": found.basis, "variances": found.variances}
        return self.rebuild(state)

    def rebuild(self, state: dict[str, Tensor]) -> CompositeDenoiser:
        """The composite over these images."""
        return CompositeDenoiser(self, tuple(state["images"].shape[1:]), state)


class CompositeDenoiser(Denoiser):
    """State: images (N, C, H, W) float32, labels where the set has them; for flex basis and
    variances, or mask_sigmas and mask_energy.
    """

    spec: PatchComposite

    def __init__(self, spec: PatchComposite, shape: Sequence[int], tensors: dict[str, Tensor]):
        super().__init__(spec, shape, tensors)
        self.classes = tuple(tensors["labels"].unique().tolist()) if "labels" in tensors else ()
        self._sets: dict[float, Tensor] = {}

    def patches(self, sigma: float) -> Tensor:
        """The patches at a noise level as rows (J, HW) of 0 and 1, float64."""
        spec, (_, h, w) = self.spec, self.shape
        key = float(at(spec.size, sigma)) if spec.patches == "square" else float(sigma)
        if key in self._sets:
            return self._sets[key]
        if spec.patches == "square":
            rows, columns = (_intervals(n, min(int(key), n)) for n in (h, w))
            found = torch.einsum("ax,by->abxy", rows, columns).reshape(-1, h * w)
        else:
            found = fewest(self._heat(float(sigma)), at(spec.share, sigma))
            found.fill_diagonal_(1)
        self._sets.clear()  # a sampler meets its levels one after the other
        self._sets[key] = found
        return found

    def denoise(self, y: Tensor, sigma: Tensor, labels: Tensor | None = None) -> Tensor:
        """Row by row, so that a row alone is the row in its batch."""
        rows = []
        for b, level in enumerate(sigma.detach().tolist()):
            patches = self.patches(level).to(y.device, y.dtype)
            images = self.tensors(y)["images"]
            if labels is not None:
                images = images[self.tensors(y)["labels"] == labels[b]]
            phi = positions_first(images, y)
            noisy = y[b].flatten(1).T[..., None]
            distance = logits_of(noisy, phi, centre_of(phi, level), patches, True)
            beliefs = (distance / (2 * sigma[b] ** 2)).softmax(1)
            covers = patches.T @ beliefs
            mean = (phi * covers[:, None]).sum(2) / patches.sum(0)[:, None]
            rows.append(mean.T.reshape(self.shape))
        return torch.stack(rows)

    def _heat(self, level: float) -> Tensor:
        """E_p(x) (HW, HW) float64 at one noise level."""
        if self.spec.measured:
            sigmas = self._tensors["mask_sigmas"]
            near = (sigmas / level).log().abs().argmin()
            return self._tensors["mask_energy"][near].double()
        basis, variances = self._tensors["basis"], self._tensors["variances"]
        return wiener_energy(basis, variances, level, self.shape[0], True)


def _intervals(size: int, length: int) -> Tensor:
    """(size - length + 1, size): every interval of this length, as 0 and 1."""
    start, at_ = torch.arange(size - length + 1)[:, None], torch.arange(size)
    return ((at_ >= start) & (at_ < start + length)).double()
