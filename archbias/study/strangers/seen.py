"""What a network of strangers draws, whether it denoises, how far it looks."""

from __future__ import annotations

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from ... import seeds
from ...data import ImageSet
from ...metrics import health
from ...posteriors.ideal import Ideal
from ...probes import local
from ...probes.jacobian import Jacobian
from ...probes.symmetry import equivariance_error
from ...regressions.linear import Linear
from ...store import about
from .. import Cell, Work, cells
from .asked import Asked, draw

BLIND = 0.5  # sigma at which windows are measured
ROOM = 47  # side at which networks that take any size are measured


def drawn(known: str, name: str, asked: Asked) -> Cell:
    """The network's samples, their nearest training images, brightness and amplitude."""

    def run(work: Work) -> dict[str, xr.Dataset]:
        x = draw(asked.denoiser(name), known, asked, work, f"{name}: sampling")
        images = asked.images(known, max((*asked.counts[known], *asked.more.get(known, ()))))
        near = cells.novelty_of(x, images, name)
        return {
            f"{known}/samples": cells.dataset("sample", x, family=name),
            f"{known}/novelty": near[["nearest_image"]],
            "novelty": near.drop_vars("nearest_image"),
            "looks": looks(x, images.images, name),
        }

    return Cell(name, run, seconds=30)


def looks(x: Tensor, images: Tensor, name: str) -> xr.Dataset:
    """Mean and spread of each sample's pixels, beside those of the training images."""
    variables = {}
    for what, f in (("brightness", health.brightness), ("amplitude", health.amplitude)):
        own, theirs = f(x), f(images)
        meant = "mean" if what == "brightness" else "standard deviation"
        described = about(f"{meant} of the pixels of a sample", "pixel value")
        variables[what] = (("family", "seed"), own.numpy()[None], described)
        described = about(f"{meant} and spread of the {what} of training images", "pixel value")
        both = np.array([[float(theirs.mean()), float(theirs.std())]])
        variables[f"{what}_of_images"] = (("family", "moment"), both, described)
    coordinates = {"family": [name], "seed": np.arange(len(x)), "moment": ["mean", "spread"]}
    return xr.Dataset(variables, coordinates)


def healthy(known: str, name: str, asked: Asked) -> Cell:
    """Squared error by level on training images: the network's, the Wiener filter's, which has
    not seen them, and the ideal denoiser's, which has.
    """

    def run(work: Work) -> dict[str, xr.Dataset]:
        judged = asked.health_images
        images = asked.images(known, asked.counts[known][0])
        x, rest = images.images[:judged], ImageSet.from_array(images.images[judged:])
        ends = asked.sigmas(known, asked.steps)[[0, -2]].tolist()
        high, low = np.log10(ends).tolist()
        sigmas = torch.logspace(high, low, asked.health_levels, dtype=torch.float64)
        sigmas = sigmas.clamp(ends[1], ends[0])  # rounding must not leave the trained range
        # the network is judged on images it was trained on: no others of its set are at hand
        found = health.beside(
            asked.denoiser(name), Ideal().fit(images), Linear().fit(rest), x, sigmas
        )
        makers = {k: getattr(found, k) for k in ("network", "wiener", "ideal")}
        error = torch.stack(list(makers.values())).numpy()[None]
        described = about("squared error per pixel on a noisy image", "squared pixel value")
        variables = {"error": (("family", "denoiser", "sigma", "image"), error, described)}
        coordinates = {"family": [name], "denoiser": list(makers), "sigma": sigmas.numpy()}
        return {f"{known}/health": xr.Dataset(variables, coordinates)}

    return Cell(f"{name} health", run, seconds=30)


def windowed(name: str, asked: Asked) -> Cell:
    """Side of the square its Jacobian reaches, on noise; translations and scaling."""

    def run(work: Work) -> dict[str, xr.Dataset]:
        any_size = asked.denoiser(name).facts.size is None
        denoiser = asked.denoiser(name, ROOM if any_size else None)
        shape = denoiser.shape
        y = BLIND * seeds.normal(range(1), shape, dtype=torch.float64)
        field_ = local.receptive_field(Jacobian(denoiser, y, BLIND), 1)
        radius, support = local.radii(field_)
        moved = equivariance_error(Jacobian(denoiser, y, BLIND), ((1, 0), (2, -1)))
        black = denoiser.spec.shift / denoiser.spec.scale  # its own 0 in our pixels, but for a sign
        once, twice = denoiser(y - black, BLIND) + black, denoiser(2 * y - black, 2 * BLIND) + black
        homogeneous = float((twice - 2 * once).norm() / (2 * once).norm())
        known = denoiser.facts.window if not denoiser.facts.global_norm else None
        values = {
            "window": (2 * support + 1, "side of the square its Jacobian reaches", "pixel"),
            "built": (known or np.nan, "side its convolutions see, where all is local", "pixel"),
            "most": (2 * radius[1] + 1, "side that holds 90 % of the energy", "pixel"),
            "interior": (float(moved[:, 0].max()), "error under translations, inside", "1"),
            "border": (float(moved[:, 1].max()), "error under translations, at the border", "1"),
            "scaling": (homogeneous, "relative error of D(2 y) = 2 D(y) about black", "1"),
        }
        variables = {k: (("network",), [v], about(*words)) for k, (v, *words) in values.items()}
        return {"windows": xr.Dataset(variables, {"network": [name]})}

    return Cell(f"{name} window", run, seconds=5)
