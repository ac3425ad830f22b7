"""The command that gives a run again, worked out from its settings and checked against the study.

Every preset is tried with the `--set` changes that lead from it to the run's settings; the shortest
that does is printed, and none when the study has changed since.
"""

from __future__ import annotations

import ast
import json
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .. import study as studies
from ..denoise import to_json
from ..errors import InputError
from ..families import FAMILIES


def reproduce(
    attrs: Mapping[str, Any], settings: Mapping[str, Any], study: str | Path | None
) -> tuple[str, list[str]]:
    """Shell commands that give this run again, and what to know about them."""
    commit = str(attrs.get("commit", ""))
    name = str(attrs.get("study", "STUDY"))
    lines, notes = [], []
    if commit:
        lines.append(f"git checkout {shlex.quote(commit.rstrip('+'))}")
    if commit.endswith("+"):
        notes.append(
            "The code had changes that were not committed: the commit alone may not give the same "
            "numbers."
        )
    loaded = _loaded(study)
    words = [
        "archbias",
        "run",
        _place(loaded.folder) if loaded and loaded.folder else f"studies/{name}",
    ]
    if loaded:
        found = flags(loaded, settings)
        if found is None:
            notes.append(
                "The study has changed since, so no command line gives these settings; they are "
                "listed below."
            )
        else:
            words += found
    lines += [
        shlex.join([*words, "--out", f"runs/{name}"]),
        f"archbias report {shlex.quote(f'runs/{name}')}",
    ]
    hash = attribute(attrs, "images").get("hash")
    if hash:
        notes.append(
            f"The images are the same when the run says sha256 {hash[:16]}…; the manifest in the "
            "run folder names each of them."
        )
    return "\n".join(lines), notes


def _loaded(study: str | Path | None) -> studies.Study | None:
    try:
        return studies.load(study) if study else None
    except InputError:
        return None


def _place(folder: Path) -> str:
    """The study's folder as seen from the checkout; only its name when it lies elsewhere."""
    root = Path(__file__).resolve().parents[2]
    return folder.relative_to(root).as_posix() if folder.is_relative_to(root) else folder.name


def flags(study: studies.Study, wanted: Mapping[str, Any]) -> list[str] | None:
    """The shortest `--preset` and `--set` that configure these settings; None when none does."""
    best: list[str] | None = None
    for preset in (*study.presets, None):
        base = study.configure(preset)
        changes = dict(_changed(json.loads(json.dumps(to_json(base))), wanted, ""))
        try:
            reached = to_json(study.configure(preset, changes))
        except (InputError, TypeError, ValueError):
            continue
        if json.loads(json.dumps(reached)) != wanted:
            continue
        found = ["--preset", preset] if preset else []
        found += [
            word for key, value in changes.items() for word in ("--set", f"{key}={_literal(value)}")
        ]
        if best is None or len(found) < len(best):
            best = found
    return best


def _changed(old: Any, new: Any, at: str) -> Iterator[tuple[str, Any]]:
    """(dotted key, new value) of every leaf that differs."""
    if (
        isinstance(old, dict)
        and isinstance(new, dict)
        and old.get("type") == new.get("type")
        and old.keys() == new.keys()
    ):
        for key in old:
            yield from _changed(old[key], new[key], f"{at}.{key}".lstrip("."))
    elif old != new:
        yield at, _called(new) if isinstance(new, dict) and "type" in new else new


def _literal(value: Any) -> str:
    """A value as `--set` reads it: text as it is where that is unambiguous, else a Python
    literal.
    """
    if not isinstance(value, str):
        return repr(value)
    try:
        ast.literal_eval(value)
    except (SyntaxError, ValueError):
        return repr(value) if value.lower() in ("true", "false", "none") else value
    return repr(value)


def _called(spec: Mapping[str, Any]) -> str:
    """A spec as the command line takes it: {"type": "Linear", "rank": 20} is linear(rank=20)."""
    names = {cls.__name__: name for name, cls in FAMILIES.items()}
    return names.get(spec["type"], spec["type"]) + spelled(dict(spec)).removeprefix(spec["type"])


def spelled(value: Any) -> str:
    """Settings from JSON as one writes them: {"type": "Linear", "rank": 20} is Linear(rank=20)."""
    if isinstance(value, dict) and "type" in value:
        inner = ", ".join(f"{k}={spelled(v)}" for k, v in value.items() if k != "type")
        return f"{value['type']}({inner})"
    if isinstance(value, dict):
        return (
            "{" + ", ".join(f"{k!r}: {spelled(v)}" for k, v in value.items()) + "}" if value else ""
        )
    if isinstance(value, list):
        return f"({', '.join(map(spelled, value))}{',' if len(value) == 1 else ''})"
    return repr(value)


def attribute(attrs: Mapping[str, Any], key: str) -> dict[str, Any]:
    """A root attribute that holds a JSON object; {} when it is missing or is none."""
    try:
        value = json.loads(attrs.get(key, "{}"))
    except (TypeError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
