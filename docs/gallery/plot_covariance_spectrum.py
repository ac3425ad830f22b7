"""One law, one set of samples
===========================

A single panel of `archbias.plots.covariance_spectra`.
"""

import xarray as xr

import archbias
from archbias import plots

images = archbias.load("fashion_mnist", n=300).resize(14)
noise, sigmas = archbias.seeds.normal(range(64), images.shape), archbias.noise.cosine(20)
denoiser = archbias.FAMILIES["linear"](rank=20).fit(images)
law = archbias.distributions.generated_by(denoiser, sigmas)
samples = archbias.sample.ddim(denoiser, noise, sigmas).numpy()
plots.covariance_spectrum(
    xr.DataArray(law.covariance.eigenvalues.numpy(), dims="mode"),
    xr.DataArray(samples, dims=("seed", "channel", "row", "column")),
    label="linear, rank 20",
)
