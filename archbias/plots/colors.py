"""One colour and one marker per family, the same in every figure.

The twelve colours are as far apart as colours can be for normal, deuteranope, protanope and
tritanope sight at once (smallest CIEDE2000 distance 16 over all pairs and the four, after Machado
et al. 2009, severity 1). Where several settings of one family meet, the first has the family's
colour and the others tints or shades of it. A family from outside the package has the colour its
name hashes to: the same on every machine.
"""

from __future__ import annotations

import colorsys
import hashlib
import re
from collections.abc import Iterable

import matplotlib as mpl
import numpy as np
from matplotlib.colors import to_hex, to_rgb

COLORS = {
    "ideal": "#000000",
    "es": "#000080",
    "ls": "#BFBFFF",
    "els": "#8000DF",
    "bbels": "#BF60FF",
    "linear": "#DFBF00",
    "shallow": "#402000",
    "polynomial": "#409F9F",
    "bottleneck": "#00DFBF",
    "unet": "#DF6060",
    "resnet": "#9F4060",
    "mlp": "#606000",
}
MARKERS = dict(zip(COLORS, "o^v<>sDPXd*p", strict=True))
ALIASES = {"wiener": "linear", "is": "ideal"}  # other names of the same thing
NEUTRAL = "#8A8A8A"  # data, bands, anything that is no family
COPY = "#D04000"  # frames of copied training images


def family_of(label: str) -> str:
    """The family a label names: its first word, or what that is another name of.

    'linear, rank 16' and 'linear_local' are linear; 'elsewhere' is not els.

    Example:
        >>> from archbias import plots
        >>> plots.family_of("linear, rank 16"), plots.family_of("bbels window 7")
        ('linear', 'bbels')
    """
    found = re.match(r"[A-Za-z]*", label)
    word = found[0].lower() if found else ""
    return ALIASES.get(word, word) or label


def color(label: str) -> str:
    """The family's colour as #rrggbb.

    Example:
        >>> from archbias import plots
        >>> plots.color("linear, rank 16") == plots.color("linear")
        True
    """
    family = family_of(label)
    if family in COLORS:
        return COLORS[family]
    return to_hex(colorsys.hls_to_rgb(_hash(family) / 2**32, 0.42, 0.5))


def marker(label: str) -> str:
    """The family's marker."""
    family = family_of(label)
    return MARKERS.get(family) or "oshD8HdpPX"[_hash(family) % 10]


def palette(labels: Iterable[str]) -> dict[str, str]:
    """A colour for each label; later settings of one family are tints of its colour (shades, where
    it is pale).
    """
    labels = list(dict.fromkeys(map(str, labels)))
    groups: dict[str, list[str]] = {}
    for label in labels:
        groups.setdefault(family_of(label), []).append(label)
    colors = {}
    for group in groups.values():
        base = to_rgb(color(group[0]))
        towards = (1.0,) * 3 if sum(base) < 1.6 else (0.0,) * 3
        for i, label in enumerate(group):
            share = 0.4 * i if len(group) < 3 else 0.65 * i / (len(group) - 1)
            r, g, b = ((1 - share) * b + share * t for b, t in zip(base, towards, strict=True))
            colors[label] = to_hex((r, g, b))
    return {label: colors[label] for label in labels}


def readable(color: str) -> tuple[float, float, float]:
    """A colour dark enough for text on white: contrast 4.5 at least (WCAG 2.2, 1.4.3), by darkening
    it in linear light.
    """
    rgb = np.array(to_rgb(color))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    linear *= min(1.0, (1.05 / 4.5 - 0.05) / max(float(linear @ [0.2126, 0.7152, 0.0722]), 1e-9))
    return tuple(np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055))


def heat(values: np.ndarray, low: float, high: float, name: str = "viridis") -> np.ndarray:
    """Numbers (...) as colours (..., 3) in [0, 1] from low to high, beyond them the ends; NaN is
    pale grey.
    """
    share = (np.asarray(values, float) - low) / ((high - low) or 1.0)
    rgb = mpl.colormaps[name](np.nan_to_num(np.clip(share, 0, 1)))[..., :3]
    return np.where(np.isnan(share)[..., None], 0.93, rgb)


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
