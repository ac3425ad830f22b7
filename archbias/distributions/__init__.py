"""What a denoiser generates, in closed form."""

from . import gaussian
from .base import GeneratedDistribution, generated_by

__all__ = ["GeneratedDistribution", "gaussian", "generated_by"]
