"""Bias cards of several denoisers
===============================

Traits measured on each denoiser, clustered.
"""

import xarray as xr

import archbias
from archbias import plots
from archbias.probes import bias_card
from archbias.study.cards import traits

images, unseen = archbias.load("fashion_mnist", n=60, size=8).split(40)
linear, ideal = archbias.FAMILIES["linear"], archbias.FAMILIES["ideal"]
specs = {
    "linear": linear(),
    "linear, window 3": linear(constraint="local", window=3),
    "linear, rank 5": linear(rank=5),
    "ideal": ideal(),
}
few = {"points": 2, "probes": 2, "directions": 4, "fit": 32}
cards = [
    traits(bias_card(spec.fit(images), images, [2.0, 0.5], held_out=unseen, **few), name)
    for name, spec in specs.items()
]
plots.bias_cards(xr.concat(cards, "family")[["interior", "affine", "effective_rank", "memory"]])
