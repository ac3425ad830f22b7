"""The digits of scikit-learn: 1797 handwritten digits, 8 x 8 grey, ten labels; they come with that
package.

Its grey levels 0 to 16 become x = level / 8 - 1.
"""

from __future__ import annotations

from pathlib import Path

from . import formats
from .source import Source


def embedded() -> formats.Listing:
    """The images as scikit-learn ships them."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    return formats.from_array("scikit-learn's digits", digits.images / 8 - 1, digits.target)


def find(place: Path) -> formats.Listing:
    """The embedded images, whatever the root."""
    return embedded()


SOURCE = Source(
    name="digits",
    summary="scikit-learn's digits, 1797 handwritten digits of 1x8x8 (embedded)",
    licence="CC BY 4.0",
    home="https://archive.ics.uci.edu/dataset/80/optical+recognition+of+handwritten+digits",
    cite="Alpaydin & Kaynak, Optical recognition of handwritten digits, UCI 1998",
    find=find,
    embedded=embedded,
    embedded_count=1797,
)
