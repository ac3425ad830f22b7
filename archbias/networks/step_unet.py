"""A UNet told one of a number of steps, trained as a DDPM, with a norm over the whole image first.

    block(h) = silu(K_2 * silu(K_1 * norm(h))),   norm over all channels, rows and columns together
    stage i down:  h_i = blocks(down(h_{i-1}) + p_i(e_t))
    stage i up:    h   = blocks([h_i, up(h)] + p(e_t)),      [ , ] channels side by side
    eps = W * h

e_t is row t of a table, p_i a perceptron of one hidden layer with silu that gives one number a
channel; the very last block has no norm. Down: convolutions of 4x4 with stride 2 and of 2x2 with
stride 1; up: their transposes. Its input is u = sqrt(abar) x + sqrt(1 - abar) n and it predicts n:

    u = y / sqrt(1 + sigma^2),   D = y - sigma eps(u, t),   abar_t = 1 / (1 + sigma^2)

with beta linear from 1e-4 to 0.02 over the rows of the table. A level between two steps is told as
the nearer one in ln sigma, while u is scaled by the level itself. Because a norm comes first, the
network never sees the amplitude of what it is given.
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
    "the weights of a UNet told its step by a table (time_embed, bN.M.ln conv1 conv2, downN, upN, "
    "b_mid, b_out, te*, conv_out)"
)
BETAS = (1e-4, 0.02)
STEPS_OF = {4: (2, 1), 2: (1, 0)}  # kernel -> stride, padding


class Block(nn.Module):
    """(B, i, H, W) -> (B, o, H, W); without `size` no norm."""

    def __init__(self, i: int, o: int, size: Sequence[int] | None):
        super().__init__()
        self.norm = nn.LayerNorm((i, *size)) if size else nn.Identity()
        self.first, self.second = nn.Conv2d(i, o, 3, padding=1), nn.Conv2d(o, o, 3, padding=1)

    def forward(self, h: Tensor) -> Tensor:
        silu = nn.functional.silu
        return silu(self.second(silu(self.first(self.norm(h)))))


class Stage(nn.Module):
    """What one resolution does: resample, join what was skipped, add the time, blocks.

    Args:
        moves: the convolutions that come first, with silu between them.
        told: the perceptron of the time, or None.
        blocks: what comes then.
    """

    def __init__(self, moves: Sequence[nn.Module], told: list[nn.Linear], blocks: list[Block]):
        super().__init__()
        self.moves, self.told = nn.ModuleList(moves), nn.ModuleList(told)
        self.blocks = nn.ModuleList(blocks)

    def forward(self, h: Tensor, e: Tensor, skipped: Tensor | None = None) -> Tensor:
        for number, move in enumerate(self.moves):
            h = move(h if number == 0 else nn.functional.silu(h))
        if skipped is not None:
            h = torch.cat([skipped, h], 1)
        hidden, out = self.told
        h = h + out(nn.functional.silu(hidden(e)))[:, :, None, None]
        for block in self.blocks:
            h = block(h)
        return h


class StepUNet(nn.Module):
    """y (B, C, H, W), sigma (B,) -> the estimate of x.

    Args:
        down, up: stages; the last of `down` is the middle, each of `up` joins what one of the
            others skipped, last first.
        last: the convolution to the image. steps, told: rows and columns of the table.
    """

    log_grid: Tensor

    def __init__(
        self,
        down: list[Stage],
        up: list[Stage],
        last: nn.Conv2d,
        size: tuple,
        steps: int,
        told: int,
    ):
        super().__init__()
        self.down, self.up, self.last = nn.ModuleList(down), nn.ModuleList(up), last
        self.table = nn.Embedding(steps, told)
        betas = torch.linspace(*BETAS, steps, dtype=torch.float64)
        grid = sigma_of((1 - betas).cumprod(0))
        self.register_buffer("log_grid", grid.log(), persistent=False)
        self.facts = Facts(
            channels=last.out_channels,
            size=size,
            levels=(float(grid[0]), float(grid[-1])),
            global_norm=True,
        )

    def forward(self, y: Tensor, sigma: Tensor, labels: Tensor | None = None) -> Tensor:
        s = sigma[:, None, None, None]
        return y - s * self.noise(y * (1 + s**2).rsqrt(), self.step_of(sigma))

    def noise(self, u: Tensor, step: Tensor) -> Tensor:
        """What the network puts out, n: u (B, C, H, W), step (B,) whole numbers."""
        e, h, skipped = self.table(step), u, []
        for stage in self.down:
            skipped.append(h := stage(h, e))
        for stage, other in zip(self.up, skipped[-2::-1], strict=True):
            h = stage(h, e, other)
        return self.last(h)

    def step_of(self, sigma: Tensor) -> Tensor:
        """The nearest step of sigma (B,) in ln sigma, int64."""
        grid, x = self.log_grid.double(), sigma.double().log()
        high = torch.searchsorted(grid, x).clamp(1, len(grid) - 1)
        return high - (x - grid[high - 1] < grid[high] - x).long()


def recognise(state: State) -> bool:
    """Whether these tensors are named like those of such a file."""
    keys = without_prefix(state, "module.", "network.")
    return {"time_embed.weight", "te_mid.0.weight", "conv_out.weight"} <= set(keys)


def build(state: State) -> StepUNet:
    """The network of a file: stages, blocks, widths and sizes from the names and shapes."""
    state = without_prefix(state, "module.", "network.")
    depth = len({m[1] for key in state if (m := re.match(r"down(\d+)\.", key))})
    names = {"time_embed.weight": "table.weight"}
    names |= {f"conv_out.{kind}": f"last.{kind}" for kind in ("weight", "bias")}
    down, up = [], []
    for i in range(depth + 1):
        blocks, told = ("b_mid", "te_mid") if i == depth else (f"b{i + 1}", f"te{i + 1}")
        moves = f"down{i}" if i else None
        down.append(_stage(state, names, f"down.{i}", moves, told, blocks, nn.Conv2d))
    for i in range(depth):
        last = i == depth - 1
        number = depth + 1 + i
        blocks, told = ("b_out", "te_out") if last else (f"b{number}", f"te{number}")
        stage = _stage(
            state, names, f"up.{i}", f"up{i + 1}", told, blocks, nn.ConvTranspose2d, plain=last
        )
        up.append(stage)
    ignored = _unused(state)
    ours = renamed(state, names, ignored, WANTED)
    if not depth:
        raise InputError(f"wanted {WANTED}, got no downN; give the file of a UNet")
    out, size = ours["last.weight"], tuple(state["b1.0.ln.weight"].shape[1:])
    last = nn.Conv2d(out.shape[1], out.shape[0], out.shape[2], padding=out.shape[2] // 2)
    net = StepUNet(down, up, last, size, *ours["table.weight"].shape)
    return filled(net, ours, WANTED)


def _get(state: State, key: str) -> Tensor:
    if key not in state:
        raise InputError(f"wanted {WANTED}, got no tensor {key!r}; give the file of such a network")
    return state[key]


def _stage(
    state: State,
    names: dict[str, str],
    mine: str,
    moves: str | None,
    told: str,
    blocks: str,
    kind: type[nn.Conv2d | nn.ConvTranspose2d],
    plain: bool = False,
) -> Stage:
    """An empty stage of the file's shapes; its tensors' names are added to `names`.

    plain: the last block has no norm.
    """
    pattern = rf"{re.escape(moves)}(?:\.(\d+))?\.weight" if moves else r"(?!)"
    found = sorted((int(m[1] or 0), m[0]) for key in state if (m := re.fullmatch(pattern, key)))
    weights = [state[key] for _, key in found]
    for part in ("weight", "bias"):
        for n, (_, key) in enumerate(found):
            names[key.removesuffix("weight") + part] = f"{mine}.moves.{n}.{part}"
        for n in (0, 1):
            names[f"{told}.{2 * n}.{part}"] = f"{mine}.told.{n}.{part}"
    if any(w.shape[2] not in STEPS_OF for w in weights):
        raise InputError(
            f"wanted {WANTED} that resamples by kernels of {sorted(STEPS_OF)}, got "
            f"{[w.shape[2] for w in weights]} in {moves}"
        )
    resample = []
    for w in weights:
        i, o = w.shape[:2] if kind is nn.ConvTranspose2d else w.shape[1::-1]
        stride, padding = STEPS_OF[w.shape[2]]
        resample.append(kind(i, o, w.shape[2], stride, padding))
    perceptron = [nn.Linear(*_get(state, f"{told}.{n}.weight").shape[::-1]) for n in (0, 2)]
    count = len({m[1] for key in state if (m := re.match(rf"{blocks}\.(\d+)\.", key))})
    made = []
    for n in range(count):
        o, i = _get(state, f"{blocks}.{n}.conv1.weight").shape[:2]
        bare = plain and n == count - 1
        size = None if bare else tuple(_get(state, f"{blocks}.{n}.ln.weight").shape[1:])
        made.append(Block(i, o, size))
        parts = {"conv1": "first", "conv2": "second"} | ({} if bare else {"ln": "norm"})
        for theirs, ours in parts.items():
            for part in ("weight", "bias"):
                names[f"{blocks}.{n}.{theirs}.{part}"] = f"{mine}.blocks.{n}.{ours}.{part}"
    return Stage(resample, perceptron, made)


def _unused(state: State) -> tuple[str, ...]:
    """The norm of the very last block: stored, never applied."""
    last = max((int(m[1]) for k in state if (m := re.match(r"b_out\.(\d+)\.", k))), default=0)
    return (f"b_out.{last}.ln.weight", f"b_out.{last}.ln.bias")
