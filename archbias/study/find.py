"""Studies found and loaded: a folder with `study.py`, and `figures.py` beside it.

Code is loaded from two places only: studies that came with archbias, and folders that the user
names. A run folder is data; what it says of its study is a name to look up, never a place.
"""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..bundled import known
from ..errors import InputError
from .failures import raised
from .study import Study


def load(path: str | Path) -> Study:
    """The study in a folder or a file, or the known one of that name.

    Raises:
        InputError: there is none, or its code raises.
    """
    path = Path(path).expanduser()
    file = path if path.suffix == ".py" else path / "study.py"
    if not file.is_file() and str(path) in known():
        file = known()[str(path)] / "study.py"
    if not file.is_file():
        raise InputError(
            f"wanted a study at {path}, found no {file.name}; give a folder with study.py or the "
            "name of a bundled study (archbias studies list)"
        )
    module = _module(file, "study")
    study = getattr(module, "STUDY", None)
    if not isinstance(study, Study):
        raise InputError(
            f"{file} must define STUDY = Study(...), found {type(study).__name__}; see "
            "studies/families/study.py"
        )
    return replace(study, folder=file.parent.resolve())


def of_run(name: str, given: str | Path | None = None) -> Study | None:
    """The study that draws a run: the one at the path `given` by the user, else the known one.

    Args:
        name: the study's name as the run tells it; it is compared with names, never opened.

    Returns:
        None when no known study has this name.

    Raises:
        InputError: the study given has another name.
    """
    if given is None:
        return load(known()[name]) if name in known() else None
    study = load(given)
    if study.name != name:
        raise InputError(
            f"wanted the study {name!r} of this run, got {study.name!r} at {given}; give its "
            "folder with --study"
        )
    return study


def figures(study_folder: str | Path) -> Any:
    """The `figures.py` beside a study, or None: `figures(tree) -> {name: Figure}`,
    `summary(tree) -> DataFrame`.
    """
    file = Path(study_folder) / "figures.py"
    return _module(file, "figures") if file.is_file() else None


def _module(file: Path, what: str) -> Any:
    name = f"archbias_{what}_{file.resolve().parent.name}"
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None  # of a Python file
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except InputError:
        raise
    except (Exception, SystemExit) as error:
        raise InputError(raised(f"{file} raised", error)) from error
    return module
