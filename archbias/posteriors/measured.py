"""How far each output pixel of a denoiser looks: its mean squared Jacobian, as masks.

    E_p(x) = mean over images of sum_{c, e} ( dD[p, c] / dy[x, e] )^2,    y = x + sigma n

With random signs s_c over the colours of the output, one pull J' u of u = sum_c s_c e_{p, c} gives
sum_e (J' u)[x, e]^2, whose mean over the signs is the sum over c: unbiased, one backward pass for
each pixel and image. No sample of the denoiser is looked at; the images should be ones it was not
fitted to.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .. import seeds
from ..denoise import Denoiser
from ..errors import InputError
from .masks import Masks

if TYPE_CHECKING:
    from ..data import ImageSet

STREAM = 320  # of the noise and the signs


def _quiet(done: int, total: int) -> None:
    pass


def of_network(
    denoiser: Denoiser,
    images: ImageSet,
    sigmas: Tensor | Sequence[float],
    *,
    points: int = 2,
    shared: bool = True,
    batch: int = 64,
    dtype: torch.dtype = torch.float32,
    seed: int = 0,
    progress: Callable[[int, int], None] = _quiet,
) -> Masks:
    """Measure the masks of any differentiable denoiser.

    Args:
        images: images it was not fitted to; the first `points` are used.
        sigmas: positive noise levels, in any order; a final 0 is left out.
        points: noisy images averaged over at each level.
        shared: one mask a pixel, colours summed; False measures one for each channel, at C times
            the cost and C^2 times the memory.
        batch: backward passes at once. seed: of the noise and the signs.
        progress: called as progress(levels done, levels).

    Cost: levels * points * HW backward passes, times C unless shared.
    """
    levels = torch.as_tensor(sigmas, dtype=torch.float64).flatten()
    levels = levels[levels != 0].sort().values
    if not len(levels) or not bool((torch.isfinite(levels) & (levels > 0)).all()):
        raise InputError(
            f"masks are measured at positive finite noise levels, got {levels.tolist()}; use for "
            "example archbias.noise.cosine(20)"
        )
    if images.shape != denoiser.shape or not 1 <= points <= len(images):
        raise InputError(
            f"masks of {denoiser.shape} images need at least {points} images of that shape, got "
            f"{len(images)} of {images.shape}; resize them, or ask for fewer points"
        )
    if denoiser.classes and images.labels is None:
        raise InputError(
            "this denoiser is conditioned on labels, got images without; give an ImageSet that has "
            "them"
        )
    c, h, w = denoiser.shape
    size = h * w * (1 if shared else c)
    energy = torch.zeros(len(levels), size, size)
    for number, level in enumerate(levels.tolist()):
        for k in range(points):
            x = images.images[k : k + 1].to(dtype)
            n = seeds.normal([seed + k], x.shape[1:], stream=STREAM, dtype=torch.float64).to(x)
            label = None
            if denoiser.classes and images.labels is not None:
                label = images.labels[k : k + 1]
            signs = torch.sign(
                seeds.normal([seed + k], (h * w, c), stream=STREAM + 1, dtype=torch.float64)[0]
            ).to(dtype)
            for start in range(0, size, batch):
                rows = torch.arange(start, min(start + batch, size))
                found = _pull(denoiser, x + level * n, level, label, rows, signs, shared)
                energy[number, rows] += found / points
        progress(number + 1, len(levels))
    which = "one for all channels" if shared else "one for each channel"
    return Masks(levels, energy, denoiser.shape, f"measured Jacobian, {points} images, {which}")


def _pull(
    denoiser: Denoiser,
    y: Tensor,
    level: float,
    label: Tensor | None,
    rows: Tensor,
    signs: Tensor,
    shared: bool,
) -> Tensor:
    """(len(rows), X) squared derivatives of some outputs at one noisy image, float32."""
    c, h, w = denoiser.shape
    u = torch.zeros(len(rows), h * w, c, dtype=y.dtype)
    at = torch.arange(len(rows))
    if shared:
        u[at, rows] = signs[rows]
    else:
        u[at, rows // c, rows % c] = 1
    with torch.enable_grad():
        leaf = y.expand(len(rows), -1, -1, -1).clone().requires_grad_()
        out = denoiser(leaf, level, None if label is None else label.expand(len(rows)))
        if not out.requires_grad:
            raise InputError(
                f"masks are measured on a differentiable denoiser, got {denoiser!r}; give one "
                "whose output follows its input"
            )
        grad = torch.autograd.grad(out, leaf, u.transpose(1, 2).reshape(leaf.shape))[0]
    square = grad.flatten(2).transpose(1, 2).float().square()  # (rows, HW, C)
    return square.sum(2) if shared else square.flatten(1)
