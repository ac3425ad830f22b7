"""A small transformer trained by flow matching, class-conditional with a label for "none".

    y_t = t x + (1 - t) n,   told t;   predicts x

so that in y = x + sigma n (dividing y_t by t)

    t = 1 / (1 + sigma),   y_t = t y

The image is cut into patches, a linear map makes each a token and a learned place is added. Further
tokens tell the time (sin and cos of t exp(-ln 10000 k / (width - 1)), k = 0 ... width - 1) and the
label (a table whose last row is "none"). Encoder layers normalise after adding (Vaswani et al.
2017). The tokens of the image are made pixels again by the transpose of such a cut.
"""

from __future__ import annotations

import math
import re

import torch
from torch import Tensor, nn

from ..errors import InputError
from .facts import Facts, State, filled, renamed, without_prefix

WANTED = (
    "the weights of a flow-matching transformer (pos_embed, patch_embed, transformer.N, unpatch, "
    "y_encoder)"
)
HEADS = 4  # no shape tells it


class Layer(nn.Module):
    """Attention over all tokens, then a perceptron, each added and normalised: (B, T, width)."""

    def __init__(self, width: int, hidden: int, heads: int):
        super().__init__()
        self.heads = heads
        self.query_key_value = nn.Linear(width, 3 * width)
        self.mixed = nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)

    def forward(self, h: Tensor) -> Tensor:
        # written out, because the fused attention of torch has no forward-mode derivative
        split = self.query_key_value(h).unflatten(2, (3, self.heads, -1))
        q, k, v = split.permute(2, 0, 3, 1, 4)
        weights = (q @ k.transpose(2, 3) / math.sqrt(q.shape[3])).softmax(3)
        h = self.norm1(h + self.mixed((weights @ v).transpose(1, 2).flatten(2)))
        return self.norm2(h + self.down(nn.functional.gelu(self.up(h))))


class FlowTransformer(nn.Module):
    """y (B, C, H, W), sigma (B,), labels (B,) or None -> the estimate of x.

    Args:
        channels, side: of the square image. patch: of a patch.
        width, hidden, depth, heads: of the encoder.
        labels: rows of the table, "none" included.
        spoken: tokens that tell the label.
    """

    def __init__(
        self,
        *,
        channels: int,
        side: int,
        patch: int,
        width: int,
        hidden: int,
        depth: int,
        heads: int,
        labels: int,
        spoken: int,
    ):
        super().__init__()
        self.cut = nn.Conv2d(channels, width, patch, stride=patch)
        self.join = nn.ConvTranspose2d(width, channels, patch, stride=patch)
        self.places = nn.Parameter(torch.zeros(1, (side // patch) ** 2, width))
        self.layers = nn.ModuleList(Layer(width, hidden, heads) for _ in range(depth))
        self.labels = nn.Embedding(labels, spoken * width)
        self.width, self.grid = width, side // patch
        self.facts = Facts(
            channels=channels, size=(side, side), classes=labels - 1, levels=(0.0, math.inf)
        )

    def forward(self, y: Tensor, sigma: Tensor, labels: Tensor | None = None) -> Tensor:
        time = 1 / (1 + sigma)
        return self.image(y * time[:, None, None, None], time, labels)

    def image(self, mixture: Tensor, time: Tensor, labels: Tensor | None = None) -> Tensor:
        """What the network puts out, x: mixture (B, C, H, W), time (B,) in (0, 1]."""
        none = self.labels.num_embeddings - 1
        if labels is None:
            labels = torch.full((len(mixture),), none, device=mixture.device)
        k = torch.arange(self.width, dtype=torch.float64, device=mixture.device)
        waves = time[:, None] * torch.exp(-math.log(10_000) / (self.width - 1) * k).to(mixture)
        told = torch.cat([waves.sin(), waves.cos(), self.labels(labels)], 1)
        pieces = self.cut(mixture).flatten(2).transpose(1, 2) + self.places
        h = torch.cat([pieces, told.unflatten(1, (-1, self.width))], 1)
        for layer in self.layers:
            h = layer(h)
        h = h[:, : self.grid**2].transpose(1, 2).unflatten(2, (self.grid, self.grid))
        return self.join(h)


def recognise(state: State) -> bool:
    """Whether these tensors are named like those of such a file."""
    keys = without_prefix(state, "module.")
    return "pos_embed" in keys and "unpatch.weight" in keys


def build(state: State) -> FlowTransformer:
    """The network of a file: patch, grid, width, depth and labels from the shapes; four heads."""
    state = without_prefix(state, "module.")
    depth = len({m[1] for key in state if (m := re.match(r"transformer\.(\d+)\.", key))})
    names = {"pos_embed": "places", "y_encoder.weight": "labels.weight"}
    for kind in ("weight", "bias"):
        names |= {f"patch_embed.{kind}": f"cut.{kind}", f"unpatch.{kind}": f"join.{kind}"}
        for i in range(depth):
            theirs, mine = f"transformer.{i}.", f"layers.{i}."
            names |= {
                f"{theirs}self_attn.in_proj_{kind}": f"{mine}query_key_value.{kind}",
                f"{theirs}self_attn.out_proj.{kind}": f"{mine}mixed.{kind}",
                f"{theirs}linear1.{kind}": f"{mine}up.{kind}",
                f"{theirs}linear2.{kind}": f"{mine}down.{kind}",
                f"{theirs}norm1.{kind}": f"{mine}norm1.{kind}",
                f"{theirs}norm2.{kind}": f"{mine}norm2.{kind}",
            }
    ours = renamed(state, names, (), WANTED)
    width, channels, patch, across = ours["cut.weight"].shape
    grid, spoken = math.isqrt(ours["places"].shape[1]), ours["labels.weight"].shape[1] / width
    if patch != across or grid**2 != ours["places"].shape[1] or spoken % 1 or width % HEADS:
        raise InputError(
            f"wanted {WANTED} of a square grid of square patches, labels of whole tokens and a "
            f"width divisible by {HEADS}, got patches of {patch}x{across}, "
            f"{ours['places'].shape[1]} places and a width of {width}"
        )
    net = FlowTransformer(
        channels=channels,
        side=grid * patch,
        patch=patch,
        width=width,
        hidden=len(ours["layers.0.up.bias"]) if depth else 1,
        depth=depth,
        heads=HEADS,
        labels=len(ours["labels.weight"]),
        spoken=int(spoken),
    )
    return filled(net, ours, WANTED)
