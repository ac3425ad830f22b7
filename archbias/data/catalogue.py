"""Every image set by name: load it, describe it, prepare it.

    images = load("celeba", root="faces/", n=1000, size=64)

The order is: choose ids, decode, crop, resize, map bytes to [-1, 1]. The first n in the set's
order, unless a seed draws them.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError, nearest
from . import array, celeba, checks, cifar10, digits, fashion_mnist, folder, limits, mnist, pictures
from .images import ImageSet, choose
from .listing import Listing
from .manifest import Manifest
from .source import Source, data_root, path_of
from .writing import writing

SOURCES: dict[str, Source] = {
    m.SOURCE.name: m.SOURCE for m in (fashion_mnist, mnist, cifar10, celeba, digits, folder, array)
}


def sources() -> list[str]:
    """The names `load` knows."""
    return list(SOURCES)


def named(name: str) -> Source:
    """A source by name; an InputError names the closest ones."""
    if name not in SOURCES:
        raise InputError(f"unknown image set {name!r}; {nearest(str(name), SOURCES)}")
    return SOURCES[name]


def load(
    name: str = "fashion_mnist",
    *,
    root: str | Path | None = None,
    n: int | None = None,
    size: int | None = None,
    seed: int | None = None,
    ids: Sequence[str] | None = None,
    crop: str | None = None,
    manifest: Manifest | str | Path | None = None,
) -> ImageSet:
    """Images of a named set. Nothing is downloaded.

    Args:
        root: the folder or file that holds the set; the embedded images or the default folder
            without it.
        n: how many; all of them by default.
        size: height and width to resize to, antialiased; None keeps what the crop leaves.
        seed: draws the n images; None takes the first.
        ids: exactly these images, in this order.
        crop: "centre" (the centre square), "none", or None for the set's usual one.
        manifest: take exactly the images it names and check that they are the same to the last bit.

    Returns:
        (N, C, H, W) float32 in [-1, 1], with ids and, where the set has them, labels.

    Example:
        >>> import archbias
        >>> archbias.load("fashion_mnist", n=5, size=14).shape
        (1, 14, 14)
        >>> archbias.load("fashion_mnst")
        Traceback (most recent call last):
            ...
        archbias.errors.InputError: unknown image set 'fashion_mnst'; did you mean 'fashion_mnist'?
    """
    about = named(name)
    if crop is not None and crop not in pictures.CROPS:
        raise InputError(f"unknown crop {crop!r}; {nearest(str(crop), pictures.CROPS)}")
    n = None if n is None else checks.whole(n, "the number of images")
    size = None if size is None else checks.sides(size)[0]
    if manifest is not None:
        if n is not None or seed is not None or ids is not None:
            raise InputError(
                "a manifest already names its images, got n, seed or ids as well; leave those out"
            )
        manifest = manifest if isinstance(manifest, Manifest) else Manifest.read(manifest)
        ids = list(manifest.images)
    listing = about.listing(root)
    if root is None and about.embedded and about.files and n is not None and n > len(listing.ids):
        raise InputError(
            f"wanted {n} images, got {listing.origin}; run `archbias data fetch {name}` and give "
            f"root={data_root() / name}"
        )
    if listing.lost:
        warnings.warn(
            f"pictures in {listing.origin} are left out ({listing.lost}); convert them to .png to "
            "have them too",
            stacklevel=2,
        )
    rows = choose(listing.ids, n, seed, ids, listing.origin)
    images = _read(about, listing, rows, size, crop)
    return images if manifest is None else manifest.check(images)


def _read(
    about: Source, listing: Listing, rows: list[int], size: int | None, crop: str | None
) -> ImageSet:
    # asked for, so that photographs of any size become alike
    mixed = crop == "centre" and size is not None
    crop, order = crop or about.crop, np.argsort(rows)
    x: Tensor | None = None
    raw: tuple[str, tuple[int, ...]] | None = None
    for at, (name, pixels) in zip(order, listing.read([rows[i] for i in order]), strict=True):
        raw = raw or (name, pixels.shape)
        if pixels.shape[2] != raw[1][2] or (pixels.shape != raw[1] and not mixed):
            raise InputError(
                f"all images must have one size, got {_size(pixels.shape)} in {name} after "
                f"{_size(raw[1])} in {raw[0]}; "
                "convert the files, or give size and crop='centre' where only height and width "
                "differ"
            )
        notes: list[str] = []
        if crop == "centre" and pixels.shape[0] != pixels.shape[1]:
            notes.append(
                "crop centre square"
                if mixed
                else f"crop centre square of {pixels.shape[0]}x{pixels.shape[1]}"
            )
            pixels = pictures.crop_centre(pixels)
        sides = pixels.shape[:2] if size is None else (size, size)
        if x is None:
            shape = (len(rows), pixels.shape[2], *sides)
            limits.check_memory(shape, 4, "an image set", "give a smaller size or n")
            x = torch.empty(shape)
        if pixels.shape[:2] != sides:
            kind = "bytes" if pixels.dtype == np.uint8 else "floats"
            notes.append(f"resize {size}x{size} antialiased bilinear, {kind}")
            pixels = pictures.resize(pixels, *sides)
        if pixels.min() == pixels.max():
            raise InputError(
                f"every image must vary, got the constant {name}; remove it or choose others by ids"
            )
        were_bytes = pixels.dtype == np.uint8
        pixels = pictures.to_float(pixels)
        checks.pixels(pixels, name)
        x[at] = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))
    assert x is not None  # `choose` returns at least one row
    labels = None if listing.labels is None else listing.labels[rows]
    return ImageSet._checked(
        x,
        [listing.ids[i] for i in rows],
        labels,
        listing.set or about.name,
        [*listing.transform, *notes],
        were_bytes=were_bytes,
        stack=5,
    )


def _size(shape: tuple[int, ...]) -> str:
    h, w, c = shape
    return f"{c}x{h}x{w}"


def describe(name: str, root: str | Path | None = None) -> dict[str, str]:
    """One line each: summary, licence, home, cite, files, whether the set is at hand (in `root`, if
    given), and then what was found there and what beside it is left out.
    """
    about = named(name)
    files = [f"{f.name} ({f.megabytes:g} MB, {f.hash})" for f in about.files]
    at_hand, listing = _at_hand(about, root)
    told = {
        "name": name,
        "summary": about.summary,
        "licence": about.licence,
        "home": about.home,
        "cite": about.cite,
        "files": ", ".join(files) or "none to fetch",
        "at_hand": at_hand,
    }
    if listing is not None:
        told |= {"found": listing.found, "left_out": listing.left_out or "nothing"}
    return told


def at_hand(name: str, root: str | Path | None = None) -> str:
    """Whether a set can be loaded, in one line; embedded images are not read for it."""
    about = named(name)
    if root is None and about.embedded:
        return f"{about.embedded_count} images, bundled"
    return _at_hand(about, root)[0]


def _at_hand(about: Source, root: str | Path | None) -> tuple[str, Listing | None]:
    if about.manual and root is None:
        return about.manual, None
    try:
        listing = about.listing(root)
    except InputError as error:
        there = any(p.exists() for p in about.places(root))
        return f"no: {error if there else about.remedy(root)}", None
    if root is None and about.embedded:
        return f"{len(listing.ids)} images, bundled", listing
    return f"{len(listing.ids)} images in {listing.origin}", listing


def prepare(
    name: str,
    root: str | Path | None = None,
    *,
    n: int | None = None,
    size: int | None = None,
    seed: int | None = None,
    crop: str | None = None,
    out: str | Path | None = None,
) -> Path:
    """Load once and keep: writes OUT.npz, whole or not at all, and its manifest OUT.json;
    load("array", root=OUT.npz) reads it.

    Args:
        out: the npz file; by default under `data_root()/prepared`, named after the settings.

    Returns:
        The npz: `images` (bytes where that loses nothing), `ids`, `labels` if any, and the manifest
        as UTF-8 bytes.
    """
    images = load(name, root=root, n=n, size=size, seed=seed, crop=crop)
    h, w = images.shape[1:]
    drawn = "" if seed is None else f"-seed{seed}"
    path = (
        path_of(out, "out")
        if out is not None
        else data_root() / "prepared" / f"{name}-{len(images)}{drawn}-{h}x{w}-{images.hash[:8]}.npz"
    )
    if path.suffix != ".npz":
        raise InputError(f"prepared images go to a .npz file, got {path}; give out=FILE.npz")
    about = images.manifest()
    channels_last = images.images.permute(0, 2, 3, 1).numpy()
    pixels = pictures.to_bytes(channels_last)
    if images.shape[0] not in (1, 3) or not np.array_equal(
        pictures.to_float(pixels), channels_last
    ):
        pixels = images.images.numpy()
    arrays: dict[str, Any] = {
        "images": pixels,
        "ids": np.array(images.ids),
        "manifest": np.frombuffer(about.to_json().encode(), np.uint8),
    }
    if images.labels is not None:
        arrays["labels"] = images.labels.numpy()
    with writing(path) as part, part.open("wb") as file:
        np.savez_compressed(file, **arrays)
    about.write(path.with_suffix(".json"))
    return path
