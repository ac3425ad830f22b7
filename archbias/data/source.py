"""What an image set is before it is loaded: its terms, its files, and where to look for them.

A source is found in the folder or file it is given, else under `data_root()`. Nothing is downloaded
by looking.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import InputError
from .files import Listing


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
    files: tuple[File, ...] = ()
    crop: str = "none"
    manual: str = ""

    def listing(self, root: str | Path | None) -> Listing:
        """What is there; an InputError that says how to get the set when nothing is."""
        if root is None and self.embedded is not None:
            return self.embedded()
        for place in self.places(root):
            found = self.find(place) if place.exists() else None
            if found is not None:
                return found
        places = self.places(root)
        if not places:
            got = "no root"
        elif root is not None and not Path(root).expanduser().exists():
            got = f"{root}, which does not exist"
        else:
            got = f"none in {places[0] if root is None else root}"
        raise InputError(f"wanted {self.summary}, got {got}; {self.remedy(root)}")

    def places(self, root: str | Path | None) -> list[Path]:
        """Where to look: the root's subfolder of the set's name and the root itself, or the default
        folder.
        """
        if root is None:
            return [data_root() / self.name] if self.files else []
        root = Path(root).expanduser()
        return [root / self.name, root]

    def remedy(self, root: str | Path | None) -> str:
        """How to get the set."""
        if self.files:
            fetch = f"archbias data fetch {self.name}" + (
                f" --root {root}" if root is not None else ""
            )
            return f"run `{fetch}` or give the root that holds it"
        return self.manual or "leave out the root, these images are embedded"


def data_root() -> Path:
    """Where fetched and prepared sets are kept: ARCHBIAS_DATA, else the user's cache folder."""
    import pooch

    return Path(os.environ.get("ARCHBIAS_DATA") or pooch.os_cache("archbias"))


def pick(folder: Path, *patterns: str) -> list[Path]:
    """The files of a folder that match the first pattern with any match, by name; a file stands for
    itself.
    """
    if folder.is_file():
        return [folder] if any(folder.match(p) for p in patterns) else []
    for pattern in patterns:
        found = sorted(f for f in folder.glob(pattern) if not f.name.startswith("."))
        if found:
            return found
    return []
