"""What an image set is before it is loaded: its terms, its files, and where to look for them.

A source is found in the folder or file it is given, else under `data_root()`. Nothing is downloaded
by looking.
"""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import InputError
from .listing import Listing, key
from .reading import plain, reading


@dataclass(frozen=True)
class File:
    """A published file.

    name: its name on disk.
    url: where its publisher or a long-lived mirror serves it.
    hash: "md5:..." or "sha256:...", as published.
    megabytes: about how large.
    """

    name: str
    url: str
    hash: str
    megabytes: float


@dataclass(frozen=True)
class Source:
    """An image set that can be loaded by name.

    summary, licence, home, cite: one line each.
    find: a folder or file -> its listing, or None when nothing of this set is there.
    embedded: the listing that needs no files, where there is one.
    embedded_count: how many images that holds.
    files: what `fetch` downloads.
    crop: the usual crop, "centre" or "none".
    manual: how to get it, where `fetch` cannot.
    """

    name: str
    summary: str
    licence: str
    home: str
    cite: str
    find: Callable[[Path], Listing | None] = field(repr=False)
    embedded: Callable[[], Listing] | None = field(default=None, repr=False)
    embedded_count: int = 0
    files: tuple[File, ...] = ()
    crop: str = "none"
    manual: str = ""

    def listing(self, root: str | Path | None) -> Listing:
        """What is there; an InputError that says how to get the set when nothing is."""
        if root is None and self.embedded is not None:
            return self.embedded()
        places, there = self.places(root), []
        for place in places:
            with reading(self.summary, place, "give another root"):
                there.append(place.exists())
                found = self.find(place) if there[-1] else None
            if found is not None:
                return found
        if not places:
            got = "no root"
        elif root is not None and not there[-1]:
            got = f"{plain(root)}, which does not exist"
        else:
            got = f"none in {plain(places[0] if root is None else root)}"
        raise InputError(f"wanted {self.summary}, got {got}; {self.remedy(root)}")

    def places(self, root: str | Path | None) -> list[Path]:
        """Where to look: the root's subfolder of the set's name and the root itself, or the default
        folder.
        """
        if root is None:
            return [data_root() / self.name] if self.files else []
        root = path_of(root, "the root")
        return [root / self.name, root]

    def remedy(self, root: str | Path | None) -> str:
        """How to get the set."""
        if self.files:
            fetch = f"archbias data fetch {self.name}" + (
                f" --root {root}" if root is not None else ""
            )
            return f"run `{fetch}` or give the root that holds it"
        return self.manual or "leave out the root, these images are embedded"


def path_of(given: str | Path, what: str) -> Path:
    """A path as a person wrote it: `~` is the home folder, an empty text is refused."""
    if not str(given).strip() or "\0" in str(given):
        raise InputError(f"{what} must be a path, got {str(given)!r}; give a folder or file")
    try:
        return Path(given).expanduser()
    except RuntimeError as error:  # no home folder is known
        raise InputError(
            f"{what} must be a path that exists here, got {given}, whose home folder is unknown; "
            "write it in full"
        ) from error


def data_root() -> Path:
    """Where fetched and prepared sets are kept: ARCHBIAS_DATA, else the user's cache folder."""
    import pooch

    given = os.environ.get("ARCHBIAS_DATA")
    return path_of(given, "ARCHBIAS_DATA") if given else Path(pooch.os_cache("archbias"))


def pick(folder: Path, *patterns: str) -> list[Path]:
    """The files of a folder that match the first pattern with any match, by name; a file stands for
    itself. Upper and lower case are alike; `*/` looks into the folders one below.
    """
    if folder.is_file():
        return [folder] if any(_alike(folder.name, p.split("/")[-1]) for p in patterns) else []
    if not folder.is_dir():
        return []
    for pattern in patterns:
        *above, last = pattern.split("/")
        found = [
            f
            for place in ([d for d in _visible(folder) if d.is_dir()] if above else [folder])
            for f in _visible(place)
            if _alike(f.name, last)
        ]
        if found:
            return sorted(found, key=lambda f: (key(f.parts), f.parts))
    return []


def only(found: list[Path]) -> Path:
    """The one file that was found; an InputError when there are several to choose from."""
    if len(found) > 1:
        some = ", ".join(plain(f.name) for f in found[:4]) + (", ..." if len(found) > 4 else "")
        raise InputError(
            f"wanted one file in {plain(found[0].parent)}, got {len(found)} ({some}); give "
            "root=FILE, the one you mean"
        )
    return found[0]


def _visible(folder: Path) -> list[Path]:
    return [f for f in folder.iterdir() if not f.name.startswith(".")]


def _alike(name: str, pattern: str) -> bool:
    return fnmatch.fnmatchcase(name.lower(), pattern.lower())
