"""Where in the image theories err
===============================

Root mean squared difference of prediction and network, pixel by pixel.
"""

from bench import theories, tree

from archbias.plots import crossed

crossed.error_maps(tree, ["garments bbels"], theories)
