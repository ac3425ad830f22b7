"""Masks: how well the observer of output pixel p sees input pixel x, m_p(x) in [0, 1].

A mask is a sensitivity E_p(x) >= 0, cut or softened. The sensitivity is one of

    window     1 on the k x k window round p, clipped at the border
    wiener     W_s[p, x]^2,  W_s = S (S + s^2)^-1,  S the covariance of the images
    measured   mean |dD[p] / dy[x]|^2 of a denoiser (`measured.of_network`)

and becomes a mask by one of

    threshold  1 where sqrt( E_p(x) / E_p(p) ) >= share of its largest value, over all p and x or
               over p's own row
    fewest     1 on the fewest x that hold a share of sum_x E_p(x)
    soft       ( E_p(x) / max_x E_p(x) )^power

m_p(x) in (0, 1) says that x is seen under noise s / sqrt(m): a query precision vector in the words
of Niedoba, Zwartsenberg & Wood, arXiv 2605.24192.

`wiener` with `threshold` and share .02 is the mask of Lukoianov, Yuan, Solomon & Sitzmann, arXiv
2509.09672: each row of W divided by its diagonal entry, binarised at a share of the largest entry
of the whole matrix. (Their A, of the variance preserving process, abar L / (1 - abar + abar L), is
the same matrix.) Where some pixels hardly vary, as in the corners of garments, their rows have by
far the largest entries, and a share of those leaves every other pixel without a mask: it then
believes the mean image. The largest entry of the row itself does not have that fault.

Masks may be shared by the channels (P = X = HW; E is summed over the colours of both sides), or one
for each channel (P = X = HW C). Positions come first: index x C + c.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..errors import InputError

SEEN = 0.05  # a soft mask's support, for the question whether p sees the border


@dataclass(frozen=True)
class Masks:
    """Sensitivities of a denoiser, measured at some noise levels.

    sigmas: (L,) increasing, float64. energy: (L, P, X) float32, mean squared derivative of output p
        by input x; P = X = HW (colours summed) or HW C. shape: (C, H, W). source: how measured.
    Memory: 4 L P X bytes, 84 MB at twenty levels of 32 x 32 when shared.
    """

    sigmas: Tensor
    energy: Tensor = field(repr=False)
    shape: tuple[int, int, int]
    source: str = ""

    def __post_init__(self) -> None:
        c, h, w = self.shape
        sizes = (h * w, h * w * c)
        fits = self.energy.ndim == 3 and self.energy.shape[1] == self.energy.shape[2]
        if not fits or len(self.sigmas) != len(self.energy) or self.energy.shape[1] not in sizes:
            raise InputError(
                f"masks of {c}x{h}x{w} images are one {sizes[0]} or {sizes[1]} square for each of "
                f"{len(self.sigmas)} levels, got {tuple(self.energy.shape)}; measure them with "
                "masks of this shape"
            )
        if not bool((self.sigmas > 0).all()) or bool((self.sigmas.diff() <= 0).any()):
            raise InputError(
                f"levels of masks must be positive and increase, got {self.sigmas.tolist()}; sort "
                "them and leave 0 out"
            )

    @property
    def shared(self) -> bool:
        """Whether all channels share a mask."""
        return self.energy.shape[1] == self.shape[1] * self.shape[2]


def window_energy(window: int, height: int, width: int) -> Tensor:
    """(HW, HW) float64, 1 where x lies in the window of p."""
    half = window // 2
    rows, columns = (
        (torch.arange(n)[:, None] - torch.arange(n)).abs() <= half for n in (height, width)
    )
    both = rows[:, None, :, None] & columns[None, :, None, :]
    return both.reshape(height * width, height * width).double()


def wiener_energy(
    basis: Tensor, variances: Tensor, sigma: float, channels: int, shared: bool
) -> Tensor:
    """E = W_s^2 in float64, W_s = U diag(lam / (lam + s^2)) U'.

    Args:
        basis: (C HW, r) orthonormal, channels first. variances: (r,).

    Returns:
        (HW, HW) summed over colours, or (HW C, HW C).
    """
    gain = variances / (variances + sigma**2)
    pixels = len(basis) // channels
    u = basis.reshape(channels, pixels, -1).transpose(0, 1).reshape(len(basis), -1)
    energy = (u * gain) @ u.T
    energy.square_()
    if shared and channels > 1:
        energy = energy.reshape(pixels, channels, pixels, channels).sum((1, 3))
    return energy


def threshold(energy: Tensor, share: float, index: str, largest: str) -> Tensor:
    """1 where the row-normalised |W| reaches a share of its largest entry, else 0.

    largest: "matrix", the largest entry anywhere, as published, or "row", of p's own row.
    index: "row", m_p(x) = [p, x], or "column", m_p(x) = [x, p]. The paper's text reads by row; the
        released code multiplies by the other index. Rows are normalised, so the two differ.
    """
    ratio = (energy / energy.diagonal()[:, None].clamp_min(1e-300)).sqrt()
    top = ratio.max() if largest == "matrix" else ratio.amax(1, keepdim=True)
    mask = ratio >= share * top
    return (mask.T if index == "column" else mask).to(energy.dtype).contiguous()


def fewest(energy: Tensor, share: float) -> Tensor:
    """1 on the fewest x of each row that hold at least this share of its energy, else 0."""
    values, order = energy.sort(dim=1, descending=True, stable=True)
    before = values.cumsum(1) - values
    kept = (before < share * values.sum(1, keepdim=True)).to(energy.dtype)
    return torch.zeros_like(energy).scatter_(1, order, kept)


def soft(energy: Tensor, power: float) -> Tensor:
    """(E_p(x) / max_x E_p(x))^power; power 0 sees everything alike."""
    return (energy / energy.amax(1, keepdim=True).clamp_min(1e-300)).pow(power)


def reach(mask: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """(HW,) int64 each: how many rows and columns away the observer of p still sees something, that
    is a mask above SEEN of its largest value. Channels of one pixel count together.
    """
    pixels = height * width
    if len(mask) != pixels:
        channels = len(mask) // pixels
        mask = mask.reshape(pixels, channels, pixels, channels).amax((1, 3))
    sees = (mask > SEEN * mask.amax(1, keepdim=True)).reshape(height, width, height, width)
    by_row, by_column = sees.any(3), sees.any(2)
    rows = (torch.arange(height)[:, None] - torch.arange(height)).abs()[:, None]
    columns = (torch.arange(width)[:, None] - torch.arange(width)).abs()[None]
    return (by_row * rows).amax(2).flatten(), (by_column * columns).amax(2).flatten()
