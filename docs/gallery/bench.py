"""A small bench: two theories and a baseline predict a machine that stands for a network."""

import numpy as np
import xarray as xr

import archbias

images = archbias.load("fashion_mnist", n=100).resize(14)
noise, sigmas = archbias.seeds.normal(range(8), images.shape), archbias.noise.cosine(20)
fitted = {k: archbias.FAMILIES[k](window=7).fit(images) for k in ("bbels", "ls", "els")}
fitted |= {"linear": archbias.FAMILIES["linear"]().fit(images)}
drawn = {k: archbias.sample.ddim(d, noise, sigmas).numpy() for k, d in fitted.items()}
theories = ["ls", "els", "linear"]
pixel = ("seed", "channel", "row", "column")
labels = {"family": ["bbels"], "seed": range(8)}
predicted = np.stack([drawn[k] for k in theories])[None]
tree = xr.DataTree.from_dict(
    {
        "agreement": xr.Dataset(coords={"family": ["garments bbels"]}),
        "garments/samples": xr.Dataset(
            {"sample": (("family", *pixel), drawn["bbels"][None])}, labels
        ),
        "garments/predictions": xr.Dataset(
            {"prediction": (("family", "predictor", *pixel), predicted)},
            labels | {"predictor": theories},
        ),
    }
)
