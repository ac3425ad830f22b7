"""Where denoisers look
====================

The share of the Jacobian's energy by offset, at three noise levels.
"""

import xarray as xr

import archbias
from archbias import plots
from archbias.probes import bias_card
from archbias.study.cards import traits

images = archbias.load("fashion_mnist", n=60, size=8)
linear = archbias.FAMILIES["linear"]
specs = {
    "linear": linear(),
    "linear, window 3": linear(constraint="local", window=3),
    "ideal": archbias.FAMILIES["ideal"](),
}
few = {"points": 2, "probes": 2, "directions": 2, "fit": 16}
cards = [
    traits(bias_card(spec.fit(images), images, [5.0, 1.0, 0.3], **few), name)
    for name, spec in specs.items()
]
plots.receptive_fields(xr.concat(cards, "family")["receptive"])
