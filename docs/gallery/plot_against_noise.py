"""Any value against noise
=======================

Here: the effective number of training images in the ideal denoiser's belief.
"""

import xarray as xr

import archbias
from archbias import plots

images = archbias.load("fashion_mnist", n=100).resize(14)
noise = archbias.seeds.normal(range(8), images.shape)
sigmas = [10.0, 5.0, 3.0, 2.0, 1.0, 0.5, 0.3]
machines = {k: archbias.FAMILIES["ls"](window=k).fit(images) for k in (3, 7, 15)}
found = [
    [m.posterior(images.images[:8] + s * noise, s).effective.mean((1, 2)).tolist() for s in sigmas]
    for m in machines.values()
]
effective = xr.DataArray(
    found,
    {"family": [f"ls, window {k}" for k in machines], "sigma": sigmas},
    ("family", "sigma", "seed"),
    attrs={"long_name": "effective sources of a pixel"},
)
plots.against_noise(effective)
