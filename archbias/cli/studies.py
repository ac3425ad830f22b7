"""archbias studies: those that came with archbias, read from their source and not imported."""

from __future__ import annotations

import argparse
import ast
import shutil
from pathlib import Path

from rich.table import Table

from ..bundled import known
from ..errors import InputError, nearest
from .shared import Command, out, path


def add(command: Command) -> None:
    """The commands of this file."""
    p = command("studies", _studies, "bundled studies: list | show NAME | copy NAME FOLDER")
    p.add_argument("action", choices=["list", "show", "copy"])
    p.add_argument("name", nargs="?")
    p.add_argument("folder", nargs="?", type=path, help="copy: the folder to make")


def _studies(a: argparse.Namespace) -> int:
    found = known()
    if a.action == "list":
        table = Table("study", "question", box=None)
        for name, folder in found.items():
            table.add_row(name, question(folder / "study.py"))
        out.print(table, soft_wrap=False, width=min(out.width, 100))
        return 0
    if a.name is None:
        raise InputError(
            f"archbias studies {a.action} wants the name of a study; choose from {', '.join(found)}"
        )
    if a.name not in found:
        raise InputError(f"unknown study {a.name!r}; {nearest(a.name, found)}")
    if a.action == "show":
        out.print((found[a.name] / "README.md").read_text(encoding="utf-8"), markup=False)
        return 0
    if a.folder is None:
        raise InputError(f"archbias studies copy wants a folder to make; for example my_{a.name}")
    if a.folder.exists():
        raise InputError(f"{a.folder} exists already; choose a folder to make")
    kept = shutil.ignore_patterns("__pycache__", "*.nc", "*.png", "*.safetensors")
    shutil.copytree(found[a.name], a.folder, ignore=kept)
    out.print(f"wrote {a.folder}; change it, then archbias run {a.folder}", markup=False)
    return 0


def question(file: Path) -> str:
    """The question that a study.py asks, read without running it; empty if it is computed."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Study":
            for keyword in node.keywords:
                if keyword.arg == "question":
                    try:
                        return str(ast.literal_eval(keyword.value))
                    except ValueError:
                        return ""
    return ""
