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

import numpy as np
import torch
from torch import Tensor

from .. import seeds
from ..errors import InputError, nearest
from . import checks, limits, pictures
from .listing import numbered
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
        """From an array, copied: what happens to x later is not seen.

        Args:
            x: floats (N, C, H, W) or (N, H, W) in [-1, 1]; or bytes (N, H, W), (N, H, W, C) or
                (N, C, H, W) with one or three channels, which become b / 127.5 - 1.
            ids: zero-padded positions by default.
            labels: one integer per image.

        Raises:
            InputError: another dtype or shape, pixels that are not finite or outside [-1, 1],
                labels that are words, missing or fractions, ids given twice.

        Warns:
            UserWarning: floats without a negative one (torchvision's ToTensor leaves [0, 1]), or a
                set that is nearly all one value.

        Example:
            >>> import numpy as np
            >>> from archbias import ImageSet
            >>> images = ImageSet.from_array(np.arange(8, dtype=np.uint8).reshape(2, 2, 2))
            >>> len(images), images.shape
            (2, (1, 2, 2))
        """
        given = checks.images(x, f"the array of {name!r}")
        limits.check_memory(given.shape, 4, "an image set", "give fewer or smaller images")
        ids = numbered(len(given)) if ids is None else ids
        return cls._checked(
            torch.from_numpy(_channels_first(given)),
            checks.names(ids, len(given), name),
            labels,
            name,
            transform,
            were_bytes=given.dtype == np.uint8,
        )

    @classmethod
    def _checked(
        cls,
        x: Tensor,
        ids: Sequence[str],
        labels: object,
        name: str,
        transform: Sequence[str],
        *,
        were_bytes: bool,
        stack: int = 4,
    ) -> ImageSet:
        """A set that owns x, (N, C, H, W) float32: refused or doubted as `from_array` says."""
        checks.floats(x, name, ids)
        checks.suspicions(x, name, were_bytes=were_bytes, stack=stack)
        labels = None if labels is None else checks.labels(labels, ids, name)
        return cls(x, tuple(ids), labels, name, tuple(transform))

    def __len__(self) -> int:
        return len(self.images)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of one image."""
        _, c, h, w = self.images.shape
        return c, h, w

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

        Example:
            >>> import archbias
            >>> fitted, unseen = archbias.load("fashion_mnist", n=10).split(8)
            >>> len(fitted), len(unseen)
            (8, 2)
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
        height, width = checks.sides(size)
        if (height, width) == self.shape[1:]:
            return self
        shape = (len(self), self.shape[0], height, width)
        limits.check_memory(shape, 4, "an image set", "give a smaller size or fewer images")
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
    n = len(known) if n is None else checks.whole(n, "the number of images")
    if n > len(known):
        raise InputError(
            f"wanted {n} images, got {len(known)} in {where}; ask for at most {len(known)} or add "
            "images"
        )
    if seed is None:
        return list(range(n))
    return sorted(seeds.generator(seed).choice(len(known), size=n, replace=False).tolist())


def _channels_first(pixels: np.ndarray) -> np.ndarray:
    """Bytes or floats (N, H, W, C) as a new array (N, C, H, W), float32 and contiguous."""
    out = np.empty((len(pixels), pixels.shape[3], *pixels.shape[1:3]), np.float32)
    for i, image in enumerate(pixels):  # one by one: no second copy of the whole in float32
        out[i] = pictures.to_float(image).transpose(2, 0, 1)
    return out
