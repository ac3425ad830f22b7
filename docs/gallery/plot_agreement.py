"""Agreement, with ceiling and baseline
====================================

Which prediction says, seed by seed, what a network draws: published numbers of the study
`score_machines`. Grey: the same network retrained. Hatched: the mean image.
"""

import archbias
from archbias import plots

results = archbias.open_study("../../studies/score_machines/results.nc")
r = (
    results["agreement"]
    .to_dataset()
    .sel(predictor=["bbels", "ls", "wiener", "replicate", "mean image"])
)
plots.agreement(r.isel(family=slice(4)), ceiling=["replicate"])
