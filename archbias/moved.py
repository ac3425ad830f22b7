"""Old names of modules that moved: `archbias.train` is `archbias.nets.train` and still opens.

Notebooks, plug-ins and studies of others lean on the names of version 0.1; each old name is the
same module, not a copy.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import sys
from types import ModuleType

MOVED = {
    "analytic": "regressions",
    "analytic.ideal": "posteriors.ideal",
    "analytic.score_machines": "posteriors.score_machines",
    "calibrate": "posteriors.calibrate",
    "cells": "study.cells",
    "cluster": "study.cluster",
    "compare": "metrics.compare",
    "data.files": "data.formats",
    "results": "store",
    "tables": "report.tables",
    "train": "nets.train",
    "windows": "posteriors.windows",
}


def present(name: str) -> str | None:
    """Today's dotted name of a module under its old one ("archbias.train"), or None if it never
    moved.
    """
    package, _, rest = name.partition(".")
    if package != "archbias":
        return None
    parts = rest.split(".")
    for k in range(len(parts), 0, -1):
        new = MOVED.get(".".join(parts[:k]))
        if new:
            return ".".join([package, new, *parts[k:]])
    return None


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds an old name and hands out today's module."""

    def find_spec(
        self, name: str, path: object = None, target: object = None
    ) -> importlib.machinery.ModuleSpec | None:
        return importlib.machinery.ModuleSpec(name, self) if present(name) else None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        module = importlib.import_module(present(spec.name) or spec.name)
        self._own = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._own  # the import system has written the old name over it


def install() -> None:
    """Let old names be imported from now on."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())  # before the path finder, which would load a second copy
