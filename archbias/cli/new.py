"""archbias new: the one file, and its test, that an extension needs.

    archbias new theory blurred                 blurred.py, test_blurred.py in this folder
    archbias new study contrast studies         studies/contrast/ with study.py, figures.py, ...
    archbias new package my_theory              a package whose entry point archbias finds

What is written works as it is: its test passes, and its comments show where to write.
"""

from __future__ import annotations

import argparse
import keyword
import string
from pathlib import Path

from .. import __version__
from ..errors import InputError
from .shared import Command, out

TEMPLATES = Path(__file__).parents[1] / "templates" / "new"
# kind: the files to write, and the templates they come from
FILES = {
    "family": {"$name.py": "family.py", "test_$name.py": "test_family.py"},
    "theory": {"$name.py": "theory.py", "test_$name.py": "test_theory.py"},
    "metric": {"$name.py": "metric.py", "test_$name.py": "test_metric.py"},
    "study": {
        "$name/study.py": "study/study.py",
        "$name/figures.py": "study/figures.py",
        "$name/README.md": "study/README.md",
        "$name/test_$name.py": "study/test_study.py",
    },
    "package": {
        "$name/pyproject.toml": "pyproject.toml",
        "$name/README.md": "README.md",
        "$name/$name.py": "theory.py",
        "$name/test_$name.py": "test_theory.py",
    },
}


def add(command: Command) -> None:
    """The commands of this file."""
    p = command("new", _new, "write a family, theory, metric, study or package to fill in")
    p.add_argument("kind", choices=list(FILES))
    p.add_argument("name", help="its name: lower case letters, digits and _")
    p.add_argument("folder", nargs="?", type=Path, default=Path(), help="where (default: here)")


def _new(a: argparse.Namespace) -> int:
    name = a.name
    if not name.isidentifier() or name != name.lower() or keyword.iskeyword(name):
        raise InputError(
            f"a name must be lower case letters, digits and _, got {name!r}; for example blurred"
        )
    words = {
        "name": name,
        "Name": "".join(part.capitalize() for part in name.split("_")),
        "module": name,
        "version": __version__,
    }
    made = {
        a.folder.expanduser() / string.Template(path).substitute(words): TEMPLATES / f"{source}.txt"
        for path, source in FILES[a.kind].items()
    }
    for path in made:
        if path.exists():
            raise InputError(f"{path} exists already; choose another name or folder")
    for path, template in made.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        text = string.Template(template.read_text(encoding="utf-8")).substitute(words)
        path.write_text(text, encoding="utf-8")
        out.print(f"wrote {path}", markup=False)
    test = next(path for path in made if path.name.startswith("test_"))
    out.print(f"try it: pytest {test}", markup=False)
    return 0
