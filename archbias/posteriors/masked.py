"""Masked posterior means: every output pixel its own belief over whole images, seen through a mask.

    D(y)[p] = sum_{i, delta} w_{i, delta}(p) phi_i[p + delta]
    log w   = -sum_x m_p(x) (y(x) - phi_i(x + delta))^2 / (2 s^2) - |delta|^2 / (2 rho^2) + const

m = 1 is the ideal denoiser, m = the window of p the local score machine; `masks` has the others.
With rho = 0 no source moves.

One score is one product of the mask (P, X) with the squared differences (X, N): P X N
multiplications, whatever C, when the colours share the mask. `gaps` says how it rounds.

The softmax runs over the whole training set at once. The code released with the source averages
the softmaxes of its mini-batches (`WeightedStreamingSoftmax`), which is another function for every
batch size; `mini_batches` is that average, for comparison. A belief sharper than a batch is wide
gives every other batch a vote as heavy: `benchmarks/results/masked.md` has the size of it.

Edges. A moved source has no pixels where it came from beyond the image. "replicate" repeats its
edge. "border" is the reading of the boundary-broken machine: padding is seen without noise, so a
source that meets the border otherwise than p does is ruled out. Pixel p may listen to rows p + d,
d != 0, only if its reach (the farthest row its mask shows) stays inside the image both round p and
round p + d; the same for columns. With a window as mask that is `bbels`, exactly.

Sources: Lukoianov, Yuan, Solomon & Sitzmann, arXiv 2509.09672, eq. 8 (masks from the data);
Niedoba, Zwartsenberg & Wood, arXiv 2605.24192 (soft masks and moved sources).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from ..denoise import Denoiser, Runtime, Spec
from ..errors import InputError, nearest
from ..regressions.moments import principal
from . import masks as shapes
from .beliefs import Posterior, check_top, seen, stacked
from .gaps import centre_of, logits_of, positions_first
from .levels import Schedule, at, check
from .masks import Masks
from .moves import check_moves, free, moves
from .told import JACOBIAN, SCALE, scale
from .windows import WindowSchedule, check_window

if TYPE_CHECKING:
    from ..data import ImageSet

MASKS = ("window", "wiener", "energy", "jacobian")
BLOCK = 2**24  # numbers of the largest array made for one product (64 MB in float32)
KEEP = 2**28  # bytes of masks kept between calls, the least used go first


@dataclass(frozen=True, kw_only=True)
class Masked(Spec):
    """Every output pixel its own belief over whole images, seen through a mask.

    mask: what p sees. window: the k x k window round p; wiener: pixels whose Wiener weight reaches
        a share of the largest; energy: the fewest pixels that hold a share of the squared Wiener
        weights; jacobian: the same of a network's measured derivatives, given to `fit` as masks.
    window: k of the mask window, odd, or a schedule that maps sigma to it.
    share: of the mask wiener (of the largest weight; .02 is published), energy and jacobian (of the
        energy), from 0 to 1, or a schedule.
    power: soft masks (E / max E)^power in place of cut ones, at least 0, or a schedule; None cuts
        by share.
    index: row or column, the two readings of the published mask wiener.
    largest: the largest weight that share is taken of, in the mask wiener. matrix: of all pixels,
        as published; row: of p's own row.
    shared: one mask for all channels, colours summed; False keeps one for each channel.
    rho: spread in pixels of the prior over moved sources, 0 for none, infinite for all alike, or a
        schedule.
    radius: farthest move of a source in rows and columns, or a schedule.
    edges: what a moved source shows beyond its edge. replicate: the edge again; border: padding,
        which rules it out where p would see it.
    """

    summary: ClassVar[str] = "masked: every pixel sees whole images through its mask"
    mask: str = "wiener"
    window: int | WindowSchedule = 7
    share: float | Schedule = 0.02
    power: float | Schedule | None = None
    index: str = "row"
    largest: str = "matrix"
    shared: bool = False
    rho: float | Schedule = 0.0
    radius: int | Schedule = 1
    edges: str = "replicate"

    def __post_init__(self) -> None:
        known = {
            "mask": MASKS,
            "index": ("row", "column"),
            "largest": ("matrix", "row"),
            "edges": ("replicate", "border"),
        }
        for name, values in known.items():
            value = getattr(self, name)
            if value not in values:
                raise InputError(f"unknown {name} {value!r}; {nearest(str(value), values)}")
        if not isinstance(self.window, WindowSchedule):
            check_window(self.window)
        check("share", self.share, lambda v: 0 < v <= 1, "a number above 0 and at most 1")
        if self.power is not None:
            check("power", self.power, lambda v: v >= 0, "a number of at least 0")
        if not isinstance(self.shared, bool):
            raise InputError(
                f"shared must be True or False, got {self.shared!r}; True is three times faster on "
                "colours"
            )
        check_moves(self.rho, self.radius)

    @property
    def told(self) -> str:
        """What of a network this theory is told."""
        scaled = scale(self.window, self.share, self.power, self.rho, self.radius)
        if self.mask != "jacobian":
            return scaled
        return f"{JACOBIAN} and {SCALE}" if scaled == SCALE else JACOBIAN

    def fit(
        self, images: ImageSet, *, runtime: Runtime = Runtime(), masks: Masks | None = None
    ) -> MaskedDenoiser:
        """Keep the images and what the masks are made of.

        masks: of a network (`measured.of_network`), for mask="jacobian".
        """
        state = {"images": images.images}
        if images.labels is not None:
            state["labels"] = images.labels
        if (self.mask == "jacobian") != (masks is not None):
            raise InputError(
                f"the mask {self.mask} takes {'' if self.mask == 'jacobian' else 'no '}measured "
                f"masks, got {masks!r}; measure them with archbias.posteriors.measured.of_network "
                "for mask='jacobian'"
            )
        if masks is not None:
            if masks.shape != images.shape or masks.shared != self.shared:
                raise InputError(
                    f"wanted masks of {images.shape} images with shared={self.shared}, got "
                    f"{masks.shape} with shared={masks.shared}; measure them again, or change "
                    "shared"
                )
            state |= {"mask_sigmas": masks.sigmas, "mask_energy": masks.energy}
        elif self.mask != "window":
            found = principal(images.images)
            state |= {"basis": found.basis, "variances": found.variances}
        return self.rebuild(state)

    def rebuild(self, state: dict[str, Tensor]) -> MaskedDenoiser:
        """The denoiser of these images and masks."""
        return MaskedDenoiser(self, tuple(state["images"].shape[1:]), state)


@dataclass(frozen=True)
class Sight:
    """A noise level's mask and moves on one device and dtype.

    mask: (P, X). moves: (row shift, column shift, log prior in nats). reach: (HW,) rows and columns
    that p sees, None where no source moves or edges are replicated.
    """

    mask: Tensor
    moves: list[tuple[int, int, float]]
    reach: tuple[Tensor, Tensor] | None


class MaskedDenoiser(Denoiser):
    """State: images (N, C, H, W) float32, labels (N,) where the set has them; for the masks wiener
    and energy basis (d, r) and variances (r,) float64; for jacobian mask_sigmas (L,) and
    mask_energy (L, P, X).

    The masks are made of all images; a label confines the sources only. Masks made are kept, up to
    KEEP bytes: 4 MB a level at 32 x 32 when shared, 38 MB with one for each of three channels.
    """

    spec: Masked

    def __init__(self, spec: Masked, shape: Sequence[int], tensors: dict[str, Tensor]):
        super().__init__(spec, shape, tensors)
        self.classes = tuple(tensors["labels"].unique().tolist()) if "labels" in tensors else ()
        self._sights: OrderedDict[tuple, Sight] = OrderedDict()
        self._laid: dict[tuple, Tensor] = {}

    def denoise(self, y: Tensor, sigma: Tensor, labels: Tensor | None = None) -> Tensor:
        """Row by row, so that a row alone is the row in its batch."""
        names = [None] * len(y) if labels is None else labels.tolist()
        rows = [
            self._mean(y[b], sigma[b], level, self._images(y, name))
            for b, (level, name) in enumerate(zip(sigma.detach().tolist(), names, strict=True))
        ]
        return torch.stack(rows)

    def posterior(
        self, y: Tensor, sigma: float | Tensor, labels: Tensor | None = None, *, top: int = 4
    ) -> Posterior:
        """Beliefs behind the denoised image, in float64; arguments as in a call, `top` sources
        named. Channels must share their masks.
        """
        check_top(top)
        c, h, w = self.shape
        if c > 1 and not self.spec.shared:
            raise InputError(
                f"a pixel's belief wants one mask for its channels, got one for each of {c}; fit "
                "with shared=True"
            )
        sigma, labels = self.check(y, sigma, labels)
        y = y.detach().double()
        names = [None] * len(y) if labels is None else labels.tolist()
        found = []
        for row, level, name in zip(y, sigma.tolist(), names, strict=True):
            phi = self._images(y, name)
            blocks = self._logits(row, row.new_tensor(level), level, phi)
            logits = torch.cat([logits[:, 0] for _, logits in blocks], 1)
            sight = self._sight(level, row)
            images = torch.arange(len(self._tensors["images"]), device=y.device)
            if name is not None:
                images = images[self._tensors["labels"].to(y.device) == name]
            found.append(seen(logits, sight.mask, sight.moves, images, (c, h, w), level, top))
        return stacked(found)

    def mini_batches(self, y: Tensor, sigma: float, size: int) -> Tensor:
        """The mean of the softmaxes over mini-batches of `size` images, as the published code has
        it; shapes as in a call. Not a posterior mean unless size is at least N.
        """
        level, _ = self.check(y, sigma, None)
        phi = self._images(y, None)
        parts = [
            torch.stack(
                [self._mean(row, s, float(s), part) for row, s in zip(y, level, strict=True)]
            )
            for part in phi.split(size, 2)
        ]
        return torch.stack(parts).mean(0)

    def mask(self, sigma: float) -> Tensor:
        """The mask (P, X) at one noise level, float64."""
        return self._sight(float(sigma), torch.zeros((), dtype=torch.float64)).mask

    def _images(self, y: Tensor, label: int | None) -> Tensor:
        """(HW, C, N): the images of a label, positions first."""
        key = (y.dtype, y.device, label)
        if key not in self._laid:
            images = self._tensors["images"]
            if label is not None:
                images = images[self._tensors["labels"] == label]
            self._laid[key] = positions_first(images, y)
        return self._laid[key]

    def _mean(self, y: Tensor, sigma: Tensor, level: float, phi: Tensor) -> Tensor:
        """One row (C, H, W): the softmax streamed over blocks of images and moves."""
        own = len(self._sight(level, y).mask) == y[0].numel()  # channels share a mask
        top: Tensor | None = None
        total = mean = torch.zeros(())
        for block, logits in self._logits(y, sigma, level, phi):
            best = logits.detach().amax(2, keepdim=True)
            change: Tensor | None = None
            if top is not None:
                best = torch.maximum(top, best)
                change = (top - best).exp()
            w = (logits - best).exp()
            weight = w.sum(2, keepdim=True)
            value = block @ w.transpose(1, 2) if own else (w * block).sum(2, keepdim=True)
            top = best
            total = weight if change is None else total * change + weight
            mean = value if change is None else mean * change + value
        return (mean / total)[..., 0].T.reshape(y.shape)

    def _logits(
        self, y: Tensor, sigma: Tensor, level: float, phi: Tensor
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Blocks (HW, C, n) of moved images and their log weights (HW, C or 1, n), up to one number
        a pixel; moves outside, images inside.
        """
        sight, pixels = self._sight(level, y), y[0].numel()
        noisy, centre = y.flatten(1).T[..., None], centre_of(phi, level)
        for block, prior in self._sources(phi, sight):
            own = len(sight.mask) == pixels
            logits = logits_of(noisy, block, centre, sight.mask, own) / (2 * sigma**2)
            yield block, logits.reshape(pixels, -1, block.shape[2]) + prior

    def _sources(self, phi: Tensor, sight: Sight) -> Iterator[tuple[Tensor, Tensor | float]]:
        """Blocks (HW, C, n) of moved images, with their log prior at each pixel, unmoved first."""
        _, h, w = self.shape
        size = max(1, BLOCK // max(len(sight.mask), phi.shape[0] * phi.shape[1]))
        row, column = torch.arange(h, device=phi.device), torch.arange(w, device=phi.device)
        for down, right, prior in sight.moves:
            place = (row + down).clamp(0, h - 1)[:, None] * w + (column + right).clamp(0, w - 1)
            log = prior
            if sight.reach is not None:
                heard = (
                    free(row, down, h, sight.reach[0].reshape(h, w))
                    & free(column, right, w, sight.reach[1].reshape(h, w).T).T
                )
                log = torch.where(heard.flatten(), prior, -torch.inf)[:, None, None].to(phi)
            for i in range(0, phi.shape[2], size):
                block = phi[:, :, i : i + size]
                yield (block[place.flatten()] if down or right else block), log

    def _sight(self, level: float, y: Tensor) -> Sight:
        spec = self.spec
        rho, radius, window = (at(v, level) for v in (spec.rho, spec.radius, spec.window))
        made_of = (window, rho, radius) if spec.mask == "window" else level
        key = (made_of, y.dtype, y.device)
        if key in self._sights:
            self._sights.move_to_end(key)
            return self._sights[key]
        _, h, w = self.shape
        mask = self._make(level)
        moved = moves(rho, int(radius))
        seen: tuple[Tensor, Tensor] | None = None
        if spec.edges == "border" and len(moved) > 1:
            rows, columns = shapes.reach(mask, h, w)
            if spec.mask == "window":  # a window larger than the image is known to meet the border
                rows = columns = torch.full((h * w,), int(window) // 2)
            seen = rows.to(y.device), columns.to(y.device)
        sight = Sight(mask.to(y.device, y.dtype), moved, seen)
        self._sights[key] = sight
        used = sum(s.mask.nbytes for s in self._sights.values())
        while used > KEEP and len(self._sights) > 1:
            used -= self._sights.popitem(last=False)[1].mask.nbytes
        return sight

    def _make(self, level: float) -> Tensor:
        """The mask at one noise level, (P, X) float64 on the CPU."""
        spec, (c, h, w) = self.spec, self.shape
        if spec.mask == "window":
            mask = shapes.window_energy(int(at(spec.window, level)), h, w)
            return mask if spec.shared else mask.repeat_interleave(c, 0).repeat_interleave(c, 1)
        if spec.mask == "jacobian":
            sigmas = self._tensors["mask_sigmas"]
            near = int(
                (sigmas.log() - torch.tensor(level, dtype=sigmas.dtype).log()).abs().argmin()
            )
            energy = self._tensors["mask_energy"][near].double()
        else:
            energy = shapes.wiener_energy(
                self._tensors["basis"], self._tensors["variances"], level, c, spec.shared
            )
        if spec.power is not None:
            return shapes.soft(energy, at(spec.power, level))
        if spec.mask == "wiener":
            return shapes.threshold(energy, at(spec.share, level), spec.index, spec.largest)
        return shapes.fewest(energy, at(spec.share, level))
