"""Samples beside their nearest images
===================================

Copies are framed: the ideal denoiser of 100 images returns them.
"""

import archbias
from archbias import plots
from archbias.metrics import novelty

images = archbias.load("fashion_mnist", n=100).resize(14)
ideal = archbias.FAMILIES["ideal"]().fit(images)
noise = archbias.seeds.normal(range(16), images.shape)
samples = archbias.sample.ddim(ideal, noise, archbias.noise.cosine(20))
found = novelty.nearest(samples, images.images)
plots.wall(samples.numpy(), images.images[found.index].numpy(), found.copy.numpy())
