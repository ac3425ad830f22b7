"""Variants beside themselves retrained
====================================

Published numbers of the study `unet_variants`: one change moves a UNet's images further than
training it again does, the others hardly.
"""

import archbias
from archbias import plots

results = archbias.open_study("../../studies/unet_variants/results.nc")
r = results["pairs"]["between"]
plots.between(r, plots.palette(r["variant"].values))
