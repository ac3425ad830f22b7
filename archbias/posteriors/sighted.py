"""Our theory: every pixel of a network is an observer that sees through the network's own Jacobian.

    m_p(x) = ( E_p(x) / max_x E_p(x) )^b(sigma),    E_p(x) = mean |dD[p] / dy[x]|^2
    P(delta) ~ exp( -|delta|^2 / (2 rho(sigma)^2) )

and D is then the masked posterior mean of `masked`. E is measured on noisy images the network has
not seen; none of its samples is looked at. What is left are the two rules:

    b      .2 at high noise, .5 at sigma 1, 1 at low noise
    rho    no move above sigma 3, one pixel (rho .7) round sigma 1 to 2, two pixels, all alike,
           below .6

Their constants were read off prototypes, where b and the moves were fitted to trajectories of two
UNets (FashionMNIST at 28 x 28, CelebA at 32 x 32) and came out alike: b from .15 to .25 above sigma
5, near .5 at sigma 1, .7 to 1 below .3. They are the same for every network. `calibrated` fits both
rules to a network's own trajectories instead.

Known to fail: a convolutional network that was trained briefly has learnt little of place, and two
pixels are too few moves for it. On 1000 garments and a UNet of 16 channels after 600 steps (8
judged seeds, 3 fitted) the median r was .87 by rule, .89 calibrated, and .92 for bbELS calibrated
on the same seeds, whose sources may come from anywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, cast

from torch import Tensor

from ..denoise import Denoiser, Spec
from .coordinates import Coordinates, calibrate_all
from .levels import Schedule
from .masked import Masked, MaskedDenoiser
from .measured import of_network

if TYPE_CHECKING:
    from ..data import ImageSet
    from .masks import Masks

ALIKE = 1e6  # pixels: a prior so wide that all moves within the radius weigh the same
POWER = Schedule(
    (0.03, 0.15, 0.4, 1.0, 2.5, 6.0, 20.0),
    (1.0, 0.85, 0.7, 0.5, 0.35, 0.25, 0.2),
    "rule: b(sigma) of prototypes on garments and faces",
)
RHO = Schedule((0.3, 1.3, 6.0), (ALIKE, 0.7, 0.0), "rule: moves of the same prototypes")
RADIUS = Schedule((0.3, 1.3, 6.0), (2, 1, 0), "rule: moves of the same prototypes")
SIGHTED = Masked(mask="jacobian", shared=True, power=POWER, rho=RHO, radius=RADIUS)
CANDIDATES: Mapping[str, Sequence[float]] = {
    "power": (0.1, 0.15, 0.25, 0.35, 0.5, 0.7, 1.0),
    "rho": (0.0, 0.5, 0.7, 1.0, 2.0, ALIKE),
    "radius": (0, 1, 2),
}


def sighted(
    network: Denoiser,
    images: ImageSet,
    unseen: ImageSet,
    sigmas: Tensor | Sequence[float],
    *,
    points: int = 2,
    masks: Masks | None = None,
    spec: Masked = SIGHTED,
) -> MaskedDenoiser:
    """The theory of a network, read off its Jacobian: told "its Jacobian", no sample looked at.

    Args:
        images: what the network was fitted to.
        unseen: images it was not fitted to, at least `points`.
        sigmas: noise levels to measure at, usually those it will be sampled with.
        masks: measured before, in place of measuring here.
        spec: another rule; its mask is jacobian.
    """
    if masks is None:
        masks = of_network(network, unseen, sigmas, points=points, shared=spec.shared)
    return spec.fit(images, masks=masks)


def calibrated(
    network: Denoiser,
    images: ImageSet,
    masks: Masks,
    fit_seeds: Iterable[int],
    *,
    settings: Mapping[str, Iterable[float]] = CANDIDATES,
    sigmas: Tensor | None = None,
    labels: Tensor | None = None,
    rounds: int = 1,
    batch: int = 16,
) -> tuple[MaskedDenoiser, Coordinates]:
    """The same with both rules fitted to the network's trajectories of some seeds, level by level.

    Returns:
        The theory, and what was fitted; `Coordinates.apart` refuses to judge on those seeds.
    """

    def fit(spec: Spec) -> MaskedDenoiser:
        return cast(Masked, spec).fit(images, masks=masks)

    found = calibrate_all(
        network,
        SIGHTED,
        images,
        fit_seeds,
        settings,
        sigmas=sigmas,
        labels=labels,
        rounds=rounds,
        batch=batch,
        fit=fit,
    )
    return fit(found.spec), found
