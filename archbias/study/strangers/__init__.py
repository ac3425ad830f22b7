"""Cells about networks that were trained elsewhere, for `studies/published_networks`.

What they need of a study's settings is `Asked`: which network a name is, which images a set has, at
which noise levels its networks were trained, and the numbers of seeds and steps.

    seen      drawn, healthy, windowed: what it draws, whether it denoises, how far it looks
    theories  mean_image, reference, fitted, masks, masked: who predicts it
    compared  agreement with all of these and with the other networks of the set
"""

from .asked import Asked, draw, start
from .compare import compared
from .seen import drawn, healthy, windowed
from .theories import FITTED, REFERENCES, fitted, masked, masks, mean_image, reference

__all__ = [
    "FITTED",
    "REFERENCES",
    "Asked",
    "compared",
    "draw",
    "drawn",
    "fitted",
    "healthy",
    "masked",
    "masks",
    "mean_image",
    "reference",
    "start",
    "windowed",
]
