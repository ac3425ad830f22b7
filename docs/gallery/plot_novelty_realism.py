"""How new against how realistic
=============================

Published numbers of the study `unet_variants`: distance to the nearest training image, in
distances of a new face, against the likelihood under a law fitted to held-out faces.
"""

import archbias
from archbias import plots

results = archbias.open_study("../../studies/unet_variants/results.nc")
new = results["held_out"]["training_distance"].median()
ds = results["novelty"].to_dataset()[["distance"]].rename(distance="novelty") / new
ds["novelty"].attrs["long_name"] = "novelty (new face = 1)"
ds["realism"] = results["realism"]["log_likelihood"]
plots.novelty_realism(ds.isel(family=slice(None, None, 2)).assign_attrs(novelty_reference=1.0))
