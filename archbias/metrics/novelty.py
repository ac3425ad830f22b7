"""Novelty: which training image is nearest, how near, and is the sample a copy of it.

    distance  d_1 = min_i |x - phi_i|_2          over all pixels and channels
    ratio     d_1 / d_2                          d_2 the distance to the second nearest
    copy      ratio < 1/3                        Yoon et al. 2023, *Diffusion probabilistic models generalize when they
                                                 fail to memorize*; or d_1 = 0

The search is exact. Blocks of the matrix |x|^2 + |phi|^2 - 2 x.phi give candidates in the dtype of the data; the best
few of every sample are measured again as |x - phi| in float64. Rounding in the blocks is bounded by

    |error of d^2| <= 2 (d + 4) u (|x| + |phi|)^2        u the unit roundoff (Higham 2002, eq. 3.5), data centred first

and a sample whose discarded candidates are not all provably farther than the second nearest is searched again in float64
and, if equal distances still leave it open, by differences. Memory is bounded by `memory` whatever the number of images.
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
    """The nearest and second nearest of N images for each of B samples; all tensors (B,), on the samples' device.

    distance, second_distance: L2 over all pixels and channels, float64, pixel units; second is inf when N = 1.
    index, second_index: positions 0..N-1 (int64); second -1 when N = 1. Equal distances go to the smaller index.
    ratio: distance / second_distance in [0, 1]; NaN when both are 0 (an image that occurs twice) or N = 1.
    copy: ratio < 1/3, or distance = 0. Near-duplicates in the training set hide copies from the ratio: remove them first.
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
        images: (N, ...) floating, same shape per image, on any device (blocks are copied over); or rows cut on demand,
            such as `symmetry.Patches`.
        memory: bytes of working memory, beyond the two inputs.

    Raises:
        InputError: shapes that differ, no images, or pixels that are not finite.
    """
    if samples.ndim < 2 or images.shape[1:] != samples.shape[1:] or not len(images):
        raise InputError(
            f"samples and images must be (B, ...) and (N, ...) with N at least 1 and one shape per image, got "
            f"{tuple(samples.shape)} and {tuple(images.shape)}; resize one of them with ImageSet.resize"
        )
    if not torch.isfinite(samples).all():
        bad = int((~torch.isfinite(samples)).flatten(1).any(1).nonzero()[0, 0])
        raise InputError(f"every sample must be finite, got NaN or infinity in sample {bad}; leave diverged samples out")
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


def _search(x: Tensor, phi: Tensor, dtype: torch.dtype, memory: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    d, n = x.shape[1], len(phi)
    centre = phi[: min(n, 256)].to(x.device, torch.float64).mean(0).to(dtype)  # any shift will do; this one shortens vectors
    if not bool(torch.isfinite(centre).all()):
        centre = torch.zeros_like(centre)
    q = x.to(dtype) - centre
    q2 = q.double().square().sum(1).to(dtype)
    block = max(1, memory // (q.element_size() * (3 * d + 3 * len(x)) + 16 * d))
    keep = min(CANDIDATES, n)
    best = q.new_full((len(x), 0), 0)
    where = torch.zeros(len(x), 0, dtype=torch.int64, device=x.device)
    longest = 0.0
    for start, p in _blocks(phi, block, x.device):
        p = p.to(dtype) - centre
        p2 = p.square().sum(1)
        if not bool(torch.isfinite(p2).all()):
            bad = start + int((~torch.isfinite(p2)).nonzero()[0, 0])
            raise InputError(f"every pixel must be finite, got NaN or infinity in image {bad}; remove it or mend the file")
        longest = max(longest, float(p2.max()))
        squared = torch.addmm(p2[None, :], q, p.T, alpha=-2).add_(q2[:, None])
        value, column = squared.topk(min(keep, len(p)), dim=1, largest=False)
        best, where = torch.cat([best, value], 1), torch.cat([where, column + start], 1)
        if best.shape[1] > keep:
            best, chosen = best.topk(keep, dim=1, largest=False)
            where = where.gather(1, chosen)
    exact = _measure(x, phi, where)
    result = _first_two(exact, where)
    if n <= keep:
        return result
    # A discarded image has approximate d^2 of at least best.max(1), so its true d^2 is at least that minus the bound.
    unit = torch.finfo(dtype).eps
    bound = 2 * (d + 4) * unit * (q2.double().sqrt() + longest**0.5) ** 2
    open_rows = (best.amax(1).double() - bound <= result[2] ** 2).nonzero()[:, 0]
    if len(open_rows):
        wide = dtype == torch.float64
        again = _brute(x[open_rows], phi, block) if wide else _search(x[open_rows], phi, torch.float64, memory)
        for column, value in zip(result, again, strict=True):
            column[open_rows] = value
    return result


def _blocks(phi: Tensor, block: int, device: torch.device) -> Iterator[tuple[int, Tensor]]:
    for start in range(0, len(phi), block):
        yield start, phi[start : start + block].to(device)


def _measure(x: Tensor, phi: Tensor, where: Tensor) -> Tensor:
    """(B, K) L2 distances to the images at `where`, by differences in float64."""
    wide = x.double()
    columns = [
        (wide - phi[where[:, k].to(phi.device)].to(x.device, torch.float64)).square().sum(1) for k in range(where.shape[1])
    ]
    return torch.stack(columns, 1).sqrt()


def _first_two(distance: Tensor, where: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The two least distances of every row, equal ones by the smaller index."""
    where, order = where.sort(1)
    distance, second = distance.gather(1, order).sort(dim=1, stable=True)
    where = where.gather(1, second)
    if distance.shape[1] == 1:
        alone = torch.full_like(distance[:, 0], torch.inf)
        return distance[:, 0], where[:, 0], alone, torch.full_like(where[:, 0], -1)
    return distance[:, 0].clone(), where[:, 0].clone(), distance[:, 1].clone(), where[:, 1].clone()


def _brute(x: Tensor, phi: Tensor, block: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """By differences, one sample at a time: for samples with many images at exactly the same distance."""
    rows = []
    for row in x.double():
        distance, where = row.new_zeros(0), torch.zeros(0, dtype=torch.int64, device=x.device)
        for start, p in _blocks(phi, block, x.device):
            here = (p.double() - row).square().sum(1).sqrt()
            distance = torch.cat([distance, here])
            where = torch.cat([where, torch.arange(start, start + len(p), device=x.device)])
            distance, order = distance.sort(stable=True)
            distance, where = distance[:2], where[order[:2]]
        rows.append((distance, where))
    distance, where = torch.stack([r[0] for r in rows]), torch.stack([r[1] for r in rows])
    return _first_two(distance, where)
