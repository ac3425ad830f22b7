"""Arrays in npz, npy and zarr: `images` and, if there are any, `labels` and `ids` beside it.

A header is believed only as far as the file and the memory reach: what an array would take is
counted before numpy or zarr ask for it. Nothing is unpickled, neither by numpy nor by a codec.
"""

from __future__ import annotations

import math
import warnings
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from ...errors import InputError
from .. import limits
from ..listing import Listing, from_array
from ..reading import plain, reading

SAVEZ = "write it with numpy.savez"
SAVE = "write it with numpy.save"
SAVE_ARRAY = "write it with zarr.save_array"
SMALLER = "keep fewer or smaller images in one file"
MISSING = 100  # chunks that may be missing though fewer are stored
CODES = ("pickle", "dill")  # codecs that run code when they decode


def npz(
    path: Path,
    images: Sequence[str] = ("images", "x_train", "arr_0"),
    labels: Sequence[str] = ("labels", "y_train"),
) -> Listing:
    """Arrays of an npz file under the first of the given names, or its only array; `ids` if it has
    them.
    """
    with reading("plain arrays", path, SAVEZ), zipfile.ZipFile(path) as z:
        names = [n.removesuffix(".npy") for n in z.namelist()]
        key = next((k for k in images if k in names), names[0] if len(names) == 1 else None)
        if key is None:
            raise InputError(
                f"{plain(path)} must hold an array named images, got {plain(', '.join(names))}; "
                "rename it"
            )
        label = next((k for k in labels if k in names), None)
        pixels = _member(z, key, path)
        told = None if label is None else _member(z, label, path)
        if told is not None and told.ndim == 2 and told.shape[1] == 1:
            told = told[:, 0]
        ids = _member(z, "ids", path) if "ids" in names else None
        rest = [n for n in names if n not in {key, label, "ids", "manifest"}]
        return from_array(plain(path), pixels, told, ids, _arrays(rest))


def member(path: Path, name: str) -> np.ndarray | None:
    """One array of an npz file, or None without one of that name."""
    with reading("plain arrays", path, SAVEZ), zipfile.ZipFile(path) as z:
        there = name in z.namelist() or f"{name}.npy" in z.namelist()
        return _member(z, name, path) if there else None


def npy(path: Path) -> Listing:
    """One array in a npy file."""
    with reading("a plain array", path, SAVE):
        with path.open("rb") as file:
            _check_header(file, path.stat().st_size, plain(path))
        return from_array(plain(path), np.load(path, allow_pickle=False))


def _member(z: zipfile.ZipFile, name: str, path: Path) -> np.ndarray:
    """An array of an npz file, its size checked against what the archive holds."""
    info = z.getinfo(name if name in z.namelist() else f"{name}.npy")
    where = f"{plain(path)}/{plain(info.filename)}"
    if info.flag_bits & 1:
        raise InputError(f"wanted a plain array at {where}, got an encrypted one; {SAVEZ}")
    limits.check_member(where, info.file_size, info.compress_size, limits.memory())
    with z.open(info) as file:
        _check_header(file, info.file_size, where)
    with z.open(info) as file:
        array = np.lib.format.read_array(file, allow_pickle=False)
        file.read(1)  # the end, where zipfile compares the checksum
        return array


def _check_header(file: IO[bytes], size: int, where: str) -> None:
    """An InputError unless the array that a header claims is as long as the bytes behind it."""
    version = np.lib.format.read_magic(file)
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in readers:
        raise ValueError(f"version {version} of the npy format, which plain arrays do not need")
    shape, _, dtype = readers[version](file)
    if dtype.hasobject:
        raise ValueError(f"an array of {dtype}, which is pickled")
    claimed, held = math.prod(shape) * dtype.itemsize, size - file.tell()
    if claimed != held:
        raise ValueError(f"{held} bytes where its header claims {claimed}")
    limits.check_memory(shape, dtype.itemsize, f"an array in {where}", SMALLER)


def zarr_store(path: Path) -> Listing:
    """A zarr array, or a group with arrays `images` and, if there are any, `labels` and `ids`."""
    import zarr

    with reading("a zarr array", path, SAVE_ARRAY):
        node = zarr.open(path, mode="r")
        if isinstance(node, zarr.Array):
            return from_array(plain(path), _zarr(node, path))
        names = sorted(node.keys())
        if "images" not in names:
            raise InputError(
                f"{plain(path)} must hold an array named images, got "
                f"{plain(', '.join(names)) or 'nothing'}; rename it"
            )
        labels, ids = (
            _zarr(node[name], path, 1) if name in names else None for name in ("labels", "ids")
        )
        rest = [n for n in names if n not in {"images", "labels", "ids"}]
        return from_array(plain(path), _zarr(node["images"], path), labels, ids, _arrays(rest))


def _zarr(array: Any, path: Path, dims: int | None = None) -> np.ndarray:
    """A zarr array, its claims checked and its codecs known not to run code."""
    import zarr

    where = f"{plain(path)}/{plain(array.name or '')}".replace("//", "/").rstrip("/")
    if not isinstance(array, zarr.Array) or (dims is not None and array.ndim != dims):
        raise ValueError(f"no array of {dims} dimensions at {where}")
    about: dict[str, Any] = dict(array.metadata.to_dict())
    codecs = [about.get("compressor"), *(about.get("filters") or ()), *(about.get("codecs") or ())]
    for codec in _flat(codecs):
        name = str(codec.get("id", codec.get("name", ""))) if isinstance(codec, dict) else ""
        if any(word in name.lower() for word in CODES):
            raise InputError(
                f"wanted plain numbers at {where}, got the codec {plain(name)}, which runs code; "
                f"{SAVE_ARRAY}"
            )
    stored = _stored(path / array.path)
    unit, size = array.shards or array.chunks, array.dtype.itemsize
    for shape in (array.shape, array.chunks, unit):
        limits.check_memory(shape, size, f"the array {where}", SMALLER)
    limits.check_member(where, math.prod(array.shape) * size, sum(stored), limits.memory())
    chunks = math.prod(-(-n // k) for n, k in zip(array.shape, unit, strict=True))
    missing = chunks - len(stored)
    if missing > max(MISSING, len(stored)):
        raise ValueError(f"{len(stored)} chunks where its metadata says {chunks}")
    if missing > 0:
        warnings.warn(
            f"{missing} of {chunks} chunks of {where} are not stored and read as "
            f"{array.fill_value}; compare it with its source if they were not written so",
            stacklevel=6,
        )
    return np.asarray(array[...])


def _stored(folder: Path) -> list[int]:
    """The bytes of each chunk on disk."""
    about = {"zarr.json", ".zarray", ".zattrs"}
    return [f.stat().st_size for f in folder.rglob("*") if f.is_file() and f.name not in about]


def _flat(codecs: Iterable[object]) -> list[object]:
    """Codecs and the codecs inside them (sharding)."""
    out: list[object] = []
    for codec in codecs:
        out.append(codec)
        inner = codec.get("configuration") if isinstance(codec, dict) else None
        if isinstance(inner, dict):
            out += _flat([*(inner.get("codecs") or ()), *(inner.get("index_codecs") or ())])
    return out


def _arrays(names: Sequence[str]) -> str:
    return f"arrays {', '.join(map(plain, names))}" if names else ""
