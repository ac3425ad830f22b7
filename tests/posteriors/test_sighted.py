"""The theory read off a network's Jacobian, on a denoiser whose Jacobian is known."""

import math

import pytest
import torch

from archbias import noise, sample, seeds
from archbias.data import ImageSet
from archbias.errors import InputError
from archbias.posteriors import sighted
from archbias.posteriors.masked import Masked
from archbias.posteriors.measured import of_network
from archbias.regressions.linear import Linear

LEVELS = noise.geometric(4, 0.1, 8.0)


def images(n=30, size=6, seed=0):
    x = torch.rand(n, 1, size, size, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    return ImageSet.from_array((x + x.roll(1, 2) + x.roll(1, 3)) / 3)


def test_of_a_wiener_filter_it_is_the_theory_of_wiener_masks():
    data, unseen = images(), images(3, seed=1)
    theory = sighted.sighted(Linear().fit(data), data, unseen, LEVELS)
    assert theory.spec.told == "its Jacobian"
    y = unseen.images.double() + 0.5 * seeds.normal(range(3), data.shape, dtype=torch.float64)
    for level in LEVELS[:-1].tolist():
        settings = {
            "power": sighted.POWER(level),
            "rho": sighted.RHO(level),
            "radius": sighted.RADIUS(level),
        }
        want = Masked(mask="wiener", shared=True, **settings).fit(data)(y, level)
        torch.testing.assert_close(theory(y, level), want, rtol=1e-4, atol=1e-5)
    x = sample.ddim(theory, seeds.normal(range(2), data.shape), LEVELS)
    assert torch.isfinite(x).all()


def test_the_rules_run_from_low_to_high_noise():
    levels = (0.05, 0.3, 1.0, 2.0, 4.0, 80.0)
    powers = [sighted.POWER(s) for s in levels]
    assert powers == sorted(powers, reverse=True)
    assert (powers[0], sighted.POWER(1.0), powers[-1]) == (1.0, 0.5, 0.2)
    moves = [(sighted.RHO(s), sighted.RADIUS(s)) for s in (0.5, 1.5, 4.0)]
    assert moves == [(sighted.ALIKE, 2), (0.7, 1), (0.0, 0)]
    assert math.exp(-8 / (2 * sighted.ALIKE**2)) > 1 - 1e-11


def test_fitted_to_a_network_it_recovers_its_power_and_refuses_its_seeds():
    data, unseen = images(), images(3, seed=1)
    masks = of_network(Linear().fit(data), unseen, LEVELS)
    network = Masked(mask="jacobian", shared=True, power=0.35).fit(data, masks=masks)
    theory, found = sighted.calibrated(
        network,
        data,
        masks,
        range(100, 103),
        settings={"rho": (0.0, 0.7), "power": (0.2, 0.35, 0.7)},
        sigmas=LEVELS,
        rounds=2,
    )
    assert set(theory.spec.power.values) == {0.35}
    assert set(theory.spec.rho.values) == {0.0}
    with pytest.raises(InputError, match="judge on other seeds"):
        found.apart(range(99, 101))
