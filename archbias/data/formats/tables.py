"""Parquet tables of encoded images, the layout in which Hugging Face stores image sets.

One column of {bytes, path} structs and, if there is one, a column `label`. Only the row groups that
hold wanted rows are read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from ...errors import InputError
from .. import limits, pictures
from ..listing import Listing, composed, numbered
from ..reading import plain, reading

AGAIN = "download it again"
WANTED = "a parquet file"
USUAL = ("image", "img")  # names of the column where several hold images
GROUP = 4 << 30  # bytes that the images of one row group may have
BATCH = 64  # rows that are held unpacked


def parquet(paths: Sequence[Path]) -> Listing:
    """The rows of one or more files, in the given order."""
    origin = (
        plain(paths[0])
        if len(paths) == 1
        else f"{plain(paths[0].parent)} ({len(paths)} parquet files)"
    )
    names, labels, where, others = [], [], [], set()
    for number, path in enumerate(paths):
        with reading(WANTED, path, AGAIN):
            column, groups, paths_there, labels_there, rest = _head(path)
            names += paths_there
            labels.append(labels_there)
            where += [(number, g, r, column) for g, rows in enumerate(groups) for r in range(rows)]
            others |= rest
    if not where:
        raise InputError(f"wanted images in {origin}, got no rows; give other files")
    told = [v for v in labels if v is not None]
    if told and len(told) < len(labels):
        raise InputError(
            f"wanted labels in all of {origin}, got them in {len(told)} of {len(labels)} files; "
            "give files of one kind"
        )
    stems = [composed(PurePosixPath(n).name) for n in names if n is not None]
    ids = stems if len(set(stems)) == len(names) else numbered(len(where))

    def read(rows: Sequence[int]) -> Iterator[tuple[str, np.ndarray]]:
        wanted: dict[tuple[int, int, str], list[int]] = {}
        for i in rows:
            number, group, _, column = where[i]
            wanted.setdefault((number, group, column), []).append(i)
        for (number, group, column), some in wanted.items():
            path = paths[number]
            encoded = _encoded(path, group, column, {where[i][2]: i for i in some})
            for i in some:
                with reading(WANTED, path, AGAIN):
                    data = next(encoded)
                name = f"{plain(path)} row {i} ({plain(ids[i])})"
                if data is None:
                    raise InputError(
                        f"{name} must hold the bytes of an image, got none; download the file "
                        "again or leave the row out"
                    )
                limits.check_member(name, len(data), len(data))
                yield name, pictures.decode(data, name)

    found = f"{len(where)} rows in {origin}" + (" with labels" if told else "")
    left_out = f"columns {', '.join(sorted(map(plain, others)))}" if others else ""
    every = np.array([v for part in told for v in part], dtype=object) if told else None
    return Listing(origin, ids, read, every, found=found, left_out=left_out)


def _head(path: Path) -> tuple[str, list[int], list[str | None], list | None, set[str]]:
    """The column of images, rows per group, their paths, labels, and the columns left out."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        schema, about = file.schema_arrow, file.metadata
        columns = [f.name for f in schema if _holds_images(f.type)]
        usual = [name for name in columns if name.lower() in USUAL]
        if not columns:
            got = plain(", ".join(schema.names))
            raise InputError(
                f"{plain(path)} must have a column of images (a struct with bytes), got the "
                f"columns {got}; give other files"
            )
        if len(columns) > 1 and len(usual) != 1:
            raise InputError(
                f"{plain(path)} must have one column of images, got {plain(', '.join(columns))}; "
                "name the wanted one image"
            )
        column = usual[0] if len(usual) == 1 else columns[0]
        limits.check_count(about.num_rows, plain(path))
        groups = [about.row_group(g).num_rows for g in range(about.num_row_groups)]
        if any(rows < 0 for rows in groups) or sum(groups) != about.num_rows:
            raise ValueError(f"{about.num_rows} rows in groups of {groups[:8]}")
        kind = schema.field(column).type
        names: list[str | None] = [None] * about.num_rows
        if kind.get_field_index("path") >= 0:
            table = file.read(columns=[f"{column}.path"])
            names = [None if v is None else v["path"] for v in table.column(column).to_pylist()]
        labels = None
        if "label" in schema.names:
            labels = file.read(columns=["label"]).column("label").to_pylist()
        if len(names) != about.num_rows or len(labels or names) != about.num_rows:
            raise ValueError("columns of different lengths")
        return column, groups, names, labels, set(schema.names) - {column, "label"}


def _encoded(path: Path, group: int, column: str, rows: dict[int, int]) -> Iterator[bytes | None]:
    """The encoded images of some rows of a row group, in ascending order."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        about = file.metadata.row_group(group)
        size = sum(
            about.column(c).total_uncompressed_size
            for c in range(about.num_columns)
            if about.column(c).path_in_schema.split(".")[0] == column
        )
        limits.check_member(f"row group {group} of {plain(path)}", size, size, GROUP)
        first = 0
        for batch in file.iter_batches(BATCH, row_groups=[group], columns=[f"{column}.bytes"]):
            part = batch.column(0)
            for r in range(first, first + len(part)):
                if r in rows:
                    value = part[r - first].as_py()
                    yield None if value is None else value["bytes"]
            first += len(part)
        raise ValueError(f"{first} rows in group {group}")


def _holds_images(kind: Any) -> bool:
    import pyarrow as pa

    at = kind.get_field_index("bytes") if pa.types.is_struct(kind) else -1
    of = kind.field(at).type if at >= 0 else pa.null()
    return pa.types.is_binary(of) or pa.types.is_large_binary(of)
