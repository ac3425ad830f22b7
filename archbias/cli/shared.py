"""What the commands share: the two streams, studies of run folders, texts that become settings."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from ..errors import InputError

out = Console(highlight=False, soft_wrap=True)  # answers
err = Console(stderr=True, highlight=False, soft_wrap=True)  # progress and messages


def changes_of(pairs: Sequence[str]) -> dict[str, object]:
    """KEY=VALUE texts as a dictionary; values are Python literals, anything else is text."""
    changes = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key:
            raise InputError(f"--set wants KEY=VALUE, got {pair!r}; for example --set data.n=500")
        try:
            changes[key] = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            changes[key] = {"true": True, "false": False, "none": None}.get(text.lower(), text)
    return changes


def study_folder(folder: Path, given: Path | None) -> Path:
    """The folder of a run's study: the one given, or the one the run remembers."""
    from .. import study as studies

    record, _ = studies.status(folder)
    source = given or (folder / record["source"])
    if not (source / "study.py").is_file():
        raise InputError(
            f"wanted the study of {folder} at {source}, found none; give its folder with --study"
        )
    if given and (name := studies.load(given).name) != record["study"]:
        raise InputError(
            f"wanted the study {record['study']!r} of {folder}, got {name!r} at {given}; give its "
            "folder with --study"
        )
    return source
