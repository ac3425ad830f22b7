"""Samples of every family
=======================

One column per family, one row per seed; beside each sample its nearest training image, framed when
the sample is a copy of it.
"""

from toy import tree

from archbias import plots

plots.family_grid(tree, seeds=6)
