"""A law as a `torch.distributions.Distribution`, for code that expects one.

    d = as_torch(law);   d.sample((100,)), d.log_prob(x), d.mean, d.variance

Draws follow torch's own random state, as everywhere in `torch.distributions`; `law.sample(seeds)`
draws by seed.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

from .base import GeneratedDistribution


class TorchLaw(Distribution):
    """One event is an image (C, H, W); there are no batch dimensions. Values are float64."""

    arg_constraints: ClassVar[dict] = {}
    support = constraints.independent(constraints.real, 3)

    def __init__(self, law: GeneratedDistribution):
        self.law = law
        super().__init__(event_shape=torch.Size(law.shape), validate_args=False)

    @property
    def mean(self) -> Tensor:
        return self.law.mean

    @property
    def variance(self) -> Tensor:
        """(C, H, W) variance of each pixel."""
        return self.law.covariance.diagonal().reshape(self.law.shape)

    def sample(self, sample_shape: torch.Size | list[int] | tuple[int, ...] = ()) -> Tensor:
        """(*sample_shape, C, H, W): what the sampler makes of noise from torch's random state."""
        shape = torch.Size(sample_shape)
        noise = torch.randn(shape.numel(), *self.law.shape, dtype=torch.float64)
        return self.law.push(noise).reshape(*shape, *self.law.shape)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log density, in nats, of value (..., C, H, W); (...)."""
        batch = value.shape[: value.ndim - 3]
        return self.law.log_prob(value.reshape(-1, *self.law.shape)).reshape(batch)


def as_torch(law: GeneratedDistribution) -> TorchLaw:
    """The law under the interface of `torch.distributions`; what it cannot do (`rsample`,
    `entropy`) raises NotImplementedError.
    """
    return TorchLaw(law)
