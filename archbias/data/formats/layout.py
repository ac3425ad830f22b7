"""Which pictures among many paths are the set, and what their labels are.

    a.png b.png                 one set, no labels
    cats/a.png dogs/b.png       one set, a label per folder, in the folders' order
    a.png cats/b.png            two readings: refused
    train/cats/a.png            one folder too deep with others beside it: refused, with the root

Folders that hold nothing but one folder are stepped through. Pictures of kinds that are not read
are counted and named, as is everything else that lies there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np

from ...errors import InputError
from ..listing import key
from ..pictures import SUFFIXES
from ..reading import plain

# pictures that Pillow or a camera knows and that are not read here
OTHERS = frozenset(
    {".arw", ".avifs", ".blp", ".cr2", ".cr3", ".cur", ".dcm", ".dcx", ".dds", ".dib", ".dng"}
    | {".emf", ".eps", ".exr", ".fit", ".fits", ".flc", ".fli", ".gbr", ".hdr", ".heic", ".heif"}
    | {".icb", ".icns", ".ico", ".im", ".jxl", ".mng", ".msp", ".nef", ".orf", ".pcd", ".pcx"}
    | {".ps", ".psd", ".pxr", ".raf", ".ras", ".raw", ".rgb", ".rgba", ".rw2", ".sgi", ".svg"}
    | {".svgz", ".tga", ".vda", ".vst", ".wmf", ".xbm", ".xcf", ".xpm"}
)


@dataclass(frozen=True)
class Layout:
    """Pictures in the set's order.

    paths: parts of each path.
    labels: one integer per picture, or None.
    found, left_out, lost: as in a Listing.
    """

    paths: list[tuple[str, ...]]
    labels: np.ndarray | None
    found: str
    left_out: str
    lost: str


def is_picture(name: str) -> bool:
    """Whether a file's name says that it is a picture that can be read."""
    return not name.startswith(".") and PurePosixPath(name).suffix.lower() in SUFFIXES


def hidden(parts: Sequence[str]) -> bool:
    """Whether a path is a system's own: a dot in front, or the Mac's shadow folder in archives."""
    return any(part.startswith(".") or part == "__MACOSX" for part in parts)


def arrange(paths: Iterable[tuple[str, ...]], origin: str, *, packed: bool = False) -> Layout:
    """The set among the files of a folder or archive; an InputError when it can be read two ways,
    or when there is none.

    Args:
        paths: the parts of each file's path within it.
        origin: what an error calls it.
        packed: whether it is an archive, into which no root can point.
    """
    files = [p for p in paths if not hidden(p)]
    chosen = sorted((p for p in files if is_picture(p[-1])), key=lambda p: (key(p), p))
    rest = [p for p in files if not is_picture(p[-1])]
    if not chosen:
        kinds = f" (it holds {_kinds(rest)})" if rest else ""
        raise InputError(
            f"wanted image files in {plain(origin)}, got none{kinds}; put .jpg or .png files there "
            "or give another root"
        )
    twice = [k for k, count in Counter(key(p) for p in chosen).items() if count > 1]
    if twice:
        raise InputError(
            f"wanted distinct names in {plain(origin)}, got {plain('/'.join(twice[0]))} twice, the "
            "same text in two Unicode forms; rename one"
        )
    by_depth: dict[int, tuple[str, ...]] = {}
    for p in chosen:
        by_depth.setdefault(len(p), p)
    if len(by_depth) > 1 or max(by_depth) > 2:
        raise InputError(_two_ways(by_depth, origin, packed))
    labels, found = None, f"{len(chosen)} pictures"
    if max(by_depth) == 2:
        classes = list(dict.fromkeys(p[0] for p in chosen))
        number = {name: i for i, name in enumerate(classes)}
        labels = np.array([number[p[0]] for p in chosen])
        some = ", ".join(plain(c) for c in classes[:10]) + (", ..." if len(classes) > 10 else "")
        folders = "1 folder" if len(classes) == 1 else f"{len(classes)} folders"
        found += f" in {folders}, numbered as labels ({some})"
    lost = _kinds([p for p in rest if PurePosixPath(p[-1]).suffix.lower() in OTHERS])
    return Layout(chosen, labels, found, _kinds(rest), lost)


def _two_ways(by_depth: dict[int, tuple[str, ...]], origin: str, packed: bool) -> str:
    shown = " and ".join(plain("/".join(by_depth[d])) for d in sorted(by_depth))
    deepest = by_depth[max(by_depth)]
    inner = "/".join(deepest[: -2 if len(deepest) > 2 else -1])
    unpack = f"unpack it and give the folder {plain(inner)}"
    root = unpack if packed else f"give root={plain(origin)}/{plain(inner)}"
    if len(by_depth) == 1:
        return f"wanted pictures or folders of pictures in {plain(origin)}, got {shown}; {root}"
    return (
        f"{plain(origin)} can be read two ways, got pictures at different depths ({shown}); move "
        f"away those that are no part of the set, or {root}"
    )


def _kinds(paths: Sequence[tuple[str, ...]]) -> str:
    """Files counted by suffix, the commonest first."""
    count = Counter(PurePosixPath(p[-1]).suffix.lower() or "without suffix" for p in paths)
    ranked = sorted(count.items(), key=lambda kv: (-kv[1], kv[0]))
    return ", ".join(f"{n} {plain(kind)}" for kind, n in ranked[:8])
