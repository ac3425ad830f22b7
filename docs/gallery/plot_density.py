"""A law in the plane
==================

Grey: the density a polynomial denoiser of degree 3 generates, computed before sampling; dots: its
samples; crosses: the points it was fitted to.
"""

import numpy as np
import torch
import xarray as xr

import archbias
from archbias import plots
from archbias.data.plane import plane

images = plane("moons", n=200)
denoiser = archbias.FAMILIES["polynomial"](degree=3, components=2).fit(images)
sigmas = archbias.noise.cosine(40)
law = archbias.distributions.generated_by(denoiser, sigmas)
x = np.linspace(-1.2, 1.2, 60)
at = torch.from_numpy(np.stack(np.meshgrid(x, x), -1)).reshape(-1, 2, 1, 1)
samples = archbias.sample.ddim(denoiser, archbias.seeds.normal(range(300), (2, 1, 1)), sigmas)
ds = xr.Dataset(
    {
        "density": (("y", "x"), law.log_prob(at).exp().reshape(60, 60).numpy()),
        "point": (("draw", "axis"), samples[:, :, 0, 0].numpy()),
        "image": (("n", "axis"), images.images[:40, :, 0, 0].numpy()),
    },
    {"x": x, "y": x},
)
plots.density(ds, label="polynomial")
