"""Where along the noise theories err
==================================

Squared distance of theory and network after one step, where the Wiener filter is 1.
"""

import xarray as xr
from bench import fitted, images, noise

from archbias.plots import crossed

levels = [5.0, 2.0, 1.0, 0.5, 0.2]
states = {s: images.images[:8] + s * noise for s in levels}
answer = {k: {s: d(y, s) for s, y in states.items()} for k, d in fitted.items()}


def distance(theory, s):
    return float((answer[theory][s] - answer["bbels"][s]).square().mean())


theories = ["ls", "els"]
share = [[[distance(k, s) / distance("linear", s) for s in levels]] for k in theories]
labels = {"predictor": theories, "kind": ["training images"], "sigma": levels}
crossed.one_step(xr.DataArray(share, labels, ("predictor", "kind", "sigma")))
