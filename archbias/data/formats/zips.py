"""Image files in a zip, read in place: nothing is unpacked to disk.

Folders around everything are stepped through; folders side by side are the labels, as on disk.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from ...errors import InputError
from .. import limits, pictures
from ..listing import Listing, composed
from ..reading import plain, reading
from .layout import arrange, hidden, is_picture

AGAIN = "download the archive again"
ENCRYPTED = 1  # flag bit
SUPPORTED = {
    zipfile.ZIP_STORED,
    zipfile.ZIP_DEFLATED,
    zipfile.ZIP_BZIP2,
    zipfile.ZIP_LZMA,
    93,  # Zstandard, where Python reads it
}


def archive(path: Path) -> Listing:
    """The pictures of a zip in the order of their names."""
    with reading("a zip of images", path, AGAIN), zipfile.ZipFile(path) as z:
        members = {_parts(m.filename): m for m in z.infolist() if not m.is_dir()}
        limits.check_count(len(members), plain(path))
    shared = _shared([p for p in members if not hidden(p)])
    inner = {p[shared:]: m for p, m in members.items() if not hidden(p)}
    layout = arrange(inner, str(path), packed=True)
    chosen = [inner[parts] for parts in layout.paths]
    for m in chosen:
        _check(m, f"{plain(path)}/{plain(m.filename)}")

    def read(rows: Sequence[int]) -> Iterator[tuple[str, np.ndarray]]:
        with reading("a zip of images", path, AGAIN), zipfile.ZipFile(path) as z:
            for i in rows:
                name = f"{plain(path)}/{plain(chosen[i].filename)}"
                with reading("an image", name, AGAIN), z.open(chosen[i]) as file:
                    data = file.read(limits.ENCODED + 1)
                yield name, pictures.decode(data, name)

    stems = [composed(parts[-1]) for parts in layout.paths]
    whole = ["/".join(map(composed, _parts(m.filename))) for m in chosen]
    origin = plain(path)
    return Listing(
        origin,
        stems if len(set(stems)) == len(stems) else whole,
        read,
        layout.labels,
        found=f"{layout.found} in {origin}",
        left_out=layout.left_out,
        lost=layout.lost,
    )


def _parts(name: str) -> tuple[str, ...]:
    return tuple(part for part in name.replace("\\", "/").split("/") if part)


def _shared(paths: list[tuple[str, ...]]) -> int:
    """How many folders lie around all pictures."""
    folders = [p[:-1] for p in paths if is_picture(p[-1])]
    low, high = min(folders, default=()), max(folders, default=())
    same = 0
    while same < min(len(low), len(high)) and low[same] == high[same]:
        same += 1
    return same


def _check(member: zipfile.ZipInfo, name: str) -> None:
    if member.flag_bits & ENCRYPTED:
        raise InputError(
            f"wanted an image at {name}, got an encrypted one; unpack the archive with its "
            "password and give the folder"
        )
    if member.compress_type not in SUPPORTED:
        names: dict[int, str] = getattr(zipfile, "compressor_names", {})  # not documented
        kind = names.get(member.compress_type, member.compress_type)
        raise InputError(
            f"wanted an image at {name}, got the compression {kind}, which Python does not read; "
            "unpack the archive and give the folder"
        )
    limits.check_member(name, member.file_size, member.compress_size)
