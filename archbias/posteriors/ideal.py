"""The ideal denoiser: the exact posterior mean under the training set itself.

    D(y, sigma) = sum_i w_i phi_i,   w = softmax_i( -||y - phi_i||^2 / (2 sigma^2) )

One belief for the whole image. As sigma falls it becomes the nearest training image, so what it
generates is the training set: every image of which the reverse process lands on, nothing else. With
labels the sum runs over the images of that label.

||y||^2 is common to all images, so the logits are (y . phi_i - ||phi_i||^2 / 2) / sigma^2, one
matrix product. They are formed in float64 whatever the dtype of y: at sigma = 0.01 a float32
product would be wrong by several nats. The training set is read in blocks, so that casts never copy
the whole of it.

Source: Kamb & Ganguli, arXiv 2412.20292, section 2 ("ideal score"); the posterior mean is Tweedie's
    formula.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from ..denoise import Denoiser, Runtime, Spec

if TYPE_CHECKING:
    from ..data import ImageSet

BLOCK = 2**22  # pixels of the training set cast to float64 at once (32 MB)
LOGITS = 2**23  # beliefs held at once (64 MB)


@dataclass(frozen=True, kw_only=True)
class Ideal(Spec):
    """The posterior mean over whole training images; no settings.

    Example:
        >>> import archbias
        >>> images = archbias.load("fashion_mnist", n=5, size=8)
        >>> ideal = archbias.FAMILIES["ideal"]().fit(images)
        >>> y = images.images[:1]
        >>> bool((ideal(y, 1e-3) == y).all())
        True
        >>> bool((ideal(y, 1e6) - images.images.mean(0)).abs().max() < 1e-5)
        True
    """

    summary: ClassVar[str] = "posterior mean over whole images; copies as noise falls"

    def fit(self, images: ImageSet, *, runtime: Runtime = Runtime()) -> IdealDenoiser:
        """Keep the images; nothing is estimated."""
        state = {"images": images.images}
        return self.rebuild(state if images.labels is None else state | {"labels": images.labels})

    def rebuild(self, state: dict[str, Tensor]) -> IdealDenoiser:
        """The denoiser of these images."""
        return IdealDenoiser(self, tuple(state["images"].shape[1:]), state)


class IdealDenoiser(Denoiser):
    """State: images (N, C, H, W) float32, labels (N,) int64 where the set has them."""

    spec: Ideal

    def __init__(self, spec: Ideal, shape: Sequence[int], tensors: dict[str, Tensor]):
        super().__init__(spec, shape, tensors)
        self.classes = tuple(tensors["labels"].unique().tolist()) if "labels" in tensors else ()

    def weights(self, y: Tensor, sigma: float | Tensor, labels: Tensor | None = None) -> Tensor:
        """The belief w (B, N) in float64: how probable each training image is behind y. Arguments
        as in a call.
        """
        return self._weights(y, *self.check(y, sigma, labels))

    def denoise(self, y: Tensor, sigma: Tensor, labels: Tensor | None = None) -> Tensor:
        """sum_i w_i phi_i, rows in groups that bound the memory."""
        size = max(1, LOGITS // len(self._tensors["images"]))
        parts = []
        for i in range(0, max(len(y), 1), size):
            rows = slice(i, i + size)
            w = self._weights(y[rows], sigma[rows], None if labels is None else labels[rows]).to(
                y.dtype
            )
            start, total = 0, y.new_zeros(())
            for block in self._blocks(y):
                total = total + w[:, start : start + len(block)] @ block
                start += len(block)
            parts.append(total)
        return torch.cat(parts).reshape(y.shape)

    def _weights(self, y: Tensor, sigma: Tensor, labels: Tensor | None) -> Tensor:
        rows = y.flatten(1).double()
        products = []
        for block in self._blocks(y):
            phi = block.double()
            products.append(rows @ phi.T - phi.square().sum(1) / 2)
        logits = torch.cat(products, 1) / sigma.double()[:, None] ** 2
        if labels is not None:
            logits = logits.masked_fill(self.tensors(y)["labels"] != labels[:, None], -torch.inf)
        return logits.softmax(1)

    def _blocks(self, y: Tensor) -> Iterator[Tensor]:
        images = self.tensors(y)["images"].flatten(1)
        yield from images.split(max(1, BLOCK // images.shape[1]))
