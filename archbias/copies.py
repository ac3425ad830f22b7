"""Which samples of a folder are copies of the images of another; no network is needed.

    ratio    d_1 / d_2 of a sample: distance to its nearest image over that to the second nearest
    p        (1 + #{new images whose ratio is as low}) / (R + 1)
    copy     p <= level, or d_1 = 0
    novelty  share of new images that are nearer to the images than the sample is

What a sample has to be compared with is a new image of the same source. R of them are given
(`held_out`), or set aside: then a part of the images is compared with the rest, which is slightly
smaller, so that distances of new images are slightly too large. The published rule, ratio < 1/3
(Yoon et al. 2023), is given beside; it knows no null.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor

from . import data, plots, seeds
from .data import ImageSet
from .data.writing import writing
from .errors import InputError
from .metrics import finite, novelty
from .metrics.realism import Calibrated

LEVEL = 0.01  # share of new images that would count as copies
LEAST = 20  # new images without which nothing can be said
SHOWN = 48  # pairs of the wall


@dataclass(frozen=True, kw_only=True)
class Copies:
    """The samples, their nearest images, and how new images compare.

    samples, images: what was compared. near: nearest images of the samples.
    new: nearest images of the R new images. given: whether those were given or set aside.
    level: share of new images that would count as copies, at least 1 / (R + 1).
    """

    samples: ImageSet
    images: ImageSet
    near: novelty.Nearest
    new: novelty.Nearest
    given: bool
    level: float

    @property
    def p(self) -> Tensor:
        """(B,) share of new images with a ratio as low, the sample counted in; NaN for diverged."""
        order = _ratio(self.new).sort().values
        upto = torch.searchsorted(order, _ratio(self.near), right=True)
        p = (1 + upto).double() / (1 + len(order))
        return p.masked_fill(self.near.distance.isnan(), torch.nan)

    @property
    def copy(self) -> Tensor:
        """(B,) whether a sample is a copy."""
        return (self.p <= self.level) | (self.near.distance == 0)

    @property
    def novelty(self) -> Tensor:
        """(B,) share of new images nearer to the images than the sample, in (0, 1)."""
        return Calibrated(self.near.distance, self.new.distance).percentile

    def table(self) -> pd.DataFrame:
        """One row a sample, in the samples' order."""

        def name(index: Tensor) -> list[str]:
            return [self.images.ids[i] if i >= 0 else "" for i in index.tolist()]

        return pd.DataFrame(
            {
                "sample": self.samples.ids,
                "nearest": name(self.near.index),
                "distance": self.near.distance.tolist(),
                "second": name(self.near.second_index),
                "second_distance": self.near.second_distance.tolist(),
                "ratio": self.near.ratio.tolist(),
                "p": self.p.tolist(),
                "copy": self.copy.tolist(),
                "ratio_below_a_third": self.near.copy.tolist(),
                "novelty": self.novelty.tolist(),
            }
        )

    def sentence(self) -> str:
        """The finding in words."""
        from scipy.stats import binom

        known = self.near.distance.isfinite()
        total, count = int(known.sum()), int(self.copy.sum())
        if not total:
            return "No sample is finite: there is nothing to compare."
        new = "new images" if self.given else "images that were set aside"
        surprise = float(binom.sf(count - 1, total, self.level))
        shown = f"p = {surprise:.2g}" if surprise >= 1e-12 else "p < 1e-12"
        text = (
            f"{count} of {total} samples are copies ({self.level * total:.2g} expected of {new}, "
            f"{shown}; by a ratio below 1/3: {int(self.near.copy.sum())}); the median sample is "
            f"farther from the images than {float(self.novelty[known].median()):.0%} of "
            f"{len(self.new.distance)} {new}"
        )
        missing = len(known) - total
        own = float(self.new.copy.double().mean())
        text += f"; {finite.words(missing, len(known))}" if missing else ""
        if own > self.level:
            text += (
                f"; {own:.0%} of {new} copy an image by the ratio below 1/3 themselves: the set "
                "holds near-duplicates, which hide copies"
            )
        return text + "."

    def wall(self) -> Figure:
        """The samples most like one image, each beside it, as a figure."""
        order = _ratio(self.near).argsort(stable=True)
        order = order[self.near.index[order] >= 0][:SHOWN]
        return plots.wall(
            self.samples.images[order].numpy(),
            self.images.images[self.near.index[order]].numpy(),
            self.copy[order].numpy(),
        )

    def write(self, folder: str | Path) -> list[Path]:
        """`copies.csv` (the table), `wall.png` and `finding.txt` (the sentence), each whole."""
        folder = Path(folder)
        texts = {
            "copies.csv": self.table().to_csv(index=False),
            "finding.txt": self.sentence() + "\n",
        }
        for name, text in texts.items():
            with writing(folder / name) as part:
                part.write_text(text, encoding="utf-8")
        with plots.style():
            pictures = plots.save(self.wall(), folder / "wall", ("png",))
        return [*(folder / name for name in texts), *pictures]


def of(
    samples: ImageSet,
    images: ImageSet,
    held_out: ImageSet | None = None,
    *,
    level: float = LEVEL,
    seed: int = 0,
) -> Copies:
    """Compare samples with images.

    Args:
        samples: B of them. images: what the model was trained on.
        held_out: new images of the same source; without them a fifth of the images (at most 1000)
            is set aside.
        level: share of new images that may count as copies.
        seed: draws what is set aside.

    Raises:
        InputError: shapes that differ, or too few images for a null.
    """
    for what, other in (("images", images), ("held-out images", held_out)):
        if other is not None and other.shape != samples.shape:
            raise InputError(
                f"samples and {what} must have one shape, got {samples.shape} and {other.shape}; "
                "resize with ImageSet.resize, or give size"
            )
    if not 0 < level < 1:
        raise InputError(f"wanted a share between 0 and 1, got level={level}; 0.01 is usual")
    if held_out is not None:
        new = novelty.nearest(held_out.images, images.images)
    else:
        count = min(1000, len(images) // 5)
        chosen = torch.zeros(len(images), dtype=torch.bool)
        chosen[seeds.generator(seed).choice(len(images), count, replace=False)] = True
        new = novelty.nearest(images.images[chosen], images.images[~chosen]) if count else None
    if new is None or len(new.distance) < LEAST:
        got = 0 if new is None else len(new.distance)
        raise InputError(
            f"a null wants at least {LEAST} new images, got {got}; give held_out, or at least "
            f"{5 * LEAST} images"
        )
    near = novelty.nearest(samples.images, images.images)
    least = 1 / (1 + len(new.distance))
    return Copies(
        samples=samples,
        images=images,
        near=near,
        new=new,
        given=held_out is not None,
        level=max(level, least),
    )


def opened(path: str | Path, *, size: int | None = None, n: int | None = None) -> ImageSet:
    """The images of a folder, a zip, a parquet file or an array (.npz, .npy, .zarr).

    Args:
        size: side to crop (the centre square) and resize to. n: the first so many.
    """
    path = Path(path).expanduser()
    kind = "array" if path.suffix.lower() in (".npz", ".npy", ".zarr") else "folder"
    crop = "none" if size is None else "centre"
    return data.load(kind, root=path, n=n, size=size, crop=crop)


def _ratio(near: novelty.Nearest) -> Tensor:
    """The ratio, 0 for an exact copy of an image that occurs twice, 1 where there is none."""
    ratio = near.ratio.nan_to_num(nan=1.0)
    return ratio.masked_fill(near.distance == 0, 0.0)
