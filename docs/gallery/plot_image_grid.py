"""Images in rows
==============

The first images of a set.
"""

import xarray as xr

import archbias
from archbias import plots

images = archbias.load("fashion_mnist", n=32)
array = xr.DataArray(images.images.numpy(), dims=("image", "channel", "row", "column"))
plots.image_grid(array, columns=8)
