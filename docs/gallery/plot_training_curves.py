"""Loss against steps
==================

Raw behind, its running median in front.
"""

from toy import tree

from archbias import plots

plots.training_curves(tree["training"].to_dataset())
