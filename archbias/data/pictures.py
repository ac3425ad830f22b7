"""From files to pixels: decode, crop, resize, and back to PNG for a notebook.

    x = b / 127.5 - 1      byte b in 0..255 to pixel in [-1, 1]

Bytes are resized as bytes, with Pillow's bilinear filter widened to the scale (antialiased): it
works in fixed-point integers, so two machines get the same pixels and the same hash. Floats are
resized with the same filter in float32.
"""

from __future__ import annotations

import base64
import html
import io
import warnings

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ..errors import InputError

CROPS = ("centre", "none")
# PIXELS[b] is the pixel of byte b, the same everywhere
PIXELS = (np.arange(256) / 127.5 - 1).astype(np.float32)


def decode(file: bytes, name: str) -> np.ndarray:
    """An encoded image as bytes (H, W, C), C = 1 for grey and 3 for colour; transparency is
    dropped.

    Args:
        name: what the error calls it.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(file)) as picture:
                mode = picture.mode
                upright = ImageOps.exif_transpose(picture)
    except (
        OSError,
        SyntaxError,
        ValueError,
        Image.DecompressionBombWarning,
        Image.DecompressionBombError,
    ) as error:
        unknown = isinstance(error, UnidentifiedImageError)
        reason = "no kind of image that Pillow knows" if unknown else " ".join(str(error).split())
        raise InputError(
            f"{name} cannot be decoded ({reason}); copy it again or remove it"
        ) from error
    if mode.startswith(("I", "F")):
        raise InputError(
            f"{name} must have 8 bits a channel, got Pillow mode {mode}; save it as an 8-bit PNG "
            "or JPEG"
        )
    pixels = np.asarray(upright.convert("L" if mode in ("1", "L", "LA") else "RGB"))
    return pixels[..., None] if pixels.ndim == 2 else pixels


def crop_centre(pixels: np.ndarray) -> np.ndarray:
    """The centre square of (H, W, C), as wide as the shorter side: rows 20 to 198 of a 178 x 218
    CelebA face.
    """
    h, w = pixels.shape[:2]
    side = min(h, w)
    top, left = (h - side) // 2, (w - side) // 2
    return pixels[top : top + side, left : left + side]


def resize(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """(H, W, C) bytes or floats to (height, width, C) of the same dtype; antialiased bilinear."""
    if pixels.shape[:2] == (height, width):
        return pixels
    if pixels.dtype == np.uint8:
        picture = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
        small = np.asarray(picture.resize((width, height), Image.Resampling.BILINEAR))
        return small[..., None] if small.ndim == 2 else small
    planes = [
        Image.fromarray(np.ascontiguousarray(pixels[..., c], np.float32))
        for c in range(pixels.shape[2])
    ]
    return np.stack(
        [np.asarray(p.resize((width, height), Image.Resampling.BILINEAR)) for p in planes], axis=-1
    )


def to_float(pixels: np.ndarray) -> np.ndarray:
    """Bytes to float32 in [-1, 1]; floats pass."""
    return PIXELS[pixels] if pixels.dtype == np.uint8 else pixels.astype(np.float32, copy=False)


def to_bytes(x: np.ndarray) -> np.ndarray:
    """Floats in [-1, 1] to the nearest bytes."""
    return np.clip(np.rint((np.asarray(x, np.float64) + 1) * 127.5), 0, 255).astype(np.uint8)


def to_png(x: np.ndarray, at_least: int = 1) -> bytes:
    """(C, H, W) floats in [-1, 1], C 1 or 3, as a PNG; pixels are repeated until the longer side
    has `at_least`.
    """
    pixels = to_bytes(x).transpose(1, 2, 0)
    times = -(-at_least // max(pixels.shape[:2]))
    pixels = pixels.repeat(times, axis=0).repeat(times, axis=1)
    file = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(file, "png")
    return file.getvalue()


def to_html(x: np.ndarray, name: str) -> str:
    """(C, H, W) floats, C 1 or 3, as an <img> with the picture inside and `name`, escaped, as its
    title.
    """
    uri, text = base64.b64encode(to_png(x, at_least=64)).decode(), html.escape(name, quote=True)
    style = "display:inline-block;width:64px;margin:1px;image-rendering:pixelated"
    return f'<img src="data:image/png;base64,{uri}" alt="{text}" title="{text}" style="{style}">'
