"""Studies: a question, settings, and a grid of cells that together answer it."""

from .find import figures, known, load, of_run
from .folder import State, attributes, check_links, intended, opened, status
from .runner import Quiet, compute, finished, join, run
from .study import Cell, Images, Study, Work, cell_path, error_path

__all__ = [
    "Cell",
    "Images",
    "Quiet",
    "State",
    "Study",
    "Work",
    "attributes",
    "cell_path",
    "check_links",
    "compute",
    "error_path",
    "figures",
    "finished",
    "intended",
    "join",
    "known",
    "load",
    "of_run",
    "opened",
    "run",
    "status",
]
