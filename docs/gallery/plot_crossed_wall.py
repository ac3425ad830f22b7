"""Predictions beside a network's samples
======================================

One seed per row; a score machine stands for the network
(:download:`bench.py <../gallery/bench.py>`).
"""

from bench import tree

from archbias.plots import crossed

crossed.wall(tree, "garments", "bbels", copies=False)
