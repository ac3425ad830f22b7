"""One check for pixels, labels, ids and numbers, whichever door they come through.

    bytes    (N, H, W), (N, H, W, C) or (N, C, H, W), C = 1 or 3      x = b / 127.5 - 1
    floats   (N, H, W) or (N, C, H, W), any C                         x as it is, in [-1, 1]

`ImageSet.from_array`, npz, npy, zarr, parquet and the IDX files all end here, so the same array is
read, converted or refused alike.
"""

from __future__ import annotations

import math
import operator
import warnings
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError
from .reading import plain

LIMIT = 1 + 1e-6  # of a pixel
ENOUGH = 1000  # pixel values from which their distribution says something
ONE_VALUE = 0.99  # share of equal pixels that deserves a word
FORMS = "bytes (N, H, W) or (N, H, W, C), or floats (N, C, H, W) in [-1, 1]"


def whole(value: object, what: str, least: int = 1, remedy: str = "1000 is usual") -> int:
    """A Python integer of at least `least` from any kind of integer; an InputError otherwise."""
    if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
        raise InputError(f"{what} must be an integer of at least {least}, got {value!r}; {remedy}")
    return operator.index(value)


def sides(size: object) -> tuple[int, int]:
    """(height, width) of one integer or of two; an InputError unless both are positive integers."""
    both = size if isinstance(size, Sequence) and not isinstance(size, str) else (size, size)
    good = [operator.index(v) for v in both if isinstance(v, Integral) and not isinstance(v, bool)]
    if len(both) != 2 or len(good) != 2 or min(good) < 1:
        raise InputError(
            f"an image size must be a positive integer, or height and width, got {size!r}; 32 and "
            "64 are usual"
        )
    return good[0], good[1]


def images(x: np.ndarray | Tensor, origin: str) -> np.ndarray:
    """An array of one of the forms above as bytes or floats (N, H, W, C); nothing is copied where
    a view does.

    Args:
        origin: what an error calls it.
    """
    if isinstance(x, Tensor):
        x = x.detach().cpu()
        x = (x.float() if x.dtype == torch.bfloat16 else x).numpy()
    x = np.asarray(x)
    shape = x.shape
    if 0 in shape or x.ndim not in (3, 4):
        raise InputError(f"{origin} must hold {FORMS}, N at least 1, got {_got(x)}; reshape it")
    if x.dtype == np.uint8:
        if x.ndim == 3:
            return x[..., None]
        if shape[3] in (1, 3):
            return x
        if shape[1] in (1, 3):
            return x.transpose(0, 2, 3, 1)
        raise InputError(
            f"{origin} must hold {FORMS}, C = 1 or 3, got {_got(x)}; keep 1 or 3 channels"
        )
    if not np.issubdtype(x.dtype, np.floating):
        raise InputError(f"{origin} must hold {FORMS}, got {_got(x)}; {_bytes_remedy(x)}")
    if x.ndim == 3:
        return x[..., None]
    if shape[3] in (1, 3, 4) and shape[1] > 4 and shape[2] > 4:
        raise InputError(
            f"{origin} must hold floats (N, C, H, W), got {_got(x)}, whose channels come last; "
            "give numpy.moveaxis(x, -1, 1)"
        )
    return x.transpose(0, 2, 3, 1)


def _got(x: np.ndarray) -> str:
    return f"{x.dtype} of shape {tuple(x.shape)}"


def _bytes_remedy(x: np.ndarray) -> str:
    if x.dtype == bool:
        return "give x * 2.0 - 1"
    if np.issubdtype(x.dtype, np.integer) and x.min() >= 0 and x.max() <= 255:
        return "give x.astype('uint8')"
    return "convert it to one of these"


def floats(x: Tensor, name: str, ids: Sequence[str]) -> None:
    """An InputError that names the first image of (N, C, H, W) with a pixel that is not finite or
    outside [-1, 1].
    """
    low, high = x.min().item(), x.max().item()
    if not (low >= -LIMIT and high <= LIMIT):  # also where they are NaN
        for image, i in zip(x.numpy(), ids, strict=True):
            pixels(image, f"image {i} of {name}")


def pixels(image: np.ndarray, name: str) -> None:
    """An InputError unless every pixel of one image is finite and in [-1, 1]."""
    if not np.isfinite(image).all():
        raise InputError(
            f"every pixel must be finite, got NaN or infinity in {name}; remove it or mend the file"
        )
    low, high = image.min(), image.max()
    if not (low >= -LIMIT and high <= LIMIT):
        remedy = "bytes with x / 127.5 - 1" if low >= 0 else "them with x / abs(x).max()"
        raise InputError(
            f"pixels must lie in [-1, 1], got [{low:.3g}, {high:.3g}] in {name}; map {remedy}"
        )


def suspicions(x: Tensor, name: str, *, were_bytes: bool, stack: int = 2) -> None:
    """Warnings about pixels that are allowed and yet hardly meant.

    Floats of which none is negative are what torchvision's ToTensor leaves; a set that is nearly
    all one value was seldom decoded as its owner thinks.

    Args:
        x: (N, C, H, W) in [-1, 1]; fewer than 1000 values say nothing.
        were_bytes: whether x was mapped from bytes, which cannot have that slip.
        stack: how many calls above this one the warning points at.
    """
    if x.numel() < ENOUGH:
        return
    low, high = x.min().item(), x.max().item()
    share, value = mode(x)
    if share > ONE_VALUE:
        warnings.warn(
            f"{share:.2%} of the pixels of {name} are {value:g}; look at the files before fitting",
            stacklevel=stack,
        )
    elif low >= 0 and not were_bytes:
        warnings.warn(
            f"all pixels of {name} lie in [{low:.3g}, {high:.3g}], as torchvision's ToTensor "
            "leaves them, and pixels are expected in [-1, 1]; give x * 2 - 1",
            stacklevel=stack,
        )


def mode(x: Tensor) -> tuple[float, float]:
    """The share of the commonest pixel value and that value, where the share exceeds one half; a
    value of about the median otherwise.
    """
    flat, step = x.flatten(), max(1, x.numel() // 100_000)
    while math.gcd(step, x[0].numel()) != 1:  # else one place of the image would stand for all
        step += 1
    value = flat[::step].median()
    return (flat == value).float().mean(dtype=torch.float64).item(), value.item()


def labels(given: object, ids: Sequence[str], where: str) -> Tensor:
    """Labels as (N,) int64: integers of any type, also as floats without fraction or as truth
    values; words, missing ones, NaN and fractions are refused.
    """
    if isinstance(given, Tensor):
        given = given.detach().cpu()
        given = (given.float() if given.dtype == torch.bfloat16 else given).numpy()
    masked: np.ma.MaskedArray = np.ma.asarray(given)
    mask, array = np.ma.getmaskarray(masked), np.ma.getdata(masked)
    if array.ndim == 2 and array.shape[1] == 1:
        array, mask = array[:, 0], mask[:, 0]
    if array.shape != (len(ids),):
        hot = array.ndim == 2 and len(array) == len(ids)
        raise InputError(
            f"wanted {len(ids)} labels in {where}, got shape {array.shape}; "
            + ("give labels.argmax(1) of one-hot rows" if hot else "give one label per image")
        )
    if array.dtype.kind in "iub" and not mask.any() and not _beyond(array):
        return torch.from_numpy(array.astype(np.int64))
    for i, (v, missing) in enumerate(zip(array.tolist(), mask, strict=True)):
        if missing or v is None or not isinstance(v, Real) or not _is_whole(v):
            got = "none" if missing or v is None else repr(v)
            raise InputError(
                f"labels must be integers, got {plain(got)} for image {ids[i]!r} of {where}; "
                "number the classes 0, 1, 2, ..."
            )
    return torch.tensor([int(v) for v in array.tolist()], dtype=torch.int64)


def _beyond(x: np.ndarray) -> bool:
    return x.dtype == np.uint64 and x.size > 0 and int(x.max()) >= 2**63


def _is_whole(v: Any) -> bool:
    return math.isfinite(v) and v == int(v) and -(2**63) <= v < 2**63


def names(given: Sequence[object] | np.ndarray, count: int, where: str) -> tuple[str, ...]:
    """`count` distinct ids as text."""
    ids = tuple(v.decode("utf-8", "replace") if isinstance(v, bytes) else str(v) for v in given)
    if len(ids) != count or len(set(ids)) != count:
        raise InputError(
            f"wanted {count} distinct ids in {where}, got {len(ids)} with {len(set(ids))} "
            "distinct; give one id per image"
        )
    return ids
