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
from . import files, pictures
from .manifest import Manifest
from .source import Source


def find(place: Path) -> files.Listing | None:
    """The arrays in a file or a zarr folder, or None."""
    if place.suffix == ".npz":
        return _checked(place, files.npz(place))
    if place.suffix == ".npy":
        return files.npy(place)
    if (
        place.suffix == ".zarr"
        or (place / "zarr.json").exists()
        or (place / ".zgroup").exists()
        or (place / ".zarray").exists()
    ):
        return files.zarr_store(place)
    return None


def _checked(path: Path, listing: files.Listing) -> files.Listing:
    """The listing of a prepared file, if its images are the ones of the manifest inside it; others
    pass.
    """
    with np.load(path, allow_pickle=False) as z:
        if "manifest" not in z.files:
            return listing
        manifest = Manifest.from_json(
            z["manifest"].tobytes().decode("utf-8", "replace"), f"the manifest in {path}"
        )
    for name, pixels in zip(listing.ids, listing.read(range(len(listing.ids))), strict=True):
        x = np.ascontiguousarray(pictures.to_float(pixels[1]).transpose(2, 0, 1), dtype="<f4")
        if manifest.images.get(name) != hashlib.sha256(x.tobytes()).hexdigest():
            raise InputError(
                f"image {name!r} in {path} differs from the manifest written with it; prepare the "
                "set again"
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
