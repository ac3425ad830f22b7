"""Novelty: which training image is nearest, how near, and is the sample a copy of it.

    distance  d_1 = min_i |x - phi_i|_2          over all pixels and channels
    ratio     d_1 / d_2                          d_2 the distance to the second nearest
    copy      ratio < 1/3                        Yoon et al. 2023, *Diffusion probabilistic models
                                                 generalize when they
                                                 fail to memorize*; or d_1 = 0

The search is exact. Blocks of the matrix |x|^2 + |phi|^2 - 2 x.phi give candidates in the dtype of
the data; the best few of every sample are measured again as |x - phi| in float64. Rounding in the
blocks is bounded by

    |error of d^2| <= 2 (d + 4) u (|x| + |phi|)^2        u the unit roundoff (Higham 2002, eq. 3.5),
                                                         data centred first

and a sample whose discarded candidates are not all provably farther than the second nearest is
searched again in float64.
What is still open then are ties: more than CANDIDATES images at one distance to that rounding
(1e-12 of d^2); the first of them is named. Memory is bounded by `memory` whatever the number of
images.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import InputError

COPY_RATIO = 1 / 3
CANDIDATES = 8


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


def nearest(samples: Tensor, images: Tensor, *, memory: int = 2**28) -> Nearest:
    """Exact nearest and second nearest image of every sample.

    Args:
        samples: (B, ...) floating; the search runs on their device.
        images: (N, ...) floating, same shape per image, on any device (blocks are copied over); or
            rows cut on demand, such as `symmetry.Patches`.
        memory: bytes of working memory, beyond the two inputs.

    Raises:
        InputError: shapes that differ, no images, or pixels that are not finite.
    """
    if samples.ndim < 2 or images.shape[1:] != samples.shape[1:] or not len(images):
        raise InputError(
            "samples and images must be (B, ...) and (N, ...) with N at least 1 and one shape per "
            "image, got "
            f"{tuple(samples.shape)} and {tuple(images.shape)}; resize one of them with "
            "ImageSet.resize"
        )
    if not torch.isfinite(samples).all():
        bad = int((~torch.isfinite(samples)).flatten(1).any(1).nonzero()[0, 0])
        raise InputError(
            f"every sample must be finite, got NaN or infinity in sample {bad}; leave diverged "
            "samples out"
        )
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

    def __init__(self, x: Tensor, phi: Tensor, dtype: torch.dtype, memory: int):
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
        return 2 * (self.q.shape[1] + 4) * torch.finfo(self.q.dtype).eps * scale


def _search(
    x: Tensor, phi: Tensor, dtype: torch.dtype, memory: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
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
            again = _ties(x[open_rows], phi, where[open_rows], memory)
        else:
            again = _search(x[open_rows], phi, torch.float64, memory)
        for column, value in zip(result, again, strict=True):
            column[open_rows] = value
    return result


def _ties(
    x: Tensor, phi: Tensor, where: Tensor, memory: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """For rows with more candidates at one distance (to rounding) than are kept: adds the first
    image at each distance.
    """
    squares = _Squares(x, phi, torch.float64, memory)
    near, _, far, _ = _first_two(_measure(x, phi, where), where)
    first, second = (torch.full_like(where[:, 0], -1) for _ in range(2))
    for start, squared in squares:
        for limit, name in ((near, first), (far, second)):
            hit = squared <= (limit**2 + squares.bound)[:, None]
            if name is second:
                mine = ((first >= start) & (first < start + squared.shape[1])).nonzero()[:, 0]
                hit[mine, first[mine] - start] = False
            new = hit.any(1) & (name < 0)
            name[new] = hit[new].byte().argmax(1) + start
    where = torch.cat([where, first[:, None], second[:, None]], 1)
    where = torch.where(where < 0, where[:, :1], where)
    return _first_two(_measure(x, phi, where), where)


def _rows(phi: Tensor, where: Tensor) -> Iterator[Tensor]:
    """The images at `where`, one column at a time, in float64."""
    for k in range(where.shape[1]):
        yield phi[where[:, k].to(phi.device)].to(where.device, torch.float64)


def _measure(x: Tensor, phi: Tensor, where: Tensor) -> Tensor:
    """(B, K) L2 distances to the images at `where`, by differences in float64."""
    wide = x.double()
    return torch.stack([(wide - p).square().sum(1) for p in _rows(phi, where)], 1).sqrt()


def _first_two(distance: Tensor, where: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
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
