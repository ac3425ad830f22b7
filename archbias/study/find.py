"""Studies found and loaded: a folder with `study.py`, and `figures.py` beside it."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import InputError
from .failures import raised
from .study import Study


def load(path: str | Path) -> Study:
    """The study in a folder or a file."""
    path = Path(path)
    file = path if path.suffix == ".py" else path / "study.py"
    if not file.is_file():
        raise InputError(
            f"wanted a study at {path}, found no {file.name}; give a folder with study.py, for "
            "example studies/families"
        )
    module = _module(file, "study")
    study = getattr(module, "STUDY", None)
    if not isinstance(study, Study):
        raise InputError(
            f"{file} must define STUDY = Study(...), found {type(study).__name__}; see "
            "studies/families/study.py"
        )
    return replace(study, folder=file.parent.resolve())


def figures(study_folder: Path) -> Any:
    """The `figures.py` beside a study, or None: `figures(tree) -> {name: Figure}`,
    `summary(tree) -> DataFrame`.
    """
    file = Path(study_folder) / "figures.py"
    return _module(file, "figures") if file.is_file() else None


def _module(file: Path, what: str) -> Any:
    name = f"archbias_{what}_{file.resolve().parent.name}"
    spec = importlib.util.spec_from_file_location(name, file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except InputError:
        raise
    except Exception as error:
        raise InputError(raised(f"{file} raised", error)) from error
    return module
