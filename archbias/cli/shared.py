"""What the commands share: the two streams, studies of run folders, texts that become settings."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from ..errors import InputError

if TYPE_CHECKING:
    from ..study.settings import Given

# adds a command: name, what carries it out, help in one line
Command = Callable[[str, Callable[[argparse.Namespace], int], str], argparse.ArgumentParser]

out = Console(highlight=False, soft_wrap=True)  # answers
err = Console(stderr=True, highlight=False, soft_wrap=True)  # progress and messages


def changes_of(pairs: Sequence[str]) -> dict[str, Given]:
    """KEY=VALUE texts as changes of settings."""
    from ..study.settings import given

    changes = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key:
            raise InputError(f"--set wants KEY=VALUE, got {pair!r}; for example --set data.n=500")
        if not key.isascii() and any("\ud800" <= c <= "\udfff" for c in key):
            raise InputError(f"--set wants a name in UTF-8, got {key!r}; spell it so")
        changes[key] = given(text)
    return changes


def path(text: str) -> Path:
    """A path given on the command line, `~` expanded."""
    if not text:
        raise argparse.ArgumentTypeError("wanted a path, got an empty text")
    try:
        return Path(text).expanduser()
    except RuntimeError:  # ~ of nobody
        return Path(text)


def study_folder(folder: Path, given: Path | None) -> Path | None:
    """The folder of the study that draws a run: the one given, or the known one of its name.

    Without either, None, and a line that says how to name it.
    """
    from .. import store
    from .. import study as studies

    if folder.suffix in (".nc", ".zarr"):
        raise InputError(f"wanted a run folder, got {folder}; give the folder it lies in")
    name = str(store.open_study(folder).attrs.get("study", ""))
    study = studies.of_run(name, given)
    if study is None:
        err.print(
            f"the study {name!r} did not come with archbias, so the figures are the standard ones; "
            "for its own, name its folder: --study DIR",
            markup=False,
        )
    return None if study is None else study.folder
