"""A published network as a denoiser: its own pixels, and the levels it was trained at.

    y' = scale y + shift,   sigma' = scale sigma,   D = (D' - shift) / scale

A level outside the range it was trained at is refused: what a network says there is nobody's claim,
and holding the level at the end of the range would say one thing and do another.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from ..denoise import Denoiser, Runtime, Spec
from ..errors import InputError
from .facts import Facts


@dataclass(frozen=True, kw_only=True)
class Published(Spec):
    """A network that other people trained.

    network: its name in the catalogue, or the stem of its file.
    sha256: of the weight file.
    scale, shift: from our pixels in [-1, 1] to its own, scale x + shift.
    conditional: whether labels are taken; without, a network with classes is told "none".
    """

    network: str
    sha256: str
    scale: float = 1.0
    shift: float = 0.0
    conditional: bool = True

    summary = "a network that other people trained, from archbias.networks"

    def fit(self, images: Any, *, runtime: Runtime = Runtime()) -> Denoiser:
        raise InputError(
            f"{self.network} is trained already, got images to fit it to; sample it as it is"
        )

    def rebuild(self, state: dict[str, Tensor]) -> Denoiser:
        raise InputError(
            f"wanted the weight file of {self.network}, got its tensors alone; load it with "
            "archbias.networks.load or archbias.networks.read"
        )


class PublishedDenoiser(Denoiser):
    """D from a published network; its tensors follow the dtype and device of y.

    levels: (low, high) sigma it was trained at, in our pixels; high may be infinite.
    blind: not told the level.
    facts: what else is known of it, in its own pixels.
    """

    spec: Published

    def __init__(
        self,
        spec: Published,
        module: nn.Module,
        size: tuple[int, int],
        levels: tuple[float, float],
    ):
        self.facts = cast(Facts, module.facts)
        tensors = dict([*module.named_parameters(), *module.named_buffers()])
        super().__init__(spec, (self.facts.channels, *size), tensors)
        self.levels = (float(levels[0]), float(levels[1]))
        self.blind = self.facts.blind
        self.classes = tuple(range(self.facts.classes)) if spec.conditional else ()
        self.module = module

    def denoise(self, y: Tensor, sigma: Tensor, labels: Tensor | None = None) -> Tensor:
        scale, shift = self.spec.scale, self.spec.shift
        theirs = (scale * y + shift, scale * sigma, labels)
        out = torch.func.functional_call(self.module, self.tensors(y), theirs)
        if out.shape != y.shape:
            raise InputError(
                f"{self.spec.network} must return images of shape {tuple(y.shape)}, got "
                f"{tuple(out.shape)}; its module gives the clean image in its own pixels"
            )
        return (out - shift) / scale
