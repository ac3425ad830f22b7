"""Covariance eigenvalues against their law
========================================

One panel per law; the band is what so many samples of the law may read.
"""

import numpy as np
import xarray as xr

import archbias
from archbias import plots

images = archbias.load("fashion_mnist", n=300).resize(14)
noise, sigmas = archbias.seeds.normal(range(64), images.shape), archbias.noise.cosine(20)
linear = archbias.FAMILIES["linear"]
fitted = {"linear": linear().fit(images), "linear, rank 20": linear(rank=20).fit(images)}
laws = [archbias.distributions.generated_by(d, sigmas).covariance for d in fitted.values()]
drawn = np.stack([archbias.sample.ddim(d, noise, sigmas).numpy() for d in fitted.values()])
values = np.stack([law.eigenvalues.numpy() for law in laws])
pixel = ("channel", "row", "column")
tree = xr.DataTree.from_dict(
    {
        "distributions": xr.Dataset(
            {"eigenvalue": (("law", "mode"), values)}, {"law": list(fitted)}
        ),
        "samples": xr.Dataset(
            {"sample": (("family", "seed", *pixel), drawn)}, {"family": list(fitted)}
        ),
    }
)
plots.covariance_spectra(tree)
