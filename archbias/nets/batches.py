"""Batches that are a function of a seed and a step, and the error of a denoiser by noise level.

Batch t of seed s is a function of (s, t) alone: images from the s-th shuffling of each epoch, noise
levels and noise from a generator seeded by (s, t). No random state has to be stored, so a run that
is killed and resumed takes the same steps.

Noise levels within a batch of B are stratified, u_i = (i + v_i) / B with v_i uniform: one level in
every B-th of the law (Kingma et al. 2021, appendix I.1), which lowers the variance of the loss at
no cost.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from .. import seeds
from ..data import ImageSet
from ..denoise import Denoiser
from .train import EPOCHS, ERRORS, LAWS, STEPS, Train


@dataclass(frozen=True)
class Batch:
    """Clean images x (B, C, H, W), standard normal noise of that shape, sigma (B,), labels (B,) or
    None; y = x + sigma noise.
    """

    x: Tensor
    noise: Tensor
    sigma: Tensor
    labels: Tensor | None

    @property
    def y(self) -> Tensor:
        return self.x + self.sigma[:, None, None, None] * self.noise


class Batches:
    """Batch t of a seed, for every t; the whole image set lies on the device.

    sigma: one level for all batches, or None for the law of `train.noise`.
    """

    def __init__(
        self,
        images: ImageSet,
        train: Train,
        seed: int,
        sigma: float | None,
        labels: bool,
        device: str,
    ):
        self.train, self.seed, self.sigma, self.device = train, seed, sigma, device
        self.images = images.images.to(device)
        self.labels = None
        if labels:
            assert images.labels is not None  # asked for only where there are some
            self.labels = images.labels.to(device)
        self.generator = torch.Generator(device)
        self.orders: dict[int, Tensor] = {}

    def order(self, epoch: int) -> Tensor:
        """The shuffling of an epoch; the two latest are kept, since a batch may straddle them."""
        if epoch not in self.orders:
            while len(self.orders) > 1:
                self.orders.pop(min(self.orders))
            shuffled = seeds.generator(self.seed, EPOCHS + epoch).permutation(len(self.images))
            self.orders[epoch] = torch.from_numpy(shuffled).to(self.device)
        return self.orders[epoch]

    def __call__(self, step: int) -> Batch:
        size, n = self.train.batch, len(self.images)
        first, last = step * size, (step + 1) * size
        parts = [
            self.order(e)[max(first - e * n, 0) : min(last - e * n, n)]
            for e in range(first // n, (last - 1) // n + 1)
        ]
        index = torch.cat(parts)
        x = self.images[index]
        self.generator.manual_seed(int(seeds.generator(self.seed, STEPS + step).integers(1 << 31)))
        v = torch.rand(size, generator=self.generator, device=self.device)
        sigma = LAWS[self.train.noise]((torch.arange(size, device=self.device) + v) / size)
        if self.sigma is not None:
            sigma = torch.full_like(sigma, self.sigma)
        noise = torch.randn(x.shape, generator=self.generator, device=self.device)
        return Batch(x, noise, sigma, None if self.labels is None else self.labels[index])


Loss = Callable[[Callable[..., Tensor], Batch], Tensor]  # the mean loss of a batch, a number


@torch.no_grad()
def losses(
    denoiser: Denoiser,
    images: ImageSet,
    sigmas: Tensor,
    *,
    seed: int = 0,
    batch: int = 64,
    device: str = "cpu",
) -> Tensor:
    """Mean squared error per pixel of a denoiser at each noise level, on any images: training or
    held out.

    Args:
        sigmas: noise levels; a final 0 is left out.

    Returns:
        (T,) float64. Image i meets the same noise at every level and for every denoiser.
    """
    sigmas = [s for s in sigmas.tolist() if s > 0]
    total = torch.zeros(len(sigmas), dtype=torch.float64)
    for i in range(0, len(images), batch):
        x = images.images[i : i + batch].to(device)
        lab = (
            images.labels[i : i + batch] if denoiser.classes and images.labels is not None else None
        )
        n = torch.cat(
            [
                seeds.normal([seed], x.shape[1:], stream=ERRORS + i + j, device=device)
                for j in range(len(x))
            ]
        )
        for k, s in enumerate(sigmas):
            total[k] += (
                (denoiser(x + s * n, s, lab) - x).double().square().mean((1, 2, 3)).sum().cpu()
            )
    return total / len(images)
