"""A plain convolutional network told the time, without pooling, trained as a DDPM.

    h_1 = B_1(u) + e(t / T),   h_l = B_l(h_{l-1}),   eps = W * h_L + b
    B(h) = gelu(norm(K * h + a)),   norm over all channels, rows and columns together
    e(s) = P(sin w s, cos w s - 1),  w the stored frequencies, P four linear maps with gelu between

Its input is u = sqrt(abar) x + sqrt(1 - abar) n and it predicts n, so that in y = x + sigma n

    u = y / sqrt(1 + sigma^2),   D = y - sigma eps(u, t),   abar_t = 1 / (1 + sigma^2)

The file keeps abar_0 ... abar_T; training drew t from 1 to T. Between two of the levels t is
interpolated linearly in ln sigma: the network takes any t. Zeros around the image. The norm has a
weight for every pixel, which gives each place its own network, and shares the mean and the variance
of the whole image with every pixel; what convolutions see is 1 + sum (kernel - 1).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..errors import InputError
from ..noise import sigma_of
from .facts import Facts, State, filled, renamed, without_prefix

WANTED = (
    "the weights of a DDPM of plain convolutions (alpha_t, gt.blocks.N.net.0 and .1, a last "
    "gt.blocks.N, gt.frequencies, gt.time_embed)"
)


class TimeCNN(nn.Module):
    """y (B, C, H, W), sigma (B,) -> the estimate of x.

    Args:
        widths: channels of the image and of every block.
        kernels: odd sizes, one a block and one for the last convolution.
        size: (H, W).
        told: widths of the perceptron of the time, from twice the frequencies to widths[1].
        steps: T.
    """

    frequencies: Tensor
    abar: Tensor

    def __init__(
        self,
        widths: Sequence[int],
        kernels: Sequence[int],
        size: tuple[int, int],
        told: Sequence[int],
        steps: int,
    ):
        super().__init__()
        *inner, last = kernels
        layers = list(zip(widths[:-1], widths[1:], inner, strict=True))
        self.convolutions = nn.ModuleList(nn.Conv2d(i, o, k, padding=k // 2) for i, o, k in layers)
        self.norms = nn.ModuleList(nn.LayerNorm((o, *size)) for _, o, _ in layers)
        self.last = nn.Conv2d(widths[-1], widths[0], last, padding=last // 2)
        self.told = nn.ModuleList(nn.Linear(i, o) for i, o in zip(told[:-1], told[1:], strict=True))
        self.register_buffer("frequencies", torch.zeros(told[0] // 2))
        self.register_buffer("abar", torch.zeros(steps + 1))
        self.size, self.steps = size, steps
        self.facts = Facts(
            channels=widths[0], size=size, window=1 + sum(k - 1 for k in kernels), global_norm=True
        )

    def forward(self, y: Tensor, sigma: Tensor, labels: Tensor | None = None) -> Tensor:
        s = sigma[:, None, None, None]
        return y - s * self.noise(y * (1 + s**2).rsqrt(), self.time_of(sigma) / self.steps)

    def noise(self, u: Tensor, time: Tensor) -> Tensor:
        """What the network puts out, n: u (B, C, H, W), time (B,) in [0, 1]."""
        waves = time[:, None] * self.frequencies
        e = torch.cat([waves.sin(), waves.cos() - 1], 1)
        for number, linear in enumerate(self.told):
            e = linear(e if number == 0 else nn.functional.gelu(e))
        h = u
        for number, (convolution, norm) in enumerate(
            zip(self.convolutions, self.norms, strict=True)
        ):
            h = nn.functional.gelu(norm(convolution(h)))
            if number == 0:
                h = h + e[:, :, None, None]
        return self.last(h)

    def time_of(self, sigma: Tensor) -> Tensor:
        """The fractional step of sigma (B,), linear in ln sigma between the file's levels."""
        x, grid = sigma.double().log(), sigma_of(self.abar.double()).log()
        high = torch.searchsorted(grid, x).clamp(2, self.steps)
        low = grid[high - 1]
        return (high - 1 + (x - low) / (grid[high] - low)).to(sigma.dtype)


def recognise(state: State) -> bool:
    """Whether these tensors are named like those of such a file."""
    keys = without_prefix(state, "module.")
    return "alpha_t" in keys and "gt.frequencies" in keys


def build(state: State) -> TimeCNN:
    """The network of a file: blocks, widths, kernels, size, times and levels from the shapes and
    numbers.
    """
    state = without_prefix(state, "module.")
    blocks = sum(bool(re.fullmatch(r"gt\.blocks\.\d+\.net\.0\.weight", key)) for key in state)
    told = sum(bool(re.fullmatch(r"gt\.time_embed\.\d+\.weight", key)) for key in state)
    names = {"alpha_t": "abar", "gt.frequencies": "frequencies"}
    for kind in ("weight", "bias"):
        for i in range(blocks):
            names[f"gt.blocks.{i}.net.0.{kind}"] = f"convolutions.{i}.{kind}"
            names[f"gt.blocks.{i}.net.1.{kind}"] = f"norms.{i}.{kind}"
        names[f"gt.blocks.{blocks}.{kind}"] = f"last.{kind}"
        for i in range(told):  # the odd places hold the activations
            names[f"gt.time_embed.{2 * i}.{kind}"] = f"told.{i}.{kind}"
    ours = renamed(state, names, ("beta_t",), WANTED)
    if not blocks or not told:
        raise InputError(f"wanted {WANTED}, got {blocks} blocks and {told} maps of the time")
    weights = [*(ours[f"convolutions.{i}.weight"] for i in range(blocks)), ours["last.weight"]]
    abar = ours["abar"]
    if any(not w.shape[2] % 2 for w in weights) or not bool(
        (abar.diff() < 0).all() & (abar < 1).all()
    ):
        raise InputError(
            f"wanted {WANTED} with odd kernels and falling alpha_t below 1, got kernels "
            f"{[w.shape[2] for w in weights]} and alpha_t from {abar[0]:.4g} to {abar[-1]:.4g}"
        )
    _, height, width = ours["norms.0.weight"].shape
    net = TimeCNN(
        [weights[0].shape[1], *(w.shape[0] for w in weights[:-1])],
        [w.shape[2] for w in weights],
        (height, width),
        [ours["told.0.weight"].shape[1], *(ours[f"told.{i}.weight"].shape[0] for i in range(told))],
        len(abar) - 1,
    )
    grid = sigma_of(abar.double())
    net.facts = Facts(**vars(net.facts) | {"levels": (float(grid[1]), float(grid[-1]))})
    return filled(net, ours, WANTED)
