"""Samplers: orders of convergence, and coefficients against closed forms."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.optimize import brentq

from archbias import noise, sample
from archbias.denoise import Denoiser, Spec, noise_of, score_of
from archbias.errors import InputError
from archbias.seeds import normal


@dataclass(frozen=True, kw_only=True)
class Mixture(Spec):
    """Exact posterior mean of a mixture of 1-D Gaussians; one component is the Wiener denoiser."""

    means: tuple[float, ...] = (0.3,)
    deviations: tuple[float, ...] = (0.5,)

    def fit(self, images, *, runtime=None):
        raise NotImplementedError

    def rebuild(self, state):
        raise NotImplementedError


class MixtureDenoiser(Denoiser):
    def denoise(self, y, sigma, labels):
        m, s = (torch.tensor(v, dtype=y.dtype) for v in (self.spec.means, self.spec.deviations))
        y, total = y.reshape(-1, 1), s**2 + sigma[:, None] ** 2
        belief = torch.softmax(-((y - m) ** 2) / (2 * total) - total.log() / 2, dim=1)
        return (belief * (m + s**2 / total * (y - m))).sum(1).reshape(-1, 1, 1, 1)


def mixture(means, deviations):
    return MixtureDenoiser(Mixture(means=means, deviations=deviations), (1, 1, 1), {})


GAUSS = mixture((0.3,), (0.5,))
TWO = mixture((-0.6, 0.4), (0.15, 0.25))


def exact(denoiser, z, start, end):
    """The flow preserves quantiles: F_end(x) = F_start(start z)."""
    m, s = np.array(denoiser.spec.means), np.array(denoiser.spec.deviations)

    def cdf(x, sigma):
        return stats.norm.cdf((x - m) / np.sqrt(s**2 + sigma**2)).mean()

    return [
        brentq(lambda x, q=cdf(start * v, start): cdf(x, end) - q, -20, 20, xtol=1e-14) for v in z
    ]


@pytest.mark.parametrize("denoiser", [GAUSS, TWO], ids=["gaussian", "mixture"])
@pytest.mark.parametrize(
    ("sampler", "order"), [(sample.ddim, 1), (sample.heun, 2)], ids=["ddim", "heun"]
)
def test_order_of_convergence(denoiser, sampler, order):
    """Halving the step divides the error by 2^order; the end level is above 0, where the field is
    smooth.
    """
    z, start, end = np.linspace(-1.5, 1.5, 9), 3.0, 0.2
    truth = torch.tensor(exact(denoiser, z, start, end)).reshape(-1, 1, 1, 1)
    begin = torch.tensor(z).reshape(-1, 1, 1, 1)
    steps = np.array([160, 320, 640])
    errors = []
    for n in steps:
        sigmas = torch.linspace(math.log(start), math.log(end), n + 1, dtype=torch.float64).exp()
        sigmas[0] = start
        errors.append(float((sampler(denoiser, begin, sigmas) - truth).abs().max()))
    slopes = -np.diff(np.log(errors)) / np.diff(np.log(steps))
    assert np.abs(slopes - order).max() < 0.1, (errors, slopes)


def test_sde_on_a_gaussian_follows_the_variance_recursion():
    """Each step is affine in y plus fresh noise: mean and variance of every state are known; 5
    standard errors.
    """
    sigmas, lam, mu, count = noise.cosine(12), 0.25, 0.3, 20000
    start = normal(range(count), (1, 1, 1), dtype=torch.float64)
    states = sample.sde(GAUSS, start, sigmas, seeds=range(count), eta=0.7, path=True)
    mean, variance = 0.0, float(sigmas[0]) ** 2
    for k in range(len(sigmas) - 1):
        s, t = float(sigmas[k]), float(sigmas[k + 1])
        gain, u2 = lam / (lam + s**2), 0.49 * t**2 * (s**2 - t**2) / s**2
        keep = math.sqrt(t**2 - u2) / s
        slope = gain + keep * (1 - gain)
        mean, variance = mu + slope * (mean - mu), slope**2 * variance + u2
        got = states[k + 1].flatten()
        assert abs(float(got.mean()) - mean) < 5 * math.sqrt(variance / count)
        assert abs(float(got.var()) / variance - 1) < 5 * math.sqrt(2 / count)


def test_ancestral_sampling_converges_to_the_data():
    """With many steps the ancestral chain ends on N(0.3, 0.25), whatever the start's small
    error.
    """
    count, sigmas = 8000, noise.geometric(150, 0.01, 40)
    got = sample.sde(
        GAUSS, normal(range(count), (1, 1, 1), dtype=torch.float64), sigmas, seeds=range(count)
    ).flatten()
    assert abs(float(got.mean()) - 0.3) < 5 * 0.5 / math.sqrt(count) + 0.01
    assert abs(float(got.var()) / 0.25 - 1) < 5 * math.sqrt(2 / count) + 0.05


def test_eta_zero_is_ddim_and_seeds_are_independent_of_the_batch():
    start, sigmas = normal(range(6), (1, 1, 1), dtype=torch.float64), noise.cosine(8)
    assert torch.equal(
        sample.sde(TWO, start, sigmas, seeds=range(6), eta=0.0), sample.ddim(TWO, start, sigmas)
    )
    whole = sample.sde(TWO, start, sigmas, seeds=range(6))
    assert torch.equal(whole, sample.sde(TWO, start, sigmas, seeds=range(6), batch=4))
    assert torch.equal(whole[3:4], sample.sde(TWO, start[3:4], sigmas, seeds=[3]))
    assert not torch.equal(whole, sample.ddim(TWO, start, sigmas))


def test_langevin_has_the_stationary_variance_of_its_step():
    """v / (1 - h / (2 v)), v = lam + sigma^2, measured on 4000 chains; 5 standard errors."""
    sigma, step, count = 0.5, 0.3, 4000
    v = 0.25 + sigma**2
    start = normal(range(count), (1, 1, 1), dtype=torch.float64)
    got = sample.langevin(GAUSS, start, sigma, seeds=range(count), steps=40, step=step).flatten()
    assert abs(float(got.var()) / (v / (1 - step / (2 * v))) - 1) < 5 * math.sqrt(2 / count)
    assert abs(float(got.mean()) - 0.3) < 5 * math.sqrt(v / (1 - step / (2 * v)) / count)


def test_bad_settings_are_refused():
    start = torch.zeros(2, 1, 1, 1)
    with pytest.raises(InputError, match="one seed per row"):
        sample.sde(GAUSS, start, noise.cosine(4), seeds=[0])
    with pytest.raises(InputError, match="eta must lie"):
        sample.sde(GAUSS, start, noise.cosine(4), seeds=[0, 1], eta=2)
    with pytest.raises(InputError, match="positive step"):
        sample.langevin(GAUSS, start, 0.5, seeds=[0, 1], steps=0, step=0.1)
    for batch in (0, -1, 1.5):
        with pytest.raises(InputError, match="batch must be an integer of at least 1"):
            sample.ddim(GAUSS, start, noise.cosine(4), batch=batch)
    # the rows would take the first labels
    with pytest.raises(InputError, match="got 3 for 2 rows"):
        sample.ddim(GAUSS, start, noise.cosine(4), labels=torch.tensor([0, 1, 2]))


@pytest.mark.parametrize("bad", ["a", None, ["a", 0.0], {"sigma": 1}, [None, 0.0]])
def test_levels_that_are_no_numbers_are_refused_in_words(bad):
    start = torch.zeros(2, 1, 1, 1)
    for call in (
        lambda: sample.ddim(GAUSS, start, bad),
        lambda: sample.heun(GAUSS, start, bad),
        lambda: sample.sde(GAUSS, start, bad, seeds=[0, 1]),
        lambda: sample.sde(GAUSS, start, noise.cosine(2), seeds=[0, 1], eta=bad),
        lambda: sample.langevin(GAUSS, start, bad, seeds=[0, 1], steps=2, step=0.1),
        lambda: sample.langevin(GAUSS, start, 0.5, seeds=[0, 1], steps=2, step=bad),
        lambda: noise.check(bad),
        lambda: noise.abar_of(bad),
        lambda: noise.sigma_of(bad),
        lambda: noise.karras(4, sigma_min=bad),
        lambda: noise.karras(4, rho=bad),
        lambda: noise.geometric(4, sigma_max=bad),
        lambda: noise.linear(4, beta_min=bad),
        lambda: score_of(start, start, bad),
        lambda: noise_of(start, start, bad),
    ):
        with pytest.raises(InputError, match="must be a number or a tensor of numbers, got"):
            call()
    for steps in ("a", None, 2.5):
        with pytest.raises(InputError, match="number of noise steps"):
            noise.cosine(steps)
    with pytest.raises(InputError, match="unknown noise schedule"):
        noise.schedule(None, 4)


def test_a_row_that_diverges_does_not_take_the_others_with_it():
    start = normal(range(3), (1, 1, 1), dtype=torch.float64)
    start[1] = torch.inf
    sigmas = noise.cosine(6)
    rest = torch.tensor([0, 2])
    for call in (
        lambda x, s: sample.ddim(GAUSS, x, sigmas),
        lambda x, s: sample.heun(GAUSS, x, sigmas),
        lambda x, s: sample.sde(GAUSS, x, sigmas, seeds=s),
        lambda x, s: sample.langevin(GAUSS, x, 0.5, seeds=s, steps=3, step=0.1),
    ):
        found = call(start, [0, 1, 2])
        torch.testing.assert_close(found[rest], call(start[rest], [0, 2]))
        assert found[1].isnan().all()
