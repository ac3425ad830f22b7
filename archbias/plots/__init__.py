"""Figures: functions of labelled results (and optionally an Axes), nothing else.

family_grid(tree)          one column per family, one row per seed, the nearest training image beside each sample
agreement(ds)              which prediction says what the denoiser draws, with intervals, ceiling and floor
covariance_spectra(tree)   the samples' covariance against their law's, at equal sample size
style, save, color         how figures look, how they are written, and the colour of a family everywhere
"""

from .colors import color, family_of, marker, palette
from .grid import family_grid, image_grid, picture
from .predictors import agreement
from .spectra import covariance_spectra, covariance_spectrum
from .styles import render, save, style

__all__ = [
    "agreement",
    "color",
    "covariance_spectra",
    "covariance_spectrum",
    "family_grid",
    "family_of",
    "image_grid",
    "marker",
    "palette",
    "picture",
    "render",
    "save",
    "style",
]
