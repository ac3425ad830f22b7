"""A manifest makes "the same images" a fact that a second machine can check.

JSON: the set, what was done to its images, the sha256 of the resulting float32 array, and the
sha256 of every image under its id, so that a mismatch has a name. It holds no pixels and can be
published where the images cannot.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

from torch import Tensor

from ..errors import InputError
from .reading import plain, reading
from .source import path_of
from .writing import writing


class Described(Protocol):
    """What a manifest describes: an `ImageSet`, or anything with the same fields."""

    @property
    def images(self) -> Tensor: ...

    @property
    def ids(self) -> tuple[str, ...]: ...

    @property
    def labels(self) -> Tensor | None: ...

    @property
    def name(self) -> str: ...

    @property
    def transform(self) -> tuple[str, ...]: ...

    @property
    def hash(self) -> str: ...


T = TypeVar("T", bound=Described)
DIGEST = re.compile("[0-9a-f]{64}")
LARGEST = 1 << 30  # bytes of a manifest's file: some ten million images
WRITE = "write one with images.manifest().write(path)"


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
        if self.sha256 != got.sha256:
            raise InputError(
                f"the manifest of {self.set} contradicts itself: every image is the one it names, "
                f"and the whole has sha256 {got.sha256[:12]}, not {self.sha256[:12]}; write a new "
                "manifest"
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
        path = path_of(path, "a manifest")
        with writing(path) as part:
            part.write_text(self.to_json(), encoding="utf-8")
        return path

    @classmethod
    def from_json(cls, text: str, name: str = "the manifest") -> Manifest:
        """A manifest from its JSON text; an InputError that names what is damaged."""
        try:
            d = json.loads(text)
            labels = None if d["labels"] is None else tuple(_integer(v) for v in d["labels"])
            shape, transform = tuple(_integer(v) for v in d["shape"]), tuple(d["transform"])
            manifest = cls(d["set"], shape, transform, d["sha256"], dict(d["images"]), labels)
            manifest._look()
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise InputError(
                f"{name} must be a manifest written by archbias, got {type(error).__name__} "
                f"{plain(error)}; {WRITE}"
            ) from error
        return manifest

    def _look(self) -> None:
        """A ValueError unless the parts fit each other."""
        texts = (self.set, *self.transform, self.sha256, *self.images.values())
        if not all(isinstance(v, str) for v in texts):
            raise ValueError("numbers where text belongs")
        if len(self.shape) != 4 or self.shape[0] != len(self.images):
            raise ValueError(f"{len(self.images)} images for the shape {self.shape}")
        if self.labels is not None and len(self.labels) != len(self.images):
            raise ValueError(f"{len(self.labels)} labels for {len(self.images)} images")
        for what, digest in (("the whole", self.sha256), *self.images.items()):
            if not DIGEST.fullmatch(digest):
                raise ValueError(f"no sha256 for {what}: {digest[:80]!r}")

    @classmethod
    def read(cls, path: str | Path) -> Manifest:
        """The manifest of a JSON file."""
        path = path_of(path, "a manifest")
        with reading("a manifest", path, WRITE):
            if path.stat().st_size > LARGEST:
                raise ValueError(f"a file of {path.stat().st_size} bytes")
            text = path.read_text(encoding="utf-8")
        return cls.from_json(text, plain(path))


def _integer(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError(f"{value!r} is no integer")
    return value
