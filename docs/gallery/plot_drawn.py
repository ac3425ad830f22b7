"""The figures of a study
======================

The study's own figures where it has some, the standard ones otherwise.
"""

from toy import tree

from archbias import plots, study

# sphinx_gallery_thumbnail_number = 2
plots.drawn(study.figures("../../studies/families"), tree)
