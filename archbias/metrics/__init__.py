"""Tensors in, one value per seed out; measures of a whole set say so.

agreement    is this the image that was predicted?       r, r squared, 1 - SSE/SST, amplitude, MSE,
                                                         cosine, SSIM
novelty      is it a training image?                      nearest, second nearest, ratio, copies
symmetry     is it one moved, or pieces of some?          nearest under shifts and reflection,
                                                          nearest patches
parts        does a picture hang together?                connected parts, strands across a row
moments      are the low moments the data's?              mean, covariance, skewness, kurtosis
spectrum     are the scales the data's?                   covariance eigenvalues, radial power
pairs        how far is every image from every other?     distances, exactly 0 between copies
finite       what of samples that diverged?               one rule for NaN and infinity
two_sample   are these two sets one distribution?         MMD, energy, sliced Wasserstein,
                                                          classifier; p-values
frechet      how far are their Gaussians?                 in PCA, random-feature and Inception space
mifid        the same, larger for copies                  for comparison with other papers
coverage     does one set fill the other?                 precision, recall, density, coverage,
                                                          Vendi
realism      could it be an unseen real image?            likelihood, distance, patches, as
                                                          percentiles of held-out images
nulls        what does it read when nothing differs?      the same statistic between parts of the
                                                          real data
health       is it a denoiser at all?                     error between ideal and Wiener, range,
                                                          brightness
features     the spaces the above work in                 PCA, fixed random convolutions, Inception
intervals    how sure is the number?                      bootstrap over seeds, binomial
paired       is this predictor better than that one?      signed-rank and sign-flip tests, Holm's
                                                          correction
compare      how good between ceiling and baseline?       the value, its interval, what a retrained
                                                          network reaches
"""

from importlib import import_module
from types import ModuleType

__all__ = [
    "agreement",
    "classifier",
    "compare",
    "coverage",
    "features",
    "finite",
    "frechet",
    "health",
    "intervals",
    "mifid",
    "moments",
    "novelty",
    "nulls",
    "paired",
    "pairs",
    "parts",
    "realism",
    "sliced",
    "spectrum",
    "symmetry",
    "two_sample",
]


def __getattr__(name: str) -> ModuleType:
    """A module of the package on first use."""
    if name in __all__:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
