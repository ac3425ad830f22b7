"""Score machines: the best a convolutional network can do that has memorised its training set.

    D(y)[p] = sum_{i, q in Q(p)} w_{i,q} phi_i[q],   w = softmax( -||y[O_p] - phi_i[O_q]||^2 / (2
    sigma^2) )

Every pixel p holds its own belief over the places q in training images phi_i that look like its
window O_p, k x k.

    ES     the whole image on the torus; the data are all translates of all images      equivariant
    LS     q = p                                                                         local
    ELS    every q, circular padding                                                     both
    BBELS  q whose window meets the border as p's does, zero padding                     both,
        broken at the border

ELS has two published readings: training windows that wrap round the torus (`wrap=True`, the
definition), or only those that lie inside the image (`wrap=False`, the first released code). They
differ visibly at large windows.

Source: Kamb & Ganguli, *An analytic theory of creativity in convolutional diffusion models*, arXiv
    2412.20292, section 3.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from torch import Tensor

from ..denoise import Denoiser, Runtime, Spec
from ..errors import InputError
from .beliefs import Mosaic, Posterior, check_top
from .told import scale, with_padding
from .windows import (
    Beliefs,
    Geometry,
    WindowSchedule,
    believe,
    check_window,
    geometry,
    is_transformed,
    posterior_mean,
)

if TYPE_CHECKING:
    from ..data import ImageSet

# noise at which the nearest windows are looked for: they are the same at any, and rule out most
# others here
SHARP = 1e-2


@dataclass(frozen=True, kw_only=True)
class _Windowed(Spec):
    """What the machines share: they keep the images and compute when called."""

    def fit(self, images: ImageSet, *, runtime: Runtime = Runtime()) -> MachineDenoiser:
        """Keep the images; nothing is estimated."""
        state = {"images": images.images}
        return self.rebuild(state if images.labels is None else state | {"labels": images.labels})

    def rebuild(self, state: dict[str, Tensor]) -> MachineDenoiser:
        """The machine over these images."""
        return MachineDenoiser(self, tuple(state["images"].shape[1:]), state)

    def geometry(self, sigma: float, height: int, width: int) -> Geometry:
        """The pairs (p, q) at this noise level on images of this size."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class ES(_Windowed):
    """Equivariant, not local: the posterior mean over every translate of every image; no
    settings.
    """

    summary: ClassVar[str] = "equivariant: over all translates of the images (torus)"

    def geometry(self, sigma: float, height: int, width: int) -> Geometry:
        return geometry("els", 2 * max(height, width) - 1, height, width)


@dataclass(frozen=True, kw_only=True)
class LS(_Windowed):
    """Local: each pixel its own belief, at its own place.

    window: k, odd, or a schedule that maps sigma to it.

    Example:
        >>> import archbias
        >>> images = archbias.load("fashion_mnist", n=5, size=6)
        >>> local = archbias.FAMILIES["ls"](window=11).fit(images)  # all of 6x6
        >>> ideal = archbias.FAMILIES["ideal"]().fit(images)
        >>> y = images.images[:2] + archbias.seeds.normal(range(2), images.shape)
        >>> bool((local(y, 1.0) - ideal(y, 1.0)).abs().max() < 1e-4)
        True
    """

    summary: ClassVar[str] = "local: every pixel sees its window, at its own place"
    window: int | WindowSchedule = 7

    def __post_init__(self) -> None:
        _check(self.window)

    @property
    def told(self) -> str:
        """What of a network this theory is told."""
        return scale(self.window)

    def geometry(self, sigma: float, height: int, width: int) -> Geometry:
        return geometry("ls", _window(self.window, sigma), height, width)


@dataclass(frozen=True, kw_only=True)
class ELS(_Windowed):
    """Equivariant and local, with circular padding.

    window: k, odd, or a schedule that maps sigma to it.
    wrap: training windows wrap round the torus; False keeps those inside the image only, which must
        then hold a window.
    """

    summary: ClassVar[str] = "equivariant and local: every window, every place (torus)"
    window: int | WindowSchedule = 7
    wrap: bool = True

    def __post_init__(self) -> None:
        _check(self.window)
        if not isinstance(self.wrap, bool):
            raise InputError(
                f"wrap must be True or False, got {self.wrap!r}; use wrap=True for the definition"
            )

    @property
    def told(self) -> str:
        """What of a network this theory is told."""
        return with_padding(self.window)

    def geometry(self, sigma: float, height: int, width: int) -> Geometry:
        return geometry(
            "els" if self.wrap else "inside", _window(self.window, sigma), height, width
        )


@dataclass(frozen=True, kw_only=True)
class BBELS(_Windowed):
    """Equivariant and local with the equivariance broken at the border, as zero padding breaks it.

    window: k, odd, or a schedule that maps sigma to it.
    """

    summary: ClassVar[str] = "boundary-broken ELS: windows that meet the border alike"
    window: int | WindowSchedule = 7

    def __post_init__(self) -> None:
        _check(self.window)

    @property
    def told(self) -> str:
        """What of a network this theory is told."""
        return with_padding(self.window)

    def geometry(self, sigma: float, height: int, width: int) -> Geometry:
        return geometry("bbels", _window(self.window, sigma), height, width)


def _check(window: int | WindowSchedule) -> None:
    if not isinstance(window, WindowSchedule):
        check_window(window)


def _window(window: int | WindowSchedule, sigma: float) -> int:
    return window(sigma) if isinstance(window, WindowSchedule) else window


class MachineDenoiser(Denoiser):
    """State: images (N, C, H, W) float32, labels (N,) int64 where the set has them.

    On the CPU a compiled kernel computes; where y needs a gradient, lies on another device or is
    inside `torch.func`, the same sums run in plain torch, in float64.
    """

    spec: _Windowed

    def __init__(self, spec: _Windowed, shape: Sequence[int], tensors: dict[str, Tensor]):
        super().__init__(spec, shape, tensors)
        self.classes = tuple(tensors["labels"].unique().tolist()) if "labels" in tensors else ()
        window = getattr(spec, "window", None)
        levels = window.sigmas if isinstance(window, WindowSchedule) else (1.0,)
        for sigma in levels:
            spec.geometry(sigma, *self.shape[1:])

    def denoise(self, y: Tensor, sigma: Tensor, labels: Tensor | None = None) -> Tensor:
        """Rows of one window (and, for the kernel, one label) together."""
        parts: list[tuple[Tensor, Tensor]] = []
        gradient = torch.is_grad_enabled() and (y.requires_grad or sigma.requires_grad)
        portable = is_transformed(y) or is_transformed(sigma) or gradient or y.device.type != "cpu"
        for rows, pairs, chosen in self._groups(sigma, None if portable else labels):
            if portable:
                tensors = self.tensors(y)
                member = None if labels is None else tensors["labels"] == labels[rows][:, None]
                out = posterior_mean(tensors["images"], y[rows], sigma[rows], pairs, member)
            else:
                mean = believe(self._tensors["images"], chosen, y[rows], sigma[rows], pairs).mean
                out = torch.from_numpy(np.ascontiguousarray(mean)).to(y.dtype)
            parts.append((rows, out))
        if not parts:
            return torch.zeros_like(y)
        order = torch.cat([rows for rows, _ in parts]).argsort()
        return torch.cat([out for _, out in parts])[order.to(y.device)]

    def posterior(
        self, y: Tensor, sigma: float | Tensor, labels: Tensor | None = None, *, top: int = 4
    ) -> Posterior:
        """Beliefs behind the denoised image; arguments as in a call, `top` sources named. Computed
        on the CPU.
        """
        check_top(top)
        sigma, labels = self.check(y, sigma, labels)
        y, sigma = y.detach().cpu(), sigma.detach().cpu()
        c, h, w = self.shape
        parts = []
        for rows, pairs, chosen in self._groups(sigma, labels):
            found = believe(self._tensors["images"], chosen, y[rows], sigma[rows], pairs, keep=top)
            numbers = c * pairs.extent()
            noise = (
                numbers / 2 * np.log(2 * np.pi * sigma[rows].double().numpy()[:, None, None] ** 2)
            )
            evidence = found.log_sum - np.log(len(chosen) * pairs.counts()) - noise
            values = {
                "entropy": found.entropy,
                "effective": np.exp(found.entropy),
                "log_evidence": evidence,
                **_places(found, h, w),
                "weight": np.exp(found.logits - found.log_sum[:, None]),
                "dropped": found.dropped,
            }
            parts.append((rows, values, numbers))
        numbers = torch.as_tensor(parts[0][2])
        return Posterior(numbers=numbers, **_ordered([(rows, values) for rows, values, _ in parts]))

    def mosaic(
        self,
        x: Tensor,
        sigma: float = 1e-2,
        labels: Tensor | None = None,
        *,
        tolerance: float = 1 / 127.5,
    ) -> Mosaic:
        """The source of every pixel of finished images.

        Args:
            x: (B, C, H, W) clean images, samples usually.
            sigma: the noise level whose window is meant; matters only to a schedule.
            tolerance: difference up to which a pixel counts as taken from its source; one grey
                level in 256 by default.
        """
        level, labels = self.check(x, sigma, labels)
        x = x.detach().cpu().double()
        _, h, w = self.shape
        parts = []
        for rows, pairs, chosen in self._groups(level, labels):
            sharp = torch.full((len(rows),), SHARP, dtype=torch.float64)
            found = believe(self._tensors["images"], chosen, x[rows], sharp, pairs, keep=2)
            places = _places(found, h, w)
            image, row, column = (places[k][:, 0] for k in ("image", "row", "column"))
            # (B, H, W, C)
            centre = self._tensors["images"].numpy()[image, :, row, column].astype(np.float64)
            distance = SHARP * np.sqrt(np.maximum(-2 * found.logits, 0))
            values = {
                "image": image,
                "row": row,
                "column": column,
                "distance": distance[:, 0],
                "margin": distance[:, 1] - distance[:, 0],
                "difference": np.abs(x[rows].numpy().transpose(0, 2, 3, 1) - centre).max(-1),
            }
            parts.append((rows, values))
        found = _ordered(parts)
        share = (found["difference"] <= tolerance).double().mean((1, 2))
        return Mosaic(consistent=share, **found)

    def _groups(
        self, sigma: Tensor, labels: Tensor | None
    ) -> Iterator[tuple[Tensor, Geometry, np.ndarray]]:
        """Rows that share a window and a label, their geometry and the training images that
        count.
        """
        levels = (
            sigma.detach().tolist()
            if isinstance(getattr(self.spec, "window", None), WindowSchedule)
            else [1.0] * len(sigma)
        )
        names = [None] * len(sigma) if labels is None else labels.tolist()
        groups: dict[tuple[Geometry, int | None], list[int]] = {}
        for row, (level, name) in enumerate(zip(levels, names, strict=True)):
            groups.setdefault((self.spec.geometry(level, *self.shape[1:]), name), []).append(row)
        for (pairs, name), rows in groups.items():
            if name is None:
                chosen = np.arange(len(self._tensors["images"]))
            else:
                chosen = (self._tensors["labels"] == name).nonzero()[:, 0].numpy()
            yield torch.tensor(rows), pairs, chosen


def _places(found: Beliefs, height: int, width: int) -> dict[str, np.ndarray]:
    """Image, row and column of flat sources; -1 stays -1."""
    at, none = found.sources, found.sources < 0
    image, row, column = at // (height * width), at // width % height, at % width
    return {
        "image": np.where(none, -1, image),
        "row": np.where(none, -1, row),
        "column": np.where(none, -1, column),
    }


def _ordered(parts: list[tuple[Tensor, dict[str, np.ndarray]]]) -> dict[str, Tensor]:
    """The values of all groups as tensors, in the order of the batch."""
    order = torch.cat([rows for rows, _ in parts]).argsort()
    return {
        k: torch.cat([torch.from_numpy(np.ascontiguousarray(v[k])) for _, v in parts])[order]
        for k in parts[0][1]
    }
