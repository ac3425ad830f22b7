"""A small diffusion transformer: tokens are patches of the image, and attention may be confined to
a window.

    t <- t + g_1(e) Attention(m_1(t, e)),   t <- t + g_2(e) MLP(m_2(t, e)),   m(t, e) = (1 + a(e))
    LayerNorm(t) + b(e)

with a, b, g from the embedding e of noise level and class, g starting at 0 (adaLN-zero; Peebles &
Xie 2023). A learned vector for each place is added to the tokens, or none (`place=False`: the
network then knows only the neighbourhood). With `window` a token sees those at most window // 2
tokens away in each direction.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as f
from einops import rearrange
from torch import Tensor, nn

from ..errors import InputError
from .checks import count, odd
from .layers import attend, embedding
from .network import Network
from .train import Train


@dataclass(frozen=True, kw_only=True)
class DiT(Network):
    """A small diffusion transformer.

    patch: side of a token in pixels; it must divide the image's sides.
    width, depth, heads: size of a token, number of layers, heads of each.
    window: odd number of tokens across which attention looks; None for the whole image.
    place: add a learned vector for each place.
    """

    summary: ClassVar[str] = "diffusion transformer, attention global or in a window"

    patch: int = 4
    width: int = 128
    depth: int = 4
    heads: int = 4
    window: int | None = None
    place: bool = True
    train: Train = Train(learning_rate=1e-3)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, value, most in (
            ("patch", self.patch, 64),
            ("width", self.width, 4096),
            ("depth", self.depth, 64),
        ):
            count(name, value, 1, most)
        count("heads", self.heads, 1, 64)
        if self.width % self.heads:
            raise InputError(
                f"heads must divide width, got {self.heads} and {self.width}; 4 heads of 32 are "
                "usual"
            )
        if self.window is not None:
            odd("window", self.window, usual=3)

    @property
    def receptive_field(self) -> int | None:
        if self.window is None:
            return None
        return 2 * ((self.depth * (self.window // 2) + 1) * self.patch - 1) + 1

    def module(self, shape: tuple[int, int, int], classes: int = 0) -> nn.Module:
        if shape[1] % self.patch or shape[2] % self.patch:
            raise InputError(
                f"patch must divide the sides of the images, got {self.patch} and "
                f"{shape[1]}x{shape[2]}; use another patch"
            )
        return DiTModule(self, shape, classes)


class Block(nn.Module):
    """Attention and a two-layer network, both modulated by the embedding."""

    def __init__(self, width: int, heads: int, embedded: int):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.inner = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(approximate="tanh"), nn.Linear(4 * width, width)
        )
        self.modulation = nn.Linear(embedded, 6 * width)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)

    def forward(self, t: Tensor, e: Tensor, mask: Tensor | None) -> Tensor:
        a1, b1, g1, a2, b2, g2 = self.modulation(e)[:, None].chunk(6, -1)
        size = t.shape[-1:]
        q, k, v = rearrange(
            self.qkv(f.layer_norm(t, size) * (1 + a1) + b1),
            "b n (three h c) -> three b h n c",
            three=3,
            h=self.heads,
        )
        seen = attend(q, k, v, mask, fused=self.training)
        t = t + g1 * self.out(rearrange(seen, "b h n c -> b n (h c)"))
        return t + g2 * self.inner(f.layer_norm(t, size) * (1 + a2) + b2)


class DiTModule(nn.Module):
    """forward(u, c, label): see `Network.module`."""

    def __init__(self, spec: DiT, shape: tuple[int, int, int], classes: int):
        super().__init__()
        colours, self.rows, self.columns = shape[0], shape[1] // spec.patch, shape[2] // spec.patch
        self.patch = spec.patch
        tokens, pixels = self.rows * self.columns, colours * spec.patch**2
        self.embedding = embedding(spec.width, spec.told, classes)
        self.first = nn.Linear(pixels, spec.width)
        self.place = nn.Parameter(0.02 * torch.randn(tokens, spec.width)) if spec.place else None
        self.blocks = nn.ModuleList(
            Block(spec.width, spec.heads, spec.width) for _ in range(spec.depth)
        )
        self.last = nn.Linear(spec.width, pixels)
        self.unconditional = (
            nn.Parameter(torch.zeros(spec.width)) if self.embedding is None else None
        )
        nn.init.zeros_(self.last.bias)
        nn.init.normal_(self.last.weight, std=0.3 * spec.width**-0.5)
        self.register_buffer(
            "mask", None if spec.window is None else near(self.rows, self.columns, spec.window // 2)
        )

    def forward(self, u: Tensor, c: Tensor | None = None, label: Tensor | None = None) -> Tensor:
        if self.embedding is not None:
            e = self.embedding(c, label)
        else:
            assert self.unconditional is not None
            e = self.unconditional.expand(len(u), -1)
        t = self.first(
            rearrange(u, "b c (h p) (w q) -> b (h w) (c p q)", p=self.patch, q=self.patch)
        )
        if self.place is not None:
            t = t + self.place
        for block in self.blocks:
            t = block(t, e, self.mask)
        t = self.last(f.layer_norm(t, t.shape[-1:]))
        return rearrange(
            t,
            "b (h w) (c p q) -> b c (h p) (w q)",
            h=self.rows,
            w=self.columns,
            p=self.patch,
            q=self.patch,
        )


def near(rows: int, columns: int, reach: int) -> Tensor:
    """(rows columns, rows columns) boolean: whether two tokens are at most `reach` apart in both
    directions.
    """
    row, column = torch.arange(rows), torch.arange(columns)
    close = ((row[:, None] - row).abs() <= reach)[:, None, :, None] & (
        (column[:, None] - column).abs() <= reach
    )[None, :, None, :]
    return close.reshape(rows * columns, rows * columns)
