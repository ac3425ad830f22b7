"""Agreement by region of the picture.

    centre      the central rectangle whose sides are sqrt(1/2) of the image's, so about half the
                pixels; border: the rest
    foreground  the half of the pixels whose colour is farthest from the median colour of the
                picture's outer two pixels; background: the rest

Neither is a segmentation. Both pairs are complements of about equal size, so that r within one
can be set beside r within the other.
"""

from __future__ import annotations

import torch
from torch import Tensor

FRAME = 2  # pixels of the border whose median colour counts as background


def regions(x: Tensor) -> dict[str, Tensor]:
    """Masks (B, H, W) by name for pictures (B, C, H, W)."""
    b, _, h, w = x.shape
    rows, columns = (torch.arange(n) for n in (h, w))

    def middle(at: Tensor, n: int) -> Tensor:
        return (at - (n - 1) / 2).abs() < n * 0.5**0.5 / 2

    centre = (middle(rows, h)[:, None] & middle(columns, w)).expand(b, h, w)
    edge = torch.ones(h, w, dtype=torch.bool)
    edge[FRAME:-FRAME, FRAME:-FRAME] = False
    usual = x[:, :, edge].median(2).values
    distance = (x - usual[:, :, None, None]).square().sum(1)
    foreground = distance > distance.flatten(1).median(1).values[:, None, None]
    return {
        "centre": centre,
        "border": ~centre,
        "foreground": foreground,
        "background": ~foreground,
    }


def masked_r(x: Tensor, p: Tensor, mask: Tensor) -> Tensor:
    """Pearson correlation of (B, C, H, W) pairs over the pixels of a mask (B, H, W) and all
    channels, (B,) float64; NaN where one is constant.
    """
    weight = mask[:, None].expand_as(x).flatten(1).double()

    def centred(v: Tensor) -> Tensor:
        v = v.double().flatten(1)
        return (v - (v * weight).sum(1, keepdim=True) / weight.sum(1, keepdim=True)) * weight

    a, b = centred(x), centred(p)
    return (a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1))
