"""archbias list: the denoiser families and their settings, read from the source.

The table is read with `ast`, not by importing the families, so it answers at once: importing them
imports torch. A family's line is its `summary`; what a setting does is its entry in the class's
docstring. Families of other packages are imported, since only they know their settings.
"""

from __future__ import annotations

import argparse
import ast
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from ..errors import InputError, nearest
from .shared import Command, out

PACKAGE = Path(__file__).parents[1]
GROUPS = {
    "posteriors": "posterior means that forget something",
    "regressions": "the best function of a class",
    "nets": "networks, fitted by gradient descent",
    "": "of other packages",
}


@dataclass(frozen=True)
class Setting:
    """One setting of a family: its name, type and default as written, and what it does."""

    name: str
    type: str
    default: str
    text: str


@dataclass(frozen=True)
class Family:
    """A family as its source describes it."""

    name: str
    group: str
    summary: str
    settings: tuple[Setting, ...]


def add(command: Command) -> None:
    """The commands of this file."""
    p = command("list", _list, "the denoiser families; list NAME shows one's settings")
    p.add_argument("name", nargs="?", metavar="NAME")


def _list(a: argparse.Namespace) -> int:
    known = families()
    if a.name is None:
        width = max(map(len, known)) + 2
        for group, title in GROUPS.items():
            members = [f for f in known.values() if f.group == group]
            if members:
                out.print(f"{group or 'others'}: {title}", markup=False, style="bold")
            for family in members:
                line = textwrap.shorten(family.summary, 78 - width, placeholder=" ...")
                out.print(f"  {family.name:<{width}}{line}", markup=False)
        return 0
    if a.name not in known:
        raise InputError(f"unknown family {a.name!r}; {nearest(a.name, known)}")
    family = known[a.name]
    out.print(textwrap.fill(f"{family.name}: {family.summary}", 80), markup=False)
    for setting in family.settings:
        head = f"  {setting.name}: {setting.type} = {setting.default}"
        out.print(textwrap.fill(head, 80, subsequent_indent=" " * 6), markup=False)
        if setting.text:
            out.print(textwrap.indent(textwrap.fill(setting.text, 74), " " * 6), markup=False)
    if not family.settings:
        out.print("  no settings")
    return 0


def families() -> dict[str, Family]:
    """Every family by name: those of the package from its source, others by their entry points."""
    registry = _module(PACKAGE / "families.py")
    table: Any = next(
        node.value
        for node in registry.body
        if isinstance(node, ast.AnnAssign) and getattr(node.target, "id", "") == "FAMILIES"
    )
    found = {}
    for key, value in zip(table.keys, table.values, strict=True):
        file, cls = _class(value.id, PACKAGE / "families.py")
        group = file.relative_to(PACKAGE).parts[0]
        found[key.value] = Family(
            key.value, group, _constant(cls, "summary"), tuple(_settings(value.id, file))
        )
    for entry in entry_points(group="archbias.families"):
        found[entry.name] = _imported(entry)
    return found


def _imported(entry: EntryPoint) -> Family:
    from dataclasses import fields

    try:
        cls = entry.load()
    except Exception as error:
        return Family(entry.name, "", f"cannot be loaded: {error}", ())
    described = _entries(cls.__doc__ or "")
    settings = (
        Setting(f.name, str(f.type), repr(f.default), described.get(f.name, ""))
        for f in fields(cls)
    )
    return Family(entry.name, "", cls.summary, tuple(settings))


@cache
def _module(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def _class(name: str, file: Path) -> tuple[Path, ast.ClassDef]:
    """Where a class that is known in `file` is written, and its definition."""
    for node in _module(file).body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            return file, node
        if isinstance(node, ast.ImportFrom) and name in {a.name for a in node.names}:
            folder = file.parents[node.level - 1]
            path = folder.joinpath(*(node.module or "").split("."))
            return _class(name, path.with_suffix(".py") if not path.is_dir() else path)
    raise LookupError(f"{name} is not written in {file}")


def _constant(cls: ast.ClassDef, name: str) -> str:
    for node in cls.body:
        if (
            isinstance(node, ast.AnnAssign)
            and getattr(node.target, "id", "") == name
            and node.value
        ):
            return ast.literal_eval(node.value)
    return ""


def _settings(name: str, file: Path) -> Iterator[Setting]:
    """The fields of a dataclass in their order, with those it inherits; a later one replaces."""
    ordered: dict[str, Setting] = {}
    described: dict[str, str] = {}
    for cls in _lineage(name, file):
        described |= _entries(ast.get_docstring(cls) or "")
        for node in cls.body:
            if isinstance(node, ast.AnnAssign) and "ClassVar" not in ast.unparse(node.annotation):
                field = ast.unparse(node.target)
                default = ast.unparse(node.value) if node.value else "required"
                ordered[field] = Setting(field, ast.unparse(node.annotation), default, "")
    for field, setting in ordered.items():
        yield Setting(field, setting.type, setting.default, described.get(field, ""))


def _lineage(name: str, file: Path) -> list[ast.ClassDef]:
    """The class after its bases, as far as they are settings."""
    file, cls = _class(name, file)
    above: list[ast.ClassDef] = []
    for base in cls.bases:
        if isinstance(base, ast.Name) and base.id not in ("Spec", "ABC", "Generic"):
            above += _lineage(base.id, file)
    return [*above, cls]


def _entries(docstring: str) -> dict[str, str]:
    """`name: what it does` of a docstring; several names may share an entry."""
    found: dict[str, str] = {}
    names: list[str] = []
    for line in docstring.splitlines():
        entry = re.match(r"( {0,4})([a-z_]\w*(?:, [a-z_]\w*)*): (.*)", line)
        if entry:
            names = entry[2].split(", ")
            found |= dict.fromkeys(names, entry[3].strip())
        elif names and line.strip() and line.startswith(" " * 4):
            found |= {name: f"{found[name]} {line.strip()}" for name in names}
        else:
            names = []
    return found
