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
from functools import cache

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ..errors import InputError
from . import limits
from .reading import why

CROPS = ("centre", "none")
# PIXELS[b] is the pixel of byte b, the same everywhere
PIXELS = (np.arange(256) / 127.5 - 1).astype(np.float32)
# kinds that are decoded, with their suffixes: those that Pillow decodes by itself (it starts
# Ghostscript for EPS) and that begin with a mark of their own
FORMATS = {
    "AVIF": (".avif",),
    "BMP": (".bmp",),
    "GIF": (".gif",),
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "JPEG2000": (".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx"),
    "PNG": (".png", ".apng"),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm", ".pfm"),
    "QOI": (".qoi",),
    "TIFF": (".tif", ".tiff"),
    "WEBP": (".webp",),
}
SUFFIXES = frozenset(suffix for some in FORMATS.values() for suffix in some)


@cache
def _formats() -> tuple[str, ...]:
    """The kinds above that this Pillow was built with."""
    Image.init()
    return tuple(kind for kind in FORMATS if kind in Image.OPEN)


def decode(file: bytes, name: str) -> np.ndarray:
    """An encoded image as bytes (H, W, C), C = 1 for grey and 3 for colour; transparency is
    dropped. Of several frames the first.

    Args:
        name: what the error calls it.
    """
    bomb = None
    try:
        with warnings.catch_warnings():
            # its size is refused below, in this project's words
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(file), formats=_formats()) as picture:
                mode, (width, height) = picture.mode, picture.size
                if width * height > limits.PIXELS:
                    bomb = f"{width}x{height} pixels"
                else:
                    upright = ImageOps.exif_transpose(picture)
                    deep = mode.startswith(("I", "F"))
                    whole = upright if deep else _grey_or_colour(upright, mode)
    except Image.DecompressionBombError:
        bomb = "many more"
    except Exception as error:  # Pillow's plug-ins raise many kinds for a damaged file
        unknown = isinstance(error, UnidentifiedImageError)
        reason = "no kind of image that Pillow knows" if unknown else why(error)
        raise InputError(
            f"{name} cannot be decoded ({reason}); copy it again or remove it"
        ) from error
    if bomb is not None:
        raise InputError(
            f"{name} must have at most {limits.PIXELS} pixels, got {bomb}; make it smaller or "
            "remove it"
        )
    if deep:
        raise InputError(
            f"{name} must have 8 bits a channel, got Pillow mode {mode}; save it as an 8-bit PNG "
            "or JPEG"
        )
    pixels = np.asarray(whole)
    return pixels[..., None] if pixels.ndim == 2 else pixels


def _grey_or_colour(picture: Image.Image, mode: str) -> Image.Image:
    return picture.convert("L" if mode in ("1", "L", "LA") else "RGB")


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
