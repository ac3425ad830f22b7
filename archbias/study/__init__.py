"""Studies: a question, settings, and a grid of cells that together answer it."""

from .find import figures, load
from .folder import State, attributes, intended, opened, status
from .runner import Quiet, compute, finished, join, run
from .study import Cell, Images, Study, Work

__all__ = [
    "Cell",
    "Images",
    "Quiet",
    "State",
    "Study",
    "Work",
    "attributes",
    "compute",
    "figures",
    "finished",
    "intended",
    "join",
    "load",
    "opened",
    "run",
    "status",
]
