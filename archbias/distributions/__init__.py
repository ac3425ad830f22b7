"""What a denoiser generates, in closed form."""

from . import empirical, gaussian
from .base import GeneratedDistribution, generated_by

__all__ = ["GeneratedDistribution", "empirical", "gaussian", "generated_by"]
