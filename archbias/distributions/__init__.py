"""What a denoiser generates, in closed form."""

from .base import GeneratedDistribution, generated_by

__all__ = ["GeneratedDistribution", "generated_by"]
