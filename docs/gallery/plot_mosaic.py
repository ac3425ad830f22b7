"""The sources of a sample
=======================

A sample of a local score machine is a collage: equal colours come from one training image.
"""

import xarray as xr

import archbias
from archbias import plots

images = archbias.load("fashion_mnist", n=100).resize(14)
machine = archbias.FAMILIES["bbels"](window=5).fit(images)
noise = archbias.seeds.normal(range(6), images.shape)
samples = archbias.sample.ddim(machine, noise, archbias.noise.cosine(20))
sources = machine.mosaic(samples)
ds = xr.Dataset(
    {
        "sample": (("seed", "channel", "row", "column"), samples.numpy()),
        "source": (("seed", "row", "column"), sources.image.numpy()),
        "consistent": (("seed",), sources.consistent.numpy()),
    },
    {"seed": range(6)},
)
plots.mosaic(ds)
