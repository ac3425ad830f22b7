"""Duplicates and near-duplicates in an image set, found before anything is fitted: they are what a
network memorises first, and what papers on memorisation remove first.

    typical   median over images of the distance to the 5th nearest other image
    link      two images at distance d <= share * typical, one of them reflected or not
    group     images joined by links of at most h, with no other image within 2 h of any of them

Equal images are at h = 0 and always a group. The share is 1/4. The second condition is what keeps
strokes of a pen apart from copies: the ones of MNIST lie closer to each other than a quarter of the
typical distance, but everything around them is as close.

Every pair is looked at. Distances between orthogonal projections on a few directions never exceed
those between the images, so pairs that are far apart in the projection are left out by one matrix
product in float32; all others are measured by differences in float64, where equal images are at 0
exactly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError
from .images import ImageSet

SHARE = 0.25  # of the typical distance, up to which two images can be near-duplicates
APART = 2.0  # how many times farther than its longest link everything else must be from a group
NEIGHBOUR = 5  # the one that gives the typical distance: copies of an image do not change it
SAMPLE = 1000  # images that the typical distance is measured on
DIRECTIONS = 64
BLOCK = 2048  # rows of one matrix product
PAIRS = 4096  # pairs measured by differences at once


@dataclass(frozen=True)
class Group:
    """Images that are duplicates of each other.

    ids: in the set's order.
    distances: of each to the nearest other one of the group, reflected or not; 0 for equal images.
    reflected: whether the nearest is so only in a mirror.
    """

    ids: tuple[str, ...]
    distances: tuple[float, ...]
    reflected: tuple[bool, ...]


@dataclass(frozen=True)
class Duplicates:
    """What was found: groups of equal images first, then the nearest ones.

    name, count: of the set. typical: see the module; 0 where fewer than three images differ.
    """

    name: str
    count: int
    typical: float
    groups: tuple[Group, ...]

    @property
    def extra(self) -> int:
        """Images that would go if one of every group stayed."""
        return sum(len(g.ids) - 1 for g in self.groups)

    @property
    def finding(self) -> str:
        """One sentence."""
        if not self.groups:
            return f"none of the {self.count} images of {self.name} is a duplicate of another"
        equal = sum(len(g.ids) - 1 for g in self.groups if max(g.distances) == 0)
        kinds = f"{equal} equal to it and {self.extra - equal} near it"
        return (
            f"{self.extra} of the {self.count} images of {self.name} repeat another one ({kinds}, "
            f"in {len(self.groups)} groups); leave them out before asking what a model memorises"
        )


def duplicates(images: ImageSet, *, share: float = SHARE, reflected: bool = True) -> Duplicates:
    """Groups of equal and nearly equal images.

    Args:
        share: of the typical distance, above 0 and at most 1/2.
        reflected: whether a left-right reflection of an image counts as its copy.
    """
    if not 0 < share <= 0.5:
        raise InputError(f"share must be above 0 and at most 0.5, got {share!r}; 0.25 is usual")
    x = images.images.flatten(1)
    mirror = images.images.flip(3).flatten(1) if reflected else None
    first, which = _distinct(x)
    rows, other = x[first], None if mirror is None else mirror[first]
    typical = _typical(rows)
    reach = share * typical * APART
    again = np.flatnonzero(first[which] != np.arange(len(x)))
    links = Links(np.zeros(len(again)), first[which[again]], again, np.zeros(len(again), bool))
    if typical > 0:
        links = links.and_more(_links(rows, other, reach), first)
    found = _groups(links, len(x), share * typical, reach)
    groups = sorted(_named(found, links, images.ids), key=lambda g: (max(g.distances), g.ids))
    return Duplicates(images.name, len(x), typical, tuple(groups))


@dataclass(frozen=True)
class Links:
    """Pairs of images: (n,) distances, both positions, and whether one is reflected."""

    distance: np.ndarray
    one: np.ndarray
    other: np.ndarray
    reflected: np.ndarray

    def and_more(self, parts: list[Links], position: np.ndarray) -> Links:
        """These and those of other parts, the shortest first; `position` of the parts' rows."""
        named = [Links(p.distance, position[p.one], position[p.other], p.reflected) for p in parts]
        every = [self, *named]
        columns = [
            np.concatenate([getattr(p, f) for p in every])
            for f in ("distance", "one", "other", "reflected")
        ]
        order = np.lexsort((columns[2], columns[1], columns[0]))
        return Links(*(c[order] for c in columns))


def _distinct(x: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the first of every different row, ascending, and for each row which it is."""
    place: dict[bytes, int] = {}
    which = [place.setdefault(row.tobytes(), len(place)) for row in (x + 0.0).numpy()]
    _, first = np.unique(which, return_index=True)
    return first, np.array(which)


def _typical(x: Tensor) -> float:
    """The median distance of up to SAMPLE rows, evenly chosen, to their 5th nearest other row."""
    n = len(x)
    if n < 3:
        return 0.0
    rows = torch.arange(0, n, -(-n // SAMPLE))
    k, found = min(NEIGHBOUR, n - 1), []
    centred = x - x.mean(0)
    squares = centred.square().sum(1)
    for part in rows.split(256):
        gap = squares[part, None] + squares - 2 * centred[part] @ centred.T
        gap[torch.arange(len(part)), part] = torch.inf
        near = gap.kthvalue(k, dim=1).indices
        found.append(_apart(x, x, part, near))
    return torch.cat(found).median().item()


def _links(x: Tensor, mirror: Tensor | None, reach: float) -> list[Links]:
    """All pairs of rows within reach of each other, one of them reflected or not."""
    basis, centre = _basis(x)
    a = (x - centre) @ basis
    found = []
    for other, reflected in ((x, False), (mirror, True)):
        if other is None:
            continue
        b = (other - centre) @ basis
        a2, b2 = a.square().sum(1), b.square().sum(1)
        # more than the rounding of the projection and of the product can be
        slack = 1e-4 * (a2.max().sqrt() + b2.max().sqrt()).square()
        for start in range(0, len(x), BLOCK):
            part = slice(start, start + BLOCK)
            gap = torch.addmm(b2[start:] + a2[part, None], a[part], b[start:].T, alpha=-2)
            i, j = (gap <= reach**2 + slack).nonzero(as_tuple=True)
            i, j = i[j > i] + start, j[j > i] + start
            for left, right in zip(i.split(PAIRS), j.split(PAIRS), strict=True):
                d = _apart(x, other, left, right)
                near = d <= reach
                d, left, right = (v[near].numpy() for v in (d, left, right))
                found.append(Links(d, left, right, np.full(len(d), reflected)))
    return found


def _basis(x: Tensor) -> tuple[Tensor, Tensor]:
    """Orthonormal directions (D, k) along which rows differ most, from up to 2000 of them, and the
    mean row.
    """
    some = x[:: -(-len(x) // 2000)].double()
    centre = some.mean(0)
    directions = torch.linalg.svd(some - centre, full_matrices=False).Vh[:DIRECTIONS].T
    return directions.float().contiguous(), centre.float()


def _apart(x: Tensor, y: Tensor, i: Tensor, j: Tensor) -> Tensor:
    """Distances of rows i of x and rows j of y by differences in float64."""
    return (x[i].double() - y[j].double()).square().sum(1).sqrt()


def _groups(links: Links, count: int, longest: float, reach: float) -> list[list[int]]:
    """The largest groups whose links are at most `longest` and from which all other images are
    APART times farther: single linkage, the links taken from the shortest.
    """
    parent = list(range(count))
    height = [0.0] * count
    members: dict[int, list[int]] = {}
    kept: dict[int, list[list[int]]] = {}

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    def close(r: int, next_link: float) -> None:
        """Keep the group under r if the next link is far enough: it replaces smaller ones."""
        if r in members and height[r] <= longest and next_link >= APART * height[r]:
            kept[r] = [list(members[r])]

    lines = zip(links.distance.tolist(), links.one.tolist(), links.other.tolist(), strict=True)
    for d, i, j in lines:
        a, b = root(i), root(j)
        if a == b:
            continue
        if d > 0:
            close(a, d)
            close(b, d)
        parent[b] = a
        members[a] = members.get(a, [a]) + members.pop(b, [b])
        height[a] = d
        kept[a] = kept.get(a, []) + kept.pop(b, [])
    for r in list(members):
        close(r, reach)
    return [sorted(group) for some in kept.values() for group in some]


def _named(found: list[list[int]], links: Links, ids: tuple[str, ...]) -> list[Group]:
    """The groups with the distance of each image to its nearest one inside."""
    number = np.full(len(ids), -1)
    for g, rows in enumerate(found):
        number[rows] = g
    inside = (number[links.one] >= 0) & (number[links.one] == number[links.other])
    best: dict[int, tuple[float, bool]] = {}
    columns = (links.distance, links.one, links.other, links.reflected)
    for d, i, j, reflected in zip(*(c[inside].tolist() for c in columns), strict=True):
        for k in (i, j):  # the shortest come first
            best.setdefault(k, (d, reflected))
    return [
        Group(
            tuple(ids[i] for i in rows),
            tuple(best[i][0] for i in rows),
            tuple(best[i][1] for i in rows),
        )
        for rows in found
    ]
