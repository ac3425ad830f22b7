"""What a denoiser generates, in closed form."""

from . import empirical, flow, gaussian, score_matched, trained
from .base import GeneratedDistribution, generated_by

__all__ = ["GeneratedDistribution", "empirical", "flow", "gaussian", "generated_by", "score_matched", "trained"]
