"""A manifest makes "the same images" a fact that a second machine can check.

JSON: the set, what was done to its images, the sha256 of the resulting float32 array, and the
sha256 of every image under its id, so that a mismatch has a name. It holds no pixels and can be
published where the images cannot.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

from torch import Tensor

from ..errors import InputError
from .files import write_whole


class Described(Protocol):
    """What a manifest describes: an `ImageSet`, or anything with the same fields."""

    images: Tensor
    ids: tuple[str, ...]
    labels: Tensor | None
    name: str
    transform: tuple[str, ...]

    @property
    def hash(self) -> str: ...


T = TypeVar("T", bound=Described)


@dataclass(frozen=True)
class Manifest:
    """What an image set is.

    set: name of the source.
    shape: (N, C, H, W).
    transform: what was done to the pixels, in order.
    sha256: the hash of the whole, `ImageSet.hash`.
    images: id -> sha256 of that image's float32 pixels (C, H, W), little endian; in the order of
        the set.
    labels: one integer per image, or None.
    """

    set: str
    shape: tuple[int, ...]
    transform: tuple[str, ...]
    sha256: str
    images: dict[str, str] = field(repr=False)
    labels: tuple[int, ...] | None = field(default=None, repr=False)

    @classmethod
    def of(cls, images: Described) -> Manifest:
        pixels = images.images.numpy().astype("<f4", copy=False)
        hashes = {
            i: hashlib.sha256(x.tobytes()).hexdigest()
            for i, x in zip(images.ids, pixels, strict=True)
        }
        labels = None if images.labels is None else tuple(images.labels.tolist())
        return cls(
            images.name, tuple(images.images.shape), images.transform, images.hash, hashes, labels
        )

    def check(self, images: T) -> T:
        """The images, if they are the ones described; otherwise an InputError that names the first
        that differs.
        """
        got = Manifest.of(images)
        remedy = "load them as the manifest records, or write a new manifest"
        if got.shape != self.shape:
            raise InputError(
                f"the manifest of {self.set} describes shape {self.shape}, got {got.shape}; "
                f"{remedy}"
            )
        pairs = zip(self.images.items(), got.images.items(), strict=True)
        for row, ((wanted_id, wanted), (got_id, digest)) in enumerate(pairs):
            if wanted_id != got_id:
                raise InputError(
                    f"the manifest of {self.set} has image {wanted_id!r} in place {row}, got "
                    f"{got_id!r}; {remedy}"
                )
            if wanted != digest:
                raise InputError(
                    f"image {got_id!r} (place {row}) is the first that differs from the manifest "
                    f"of {self.set}: "
                    f"wanted sha256 {wanted[:12]}, got {digest[:12]}; {remedy}"
                )
        if self.labels is not None and got.labels is not None and self.labels != got.labels:
            row = next(
                i for i, (a, b) in enumerate(zip(self.labels, got.labels, strict=True)) if a != b
            )
            name = images.ids[row]
            raise InputError(
                f"the manifest of {self.set} labels {name!r} {self.labels[row]}, got "
                f"{got.labels[row]}; {remedy}"
            )
        return images

    def to_json(self) -> str:
        """One line per image, so that two manifests can be compared with diff."""
        head = {
            "set": self.set,
            "shape": self.shape,
            "transform": self.transform,
            "sha256": self.sha256,
            "labels": self.labels,
        }
        lines = [f" {json.dumps(k)}: {json.dumps(v)}," for k, v in head.items()]
        rows = ",\n".join(f"  {json.dumps(i)}: {json.dumps(h)}" for i, h in self.images.items())
        return "\n".join(["{", *lines, ' "images": {', rows, " }", "}", ""])

    def write(self, path: str | Path) -> Path:
        """Write the JSON file, whole or not at all."""
        return write_whole(
            Path(path), lambda part: part.write_text(self.to_json(), encoding="utf-8")
        )

    @classmethod
    def from_json(cls, text: str, name: str = "the manifest") -> Manifest:
        try:
            d = json.loads(text)
            labels = None if d["labels"] is None else tuple(map(int, d["labels"]))
            shape, transform = tuple(map(int, d["shape"])), tuple(map(str, d["transform"]))
            return cls(str(d["set"]), shape, transform, str(d["sha256"]), dict(d["images"]), labels)
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{name} must be a manifest written by archbias, got {type(error).__name__} "
                f"{error}; "
                "write one with images.manifest().write(path)"
            ) from error

    @classmethod
    def read(cls, path: str | Path) -> Manifest:
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(
                f"wanted a manifest at {path}, got {error}; write one with "
                "images.manifest().write(path)"
            ) from error
        return cls.from_json(text, str(path))
