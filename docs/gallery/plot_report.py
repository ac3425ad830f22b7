"""A run as one page
=================

`archbias.report.write` makes a page of its own: figures, tables, and the command that gives the
run again: :download:`this one <report.html>`. One of its figures:
"""

from toy import RUN, tree

from archbias import plots, report, study

report.write(RUN, "../../studies/families", "../_gallery/report.html")
plots.drawn(study.figures("../../studies/families"), tree)["variance"]
