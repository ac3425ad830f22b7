"""Files of images as listings: what is there, before any pixel is decoded.

A listing knows the ids and labels of everything and reads the positions it is asked for, so that
1000 faces out of 200 000 cost 1000 decodes. One function per kind of file: folder, zip, parquet,
IDX, npz, npy, zarr. Nothing is unpickled.
"""

from __future__ import annotations

import gzip
import os
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np

from ..errors import InputError
from . import pictures

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".ppm", ".pgm"}


@dataclass(frozen=True)
class Listing:
    """What a source holds.

    origin: where it was found, for messages.
    ids: one distinct string per image.
    read: ascending positions -> (name, pixels) one by one, pixels (H, W, C) bytes or floats in [-1,
        1].
    labels: one integer per image, or None.
    transform: what was already done to the pixels.
    set: what the images are called in results; the source's name by default.
    """

    origin: str
    ids: Sequence[str] = field(repr=False)
    read: Callable[[Sequence[int]], Iterator[tuple[str, np.ndarray]]] = field(repr=False)
    labels: np.ndarray | None = field(default=None, repr=False)
    transform: tuple[str, ...] = ()
    set: str | None = None


def numbered(count: int) -> list[str]:
    """Ids of images that have only a position."""
    return [f"{i:06d}" for i in range(count)]


def folder(path: Path) -> Listing:
    """Image files in a folder, by name; or in its subfolders, whose names in alphabetical order are
    then the labels.
    """
    files = sorted(f for f in path.iterdir() if _is_image(f.name) and f.is_file())
    labels = None
    if files:
        ids = [f.name for f in files]
    else:
        classes = sorted(d for d in path.iterdir() if d.is_dir() and not d.name.startswith("."))
        groups = [
            sorted(f for f in d.iterdir() if _is_image(f.name) and f.is_file()) for d in classes
        ]
        groups = [g for g in groups if g]
        files = [f for g in groups for f in g]
        ids = [f.relative_to(path).as_posix() for f in files]
        labels = np.repeat(np.arange(len(groups)), [len(g) for g in groups]) if groups else None
    if not files:
        raise InputError(
            f"wanted image files in {path}, got none; put .jpg or .png files there or give another "
            "root"
        )

    def read(rows: Sequence[int]) -> Iterator[tuple[str, np.ndarray]]:
        for i in rows:
            try:
                data = files[i].read_bytes()
            except OSError as error:
                raise InputError(
                    f"wanted to read {files[i]}, got {error.strerror}; mend its permissions or "
                    "remove it"
                ) from error
            yield str(files[i]), pictures.decode(data, str(files[i]))

    return Listing(str(path), ids, read, labels)


def archive(path: Path) -> Listing:
    """Image files in a zip, by name, read in place."""
    try:
        with zipfile.ZipFile(path) as z:
            names = sorted(
                n
                for n in z.namelist()
                if _is_image(PurePosixPath(n).name) and not n.startswith("__MACOSX")
            )
    except (OSError, zipfile.BadZipFile) as error:
        raise InputError(
            f"wanted a zip of images at {path}, got {error}; download it again"
        ) from error
    if not names:
        raise InputError(
            f"wanted image files in {path}, got none; give the archive that holds them"
        )

    def read(rows: Sequence[int]) -> Iterator[tuple[str, np.ndarray]]:
        with zipfile.ZipFile(path) as z:
            for i in rows:
                name = f"{path}/{names[i]}"
                try:
                    data = z.read(names[i])
                except (zipfile.BadZipFile, OSError, EOFError) as error:
                    raise InputError(
                        f"{name} cannot be read ({error}); download the archive again"
                    ) from error
                yield name, pictures.decode(data, name)

    stems = [PurePosixPath(n).name for n in names]
    return Listing(str(path), stems if len(set(stems)) == len(stems) else names, read)


def parquet(paths: Sequence[Path]) -> Listing:
    """Tables with a column of {bytes, path} structs holding encoded images and, if there is one, a
    column `label`.

    The layout in which Hugging Face stores image sets. Only the row groups that hold wanted rows
    are read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    origin = str(paths[0]) if len(paths) == 1 else f"{paths[0].parent} ({len(paths)} parquet files)"
    names, labels, where = [], [], []
    for number, path in enumerate(paths):
        try:
            file = pq.ParquetFile(path)
        except (OSError, pa.ArrowInvalid) as error:
            raise InputError(
                f"wanted a parquet file at {path}, got {error}; download it again"
            ) from error
        column = next((f.name for f in file.schema_arrow if _holds_images(f.type)), None)
        if column is None:
            got = ", ".join(file.schema_arrow.names)
            raise InputError(
                f"{path} must have a column of images (a struct with bytes), got the columns "
                f"{got}; give other files"
            )
        group_rows = [
            file.metadata.row_group(g).num_rows for g in range(file.metadata.num_row_groups)
        ]
        where += [(number, g, r, column) for g, rows in enumerate(group_rows) for r in range(rows)]
        fields = [
            file.schema_arrow.field(column).type.field(i).name
            for i in range(file.schema_arrow.field(column).type.num_fields)
        ]
        if "path" in fields:
            table = file.read(columns=[f"{column}.path"])
            names += [None if v is None else v["path"] for v in table.column(column).to_pylist()]
        else:
            names += [None] * file.metadata.num_rows
        if "label" in file.schema_arrow.names:
            labels += file.read(columns=["label"]).column("label").to_pylist()
        file.close()
    if not where:
        raise InputError(f"wanted images in {origin}, got no rows; give other files")
    stems = [None if n is None else PurePosixPath(n).name for n in names]
    ids = stems if None not in stems and len(set(stems)) == len(stems) else numbered(len(where))

    def read(rows: Sequence[int]) -> Iterator[tuple[str, np.ndarray]]:
        held, encoded = None, None
        for i in rows:
            number, group, row, column = where[i]
            if held != (number, group):
                with pq.ParquetFile(paths[number]) as file:
                    encoded = file.read_row_group(group, columns=[f"{column}.bytes"]).column(column)
                held = (number, group)
            name = f"{paths[number]} row {i} ({ids[i]})"
            data = encoded[row].as_py()["bytes"]
            if data is None:
                raise InputError(
                    f"{name} must hold the bytes of an image, got none; download the file again or "
                    "leave the row out"
                )
            yield name, pictures.decode(data, name)

    return Listing(origin, ids, read, np.asarray(labels) if len(labels) == len(where) else None)


def idx(images: Path, labels: Path | None) -> Listing:
    """The IDX files of MNIST and FashionMNIST, gzipped or not."""
    pixels = _idx(images, 3)[..., None]
    return from_array(str(images), pixels, None if labels is None else _idx(labels, 1))


def npz(
    path: Path,
    images: Sequence[str] = ("images", "x_train", "arr_0"),
    labels: Sequence[str] = ("labels", "y_train"),
) -> Listing:
    """Arrays of an npz file under the first of the given names, or its only array; `ids` if it has
    them.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as z:
            key = next(
                (k for k in images if k in z.files), z.files[0] if len(z.files) == 1 else None
            )
            if key is None:
                raise InputError(
                    f"{path} must hold an array named images, got {', '.join(z.files)}; rename it"
                )
            label = next((k for k in labels if k in z.files), None)
            ids = [str(v) for v in z["ids"]] if "ids" in z.files else None
            return from_array(
                str(path), z[key], None if label is None else z[label].reshape(-1), ids
            )
    except InputError:
        raise
    except Exception as error:  # numpy and zipfile raise many kinds for a broken file
        raise InputError(
            f"wanted plain arrays at {path}, got {type(error).__name__}: {error}; write it with "
            "numpy.savez"
        ) from error


def npy(path: Path) -> Listing:
    """One array in a npy file."""
    try:
        return from_array(str(path), np.load(path, allow_pickle=False), None)
    except (OSError, ValueError, EOFError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"wanted a plain array at {path}, got {error}; write it with numpy.save"
        ) from error


def zarr_store(path: Path) -> Listing:
    """A zarr array, or a group with arrays `images` and, if there are any, `labels` and `ids`."""
    import zarr

    try:
        node = zarr.open(path, mode="r")
    except Exception as error:  # zarr's errors differ between versions
        raise InputError(
            f"wanted a zarr array at {path}, got {type(error).__name__}; write it with "
            "zarr.save_array"
        ) from error
    if isinstance(node, zarr.Array):
        return from_array(str(path), node[:], None)
    if "images" not in node:
        raise InputError(
            f"{path} must hold an array named images, got "
            f"{', '.join(sorted(node.keys())) or 'nothing'}; rename it"
        )
    labels = node["labels"][:] if "labels" in node else None
    ids = [str(v) for v in node["ids"][:]] if "ids" in node else None
    return from_array(str(path), node["images"][:], labels, ids)


def from_array(
    origin: str,
    images: np.ndarray,
    labels: np.ndarray | None = None,
    ids: Sequence[str] | None = None,
) -> Listing:
    """Bytes (N, H, W) or (N, H, W, C), or floats (N, H, W) or (N, C, H, W) in [-1, 1]."""
    if images.dtype == np.uint8:
        images = images[..., None] if images.ndim == 3 else images
        good = images.ndim == 4 and images.shape[-1] in (1, 3)
    else:
        images = images[:, None] if images.ndim == 3 else images
        good = images.ndim == 4 and np.issubdtype(images.dtype, np.floating)
        images = images.transpose(0, 2, 3, 1) if good else images
    if not good or 0 in images.shape:
        raise InputError(
            f"{origin} must hold bytes (N, H, W) or (N, H, W, 3), or floats (N, C, H, W) in [-1, "
            "1], "
            f"got {images.dtype} of shape {images.shape}; convert it"
        )
    for what, values in (("labels", labels), ("ids", ids)):
        if values is not None and len(values) != len(images):
            raise InputError(
                f"{origin} must hold one of its {what} per image, got {len(values)} for "
                f"{len(images)}; mend the file"
            )
    ids = numbered(len(images)) if ids is None else list(ids)

    def read(rows: Sequence[int]) -> Iterator[tuple[str, np.ndarray]]:
        for i in rows:
            yield f"{origin} image {ids[i]}", images[i]

    return Listing(
        origin, ids, read, None if labels is None else np.asarray(labels).astype(np.int64)
    )


def write_whole(path: Path, write: Callable[[Path], object]) -> Path:
    """Write a file under a temporary name and rename it: whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        write(part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path


def _is_image(name: str) -> bool:
    return not name.startswith(".") and PurePosixPath(name).suffix.lower() in SUFFIXES


def _holds_images(kind) -> bool:
    import pyarrow as pa

    return pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0


def _idx(path: Path, dims: int) -> np.ndarray:
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rb") as file:
            data = file.read()
        shape = tuple(int(v) for v in np.frombuffer(data, ">u4", dims, 4))
        if data[:4] != bytes([0, 0, 8, dims]) or len(data) != 4 + 4 * dims + int(np.prod(shape)):
            raise ValueError("not an IDX file of bytes, or cut short")
        return np.frombuffer(data, np.uint8, offset=4 + 4 * dims).reshape(shape)
    except (OSError, EOFError, ValueError) as error:
        raise InputError(f"wanted an IDX file at {path}, got {error}; download it again") from error
