"""Agreement inside and outside of the object
==========================================

Two score machines stand for networks; predicted by a third, whose pixels know their place.
"""

import xarray as xr

import archbias
from archbias import plots
from archbias.metrics import agreement, parts

images = archbias.load("fashion_mnist", n=100).resize(14)
noise, sigmas = archbias.seeds.normal(range(8), images.shape), archbias.noise.cosine(20)
fitted = {k: archbias.FAMILIES[k](window=7).fit(images) for k in ("bbels", "els", "ls")}
drawn = {k: archbias.sample.ddim(d, noise, sigmas) for k, d in fitted.items()}
theory, pixel = drawn.pop("ls"), ("seed", "channel", "row", "column")
inside = {k: parts.foreground(x) for k, x in drawn.items()}
found = [
    [
        agreement.pearson_r(x * m, theory * m).tolist()
        for m in (inside[k][:, None], ~inside[k][:, None])
    ]
    for k, x in drawn.items()
]
labels = {"family": list(drawn), "region": ["foreground", "outside"]}
panels = {
    k: (
        xr.DataArray(x.numpy(), dims=pixel),
        xr.DataArray(inside[k].numpy(), dims=("seed", "row", "column")),
        xr.DataArray(theory.numpy(), dims=pixel),
    )
    for k, x in drawn.items()
}
plots.by_region(xr.DataArray(found, labels, ("family", "region", "seed")), panels, "ls")
