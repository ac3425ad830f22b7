"""What a denoiser generates, in closed form."""

from . import empirical, flow, gaussian, score_matched, trained
from .base import GeneratedDistribution, generated_by
from .export import as_torch

__all__ = [
    "GeneratedDistribution",
    "as_torch",
    "empirical",
    "flow",
    "gaussian",
    "generated_by",
    "score_matched",
    "trained",
]
