"""Variance along the data's directions
====================================

What survives an architecture: variance of samples along the principal directions of the data,
relative to the data's own, with the law where one is known.
"""

from toy import tree

from archbias import plots

plots.mode_variance(tree["spectrum"].to_dataset())
