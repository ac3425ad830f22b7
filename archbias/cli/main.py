"""The command line's frame: groups of commands, errors in one sentence, exit codes.

Answers go to standard output, progress and messages to standard error. Exit code 0: done; 1: cells
failed; 2: the input cannot be used, with one sentence that says what was wanted, what came, and the
remedy. No command imports torch before it needs it.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import io
import os
import sys
from collections.abc import Callable, Sequence

from .. import __version__
from ..errors import InputError
from . import (
    check,
    compute,
    copies,
    families,
    images,
    judge,
    look,
    new,
    published,
    studies,
    verify,
)
from .shared import err

# group: (its modules, one example)
GROUPS = {
    "compute": ([compute, judge, studies], "archbias run studies/families --preset toy"),
    "look": ([look], "archbias figures runs/quickstart --style paper"),
    "check": ([verify, check, copies], "archbias verify runs/quickstart"),
    "data and families": ([images, families, published], "archbias list unet"),
    "extend": ([new], "archbias new theory blurred"),
}
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    _streams()
    known = parser()
    if "_ARGCOMPLETE" in os.environ:  # the shell asks what may follow
        import argcomplete

        argcomplete.autocomplete(known)
    arguments = known.parse_args(argv)
    try:
        return arguments.run(arguments) or 0
    except InputError as error:
        err.print(f"archbias: {error}", markup=False, style="red")
        return 2
    except BrokenPipeError:
        return 0
    except OSError as error:
        where = f" at {error.filename}" if error.filename else ""
        remedy = "free some space" if error.errno in FULL else "choose another folder"
        err.print(
            f"archbias: the system refused{where}: {error.strerror or error}; {remedy} and run "
            "again",
            markup=False,
            style="red",
        )
        return 2
    except KeyboardInterrupt:
        err.print("\nstopped; the same command goes on from here")
        return 130


def _streams() -> None:
    """Files and pipes get UTF-8, a terminal its own encoding; what that lacks, and names of files
    that are no text, are escaped.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            with contextlib.suppress(ValueError, OSError):  # a closed stream says so itself
                utf8 = None if stream.isatty() else "utf-8"
                stream.reconfigure(encoding=utf8, errors="backslashreplace")


class _Groups:
    """Adds commands to the parser and keeps their one-line helps by group."""

    def __init__(self, commands: argparse._SubParsersAction):
        self.commands = commands
        self.lines: dict[str, list[tuple[str, str]]] = {}
        self.group = ""

    def __call__(self, name: str, run: Callable, help: str) -> argparse.ArgumentParser:
        """A command of the present group: its name, function and help."""
        command = self.commands.add_parser(name, description=help)
        command.set_defaults(run=run)
        self.lines.setdefault(self.group, []).append((name, help))
        return command

    def text(self) -> str:
        """All commands by group, with an example each."""
        blocks = []
        for group, lines in self.lines.items():
            rows = [f"  {name:<10}{help}" for name, help in lines]
            blocks.append("\n".join([f"{group}:  (example: {GROUPS[group][1]})", *rows]))
        return "\n\n".join(blocks)


def parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    top = argparse.ArgumentParser(
        prog="archbias",
        usage="archbias [-h] [--version] COMMAND ...",
        description="Why diffusion models invent, measured by architecture.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"archbias {__version__}")
    commands = _Groups(top.add_subparsers(required=True, metavar="COMMAND", help=argparse.SUPPRESS))
    for commands.group, (modules, _) in GROUPS.items():
        for module in modules:
            module.add(commands)
    top.epilog = commands.text() + "\n\narchbias COMMAND --help describes one."
    return top
