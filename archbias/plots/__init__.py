"""Figures: functions of labelled results (and optionally an Axes), nothing else.

    family_grid(tree)          one column per family, one row per seed, the nearest training image
                               beside each sample
    image_table(images, ..)    pictures by row and column, both named
    agreement(ds)              which prediction says what the denoiser draws, with intervals,
                               ceiling and floor
    mode_variance(ds)          variance along the data's principal directions, samples against laws
    covariance_spectra(tree)   the samples' covariance eigenvalues against their law's, at equal
                               sample size
    radial_spectra(ds)         power by spatial frequency against the data's
    density(ds)                the density of a law against samples, in one and two dimensions;
                               field(ds) for arrows
    locality_scale(ds)         the window a network resembles, against noise; against_noise for any
                               such value
    mosaic(ds)                 which training image each pixel came from
    novelty_realism(ds)        how new against how real
    bias_cards(ds)             measured traits of all families as a clustered heat map;
                               receptive_fields(field) as maps
    wall(x, beside, copy)      samples beside their nearest images, copies framed
    between(r, colors)         variants against each other, each beside itself retrained
    by_region(r, panels)       agreement inside and outside of what is pictured
    excess_parts(counted, ..)  things with more parts than they should have
    scales(panels)             the window of a network by every protocol that finds it
    crossed                    figures of networks x theories: a wall, a leaderboard, where along
                               the noise and where in the image theories fail
    training_curves(ds)        loss against steps
    standard(tree)             those of the above that a store has the groups for; widths: of a
                               study's figures, in columns of a page
    style, save, color         how figures look, how they are written, and the colour of a family
                               everywhere

Functions of one panel return its Axes (`.figure` is the figure), those of a whole page a Figure.
None makes a figure that pyplot keeps. Statistics are drawn by seaborn, in these styles.
"""

from ..caches import for_matplotlib

for_matplotlib()

from .cards import bias_cards, receptive_fields
from .colors import color, family_of, marker, palette, readable
from .grid import family_grid, image_grid, image_table, picture
from .laws import density, field
from .mosaics import mosaic
from .noise import against_noise, locality_scale
from .pairs import between
from .parts import excess_parts
from .plane import novelty_realism
from .predictors import agreement
from .protocols import scales
from .regions import by_region
from .spectra import covariance_spectra, covariance_spectrum, radial_spectra
from .standard import standard, widths
from .styles import page_width, render, save, style
from .training import training_curves
from .variance import mode_variance
from .wall import wall

__all__ = [
    "against_noise",
    "agreement",
    "between",
    "bias_cards",
    "by_region",
    "color",
    "covariance_spectra",
    "covariance_spectrum",
    "density",
    "excess_parts",
    "family_grid",
    "family_of",
    "field",
    "image_grid",
    "image_table",
    "locality_scale",
    "marker",
    "mode_variance",
    "mosaic",
    "novelty_realism",
    "page_width",
    "palette",
    "picture",
    "radial_spectra",
    "readable",
    "receptive_fields",
    "render",
    "save",
    "scales",
    "standard",
    "style",
    "training_curves",
    "wall",
    "widths",
]
