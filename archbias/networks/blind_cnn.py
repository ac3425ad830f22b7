"""The bias-free, noise-blind convolutional denoiser of the Laboratory for Computational Vision.

    h_0 = W_0 * y
    h_l = relu(g_l (W_l * h_{l-1}) / s_l),    l = 1 ... L - 2
    D   = y - W_{L-1} * h_{L-2}

Convolutions of odd size with zeros around the image and no bias; g_l a learned gain and s_l a kept
standard deviation, one number a channel. Nothing tells it sigma, and nothing in it has a scale:
D(c y) = c D(y) for c > 0 (Mohan et al., ICLR 2020). Its window is 1 + sum (kernel - 1), layers of
1x1 adding nothing: networks of one depth and width that differ in their window alone (Kadkhodaie et
al., ICLR 2023).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..errors import InputError
from .facts import Facts, State, filled, renamed, without_prefix

WANTED = (
    "the weights of a bias-free CNN (conv_layers.N.weight, and BN_layers.N.running_sd and .gammas "
    "between the first and the last)"
)
PREFIX = "module."


class BlindCNN(nn.Module):
    """y (B, C, H, W) of any size -> the estimate of x; sigma is not looked at.

    Args:
        widths: L + 1 numbers of channels, from the image to the image.
        kernels: L odd sizes.
    """

    def __init__(self, widths: Sequence[int], kernels: Sequence[int]):
        super().__init__()
        layers = zip(widths[:-1], widths[1:], kernels, strict=True)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(i, o, k, padding=k // 2, bias=False) for i, o, k in layers
        )
        inner = widths[2:-1]
        self.gains = nn.ParameterList(torch.ones(1, c, 1, 1) for c in inner)
        self.deviations = nn.ParameterList(torch.ones(1, c, 1, 1) for c in inner)
        self.facts = Facts(
            channels=widths[0],
            blind=True,
            window=1 + sum(k - 1 for k in kernels),
            homogeneous=True,
        )

    def forward(self, y: Tensor, sigma: Tensor, labels: Tensor | None = None) -> Tensor:
        return y - self.noise(y)

    def noise(self, y: Tensor) -> Tensor:
        """What the network puts out: sigma n, in the units of y."""
        first, *inner, last = self.convolutions
        h = first(y)
        for convolution, gain, deviation in zip(inner, self.gains, self.deviations, strict=True):
            h = (convolution(h) / deviation * gain).relu()
        return last(h)


def recognise(state: State) -> bool:
    """Whether these tensors are named like those of such a file."""
    keys = without_prefix(state, PREFIX)
    return any(re.fullmatch(r"conv_layers\.\d+\.weight", key) for key in keys)


def build(state: State) -> BlindCNN:
    """The network of a file: depth, widths and kernels from the shapes."""
    state = without_prefix(state, PREFIX)
    depth = sum(bool(re.fullmatch(r"conv_layers\.\d+\.weight", key)) for key in state)
    names = {f"conv_layers.{i}.weight": f"convolutions.{i}.weight" for i in range(depth)}
    for i in range(depth - 2):
        names[f"BN_layers.{i}.gammas"] = f"gains.{i}"
        names[f"BN_layers.{i}.running_sd"] = f"deviations.{i}"
    ours = renamed(state, names, (), WANTED)
    weights = [ours[f"convolutions.{i}.weight"] for i in range(depth)]
    square = all(w.ndim == 4 and w.shape[2] == w.shape[3] and w.shape[2] % 2 for w in weights)
    if depth < 2 or not square:
        raise InputError(
            f"wanted {WANTED} with at least 2 convolutions of odd square kernels, got "
            f"{[tuple(w.shape) for w in weights][:3]}; other kernels have no window around a pixel"
        )
    widths = [weights[0].shape[1], *(w.shape[0] for w in weights)]
    if widths[0] != widths[-1]:
        raise InputError(
            f"wanted a network from an image to its noise, got {widths[0]} channels in and "
            f"{widths[-1]} out; a network told further channels beside the noisy ones draws no "
            "images by itself"
        )
    return filled(BlindCNN(widths, [w.shape[2] for w in weights]), ours, WANTED)
