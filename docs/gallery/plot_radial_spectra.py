"""Power by spatial frequency
==========================

Two linear denoisers against their data: a window of three pixels lacks what is large.
"""

import numpy as np
import xarray as xr

import archbias
from archbias import plots
from archbias.metrics.spectrum import radial_power

images = archbias.load("fashion_mnist", n=300).resize(16)
noise = archbias.seeds.normal(range(100), images.shape)
sigmas = archbias.noise.cosine(20)
specs = {"linear": {}, "linear, local 3": {"constraint": "local", "window": 3}}
fitted = {k: archbias.FAMILIES["linear"](**v).fit(images) for k, v in specs.items()}
power = [radial_power(archbias.sample.ddim(d, noise, sigmas)).numpy() for d in fitted.values()]
ds = xr.Dataset(
    {
        "power": (("family", "seed", "frequency"), np.stack(power)),
        "data_power": (("image", "frequency"), radial_power(images.images).numpy()),
    },
    {"family": list(fitted), "frequency": np.arange(9)},
).isel(frequency=slice(1, None))
plots.radial_spectra(ds)
