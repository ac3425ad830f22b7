"""What a trained network generates, where that can be known: the linear layer trained by gradient
descent is still affine.

Its law is the Gaussian of its own steps (`gaussian.affine`), whatever training has made of it; as
training grows it tends to the law of the closed form. A network with hidden layers has no known
law: compare its samples with the laws of closed forms.
"""

from __future__ import annotations

from torch import Tensor

from ..nets.network import NetworkDenoiser
from ..nets.shallow import PlaneDenoiser, Shallow
from . import gaussian
from .base import GeneratedDistribution, generated_by


@generated_by.register(NetworkDenoiser)
@generated_by.register(PlaneDenoiser)
def _(
    denoiser: NetworkDenoiser | PlaneDenoiser, sigmas: Tensor | None = None
) -> GeneratedDistribution:
    spec = denoiser.spec
    if not isinstance(spec, Shallow) or spec.degree > 1 or spec.conditioning == "blind":
        raise LookupError(
            f"no closed-form law is known for a trained {type(spec).__name__} that is not affine "
            "at every noise level; "
            "compare its samples with the laws of closed-form families, for example those of "
            "archbias.regressions.linear"
        )
    if sigmas is None:
        raise LookupError(
            "a trained linear network knows only the noise levels it was trained at, got the "
            "continuous limit; "
            f"give sigmas, for example archbias.noise.schedule({spec.levels_of!r}, "
            f"{spec.noise_levels})"
        )
    plane = denoiser.state()["plane.axes"] if isinstance(denoiser, PlaneDenoiser) else None
    return gaussian.affine(denoiser, sigmas, plane=plane)
