"""Garments with too many parts
============================

Trousers that a local score machine draws fall apart.
"""

import numpy as np
import xarray as xr

import archbias
from archbias import plots
from archbias.metrics import parts

images = archbias.load("fashion_mnist", n=300)
trousers = images.images[images.labels == 1][:12]
machine = archbias.FAMILIES["bbels"](window=5).fit(archbias.ImageSet.from_array(trousers))
noise = archbias.seeds.normal(range(12), images.shape)
drawn = archbias.sample.ddim(machine, noise, archbias.noise.cosine(12))
makers = {"training": trousers, "bbels": drawn}
labels = {"maker": list(makers), "kind": [1]}
count = {
    f.__name__: [[f(x).double().tolist()] for x in makers.values()]
    for f in (parts.parts, parts.strands)
}
counted = xr.Dataset({k: (("maker", "kind", "picture"), v) for k, v in count.items()}, labels)
pictures = xr.DataArray(
    np.stack([x.numpy()[None] for x in makers.values()]),
    labels,
    ("maker", "kind", "picture", "channel", "row", "column"),
)
plots.excess_parts(counted, pictures, {1: "trousers"}, {"parts": {1: 1}, "strands": {1: 2}})
