"""The images a network is judged with: those it was trained on, and those it has not seen.

Nobody but the user knows what a network has seen. Images are called unseen only where the user
names them (`unseen`), or says that the network was trained on the first n alone (`held_out`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

from .. import data, networks
from ..data import ImageSet
from ..errors import InputError
from ..study import Images


@dataclass(frozen=True, kw_only=True)
class Judged(Images):
    """Training images of a network.

    like: a network of the catalogue: its training images, prepared as it saw them, with `root` the
        folder of the image set.
    other: a folder, zip or array of images it has not seen, prepared in the same way; or None.
    held_out: how many images after the first n it has not seen.
    """

    like: str = ""
    other: str | None = None
    held_out: int = 0

    def load(self) -> ImageSet:
        return _load(self)

    def unseen(self, count: int) -> ImageSet:
        """Up to `count` images the network has not seen; where none are known, the last of its
        training images, which `knows_unseen` tells apart.
        """
        if self.other is not None:
            kind = kind_of(self.other)
            found = data.load(kind, root=self.other, size=self.size, crop=self.crop)
            return found.subset(ids=found.ids[:count])
        if self.held_out:
            return self._after(min(count, self.held_out))
        images = self.load()
        return images.subset(ids=images.ids[-count:])

    @property
    def knows_unseen(self) -> bool:
        """Whether unseen images were named."""
        return self.other is not None or self.held_out > 0

    def _after(self, count: int) -> ImageSet:
        more = _load(Judged(**{**vars(self), "n": self.n + self.held_out}))
        return more.subset(ids=more.ids[self.n : self.n + count])


@dataclass(frozen=True)
class Held:
    """Image sets that are in memory already, with what a study asks of `Images`."""

    images: ImageSet = field(repr=False)
    other: ImageSet | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        return self.images.name

    @property
    def n(self) -> int:
        return len(self.images)

    @property
    def size(self) -> int:
        return self.images.shape[1]

    @property
    def knows_unseen(self) -> bool:
        return self.other is not None

    def load(self) -> ImageSet:
        return self.images

    def unseen(self, count: int) -> ImageSet:
        if self.other is not None:
            return self.other.subset(ids=self.other.ids[:count])
        return self.images.subset(ids=self.images.ids[-count:])


def kind_of(path: str) -> str:
    """The image source of a path: "array" or "folder"."""
    return "array" if str(path).lower().endswith((".npz", ".npy", ".zarr")) else "folder"


@lru_cache(maxsize=4)
def _load(images: Judged) -> ImageSet:
    if images.held_out and (images.n is None or images.seed is not None):
        raise InputError(
            "held_out counts images after the first n, got no n or a seed that draws them; give n, "
            "or name the unseen images with other"
        )
    if images.like:
        return networks.images(images.like, root=images.root, n=images.n)
    return super(Judged, images).load()
