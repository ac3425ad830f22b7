"""An image set: what every family is fitted to.

Clean pixels in [-1, 1], float32, (N, C, H, W); one id per image, so that "which training image" has
an answer; labels where the set has them; a hash, so that "the same images" is a fact another
machine can check.
"""

from __future__ import annotations

import hashlib
import html
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from numbers import Integral

import numpy as np
import torch
from torch import Tensor

from .. import seeds
from ..errors import InputError, nearest
from . import pictures
from .manifest import Manifest

THUMBNAILS = 20  # images a notebook shows of a set


@dataclass(frozen=True, eq=False, repr=False)
class ImageSet:
    """Images with their names.

    images: (N, C, H, W) float32 in [-1, 1].
    ids: N distinct strings.
    labels: (N,) int64 or None.
    name: what the set is called in results.
    transform: what was done to the source's pixels, in order, as text.
    """

    images: Tensor
    ids: tuple[str, ...]
    labels: Tensor | None = None
    name: str = "array"
    transform: tuple[str, ...] = ()

    @classmethod
    def from_array(
        cls,
        x: Tensor | np.ndarray,
        *,
        ids: Sequence[str] | None = None,
        labels: Tensor | np.ndarray | None = None,
        name: str = "array",
        transform: Sequence[str] = (),
    ) -> ImageSet:
        """From (N, C, H, W) floats in [-1, 1], copied: what happens to x later is not seen. Ids
        default to zero-padded positions.
        """
        # also read-only, reversed and big-endian arrays, which torch does not take
        if not isinstance(x, Tensor):
            x = np.asarray(x)
            x = torch.from_numpy(np.array(x, dtype=x.dtype.newbyteorder("="), order="C"))
        if x.ndim != 4 or not x.is_floating_point() or 0 in x.shape:
            raise InputError(
                f"images must be floats of shape (N, C, H, W) with N at least 1, got {x.dtype} of "
                f"shape {tuple(x.shape)}; "
                "for bytes (N, H, W, C) use archbias.load('array', root=...)"
            )
        if not torch.isfinite(x).all():
            bad = int((~torch.isfinite(x)).flatten(1).any(1).nonzero()[0, 0])
            raise InputError(
                f"every pixel must be finite, got NaN or infinity in image {bad}; remove it or "
                "mend the file"
            )
        if x.abs().max() > 1 + 1e-6:
            raise InputError(
                f"pixels must lie in [-1, 1], got [{x.min():.3g}, {x.max():.3g}]; map bytes with x "
                "/ 127.5 - 1"
            )
        ids = tuple(f"{i:06d}" for i in range(len(x))) if ids is None else tuple(map(str, ids))
        if len(ids) != len(x) or len(set(ids)) != len(ids):
            raise InputError(
                f"wanted {len(x)} distinct ids, got {len(ids)} with {len(set(ids))} distinct; give "
                "one id per image"
            )
        if labels is not None:
            given = torch.as_tensor(labels)
            labels = given.to("cpu", torch.int64, copy=True)
            if labels.shape != (len(x),):
                raise InputError(
                    f"wanted {len(x)} labels, got shape {tuple(labels.shape)}; give one label per "
                    "image"
                )
            if given.is_floating_point() and bool((labels != given.cpu()).any()):
                raise InputError(
                    f"labels must be integers, got {given.dtype} with fractions; number the "
                    "classes 0, 1, 2, ..."
                )
        x = x.detach().to("cpu", torch.float32, copy=True, memory_format=torch.contiguous_format)
        return cls(x, ids, labels, name, tuple(transform))

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

    def manifest(self) -> Manifest:
        """What these images are, for another machine to check."""
        return Manifest.of(self)

    def subset(
        self, n: int | None = None, *, seed: int | None = None, ids: Sequence[str] | None = None
    ) -> ImageSet:
        """The first n images, n drawn by a seed (in the set's order), or those with the given ids
        (in the given order).
        """
        return self._rows(choose(self.ids, n, seed, ids, self.name))

    def split(self, n: int, *, seed: int | None = None) -> tuple[ImageSet, ImageSet]:
        """N images, as `subset` chooses them, and all the others: two sets without a common
        image.
        """
        rows = choose(self.ids, n, seed, None, self.name)
        if len(rows) == len(self):
            raise InputError(
                f"wanted a split with both parts filled, got n={n} of {len(self)} images; give a "
                "smaller n"
            )
        return self._rows(rows), self._rows(sorted(set(range(len(self))) - set(rows)))

    def resize(self, size: int | tuple[int, int]) -> ImageSet:
        """To size x size or (height, width) by antialiased bilinear interpolation, in floats.

        `archbias.load(name, size=...)` resizes bytes to bytes, which differs from this by rounding
        to 1/127.5 at most.
        """
        height, width = (size, size) if isinstance(size, int) else size
        check_size(height, width)
        if (height, width) == self.shape[1:]:
            return self
        small = [pictures.resize(x.permute(1, 2, 0).numpy(), height, width) for x in self.images]
        x = torch.from_numpy(np.stack(small)).permute(0, 3, 1, 2).clamp(-1, 1).contiguous()
        note = f"resize {height}x{width} antialiased bilinear, floats"
        return replace(self, images=x, transform=(*self.transform, note))

    def _rows(self, rows: Sequence[int]) -> ImageSet:
        rows = list(rows)
        labels = None if self.labels is None else self.labels[rows]
        return replace(
            self,
            images=self.images[rows].contiguous(),
            ids=tuple(self.ids[i] for i in rows),
            labels=labels,
        )

    def __repr__(self) -> str:
        return f"<{self._head()}>"

    def _head(self) -> str:
        c, h, w = self.shape
        classes = f", {len(self.classes)} classes" if self.classes else ""
        return f"{self.name}: {len(self)} images of {c}x{h}x{w}{classes}, sha256 {self.hash[:12]}"

    def _repr_html_(self) -> str:
        head = html.escape(self._head())
        if self.shape[0] not in (1, 3):
            return f"<div>{head}</div>"
        shown = zip(self.images[:THUMBNAILS].numpy(), self.ids, strict=False)
        return (
            f"<div>{head}</div><div>{''.join(pictures.to_html(x, name) for x, name in shown)}</div>"
        )


def choose(
    known: Sequence[str], n: int | None, seed: int | None, ids: Sequence[str] | None, where: str
) -> list[int]:
    """Positions of the first n, of n drawn without replacement by a seed (ascending), or of the
    given ids.

    Args:
        known: all ids.
        where: what an error calls the set.
    """
    if ids is not None:
        if n is not None or seed is not None:
            raise InputError("a subset is chosen by ids or by n and seed, got both; leave one out")
        place = {name: i for i, name in enumerate(known)}
        for name in ids:
            if name not in place:
                close = (
                    nearest(str(name), place)
                    if len(place) <= 10_000
                    else f"they run from {known[0]} to {known[-1]}"
                )
                raise InputError(f"{where} has no image {name!r}; {close}")
        if len(set(ids)) != len(ids) or not len(ids):
            raise InputError(
                f"wanted distinct ids, got {len(ids)} with {len(set(ids))} distinct; name each "
                "image once"
            )
        return [place[name] for name in ids]
    n = len(known) if n is None else n
    if not isinstance(n, Integral) or isinstance(n, bool) or n < 1:
        raise InputError(
            f"the number of images must be an integer of at least 1, got {n!r}; 1000 is usual"
        )
    if n > len(known):
        raise InputError(
            f"wanted {n} images, got {len(known)} in {where}; ask for at most {len(known)} or add "
            "images"
        )
    if seed is None:
        return list(range(n))
    return sorted(seeds.generator(seed).choice(len(known), size=n, replace=False).tolist())


def check_size(height: int, width: int) -> None:
    """An InputError unless both are positive integers."""
    if not all(isinstance(v, int) and not isinstance(v, bool) and v > 0 for v in (height, width)):
        raise InputError(
            f"an image size must be a positive integer, got {height!r} and {width!r}; 32 and 64 "
            "are usual"
        )
