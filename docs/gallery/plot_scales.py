"""The window by every protocol
============================

Published numbers of the study `score_machines`: each line a protocol that finds the window.
"""

import archbias
from archbias import study

results = archbias.open_study("../../studies/score_machines/results.nc")
study.figures("../../studies/score_machines").scales(results)
