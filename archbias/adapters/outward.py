"""Denoisers as other people's models: a plain network, or a k-diffusion and EDM style function."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ..denoise import Denoiser
from .conventions import INPUTS, PREDICTIONS, choose, factor, prediction_of


def to_module(denoiser: Denoiser, *, predicts: str = "image", input: str = "ve") -> nn.Module:
    """A denoiser as a plain network: module(input, sigma, labels=None), sigma a number or (B,); see
    `archbias.adapters.conventions`.
    """
    return _Module(
        denoiser, choose("predicts", predicts, PREDICTIONS), choose("input", input, INPUTS)
    )


def to_callable(denoiser: Denoiser) -> Callable[..., Tensor]:
    """A denoiser as a k-diffusion or EDM style model: model(y, sigma, labels=None) -> D, sigma of
    one element or B.

    Example:
        >>> import archbias
        >>> images = archbias.load("fashion_mnist", n=5, size=8)
        >>> denoiser = archbias.FAMILIES["ideal"]().fit(images)
        >>> model = archbias.adapters.to_callable(denoiser)
        >>> y, sigma = images.images[:2], archbias.noise.cosine(3)[1:2]
        >>> bool((model(y, sigma) == denoiser(y, 1.0 * sigma[0])).all())
        True
    """

    def model(y: Tensor, sigma: float | Tensor, labels: Tensor | None = None) -> Tensor:
        sigma = torch.as_tensor(sigma, dtype=y.dtype, device=y.device).flatten()
        return denoiser(y, sigma if len(sigma) == len(y) else sigma.squeeze(), labels)

    return model


class _Module(nn.Module):
    def __init__(self, denoiser: Denoiser, predicts: str, input: str):
        super().__init__()
        self.denoiser, self.predicts, self.input = denoiser, predicts, input

    def forward(self, x: Tensor, sigma: float | Tensor, labels: Tensor | None = None) -> Tensor:
        sigma = torch.as_tensor(sigma, dtype=x.dtype, device=x.device).expand(len(x))
        s = sigma[:, None, None, None]
        a = factor(self.input, s)
        y = x if a is None else x / a
        return prediction_of(self.predicts, self.denoiser(y, sigma, labels), y, s, a)
