"""Checksums of a Zarr store, so that a lost or damaged chunk is found and never read as NaN.

    write(store)      list the size and sha256 of every file, once the store is whole
    Checked(store)    a Zarr store that compares every file it reads with the list
    missing(store)    the files that are gone or have another size

The list is a Zarr group of no arrays, `checksums`, so that every reader of Zarr takes the folder
for an ordinary store. Reading costs one sha256 of the compressed bytes that are read; opening asks
the size of each file and reads none.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from zarr.abc.store import ByteRequest
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import LocalStore

from ..errors import InputError

LIST = "checksums/zarr.json"
REMEDY = "give the run's command again (archbias run), which joins its finished cells anew"


def write(store: Path) -> None:
    """List every file of a store that is whole."""
    files = {}
    for path in sorted(p for p in store.rglob("*") if p.is_file()):
        data = path.read_bytes()
        files[path.relative_to(store).as_posix()] = f"{len(data)} {_sha(data)}"
    attributes = {"sha256": _sha(_text(files)), "files": files}
    group = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
    (store / LIST).parent.mkdir()
    (store / LIST).write_text(json.dumps(group, indent=0), encoding="utf-8")


def read(store: Path) -> dict[str, str]:
    """Size and sha256 by file.

    Raises:
        InputError: the list is lost or damaged.
    """
    try:
        found = json.loads((store / LIST).read_text(encoding="utf-8"))["attributes"]
        files = found["files"]
        if found["sha256"] != _sha(_text(files)):
            raise ValueError("it does not match its checksum")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"wanted the checksums of the store at {store / LIST}, got {type(error).__name__}: "
            f"{error}; {REMEDY}"
        ) from error
    return files


def missing(store: Path, files: dict[str, str]) -> list[tuple[Path, str]]:
    """Files that are gone or cut, each with what is the matter; nothing is read."""
    found = []
    for name, wanted in files.items():
        size = wanted.partition(" ")[0]
        try:
            there = (store / name).stat().st_size
        except OSError:
            found.append((store / name, "it is missing"))
            continue
        if there != int(size):
            found.append((store / name, f"it has {there} bytes in place of {size}"))
    return found


def _sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _text(files: dict[str, str]) -> bytes:
    return json.dumps(files, sort_keys=True).encode("utf-8")


class Checked(LocalStore):
    """A store on disk, read only, whose every file is compared with the list it was opened with.

    A store that was written again meanwhile gives the old numbers, where they are the same, or an
    InputError; never a mixture.
    """

    def __init__(self, root: Path | str, *, read_only: bool = True) -> None:
        super().__init__(root, read_only=True)
        self.files = read(Path(root))

    async def get(
        self,
        key: str,
        prototype: BufferPrototype | None = None,
        byte_range: ByteRequest | None = None,
    ) -> Buffer | None:
        """The bytes of a file, checked; a part of it unchecked, since no array here is sharded."""
        found = await super().get(key, prototype, byte_range)
        return self._compare(key, found) if byte_range is None else found

    def get_sync(
        self,
        key: str,
        *,
        prototype: BufferPrototype | None = None,
        byte_range: ByteRequest | None = None,
    ) -> Buffer | None:
        """As `get`."""
        found = super().get_sync(key, prototype=prototype, byte_range=byte_range)
        return self._compare(key, found) if byte_range is None else found

    async def get_partial_values(
        self,
        prototype: BufferPrototype,
        key_ranges: Iterable[tuple[str, ByteRequest | None]],
    ) -> list[Buffer | None]:
        """As `get`, for several files."""
        return list(await asyncio.gather(*(self.get(k, prototype, r) for k, r in key_ranges)))

    def _compare(self, key: str, found: Buffer | None) -> Buffer | None:
        wanted = self.files.get(key)
        if wanted is None:
            return found  # a chunk of nothing but the fill value is not written
        if found is not None:
            data = found.to_bytes()
            if wanted == f"{len(data)} {_sha(data)}":
                return found
        try:
            again = read(self.root) != self.files
        except InputError:
            again = False
        if again:
            raise InputError(
                f"{self.root} was written again since it was opened; open it again: "
                f"archbias.open_study({str(self.root)!r})"
            )
        what = "is missing" if found is None else "is damaged"
        raise InputError(f"{self.root / key} {what}; {REMEDY}")
