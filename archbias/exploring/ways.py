"""What every pixel sees and believes along a sample's way, as labelled arrays.

    y_0 = sigma_0 n,   y_{t+1} = D + (sigma_{t+1} / sigma_t) (y_t - D)          (`sample.ddim`)
    D[p] = sum_j w_j phi_j[q_j],   H[p] = -sum_j w_j log w_j                     (at each y_t)

D is the machine; where a network is given the way is the network's, and the machine is asked at the
same noisy images. Weights are float64 and exact; the `top` largest of each pixel are kept.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from .. import noise
from ..denoise import Denoiser
from ..errors import InputError
from ..posteriors.beliefs import Posterior
from ..posteriors.ideal import IdealDenoiser
from ..posteriors.masked import MaskedDenoiser
from ..posteriors.masks import SEEN
from ..posteriors.score_machines import LS, MachineDenoiser
from ..seeds import normal
from ..store import about

IMAGE = ("seed", "sigma", "channel", "row", "column")
PLACE = ("seed", "sigma", "row", "column")
SOURCE = ("seed", "sigma", "source", "row", "column")


def ways(
    machine: Denoiser,
    *,
    network: Denoiser | None = None,
    seeds: Iterable[int] = (0,),
    steps: int = 20,
    top: int = 5,
) -> xr.Dataset:
    """Noisy images, estimates, beliefs and their sources along the ways of some seeds.

    Args:
        machine: ideal, es, ls, els, bbels or masked, fitted.
        network: whose ways are followed; the machine's own without it.
        seeds: of the noise. steps: noise levels, of the cosine schedule. top: sources kept.

    Returns:
        noisy, estimate and, with a network, network (seed, sigma, channel, row, column); entropy
        (seed, sigma, row, column) in nats; image, source_row, source_column, weight (seed, sigma,
        source, row, column), image -1 where there are fewer sources; seen (view, pixel, other)
        which pixels each one sees, view_of (sigma,) which of these holds; training (used, channel,
        row, column) the images named, used their numbers in the set; wraps, machine.

    Raises:
        InputError: a denoiser without beliefs, or a network of other images.
    """
    name, machine = type(machine.spec).__name__, _windowed(machine)
    if network is not None and network.shape != machine.shape:
        raise InputError(
            f"wanted a network of {machine.shape} images like the machine's, got {network.shape}; "
            "fit both on the same images"
        )
    names = list(seeds)
    levels = noise.within(noise.cosine(steps), getattr(network, "levels", None))
    y = normal(names, machine.shape) * levels[0]
    driver, met = network or machine, []
    with torch.no_grad():
        for sigma, after in pairwise(levels.tolist()):
            met.append(_look(machine, network, y, sigma, top))
            denoised = driver(y, sigma)
            y = denoised + (after / sigma) * (y - denoised)
    found = xr.Dataset(
        {k: (dims, np.stack([m[k] for m in met], 1), words) for k, (dims, words) in KEPT.items()
         if k in met[0]},
        {"seed": names, "sigma": levels[:-1].tolist()},
    )  # fmt: skip
    views = _views(machine, levels[:-1].tolist())
    made = xr.merge([views, found, _used(machine, found)])
    return made.assign(machine=((), name, about("the machine asked")))


KEPT = {
    "noisy": (IMAGE, about("noisy image", "pixel value")),
    "estimate": (IMAGE, about("the machine's estimate of the clean image", "pixel value")),
    "network": (IMAGE, about("the network's estimate of the clean image", "pixel value")),
    "entropy": (PLACE, about("entropy of the pixel's belief over its sources", "nat")),
    "image": (SOURCE, about("training image of a source", "position in the set")),
    "source_row": (SOURCE, about("row of a source", "pixel")),
    "source_column": (SOURCE, about("column of a source", "pixel")),
    "weight": (SOURCE, about("probability of a source")),
}


def _windowed(machine: Denoiser) -> MachineDenoiser | MaskedDenoiser:
    """The machine itself; the ideal one as a local machine that sees everything."""
    if isinstance(machine, IdealDenoiser):
        return LS(window=2 * max(machine.shape[1:]) - 1).rebuild(machine.state())
    if not isinstance(machine, MachineDenoiser | MaskedDenoiser):
        raise InputError(
            "wanted a denoiser whose pixels hold beliefs over training patches (ideal, es, ls, "
            f"els, bbels, masked), got {machine!r}; fit one of these, and give yours as network="
        )
    return machine


def _look(
    machine: MachineDenoiser | MaskedDenoiser,
    network: Denoiser | None,
    y: Tensor,
    sigma: float,
    top: int,
) -> dict[str, np.ndarray]:
    found: Posterior = machine.posterior(y, sigma, top=top)
    made = {
        "noisy": y,
        "estimate": machine(y, sigma),
        "entropy": found.entropy,
        "image": found.image,
        "source_row": found.row,
        "source_column": found.column,
        "weight": found.weight,
    }
    if network is not None:
        made["network"] = network(y, sigma)
    return {k: v.numpy() for k, v in made.items()}


def _views(machine: MachineDenoiser | MaskedDenoiser, levels: list[float]) -> xr.Dataset:
    """Which pixels every pixel sees, each set of windows once."""
    views: list[np.ndarray] = []
    index = []
    for sigma in levels:
        sees = sight(machine, sigma)
        same = [i for i, v in enumerate(views) if np.array_equal(v, sees)]
        index.append(same[0] if same else len(views))
        if not same:
            views.append(sees)
    return xr.Dataset(
        {
            "seen": (("view", "pixel", "other"), np.stack(views), about("whether a pixel sees it")),
            "view_of": ("sigma", index, about("which of the views holds at a noise level")),
            "wraps": ((), wraps(machine), about("whether windows run round the image")),
        },
        {"sigma": levels},
    )


def sight(machine: MachineDenoiser | MaskedDenoiser, sigma: float) -> np.ndarray:
    """(HW, HW) which pixels each one sees; of a soft mask those above a share of its largest."""
    _, h, w = machine.shape
    if isinstance(machine, MaskedDenoiser):
        mask = machine.mask(sigma).numpy()
        return mask > SEEN * mask.max(1, keepdims=True)
    pairs = machine.spec.geometry(sigma, h, w)
    axes = []
    for size in (h, w):
        at, _, inside = pairs.table(size)
        sees = np.zeros((size, size), bool)
        for p in range(size):
            sees[p, at[p, inside[p]]] = True
        axes.append(sees)
    return (axes[0][:, None, :, None] & axes[1][None, :, None, :]).reshape(h * w, h * w)


def wraps(machine: MachineDenoiser | MaskedDenoiser) -> bool:
    """Whether windows run round the image."""
    return (
        isinstance(machine, MachineDenoiser)
        and machine.spec.geometry(1.0, *machine.shape[1:]).wraps_y
    )


def _used(machine: Denoiser, found: xr.Dataset) -> xr.Dataset:
    used = np.unique(found["image"].values)
    used = used[used >= 0]
    images = machine.state()["images"][torch.from_numpy(used)].numpy()
    words = about("training images that are sources", "pixel value")
    return xr.Dataset(
        {"training": (("used", "channel", "row", "column"), images, words)}, {"used": used}
    )
