"""The window a network resembles
==============================

Published windows of Kamb & Ganguli for a ResNet and a UNet on faces.
"""

import xarray as xr

import archbias
from archbias import plots

names = ["celeba-resnet", "celeba-unet"]
sigmas = archbias.noise.cosine(20)[:-1]
windows = [[archbias.SCHEDULES[n](float(s)) for s in sigmas] for n in names]
ds = xr.Dataset(
    {"scale": (("family", "sigma"), windows)},
    {"family": ["resnet", "unet"], "sigma": sigmas.numpy()},
    {"side": 32},
)
plots.locality_scale(ds)
