"""Do the parts of a picture belong together: how many pieces lie on its background, and how many
strands cross a row?

    foreground  { p : mean over channels of x[p] > threshold }
    parts       connected components of the foreground (8 neighbours) of at least `least` pixels
    strands     the largest k such that at least `least` rows hold k or more separate runs of
                foreground

A pair of trousers is one part and two strands; one with three legs has an excess strand, and a
sleeve that floats beside its shirt is an excess part. Local machines and local networks make both,
since no window sees the whole (Kamb & Ganguli, arXiv 2412.20292, section 5, on excess limbs).

Both take (B, C, H, W) and return (B,) int64, -1 for a picture that is not finite.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from ..errors import InputError
from . import finite

THRESHOLD = -0.7  # on a background of -1: what is clearly lighter than it


def foreground(images: Tensor, threshold: float = THRESHOLD) -> Tensor:
    """Pixels lighter than the threshold, (B, H, W) bool; none of a picture that is not finite."""
    if images.ndim != 4 or not images.is_floating_point():
        raise InputError(
            f"images must be floats of shape (B, C, H, W), got {images.dtype} of shape "
            f"{tuple(images.shape)}; "
            "add the batch or the channel with images[None]"
        )
    return finite.each(lambda x: x.mean(1) > threshold, images)


def parts(images: Tensor, threshold: float = THRESHOLD, least: int = 5) -> Tensor:
    """How many connected pieces of at least `least` pixels, 0 for an empty picture.

    Example:
        >>> import archbias
        >>> from archbias.metrics import parts
        >>> images = archbias.load("fashion_mnist", n=100)
        >>> trousers = images.images[images.labels == 1]
        >>> parts.parts(trousers).unique().tolist()
        [1]
    """
    counts = []
    for mask in foreground(images, threshold).cpu().numpy():
        labels, found = ndimage.label(mask, structure=np.ones((3, 3)))
        sizes = np.bincount(labels.ravel(), minlength=found + 1)[1:]
        counts.append(int((sizes >= least).sum()))
    found = torch.tensor(counts, dtype=torch.int64)
    return found.masked_fill(~finite.rows(images).cpu(), -1)


def strands(images: Tensor, threshold: float = THRESHOLD, least: int = 3) -> Tensor:
    """How many runs of foreground lie side by side in at least `least` rows."""
    mask = foreground(images, threshold).cpu()
    starts = mask & ~torch.nn.functional.pad(mask, (1, 0))[..., :-1]
    runs = starts.sum(-1).sort(-1, descending=True).values
    if not 1 <= least <= runs.shape[-1]:
        raise InputError(
            f"least must be a number of rows from 1 to {runs.shape[-1]}, got {least}; 3 is usual"
        )
    return runs[:, least - 1].masked_fill(~finite.rows(images).cpu(), -1)
