"""Small whole files of every kind that is read, and the damage that befalls files.

    for case in cases(seed=0, count=300):
        fault = attempt(case, folder)      # None, or what is wrong in words

A damaged file may load (not every byte matters) or be refused in one sentence. It may not raise
anything else, take ten seconds, take more memory than BOUND, or change a file. The soak runs ten
thousand cases of the same generator.
"""

from __future__ import annotations

import gzip
import io
import resource
import shutil
import struct
import tarfile
import time
import warnings
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import zarr
from PIL import Image, features

from archbias import data
from archbias.errors import InputError

BOUND = 2 << 30  # bytes of memory that reading one damaged file of some kilobytes may add
PATIENCE = 10.0  # seconds of the processor
SIDE, COUNT = 16, 6


@dataclass(frozen=True)
class Case:
    """A file before and after: what it is, how it is loaded, and which damage it gets.

    kind: a key of KINDS.
    damage: a key of DAMAGES.
    seed: of the damage.
    """

    kind: str
    damage: str
    seed: int


@dataclass(frozen=True)
class Kind:
    """How a whole file is made and loaded.

    make: writes it under the folder and returns the file that is damaged.
    load: reads the folder.
    mend: gives the damaged file checksums of its own, as a stranger would.
    """

    make: Callable[[Path], Path]
    load: Callable[[Path], object]
    mend: Callable[[Path], object] = lambda file: None


def pixels(channels: int = 3) -> np.ndarray:
    """COUNT smooth pictures, bytes (N, H, W, C): encoders keep them small."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (COUNT, 4, 4, channels), dtype=np.uint8)
    return coarse.repeat(SIDE // 4, axis=1).repeat(SIDE // 4, axis=2)


def encoded(kind: str) -> list[bytes]:
    """The pictures as files of one of Pillow's kinds."""
    out = []
    for picture in pixels():
        file = io.BytesIO()
        Image.fromarray(picture).save(file, kind)
        out.append(file.getvalue())
    return out


def _pictures(kind: str, suffix: str) -> Kind:
    def make(folder: Path) -> Path:
        for i, file in enumerate(encoded(kind)):
            (folder / f"{i}{suffix}").write_bytes(file)
        return folder / f"2{suffix}"

    return Kind(make, lambda folder: data.load("folder", root=folder))


def _zip(method: int) -> Kind:
    def make(folder: Path) -> Path:
        with zipfile.ZipFile(folder / "a.zip", "w", method) as z:
            for i, file in enumerate(encoded("png")):
                z.writestr(f"{'ab'[i % 2]}/{i}.png", file)
        return folder / "a.zip"

    return Kind(make, lambda folder: data.load("folder", root=folder / "a.zip"))


def _npz(save: Callable, **more: np.ndarray) -> Kind:
    def make(folder: Path) -> Path:
        save(folder / "a.npz", images=pixels(), labels=np.arange(COUNT), **more)
        return folder / "a.npz"

    return Kind(make, lambda folder: data.load("array", root=folder / "a.npz"))


def _prepared(folder: Path) -> Path:
    return data.prepare("digits", n=COUNT, out=folder / "a.npz")


def _npy(folder: Path) -> Path:
    np.save(folder / "a.npy", pixels())
    return folder / "a.npy"


def _parquet(folder: Path) -> Path:
    rows = [{"bytes": b, "path": f"{i}.png"} for i, b in enumerate(encoded("png"))]
    table = pa.table({"image": rows, "label": list(range(COUNT))})
    pq.write_table(table, folder / "train.parquet", row_group_size=2)
    return folder / "train.parquet"


def _zarr(version: int, part: str) -> Kind:
    def make(folder: Path) -> Path:
        group = zarr.open_group(str(folder / "a.zarr"), mode="w", zarr_format=version)
        group["images"], group["labels"] = pixels(), np.arange(COUNT)
        files = sorted(f for f in (folder / "a.zarr" / "images").rglob("*") if f.is_file())
        return next(
            f for f in files if (f.suffix == ".json" or f.name == ".zarray") == (part == "about")
        )

    return Kind(make, lambda folder: data.load("array", root=folder / "a.zarr"))


def _idx(suffix: str) -> Kind:
    def make(folder: Path) -> Path:
        pack = gzip.compress if suffix else bytes
        grey, labels = pixels(1).tobytes(), np.arange(COUNT, dtype=np.uint8).tobytes()
        images = folder / f"train-images-idx3-ubyte{suffix}"
        images.write_bytes(pack(struct.pack(">4i", 2051, COUNT, SIDE, SIDE) + grey))
        beside = folder / f"train-labels-idx1-ubyte{suffix}"
        beside.write_bytes(pack(struct.pack(">2i", 2049, COUNT) + labels))
        return images

    return Kind(make, lambda folder: data.load("mnist", root=folder))


def _cifar(suffix: str) -> Kind:
    def make(folder: Path) -> Path:
        rng = np.random.default_rng(0)
        body = rng.integers(0, 256, (4, 3073)).astype("u1")
        body[:, 0] = range(4)
        path = folder / f"cifar-10-binary.tar{suffix}"
        with tarfile.open(path, "w:gz" if suffix else "w") as tar:
            info = tarfile.TarInfo("cifar-10-batches-bin/data_batch_1.bin")
            info.size = body.nbytes
            tar.addfile(info, io.BytesIO(body.tobytes()))
        return path

    return Kind(make, lambda folder: data.load("cifar10", root=folder))


def _manifest(folder: Path) -> Path:
    return data.load("digits", n=COUNT).manifest().write(folder / "a.json")


KINDS = {
    "png": _pictures("png", ".png"),
    "jpeg": _pictures("jpeg", ".jpg"),
    "gif": _pictures("gif", ".gif"),
    "bmp": _pictures("bmp", ".bmp"),
    "tiff": _pictures("tiff", ".tif"),
    "ppm": _pictures("ppm", ".ppm"),
    "zip stored": _zip(zipfile.ZIP_STORED),
    "zip deflated": _zip(zipfile.ZIP_DEFLATED),
    "zip bzip2": _zip(zipfile.ZIP_BZIP2),
    "zip lzma": _zip(zipfile.ZIP_LZMA),
    "npz": _npz(np.savez),
    "npz compressed": _npz(np.savez_compressed, ids=np.array(list("abcdef"))),
    "npz prepared": Kind(_prepared, lambda folder: data.load("array", root=folder / "a.npz")),
    "npy": Kind(_npy, lambda folder: data.load("array", root=folder / "a.npy")),
    "parquet": Kind(_parquet, lambda folder: data.load("folder", root=folder / "train.parquet")),
    "zarr 2 chunk": _zarr(2, "chunk"),
    "zarr 2 metadata": _zarr(2, "about"),
    "zarr 3 chunk": _zarr(3, "chunk"),
    "zarr 3 metadata": _zarr(3, "about"),
    "idx": _idx(""),
    "idx gz": _idx(".gz"),
    "cifar tar": _cifar(""),
    "cifar tar gz": _cifar(".gz"),
    "manifest": Kind(_manifest, lambda folder: data.load("digits", manifest=folder / "a.json")),
}
for name, suffix in (("webp", ".webp"), ("jpg_2000", ".jp2"), ("avif", ".avif")):
    if features.check(name):
        KINDS[name] = _pictures({"jpg_2000": "jpeg2000"}.get(name, name), suffix)


def flip(file: bytearray, rng: np.random.Generator) -> None:
    """One to three bytes changed."""
    for _ in range(rng.integers(1, 4)):
        file[rng.integers(len(file))] ^= int(rng.integers(1, 256))


def cut(file: bytearray, rng: np.random.Generator) -> None:
    """The end lost."""
    del file[rng.integers(len(file)) :]


def blank(file: bytearray, rng: np.random.Generator) -> None:
    """A stretch of zeros, as a disk leaves them."""
    start = int(rng.integers(len(file)))
    stop = min(len(file), start + int(rng.integers(1, 512)))
    file[start:stop] = bytes(stop - start)


def lose(file: bytearray, rng: np.random.Generator) -> None:
    """A stretch out of the middle lost."""
    start = int(rng.integers(len(file)))
    del file[start : start + int(rng.integers(1, 64))]


def boast(file: bytearray, rng: np.random.Generator) -> None:
    """A number replaced by a huge one, in binary or, between digits, in text."""
    digits = [i for i, b in enumerate(file) if 48 <= b < 58]
    if digits and rng.random() < 0.5:
        at = digits[int(rng.integers(len(digits)))]
        file[at : at + 1] = b"9" * int(rng.integers(2, 20))
        return
    at, width = int(rng.integers(len(file))), int(rng.choice([2, 4, 8]))
    file[at : at + width] = rng.choice([b"\xff" * width, b"\x7f" + b"\xff" * (width - 1)])


def exchange(file: bytearray, rng: np.random.Generator) -> None:
    """Something else altogether under the same name."""
    file[:] = rng.bytes(int(rng.integers(0, 2000)))


DAMAGES = {f.__name__: f for f in (flip, cut, blank, lose, boast, exchange)}


def cases(seed: int, count: int, kinds: Iterable[str] = KINDS) -> Iterator[Case]:
    """`count` cases that go round the kinds and the damages; the same seed gives the same ones."""
    rng = np.random.default_rng(seed)
    kinds, damages = list(kinds), list(DAMAGES)
    for i in range(count):
        damage = damages[(i // len(kinds)) % len(damages)]
        yield Case(kinds[i % len(kinds)], damage, int(rng.integers(2**32)))


@cache
def _whole(make: Callable[[Path], Path], folder: Path) -> tuple[Path, bytes]:
    """A whole file of a kind, made once; and its bytes."""
    folder.mkdir(parents=True)
    file = make(folder)
    return file, file.read_bytes()


def attempt(case: Case, folder: Path, kinds: dict[str, Kind] = KINDS) -> str | None:
    """Load the damaged file of a case under `folder`; what is wrong with that, or None."""
    kind, place = kinds[case.kind], folder / case.kind.replace(" ", "-")
    file, whole = _whole(kind.make, place)
    broken = bytearray(whole)
    DAMAGES[case.damage](broken, np.random.default_rng(case.seed))
    file.write_bytes(broken)
    kind.mend(file)
    before, start, held = _state(folder), time.process_time(), _memory()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd pixels and missing chunks are said, not refused
            kind.load(place)
    except InputError as error:
        text = str(error)
        if "\n" in text or "; " not in text:
            return f"{case}: no sentence with a remedy: {text!r}"
    except Exception as error:
        return f"{case}: {type(error).__name__}: {error}"
    finally:
        after, seconds = _state(folder), time.process_time() - start
        file.write_bytes(whole)
    if seconds > PATIENCE:
        return f"{case}: {seconds:.0f} s"
    if _memory() - held > BOUND:
        return f"{case}: {(_memory() - held) / 1e9:.1f} GB of memory"
    return None if before == after else f"{case}: files changed: {set(before) ^ set(after)}"


def _state(folder: Path) -> list[tuple[str, int, int]]:
    """Names, sizes and times of all files of the folder's cases."""
    return sorted(
        (str(f), f.stat().st_size, f.stat().st_mtime_ns) for f in folder.rglob("*") if f.is_file()
    )


def _memory() -> int:
    """The most memory this process has had, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def forget(folder: Path) -> None:
    """Delete the cases' files."""
    _whole.cache_clear()
    shutil.rmtree(folder)
