"""The figures every store can have
================================

What `archbias figures RUN` draws for a study without figures of its own.
"""

from toy import tree

from archbias import plots

plots.standard(tree)
