"""A study: a question, settings, and a grid of cells that together answer it.

A study is a folder: `study.py` defines `STUDY = Study(...)`, `figures.py` beside it turns the store
into pictures.

    cells(settings) -> [Cell, ...]     what to compute; a cell names the cells whose results it
                                       reads
    Cell.run(work)  -> {group: Dataset}  one finished, labelled result
"""

from __future__ import annotations

import hashlib
import html
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import xarray as xr

from .. import data, families, store
from ..data import ImageSet
from ..denoise import Denoiser, Runtime, Spec
from ..errors import InputError, nearest
from ..store.names import file_name, same_file
from .failures import raised
from .settings import changed


@dataclass(frozen=True, kw_only=True)
class Images:
    """Which images a study uses; the first n of the set unless a seed draws them, cropped as usual
    for the set unless `crop` says otherwise.

    A relative root is one of the present folder; it becomes absolute when it travels to a worker.
    """

    name: str = "fashion_mnist"
    root: str | None = None
    n: int = 1000
    size: int | None = None
    seed: int | None = None
    crop: str | None = None

    def __post_init__(self) -> None:
        if self.root == "":
            raise InputError(
                "wanted a folder or file of images as root, got an empty text; leave it out for "
                "the usual place"
            )

    def __getstate__(self) -> dict[str, Any]:
        # a worker, started elsewhere, takes a relative root from another place
        root = None if self.root is None else os.path.abspath(os.path.expanduser(self.root))
        return self.__dict__ | {"root": root}

    def load(self) -> ImageSet:
        """The image set; kept, so that the cells of one process share it."""
        return _load(self)

    def unseen(self, count: int) -> ImageSet:
        """The first `count` images of the set that are not among these, however these were
        chosen.
        """
        own = set(self.load().ids)
        more = replace(self, n=self.n + count, seed=None).load()
        return more.subset(ids=[i for i in more.ids if i not in own][:count])


@lru_cache(maxsize=4)
def _load(images: Images) -> ImageSet:
    return data.load(
        images.name,
        root=images.root,
        n=images.n,
        size=images.size,
        seed=images.seed,
        crop=images.crop,
    )


@dataclass(frozen=True)
class Work:
    """What a running cell may use: the settings, the run folder, and where to compute.

    saved: name -> sha256 of the denoisers kept so far. trained_on: name -> the images each of them
        was fitted to.
    """

    settings: Any
    folder: Path
    runtime: Runtime
    saved: dict[str, str] = field(default_factory=dict, repr=False, compare=False)
    trained_on: dict[str, dict[str, Any]] = field(default_factory=dict, repr=False, compare=False)

    def read(self, cell: str) -> xr.DataTree:
        """The result of a finished cell; name it in `after`."""
        return store.read_cell(cell_path(self.folder, cell))

    def save(self, name: str, denoiser: Denoiser, images: ImageSet | None = None) -> None:
        """Keep a fitted denoiser in RUN/models, whole or not at all, and which images it saw."""
        path = model_path(self.folder, name)
        families.save(denoiser, path)
        self.saved[name] = sha256_of(path)
        if images is not None:
            self.trained_on[name] = {
                "name": images.name,
                "hash": images.hash,
                "n": len(images),
                "shape": list(images.shape),
            }

    def denoiser(self, name: str) -> Denoiser:
        """A denoiser kept by a finished cell."""
        return families.load(model_path(self.folder, name))


@dataclass(frozen=True)
class Cell:
    """One unit of work, finished or not at all.

    name: distinct in the study; the file's name.
    run: from `Work` to data sets by group. Dimensions that differ between cells (family, predictor)
        are kept as dimensions of size one with their label.
    after: names of the cells it reads.
    seconds: estimated cost on two cores, for the plan and the time left.
    trains: the network it trains, if it trains one; training: how many of the seconds that takes.
    resources: what a cluster worker must have, for example {"gpu": 1}.
    """

    name: str
    run: Callable[[Work], dict[str, xr.Dataset]] = field(repr=False)
    after: tuple[str, ...] = ()
    seconds: float = 1.0
    trains: Spec | None = field(default=None, repr=False)
    training: float = 0.0
    resources: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Study:
    """A question with the settings and cells that answer it.

    settings: a frozen dataclass with defaults; a field `data: Images` is loaded and checked before
        the first cell.
    presets: changes to the defaults by name, each {"dotted.key": value}.
    """

    name: str
    question: str
    settings: Any
    cells: Callable[[Any], Sequence[Cell]] = field(repr=False)
    presets: dict[str, dict[str, Any]] = field(default_factory=dict, repr=False)
    folder: Path | None = field(default=None, repr=False)

    def configure(self, preset: str | None = None, changes: dict[str, Any] | None = None) -> Any:
        """The settings of a preset with changes applied: {"data.n": 500, "data": "celeba"}."""
        if preset is not None and preset not in self.presets:
            raise InputError(
                f"study {self.name!r} has no preset {preset!r}; {nearest(preset, self.presets)}"
            )
        settings = self.settings
        # in turn: `data=mnist` keeps the preset's size
        for layer in (self.presets[preset] if preset else {}, changes or {}):
            for key, value in layer.items():
                settings = changed(settings, key, value)
        return settings

    def plan(self, settings: Any) -> list[Cell]:
        """The cells in an order in which each comes after those it reads."""
        try:
            cells = list(self.cells(settings))
        except InputError:
            raise
        except (Exception, SystemExit) as error:
            raise InputError(
                raised(f"study {self.name!r} raised while listing its cells", error)
            ) from error
        by_name = {c.name: c for c in cells}
        if len(by_name) < len(cells):
            raise InputError(
                f"cells of study {self.name!r} must have distinct names, got "
                f"{[c.name for c in cells]}; rename one"
            )
        if same := same_file(by_name):
            raise InputError(
                f"cells of study {self.name!r} must differ in more than upper and lower case, "
                f"which macOS and Windows take for one file, got {same[0]!r} and {same[1]!r}; "
                "rename one"
            )
        ordered: dict[str, Cell] = {}

        def place(cell: Cell, below: tuple[str, ...]) -> None:
            if cell.name in below:
                raise InputError(
                    f"cells must not wait for each other, got {' -> '.join((*below, cell.name))}; "
                    "cut one `after`"
                )
            for name in cell.after:
                if name not in by_name:
                    raise InputError(
                        f"cell {cell.name!r} waits for unknown cell {name!r}; "
                        f"{nearest(name, by_name)}"
                    )
                place(by_name[name], (*below, cell.name))
            ordered.setdefault(cell.name, cell)

        for cell in cells:
            place(cell, ())
        return list(ordered.values())

    def _repr_html_(self) -> str:
        cells = self.plan(self.settings)
        rows = [("presets", ", ".join(self.presets) or "none")]
        rows += [
            (f.name, repr(getattr(self.settings, f.name))) for f in fields(self.settings) if f.init
        ]
        rows += [
            ("cells", f"{len(cells)}, about {sum(c.seconds for c in cells):.0f} s on two cores")
        ]
        table = "".join(
            f"<tr><td>{html.escape(k)}</td><td>{html.escape(v)}</td></tr>" for k, v in rows
        )
        return (
            f"<div><b>{html.escape(self.name)}</b>: "
            f"{html.escape(self.question)}</div><table>{table}</table>"
        )


def cell_path(folder: Path, cell: str) -> Path:
    """The file of a finished cell."""
    return folder / "cells" / f"{file_name(cell)}.nc"


def error_path(folder: Path, cell: str) -> Path:
    """The file that keeps the traceback of a cell that raised."""
    return folder / "cells" / f"{file_name(cell)}.error.txt"


def checkpoint_path(folder: Path, cell: str) -> Path:
    """The folder of an unfinished cell's checkpoints."""
    return folder / "checkpoints" / file_name(cell)


def model_path(folder: Path, name: str) -> Path:
    """The file of a denoiser that a cell keeps."""
    return folder / "models" / f"{file_name(name)}.safetensors"


def sha256_of(file: Path) -> str:
    """The hash of a file's bytes."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
