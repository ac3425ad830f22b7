"""Theories on one bench
=====================

Published numbers of the study `score_machines`: the way each theory goes from the Wiener filter (0)
to the same network retrained (1).
"""

import archbias
from archbias import study
from archbias.plots import crossed

results = archbias.open_study("../../studies/score_machines/results.nc")
standing = study.figures("../../studies/arena").standing(results)
crossed.leaderboard(standing.sel(theory=["bbels", "ls", "ideal"]).isel(family=slice(6)))
