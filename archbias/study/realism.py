"""Samples judged by images outside the training set: how new and how real.

The held-out images are halved. The even half is what samples are compared with; the odd half is
judged as samples are, and says what an image of the set itself would score.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from ..data import ImageSet
from ..denoise import Denoiser
from ..metrics import features, finite, novelty, realism, symmetry
from ..metrics import frechet as distance
from ..nets import train
from ..store import about
from . import Cell, Images, Work
from .crossed import costs

PATCH, STRIDE = 5, 2  # windows judged: their side, and how far apart they lie
PAIRS = 1.6e8  # of windows compared in a second by one core, measured
SPLITS = 20  # random halves of the held-out images whose Frechet distance is the reference
MEASURES = {
    "training_distance": ("Euclidean distance to the nearest training image", "pixel value"),
    "face_distance": ("Euclidean distance to the nearest held-out image", "pixel value"),
    "patch_distance": (
        "mean distance of its windows to the nearest held-out window",
        "pixel value",
    ),
    "log_likelihood": ("log density under probabilistic PCA of held-out images", "nat"),
}
FRECHET = about("Frechet distance to held-out images in random convolutional features")

LEFT_OUT = about("samples left out of the Frechet distance because they are not finite")


def judged(label: str, x: Tensor, many: Tensor, held_out: Tensor, device: str) -> xr.Dataset:
    """Samples of the judged seeds as a group realism, with the Frechet distance of as many samples
    as there are images in a half. Samples that are not finite are left out of it and counted.
    """
    kept = finite.kept(many)
    variables: dict[str, tuple] = {
        k: (("family", "seed"), v.numpy()[None], about(*MEASURES[k]))
        for k, v in judge(x, held_out, device).items()
    }
    apart = frechet(kept.images, held_out[0::2]) if len(kept.rows) > 1 else np.nan
    variables["frechet"] = (("family",), [apart], FRECHET)
    variables["left_out"] = (("family",), [len(kept.left_out)], LEFT_OUT)
    return xr.Dataset(variables, {"family": [label], "seed": np.arange(len(x))})


def judge(x: Tensor, held_out: Tensor, device: str = "cpu") -> dict[str, Tensor]:
    """How real, one number per image (B,) float64, by the even half of the held-out images: the
    values of `metrics.realism`, whose reference, the odd half, is judged once for all.
    """
    known = held_out[0::2]
    density = realism.probabilistic_pca(known, max(1, len(known) // 4))
    windows = symmetry.nearest_patch(x.to(device), known.to(device), size=PATCH, stride=STRIDE)
    return {
        "face_distance": novelty.nearest(x, known).distance,
        "patch_distance": windows.distance.mean((1, 2)).cpu(),
        "log_likelihood": density(x),
    }


def frechet(x: Tensor, images: Tensor) -> float:
    """Frechet distance of two sets of images in random convolutional features."""
    return distance.frechet(x, images, space=features.convolutional(x.shape[1]))


def reference(images_of: Images, held_out: int) -> Cell:
    """The odd half of the held-out images, judged as samples are: group held_out."""

    def run(work: Work) -> dict[str, xr.Dataset]:
        unseen = images_of.unseen(held_out)
        x = unseen.images[1::2]
        found = {"training_distance": novelty.nearest(x, images_of.load().images).distance}
        found |= judge(x, unseen.images, work.runtime.device)
        variables: dict[str, tuple] = {
            k: (("image",), v.numpy(), about(*MEASURES[k])) for k, v in found.items()
        }
        rng = np.random.default_rng(0)
        halves = [rng.permutation(len(unseen)).reshape(2, -1) for _ in range(SPLITS)]
        apart = [frechet(unseen.images[a], unseen.images[b]) for a, b in halves]
        variables["frechet"] = (("split",), apart, FRECHET)
        return {"held_out": xr.Dataset(variables, {"image": list(unseen.ids[1::2])})}

    return Cell("held out", run, seconds=10 + seconds(images_of, held_out // 2, held_out))


def seconds(images_of: Images, samples: int, held_out: int) -> float:
    """Estimated time in seconds of judging so many images, nearly all of it the search of windows:
    the pairs of a window of a sample, `STRIDE` pixels apart, and one of the even half of the
    held-out images, over `PAIRS`.

    Args:
        samples: their number. held_out: number of held-out images, before they are halved.
    """
    _, height, width = costs.shape_of(images_of)
    queries, keys = (
        ((height - PATCH) // step + 1) * ((width - PATCH) // step + 1) for step in (STRIDE, 1)
    )
    return samples * queries * (held_out // 2) * keys / PAIRS


def errors(
    label: str,
    denoiser: Denoiser,
    sets: Mapping[str, ImageSet],
    sigmas: Tensor,
    *,
    most: int,
    device: str = "cpu",
) -> xr.Dataset:
    """Squared error per pixel of a denoiser, on at most `most` images of each set: group errors."""
    both = [s.subset(min(most, len(s))) for s in sets.values()]
    found = torch.stack([train.losses(denoiser, s, sigmas, device=device) for s in both])
    described = about("denoising error", "squared pixel value")
    return xr.Dataset(
        {"error": (("family", "images", "sigma"), found.numpy()[None], described)},
        {"family": [label], "images": list(sets), "sigma": sigmas.numpy()},
    )
