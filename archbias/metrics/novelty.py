"""Novelty: which training image is nearest, how near, and is the sample a copy of it.

    distance  d_1 = min_i |x - phi_i|_2          over all pixels and channels
    ratio     d_1 / d_2                          d_2 the distance to the second nearest
    copy      ratio < 1/3                        Yoon et al. 2023, *Diffusion probabilistic models
                                                 generalize when they
                                                 fail to memorize*; or d_1 = 0

The search is exact. Blocks of the matrix |x|^2 + |phi|^2 - 2 x.phi give candidates in the dtype of
the data; the best few of every sample are measured again as |x - phi| in float64. Rounding in the
blocks is bounded (`pairs.rounding`, data centred first), and a sample whose discarded candidates
are not all provably farther than the second nearest is searched again in float64. What is open then
are near-duplicates, more than CANDIDATES of them: every image that may be among the two nearest is
measured as |x - phi|. Where rounding is below 1e-9 of d^2 they are ties, and the first are named.
Memory is bounded by `memory` whatever the number of images.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Protocol

import torch
from torch import Tensor

from ..errors import InputError
from . import finite
from .pairs import RELATIVE, apart, rounding

COPY_RATIO = 1 / 3
CANDIDATES = 8

Found = tuple[Tensor, Tensor, Tensor, Tensor]  # the fields of `Nearest`


class Rows(Protocol):
    """Rows of numbers, cut when asked for."""

    def __len__(self) -> int: ...

    def __getitem__(self, which: slice | Tensor, /) -> Tensor: ...

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> torch.dtype: ...

    @property
    def device(self) -> torch.device: ...


Images = Tensor | Rows


@dataclass(frozen=True)
class Nearest:
    """The nearest and second nearest of N images for each of B samples; all tensors (B,), on the
    samples' device.

    distance, second_distance: L2 over all pixels and channels, float64, pixel units; second is inf
        when N = 1.
    index, second_index: positions 0..N-1 (int64); second -1 when N = 1. Equal distances go to the
        smaller index.
    ratio: distance / second_distance in [0, 1]; NaN when both are 0 (an image that occurs twice) or
        N = 1.
    copy: ratio < 1/3, or distance = 0. Near-duplicates in the training set hide copies from the
        ratio: remove them first.

    A sample that is not finite has distances NaN, indices -1 and is no copy.
    """

    distance: Tensor
    index: Tensor
    second_distance: Tensor
    second_index: Tensor

    @property
    def ratio(self) -> Tensor:
        defined = torch.isfinite(self.second_distance)
        return torch.where(defined, self.distance / self.second_distance, torch.nan)

    @property
    def copy(self) -> Tensor:
        return (self.ratio < COPY_RATIO) | (self.distance == 0)


def nearest(samples: Tensor, images: Images, *, memory: int = 2**28) -> Nearest:
    """Exact nearest and second nearest image of every sample.

    Args:
        samples: (B, ...) floating; the search runs on their device. A row that is not finite is
            near nothing: NaN and -1.
        images: (N, ...) floating, same shape per image, on any device (blocks are copied over); or
            rows cut on demand, such as `symmetry.Patches`.
        memory: bytes of working memory, beyond the two inputs.

    Raises:
        InputError: shapes that differ, no images, or images that are not finite.

    Example:
        >>> import torch
        >>> from archbias.metrics import novelty
        >>> images = torch.tensor([[0.0, 0.0], [3.0, 4.0]])
        >>> found = novelty.nearest(torch.tensor([[0.0, 0.0], [1.5, 2.0]]), images)
        >>> found.distance.tolist(), found.ratio.tolist(), found.copy.tolist()
        ([0.0, 2.5], [0.0, 1.0], [True, False])
    """
    if samples.ndim < 2 or images.shape[1:] != samples.shape[1:] or not len(images):
        raise InputError(
            "samples and images must be (B, ...) and (N, ...) with N at least 1 and one shape per "
            "image, got "
            f"{tuple(samples.shape)} and {tuple(images.shape)}; resize one of them with "
            "ImageSet.resize"
        )
    good = finite.rows(samples)
    if not bool(good.all()):
        found = nearest(samples[good], images, memory=memory)
        return Nearest(*(finite.spread(getattr(found, f.name), good) for f in fields(Nearest)))
    x, phi = samples.flatten(1), images.flatten(1) if isinstance(images, Tensor) else images
    dtype = torch.promote_types(torch.promote_types(x.dtype, phi.dtype), torch.float32)
    if x.is_cuda and torch.get_float32_matmul_precision() != "highest":
        dtype = torch.float64  # reduced-precision products would break the rounding bound
    rows = max(1, min(len(x), 1024, memory // (8 * 8 * x.shape[1])))
    pieces = [_search(x[i : i + rows], phi, dtype, memory) for i in range(0, len(x), rows)]
    if not pieces:
        none = x.new_zeros(0, dtype=torch.float64)
        return Nearest(none, none.long(), none, none.long())
    return Nearest(*(torch.cat(column) for column in zip(*pieces, strict=True)))


class _Squares:
    """Blocks of approximate squared distances between queries x (B, d) and images, with a bound on
    their rounding.
    """

    def __init__(self, x: Tensor, phi: Images, dtype: torch.dtype, memory: int):
        d = x.shape[1]
        # any shift will do; this one shortens vectors
        centre = phi[:256].to(x.device, torch.float64).mean(0).to(dtype)
        self.centre = centre if bool(torch.isfinite(centre).all()) else torch.zeros_like(centre)
        self.q = x.to(dtype) - self.centre
        self.q2 = self.q.double().square().sum(1).to(dtype)
        self.phi, self.longest = phi, 0.0
        self.block = max(1, memory // (self.q.element_size() * (3 * d + 3 * len(x)) + 16 * d))

    def __iter__(self) -> Iterator[tuple[int, Tensor]]:
        """(start, (B, block)) for all images in turn."""
        for start in range(0, len(self.phi), self.block):
            p = self.phi[start : start + self.block].to(self.q) - self.centre
            p2 = p.square().sum(1)
            if not bool(torch.isfinite(p2).all()):
                bad = start + int((~torch.isfinite(p2)).nonzero()[0, 0])
                raise InputError(
                    f"every pixel must be finite, got NaN or infinity in image {bad}; remove it or "
                    "mend the file"
                )
            self.longest = max(self.longest, float(p2.max()))
            yield start, torch.addmm(p2[None, :], self.q, p.T, alpha=-2).add_(self.q2[:, None])

    @property
    def bound(self) -> Tensor:
        """(B,) largest error of a squared distance, once all blocks have been seen."""
        scale = (self.q2.double().sqrt() + self.longest**0.5) ** 2
        return rounding(self.q.shape[1], scale, self.q.dtype)


def _search(x: Tensor, phi: Images, dtype: torch.dtype, memory: int) -> Found:
    squares = _Squares(x, phi, dtype, memory)
    keep = min(CANDIDATES, len(phi))
    best = squares.q.new_full((len(x), 0), 0)
    where = torch.zeros(len(x), 0, dtype=torch.int64, device=x.device)
    for start, squared in squares:
        value, column = squared.topk(min(keep, squared.shape[1]), dim=1, largest=False)
        best, where = torch.cat([best, value], 1), torch.cat([where, column + start], 1)
        if best.shape[1] > keep:
            best, chosen = best.topk(keep, dim=1, largest=False)
            where = where.gather(1, chosen)
    result = _first_two(_measure(x, phi, where), where)
    if len(phi) <= keep:
        return result
    # A discarded image has approximate d^2 of at least best.max(1), so its true d^2 is at least
    # that minus the bound.
    open_rows = (best.amax(1).double() - squares.bound <= result[2] ** 2).nonzero()[:, 0]
    if len(open_rows):
        if dtype == torch.float64:
            one, index, two, second_index = (v[open_rows] for v in result)
            again = _settle(x[open_rows], phi, (one, index, two, second_index), memory)
        else:
            again = _search(x[open_rows], phi, torch.float64, memory)
        for column, value in zip(result, again, strict=True):
            column[open_rows] = value
    return result


def _settle(x: Tensor, phi: Images, best: Found, memory: int) -> Found:
    """The two nearest of rows that float64 products leave open: all that may be nearer than the
    second are measured.

    Where the bound is a small part of the second distance squared, what is open is a tie, and two
    images of a block at each of the two distances will do: the first ones.
    """
    squares = _Squares(x, phi, torch.float64, memory)
    for start, squared in squares:
        bound = squares.bound
        near, far = (squared <= (best[k] ** 2 + bound)[:, None] for k in (0, 2))
        number = far.cumsum(1, dtype=torch.int32)
        tied = (bound <= RELATIVE * best[2] ** 2)[:, None]
        first = (number <= 2) | (near & (near.cumsum(1, dtype=torch.int32) <= 2))
        wanted, low = far & (~tied | first), 0
        columns = start + torch.arange(squared.shape[1], device=x.device)
        while low < int(number[:, -1].max()):
            # the more are measured, the fewer of the rest can still be nearer
            high = 8 * max(low, 1)
            open_ = (best[2] > 0)[:, None] | (columns < best[3][:, None])
            pairs = (wanted & (number > low) & (number <= high) & open_).nonzero()
            for part in pairs.split(max(2, memory // (32 * x.shape[1]))):
                row, index = part[:, 0], part[:, 1] + start
                d = apart(x[row], phi[index.to(phi.device)].to(x.device)).sqrt()
                best = _join(best, row, index, d)
            low = high
    return best


def _join(best: Found, row: Tensor, index: Tensor, distance: Tensor) -> Found:
    """The two nearest of every row among those it had and further images; equal distances go to the
    smaller index.
    """
    new = (index != best[1][row]) & (index != best[3][row])
    rows = torch.arange(len(best[0]), device=row.device)
    row = torch.cat([rows, rows, row[new]])
    index = torch.cat([best[1], best[3], index[new]])
    distance = torch.cat([best[0], best[2], distance[new]])
    order = index.argsort(stable=True)
    for key in (distance, row):
        order = order[key[order].argsort(stable=True)]
    first = torch.searchsorted(row[order], rows)
    one, two = order[first], order[first + 1]
    return distance[one], index[one], distance[two], index[two]


def _rows(phi: Images, where: Tensor) -> Iterator[Tensor]:
    """The images at `where`, one column at a time, in float64."""
    for k in range(where.shape[1]):
        yield phi[where[:, k].to(phi.device)].to(where.device, torch.float64)


def _measure(x: Tensor, phi: Images, where: Tensor) -> Tensor:
    """(B, K) L2 distances to the images at `where`, by differences in float64."""
    wide = x.double()
    return torch.stack([apart(wide, p) for p in _rows(phi, where)], 1).sqrt()


def _first_two(distance: Tensor, where: Tensor) -> Found:
    """The two least distances of every row, equal ones by the smaller index; an index given twice
    counts once.
    """
    where, order = where.sort(1)
    distance = distance.gather(1, order)
    again = torch.nn.functional.pad(where[:, 1:] == where[:, :-1], (1, 0))
    distance, second = distance.masked_fill(again, torch.inf).sort(dim=1, stable=True)
    where = where.gather(1, second)
    if distance.shape[1] == 1:
        alone = torch.full_like(distance[:, 0], torch.inf)
        return distance[:, 0], where[:, 0], alone, torch.full_like(where[:, 0], -1)
    return distance[:, 0].clone(), where[:, 0].clone(), distance[:, 1].clone(), where[:, 1].clone()
