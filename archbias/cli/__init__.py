"""The command line, one file per group of commands.

    main                         the frame: groups, errors, exit codes
    compute, judge, studies      run, judge, studies
    look                         status, figures, tables, export, report
    check, copies                doctor, copies
    images, families, published  data, list, networks
    new                          new
    shared, progress             what they share

A file of commands has `add(command)`, which calls `command(name, function, help)` and declares
arguments; `main.GROUPS` names it. A command parses, calls and prints; what it calls lives below.
"""

from .main import main, parser
from .shared import changes_of

__all__ = ["changes_of", "main", "parser"]
