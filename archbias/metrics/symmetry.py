"""Nearest image under translation and reflection, and nearest patch: copies that plain L2 does not
see.

    d(x) = min over i, shifts (a, b), reflections of  sqrt(d / overlap) |x - phi_i shifted|_2 over
                                                      the overlap

A shift by (a, b) compares the pixels that both images have; the factor sqrt(d / overlap) puts all
shifts on the scale of whole images (root mean square per pixel). Patches: for every k x k window of
a sample, wherever it is, the nearest k x k
window of any image, wherever that is: the map of a mosaic. Both searches are exact, through
`novelty.nearest`. A sample that is not finite is near nothing: distances NaN, places -1.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from ..errors import InputError
from . import finite
from .novelty import Nearest, nearest


@dataclass(frozen=True)
class Moved(Nearest):
    """`Nearest` over all moves of every image (second = the nearest move of another image).

    shift: (B, 2) rows and columns by which the image is moved to meet the sample. flipped: (B,)
        whether it was reflected
    left to right first.
    """

    shift: Tensor
    flipped: Tensor


def nearest_moved(
    samples: Tensor, images: Tensor, *, shift: int = 2, flip: bool = True, memory: int = 2**28
) -> Moved:
    """Nearest and second nearest image under all shifts of up to `shift` pixels and, with `flip`,
    left-right reflection.

    Args:
        samples: (B, C, H, W), images: (N, C, H, W).
        shift: 0 to min(H, W) - 1; the cost is (2 shift + 1)^2 searches, twice with `flip`.
    """
    if samples.ndim != 4 or not 0 <= shift < min(samples.shape[-2:]):
        raise InputError(
            "wanted samples (B, C, H, W) and a shift below the image side, got "
            f"{tuple(samples.shape)} and {shift}; lower shift"
        )
    finite.check(images, "image", "remove it or mend the file")
    good = finite.rows(samples)
    if not bool(good.all()):
        found = nearest_moved(samples[good], images, shift=shift, flip=flip, memory=memory)
        return Moved(*(finite.spread(getattr(found, f.name), good) for f in fields(Moved)))
    h, w = samples.shape[-2:]
    distance, index, move = [], [], []
    for flipped in (False, True) if flip else (False,):
        phi = images.flip(-1) if flipped else images
        for a in range(-shift, shift + 1):
            for b in range(-shift, shift + 1):
                x = samples[..., max(a, 0) : h + min(a, 0), max(b, 0) : w + min(b, 0)]
                y = phi[..., max(-a, 0) : h + min(-a, 0), max(-b, 0) : w + min(-b, 0)]
                found = nearest(x, y, memory=memory)
                scale = (h * w / ((h - abs(a)) * (w - abs(b)))) ** 0.5
                distance += [found.distance * scale, found.second_distance * scale]
                index += [found.index, found.second_index]
                move += [(a, b, flipped)] * 2
    # The second nearest image is among the two nearest of the move that brings it nearest, unless
    # it is the first image.
    distance, index = torch.stack(distance, 1), torch.stack(index, 1)
    moves = torch.tensor(move, device=samples.device)
    first = distance.argmin(1, keepdim=True)
    owner = index.gather(1, first)
    others = distance.masked_fill(index == owner, torch.inf)
    second = others.argmin(1, keepdim=True)
    alone = others.gather(1, second).isinf()
    chosen = moves[first[:, 0]]
    return Moved(
        distance.gather(1, first)[:, 0],
        owner[:, 0],
        others.gather(1, second)[:, 0],
        index.gather(1, second).masked_fill(alone, -1)[:, 0],
        chosen[:, :2],
        chosen[:, 2].bool(),
    )


class Patches:
    """All k x k windows of images as rows, cut when asked for: row (n H' + r) W' + c is the window
    of image n at (r, c).
    """

    def __init__(self, images: Tensor, size: int, stride: int = 1):
        if images.ndim != 4 or not 1 <= size <= min(images.shape[-2:]) or stride < 1:
            raise InputError(
                "wanted images (N, C, H, W) and a patch size from 1 to their side, got "
                f"{tuple(images.shape)} and {size}; lower it"
            )
        view = images.unfold(2, size, stride).unfold(3, size, stride)
        self._view = view.permute(0, 2, 3, 1, 4, 5)
        self.grid = (self._view.shape[1], self._view.shape[2])
        self.device = images.device

    def __len__(self) -> int:
        return self._view.shape[0] * self.grid[0] * self.grid[1]

    @property
    def shape(self) -> tuple[int, int]:
        return len(self), self._view.shape[3:].numel()

    @property
    def dtype(self) -> torch.dtype:
        return self._view.dtype

    def __getitem__(self, which: slice | Tensor) -> Tensor:
        rows = (
            torch.arange(len(self), device=self.device)[which]
            if isinstance(which, slice)
            else which
        )
        return self._view[self.split(rows)].flatten(1)

    def split(self, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Row numbers as (image, row, column)."""
        height, width = self.grid
        return rows // (height * width), rows // width % height, rows % width


@dataclass(frozen=True)
class PatchMap:
    """The nearest window for every window of every sample; all (B, H', W').

    distance: L2 over the window. image, row, column: whose window it is, and where its upper left
        corner lies.
    """

    distance: Tensor
    image: Tensor
    row: Tensor
    column: Tensor


def nearest_patch(
    samples: Tensor, images: Tensor, *, size: int = 7, stride: int = 1, memory: int = 2**28
) -> PatchMap:
    """The nearest size x size window of the images, anywhere, for the windows of samples `stride`
    pixels apart.

    Args:
        samples: (B, C, H, W), images: (N, C, H', W') of the same channels; every window of the
            images is searched.
    """
    queries, keys = Patches(samples, size, stride), Patches(images, size)
    if queries.shape[1] != keys.shape[1]:
        raise InputError(
            f"wanted equal channels, got {samples.shape[1]} and {images.shape[1]}; convert one of "
            "the sets"
        )
    finite.check(images, "image", "remove it or mend the file")
    good = finite.rows(samples)
    if not bool(good.all()):
        found = nearest_patch(samples[good], images, size=size, stride=stride, memory=memory)
        return PatchMap(*(finite.spread(getattr(found, f.name), good) for f in fields(PatchMap)))
    parts = [
        nearest(queries[i : i + 4096], keys, memory=memory)
        for i in range(0, max(len(queries), 1), 4096)
    ]
    shape = (len(samples), *queries.grid)
    image, row, column = keys.split(torch.cat([p.index for p in parts]))
    maps = (torch.cat([p.distance for p in parts]), image, row, column)
    return PatchMap(*(m.reshape(shape) for m in maps))
