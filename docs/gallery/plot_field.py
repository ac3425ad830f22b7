"""A vector field in the plane
===========================

The score of the ideal denoiser of four points.
"""

import numpy as np
import torch
import xarray as xr

import archbias
from archbias import plots

points = torch.tensor([[-1.0, 0], [1, 0], [0, 1], [0, -1]]) / 2
ideal = archbias.FAMILIES["ideal"]().fit(archbias.ImageSet.from_array(points.reshape(4, 2, 1, 1)))
x = np.linspace(-1, 1, 41)
y = torch.from_numpy(np.stack(np.meshgrid(x, x), -1)).reshape(-1, 2, 1, 1)
score = ((ideal(y, 0.3) - y) / 0.3**2).reshape(41, 41, 2)
ds = xr.Dataset({"field": (("y", "x", "axis"), score.numpy())}, {"x": x, "y": x})
plots.field(ds.assign(point=(("draw", "axis"), points.numpy())))
