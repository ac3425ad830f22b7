"""Your own arrays: npz, npy or zarr; also what `prepare` writes, which is checked against the
manifest inside it.

Bytes (N, H, W) or (N, H, W, 3), or floats (N, C, H, W) in [-1, 1]; in an npz or a zarr group under
the name `images`, with `labels` and `ids` beside it if there are any.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..errors import InputError
from . import formats, pictures
from .formats import arrays
from .manifest import Manifest
from .reading import plain
from .source import Source, only, pick


def find(place: Path) -> formats.Listing | None:
    """The arrays in a file or a zarr folder, or in the only such file of a folder, or None."""
    kind = place.suffix.lower()
    if any((place / name).exists() for name in ("zarr.json", ".zgroup", ".zarray")):
        return formats.zarr_store(place)
    if place.is_file() and kind == ".npz":
        return _checked(place, formats.npz(place))
    if place.is_file() and kind == ".npy":
        return formats.npy(place)
    if kind == ".zarr":
        return formats.zarr_store(place)
    found = pick(place, "*.npz", "*.npy", "*.zarr") if place.is_dir() else []
    return find(only(found)) if found else None


def _checked(path: Path, listing: formats.Listing) -> formats.Listing:
    """The listing of a prepared file, if its images are the ones of the manifest inside it; others
    pass.
    """
    written = arrays.member(path, "manifest")
    if written is None:
        return listing
    manifest = Manifest.from_json(
        written.tobytes().decode("utf-8", "replace"), f"the manifest in {plain(path)}"
    )
    whole = hashlib.sha256(repr(manifest.shape).encode())
    for name, pixels in zip(listing.ids, listing.read(range(len(listing.ids))), strict=True):
        x = np.ascontiguousarray(pictures.to_float(pixels[1]).transpose(2, 0, 1), dtype="<f4")
        if manifest.images.get(name) != hashlib.sha256(x.tobytes()).hexdigest():
            raise InputError(
                f"image {name!r} in {plain(path)} differs from the manifest written with it; "
                "prepare the set again"
            )
        whole.update(x.tobytes())
    if whole.hexdigest() != manifest.sha256:
        raise InputError(
            f"the images in {plain(path)} differ as a whole from the manifest written with them; "
            "prepare the set again"
        )
    return replace(listing, transform=manifest.transform, set=manifest.set)


SOURCE = Source(
    name="array",
    summary="an array in a file .npz, .npy or .zarr",
    licence="yours",
    home="your disk",
    cite="none",
    find=find,
    manual="give root=FILE, a .npz, .npy or .zarr",
)
