"""An image set: what every family is fitted to.

Clean pixels in [-1, 1], float32, (N, C, H, W); one id per image, so that "which training image" has an answer; labels
where the set has them; a hash, so that "the same images" is a fact another machine can check.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images with their names.

    images: (N, C, H, W) float32 in [-1, 1].
    ids: N distinct strings.
    labels: (N,) int64 or None.
    name: what the set is called in results.
    """

    images: Tensor = field(repr=False)
    ids: tuple[str, ...] = field(repr=False)
    labels: Tensor | None = field(default=None, repr=False)
    name: str = "array"

    @classmethod
    def from_array(
        cls,
        x: Tensor | np.ndarray,
        *,
        ids: Sequence[str] | None = None,
        labels: Tensor | np.ndarray | None = None,
        name: str = "array",
    ) -> ImageSet:
        """From (N, C, H, W) floats in [-1, 1]; ids default to zero-padded positions."""
        x = torch.as_tensor(x)
        if x.ndim != 4 or not x.is_floating_point() or 0 in x.shape:
            raise InputError(
                f"images must be floats of shape (N, C, H, W) with N at least 1, got {x.dtype} of shape {tuple(x.shape)}; "
                "for bytes (N, H, W, C) use archbias.load('array', root=...)"
            )
        if not torch.isfinite(x).all():
            bad = int((~torch.isfinite(x)).flatten(1).any(1).nonzero()[0, 0])
            raise InputError(f"every pixel must be finite, got NaN or infinity in image {bad}; remove it or mend the file")
        if x.abs().max() > 1 + 1e-6:
            raise InputError(f"pixels must lie in [-1, 1], got [{x.min():.3g}, {x.max():.3g}]; map bytes with x / 127.5 - 1")
        ids = tuple(f"{i:06d}" for i in range(len(x))) if ids is None else tuple(map(str, ids))
        if len(ids) != len(x) or len(set(ids)) != len(ids):
            raise InputError(f"wanted {len(x)} distinct ids, got {len(ids)} with {len(set(ids))} distinct; give one id per image")
        if labels is not None:
            labels = torch.as_tensor(labels).long()
            if labels.shape != (len(x),):
                raise InputError(f"wanted {len(x)} labels, got shape {tuple(labels.shape)}; give one label per image")
        return cls(x.to(torch.float32).contiguous(), ids, labels, name)

    def __len__(self) -> int:
        return len(self.images)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of one image."""
        return tuple(self.images.shape[1:])

    @cached_property
    def hash(self) -> str:
        """sha256 of shape and float32 pixels (little endian), as hex."""
        digest = hashlib.sha256(repr(tuple(self.images.shape)).encode())
        digest.update(self.images.numpy().astype("<f4", copy=False).tobytes())
        return digest.hexdigest()

    @property
    def classes(self) -> tuple[int, ...]:
        """The labels that occur, ascending; empty without labels."""
        return () if self.labels is None else tuple(self.labels.unique().tolist())
