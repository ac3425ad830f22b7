"""The same posterior mean in plain torch: any device, differentiable, under torch.func; attention
over windows.

    logits = (Y K^T - ||K||^2 / 2) / sigma^2        Y (HW, CkK) windows of y, K windows of training
                                                    images, in float64

Queries are noisy windows, keys are training windows, values are their centre pixels; pairs a
machine does not allow are masked. The softmax is streamed over groups of training images. Under
plain autograd each group is recomputed in the backward pass, so memory does not grow with the
training set; reverse mode under `torch.func` keeps every group.

Products round where squared differences would not: a logit of a window of n numbers is off by at
most (n + 2) 2^-53 (||y|| ||k|| + ||k||^2) / sigma^2 nats, some 1e-8 at 7 x 7 x 3 and sigma = 0.01.
Two equal training windows may weigh that much apart. Their centres are equal where the windows are,
so the estimate does not change; the kernel, which measures differences, gives them equal weights.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from .geometry import Geometry

BUDGET = 2**24  # float64 numbers in one group's largest array (128 MB)
NOTHING = -1e30  # a maximum before anything was seen


def gather(x: Tensor, geometry: Geometry) -> Tensor:
    """Windows (n, HW, C * rows * columns) of images (n, C, H, W), zero where they leave the
    image.
    """
    (rows, _, in_rows), (columns, _, in_columns) = (
        geometry.table(geometry.height),
        geometry.table(geometry.width),
    )
    rows, columns = (
        torch.as_tensor(rows, device=x.device),
        torch.as_tensor(columns, device=x.device),
    )
    inside = torch.as_tensor(
        in_rows[:, None, :, None] & in_columns[None, :, None, :], device=x.device
    )
    # n c h w rows columns
    windows = x[:, :, rows[:, None, :, None], columns[None, :, None, :]] * inside
    return windows.permute(0, 2, 3, 1, 4, 5).reshape(len(x), geometry.height * geometry.width, -1)


def allowed(geometry: Geometry) -> Tensor:
    """(HW, HW) whether pixel p listens to position q."""
    axes = []
    for size in (geometry.height, geometry.width):
        sources, q = torch.as_tensor(geometry.sources(size)), torch.arange(size)
        axes.append((q >= sources[:, :1]) & (q < sources[:, 1:]))
    rows, columns = axes
    return (rows[:, None, :, None] & columns[None, :, None, :]).reshape(
        geometry.height * geometry.width, -1
    )


def posterior_mean(
    images: Tensor,
    y: Tensor,
    sigma: Tensor,
    geometry: Geometry,
    member: Tensor | None = None,
    prior: Tensor | None = None,
) -> Tensor:
    """The machine's estimate of E[x | y].

    Args:
        images: (N, C, H, W) on y's device. y: (B, C, H, W). sigma: (B,).
        member: (B, N) which training images count for each row, all when None.
        prior: (HW, HW) log prior in nats of pixel p listening to position q, up to a
            constant; -inf forbids. For machines that listen beyond their own place.

    Returns:
        (B, C, H, W) of y's dtype.
    """
    batch, channels, pixels = len(y), images.shape[1], geometry.height * geometry.width
    own = geometry.kind == "ls"
    pairs = None if own else allowed(geometry).to(y.device)
    if pairs is not None:
        if prior is not None:
            pairs = pairs & (prior > -torch.inf)
        keep = pairs.any(0)
        pairs = pairs[:, keep]
        prior = None if prior is None else prior[:, keep].clamp_min(NOTHING)
    queries = gather(y.double(), geometry)
    level = sigma.double()[:, None, None] ** 2

    def step(
        m: Tensor,
        s: Tensor,
        acc: Tensor,
        queries: Tensor,
        level: Tensor,
        group: Tensor,
        mine: Tensor | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        group = group.double()
        keys, values = gather(group, geometry), group.flatten(2)  # n p k, n c p
        if own:
            logits = (
                torch.einsum("bpk,npk->bpn", queries, keys) - keys.square().sum(2).T / 2
            ) / level
        else:
            assert pairs is not None
            keys, values = keys[:, keep].flatten(0, 1), values[:, :, keep]
            logits = (torch.einsum("bpk,qk->bpq", queries, keys) - keys.square().sum(1) / 2) / level
            if prior is not None:
                logits = logits + prior.repeat(1, len(group))
            logits = logits.masked_fill(~pairs.repeat(1, len(group)), -torch.inf)
        if mine is not None:
            logits = logits.masked_fill(
                ~mine.repeat_interleave(logits.shape[2] // len(group), 1)[:, None], -torch.inf
            )
        top = torch.maximum(m, logits.detach().amax(2))
        w, change = (logits - top[..., None]).exp(), (m - top).exp()
        if own:
            weighted = torch.einsum("bpn,ncp->bpc", w, values)
        else:
            weighted = w @ values.movedim(1, 2).reshape(-1, channels)
        return top, s * change + w.sum(2), acc * change[..., None] + weighted

    wide = pixels * (1 if own else max(batch, queries.shape[2] // pixels + 1) * pixels)
    size = max(1, BUDGET // max(wide, pixels * queries.shape[2]))
    m = queries.new_full((batch, pixels), NOTHING)
    s, acc = queries.new_zeros(batch, pixels), queries.new_zeros(batch, pixels, channels)
    recompute = (
        torch.is_grad_enabled()
        and (y.requires_grad or sigma.requires_grad)
        and not is_transformed(y)
    )
    for i in range(0, len(images), size):
        parts = (
            m,
            s,
            acc,
            queries,
            level,
            images[i : i + size],
            None if member is None else member[:, i : i + size],
        )
        if recompute:
            m, s, acc = checkpoint(step, *parts, use_reentrant=False, preserve_rng_state=False)
        else:
            m, s, acc = step(*parts)
    return (acc / s[..., None]).movedim(1, 2).reshape(y.shape).to(y.dtype)


def is_transformed(y: Tensor) -> bool:
    """Whether y is inside a torch.func transform or carries a forward-mode tangent."""
    if torch._C._functorch.is_functorch_wrapped_tensor(y):
        return True
    return (
        torch.autograd.forward_ad._current_level >= 0
        and torch.autograd.forward_ad.unpack_dual(y).tangent is not None
    )
