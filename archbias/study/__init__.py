"""Studies: a question, settings, and a grid of cells that together answer it."""

from .study import (
    Cell,
    Images,
    Quiet,
    State,
    Study,
    Work,
    attributes,
    compute,
    figures,
    finished,
    intended,
    join,
    load,
    opened,
    run,
    status,
)

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
