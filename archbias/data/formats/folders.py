"""Image files in a folder, or in its subfolders, whose names are then the labels."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from ...errors import InputError
from .. import limits, pictures
from ..listing import Listing, composed
from ..reading import plain, reading, why
from .layout import arrange, hidden, is_picture

DEEPEST = 3  # folders below the root that are looked into
REMEDY = "mend its permissions or give another root"


def folder(path: Path) -> Listing:
    """The pictures of a folder, by name; or of its subfolders, numbered by name as labels.

    A folder that holds nothing but one folder of folders is stepped through.
    """
    if path.is_file():
        raise InputError(
            f"wanted a folder of pictures, got the file {plain(path)}; {_instead(path)}"
        )
    with reading("a folder of pictures", path, REMEDY):
        path = _stepped_through(path)
        paths = []
        for parts in _walk(path, DEEPEST):
            paths.append(parts)
            limits.check_count(len(paths), plain(path))
    layout = arrange(paths, str(path))
    files = [path.joinpath(*parts) for parts in layout.paths]
    ids = ["/".join(map(composed, parts)) for parts in layout.paths]

    def read(rows: Sequence[int]) -> Iterator[tuple[str, np.ndarray]]:
        for i in rows:
            name = plain(files[i])
            try:
                size = files[i].stat().st_size
                limits.check_member(name, size, size)
                data = files[i].read_bytes()
            except OSError as error:
                raise InputError(
                    f"wanted to read {name}, got {why(error)}; mend its permissions or remove it"
                ) from error
            yield name, pictures.decode(data, name)

    origin = plain(path)
    return Listing(
        origin,
        ids,
        read,
        layout.labels,
        found=f"{layout.found} in {origin}",
        left_out=layout.left_out,
        lost=layout.lost,
    )


def _instead(path: Path) -> str:
    kind = path.suffix.lower()
    if kind in {".npz", ".npy"}:
        return f'load("array", root={str(path)!r}) reads it'
    if kind in {".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar", ".zst"}:
        return "unpack it and give its folder"
    if is_picture(path.name):
        return f"give its folder, {plain(path.parent)}"
    return "give the folder that holds the pictures"


def _stepped_through(path: Path) -> Path:
    """The first folder on the way down with pictures, with several folders, or with pictures one
    below it.
    """
    while True:
        folders, names = _look(path)
        if len(folders) != 1 or any(is_picture(name) for name in names):
            return path
        below = path / folders[0]
        if any(is_picture(name) for name in _look(below)[1]):
            return path
        path = below


def _look(path: Path) -> tuple[list[str], list[str]]:
    """The names of the folders and of the files of a folder, without hidden ones."""
    folders: list[str] = []
    names: list[str] = []
    with os.scandir(path) as entries:
        for entry in entries:
            if not hidden([entry.name]):
                (folders if entry.is_dir() else names).append(entry.name)
    return folders, names


def _walk(path: Path, deepest: int) -> Iterator[tuple[str, ...]]:
    folders, names = _look(path)
    yield from ((name,) for name in names)
    for inner in folders if deepest > 1 else []:
        yield from ((inner, *rest) for rest in _walk(path / inner, deepest - 1))
