"""The Gaussian law against the sampler itself, dense matrix products, simulation with stated
confidence, and ODE solvers.
"""

import math

import numpy as np
import pytest
import scipy.integrate
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from archbias import noise, sample, seeds
from archbias.data import ImageSet
from archbias.distributions import gaussian, generated_by
from archbias.errors import InputError
from archbias.nets.mlp import MLP
from archbias.nets.shallow import Shallow
from archbias.nets.train import Train
from archbias.regressions.linear import Linear

SPECS = [
    Linear(),
    Linear(rank=3),
    Linear(constraint="equivariant"),
    Linear(constraint="local", window=3),
    Linear(constraint="local_per_pixel", window=3),
]
CONFIDENCE = 1 - 1e-6  # of each simulated comparison as a whole


def images(n=30, c=2, h=4, w=5, seed=0):
    rng = np.random.default_rng(seed)
    return ImageSet.from_array(np.tanh(rng.normal(size=(n, c, h, w)).cumsum(2).cumsum(3) / 3 + 0.2))


FITTED = {spec: spec.fit(images()) for spec in SPECS}


@st.composite
def schedules(draw):
    """Any strictly decreasing levels, ending at 0 or not."""
    top = draw(st.floats(0.5, 100.0))
    ratios = draw(st.lists(st.floats(0.05, 0.95), min_size=1, max_size=8))
    values = [top, *(top * np.cumprod(ratios)).tolist()]
    return torch.tensor([*values, 0.0] if draw(st.booleans()) else values, dtype=torch.float64)


@pytest.mark.parametrize("spec", SPECS, ids=repr)
@settings(max_examples=15, deadline=None)
@given(sigmas=schedules(), seed=st.integers(0, 1000))
def test_push_is_the_sampler_seed_by_seed(spec, sigmas, seed):
    denoiser, start = (
        FITTED[spec],
        seeds.normal(range(seed, seed + 3), (2, 4, 5), dtype=torch.float64),
    )
    want = sample.ddim(denoiser, start, sigmas)
    got = generated_by(denoiser, sigmas).push(start)
    assert (got - want).abs().max() <= 1e-10 * want.abs().max()


def steps_multiplied(denoiser, sigmas):
    """y_0 = M n + b: A_s and b_s read off the denoiser by autograd, the steps multiplied as dense
    matrices.
    """
    zero = torch.zeros(1, *denoiser.shape, dtype=torch.float64)
    one = torch.eye(zero.numel(), dtype=torch.float64)
    m, b = float(sigmas[0]) * one, torch.zeros(len(one), dtype=torch.float64)
    for s, t in zip(sigmas[:-1].tolist(), sigmas[1:].tolist(), strict=True):
        a = torch.autograd.functional.jacobian(lambda y, s=s: denoiser(y, s), zero).reshape(
            one.shape
        )
        offset = denoiser(zero, s).detach().flatten()
        step = t / s * one + (1 - t / s) * a
        m, b = step @ m, step @ b + (1 - t / s) * offset
    return m, b


@pytest.mark.parametrize("spec", SPECS, ids=repr)
@settings(max_examples=5, deadline=None)
@given(sigmas=schedules())
def test_mean_and_covariance_are_the_product_of_step_matrices(spec, sigmas):
    law = generated_by(FITTED[spec], sigmas)
    m, b = steps_multiplied(FITTED[spec], sigmas)
    close = {"rtol": 1e-9, "atol": 1e-10 * float((m @ m.T).abs().max())}
    torch.testing.assert_close(law.covariance.dense(), m @ m.T, **close)
    torch.testing.assert_close(law.mean.flatten(), b, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("spec", SPECS, ids=repr)
def test_twenty_thousand_samples_have_the_laws_covariance(spec):
    """Variances of 20 000 sampler outputs along every direction of the law: chi-square intervals,
    Bonferroni over directions.
    """
    n, denoiser, sigmas = 20_000, FITTED[spec], noise.cosine(8)
    law = generated_by(denoiser, sigmas)
    start = torch.randn(n, 2, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    out = (sample.ddim(denoiser, start, sigmas) - law.mean).flatten(1)
    lam, q = torch.linalg.eigh(law.covariance.dense())
    q, lam = q[:, lam > 1e-10 * lam.max()], lam[lam > 1e-10 * lam.max()]
    # chi-square with n degrees of freedom, the mean being known
    ratio = ((out @ q) ** 2).sum(0) / lam
    tail = (1 - CONFIDENCE) / len(lam) / 2
    low, high = scipy.stats.chi2.ppf([tail, 1 - tail], n)
    assert ratio.min() > low
    assert ratio.max() < high
    z = (out @ q).mean(0) / (lam / n).sqrt()
    assert z.abs().max() < scipy.stats.norm.isf(tail)


@pytest.mark.parametrize(
    "spec", [Linear(constraint="equivariant"), Linear(constraint="local", window=3)], ids=repr
)
def test_power_spectra_of_simulated_samples(spec):
    """Per frequency the power of 20 000 one-channel samples over the law's is chi-square / dof: 2n,
    or n where the wave is real.
    """
    n, sigmas = 20_000, noise.cosine(8)
    denoiser = spec.fit(images(c=1, h=6, w=5))
    law = generated_by(denoiser, sigmas)
    start = torch.randn(n, 1, 6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    waves = torch.fft.fft2(sample.ddim(denoiser, start, sigmas) - law.mean)[:, 0]
    ratio = (waves.abs() ** 2).sum(0) / 30 / law.covariance.blocks[:, :, 0, 0].real
    real = torch.zeros(6, 5, dtype=torch.bool)
    real[[0, 3], 0] = True
    tail = (1 - CONFIDENCE) / 30 / 2
    for mask, dof in ((real, n), (~real, 2 * n)):
        low, high = scipy.stats.chi2.ppf([tail, 1 - tail], dof) / dof
        assert (ratio[mask] / n).min() > low
        assert (ratio[mask] / n).max() < high


class TestContinuousLimit:
    def test_wiener_generates_the_mean_and_covariance_of_the_data(self):
        law, x = generated_by(FITTED[Linear()]), images().images.double().flatten(1)
        torch.testing.assert_close(law.mean.flatten(), x.mean(0), rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(
            law.covariance.dense(), torch.cov(x.T, correction=0), rtol=1e-9, atol=1e-10
        )

    def test_equivariant_generates_the_stationary_gaussian_with_the_spectrum_of_the_data(self):
        law, x = generated_by(FITTED[Linear(constraint="equivariant")]), images().images.double()
        moved = torch.cat(
            [torch.roll(x, (i, j), (2, 3)) for i in range(4) for j in range(5)]
        ).flatten(1)
        torch.testing.assert_close(law.mean.flatten(), moved.mean(0), rtol=1e-9, atol=1e-10)
        torch.testing.assert_close(
            law.covariance.dense(), torch.cov(moved.T, correction=0), rtol=1e-9, atol=1e-10
        )

    @pytest.mark.parametrize("channels", [1, 2])
    @pytest.mark.parametrize("sigma_max", [3.0, 80.0])
    def test_local_convolution_solves_the_flow(self, channels, sigma_max):
        """dM / d log s = (I - T) M integrated per frequency by an adaptive Runge-Kutta method of
        order 8.
        """
        denoiser = Linear(constraint="local", window=3).fit(images(c=channels))
        got = gaussian.limit(denoiser, sigma_max)
        size = 4 * 5 * channels * channels

        def slope(u, m):
            t = (
                denoiser.transfer(torch.tensor([math.exp(u)], dtype=torch.float64))[0]
                .resolve_conj()
                .numpy()
            )
            return ((np.eye(channels) - t) @ m.reshape(4, 5, channels, channels)).reshape(-1)

        start = (
            (sigma_max * np.broadcast_to(np.eye(channels), (4, 5, channels, channels)))
            .reshape(-1)
            .astype(complex)
        )
        ends = math.log(sigma_max), math.log(1e-5)
        m = scipy.integrate.solve_ivp(slope, ends, start, method="DOP853", rtol=1e-7, atol=1e-10).y[
            :, -1
        ]
        m = torch.from_numpy(m.reshape(4, 5, channels, channels))
        assert m.numel() == size
        torch.testing.assert_close(got.covariance.blocks, m @ m.mH, rtol=2e-5, atol=2e-6)

    @pytest.mark.parametrize("spec", SPECS[:4], ids=repr)
    def test_fine_steps_approach_it_at_first_order(self, spec):
        """Euler's error against the limit halves with the step."""
        denoiser = FITTED[spec]
        want = gaussian.limit(denoiser, 20.0).covariance.dense()
        coarse, fine = (
            (
                generated_by(denoiser, noise.geometric(n, 1e-4, 20.0)).covariance.dense() - want
            ).norm()
            for n in (400, 800)
        )
        assert 1.8 < coarse / fine < 2.2

    def test_refusals(self):
        with pytest.raises(LookupError, match="do not commute"):
            generated_by(FITTED[SPECS[4]])
        with pytest.raises(InputError, match="sigma_max must be positive"):
            gaussian.limit(FITTED[SPECS[0]], 0.0)


class TestDensity:
    def test_full_rank(self):
        law = generated_by(Linear().fit(images(n=300)), noise.cosine(20))
        x = law.sample(range(5))
        want = scipy.stats.multivariate_normal(
            law.mean.flatten().numpy(), law.covariance.dense().numpy()
        ).logpdf(x.flatten(1))
        assert law.rank == 40
        np.testing.assert_allclose(law.log_prob(x), want, rtol=1e-8)

    @pytest.mark.parametrize("cast", [torch.float64, torch.float32])
    def test_degenerate_law_names_its_plane(self, cast):
        law = generated_by(FITTED[Linear(rank=3)], noise.cosine(20))
        x = law.sample(range(5))
        dense = law.covariance.dense().numpy()
        lam, q = np.linalg.eigh(dense)
        inside = scipy.stats.multivariate_normal(cov=np.diag(lam[-3:]))
        want = inside.logpdf((x - law.mean).flatten(1).numpy() @ q[:, -3:])
        np.testing.assert_allclose(
            law.log_prob(x.to(cast)), want, rtol=1e-8 if cast == torch.float64 else 1e-4
        )
        assert law.rank == 3
        torch.testing.assert_close(
            law.plane.dense(), torch.from_numpy(q[:, -3:] @ q[:, -3:].T), rtol=1e-9, atol=1e-9
        )
        off = torch.from_numpy(q[:, 0]).reshape(1, 2, 4, 5)
        assert (law.log_prob(x + 1e-3 * off) == -torch.inf).all()

    def test_ending_above_zero_leaves_no_direction_degenerate(self):
        law = generated_by(FITTED[Linear(rank=3)], torch.tensor([80.0, 5.0, 0.1]))
        assert law.rank == 40
        assert torch.isfinite(law.log_prob(law.sample(range(3)))).all()


def test_sample_is_the_sampler_on_each_seeds_own_noise():
    denoiser, sigmas = FITTED[SPECS[0]], noise.cosine(20)
    law = generated_by(denoiser, sigmas)
    want = sample.ddim(denoiser, seeds.normal([7, 3], law.shape, dtype=torch.float64), sigmas)
    torch.testing.assert_close(law.sample([7, 3]), want, rtol=1e-10, atol=1e-10)
    assert law.push(seeds.normal([7], law.shape)).dtype == torch.float32
    with pytest.raises(InputError, match="noise must have shape"):
        law.push(torch.zeros(2, 1, 4, 5))


def test_affine_runs_any_affine_denoiser_and_agrees_with_the_closed_form():
    denoiser, sigmas = FITTED[Linear(rank=3)], noise.cosine(10)
    by_running, closed = gaussian.affine(denoiser, sigmas, batch=7), generated_by(denoiser, sigmas)
    torch.testing.assert_close(by_running.mean, closed.mean, rtol=1e-10, atol=1e-11)
    torch.testing.assert_close(
        by_running.covariance.dense(), closed.covariance.dense(), rtol=1e-9, atol=1e-10
    )


def test_a_covariance_without_a_cheap_form_is_refused_when_huge():
    denoiser = Linear(constraint="local_per_pixel", window=1).fit(images(n=2, c=3, h=80, w=80))
    law = generated_by(denoiser, noise.cosine(2))
    assert law.sample([0]).shape == (1, 3, 80, 80)
    with pytest.raises(InputError, match="no form cheaper than 19200 x 19200"):
        _ = law.covariance


@pytest.mark.parametrize("predicts", ["image", "noise", "v"])
def test_a_linear_layer_trained_by_gradient_descent_generates_a_gaussian(predicts):
    """20 000 sampler outputs of a barely trained layer along every direction of its law, by
    chi-square intervals.
    """
    spec = Shallow(noise_levels=4, predicts=predicts, train=Train(steps=30, batch=16))
    denoiser, sigmas, n = spec.fit(images(c=1)), noise.cosine(4), 20_000
    law = generated_by(denoiser, sigmas)
    start = torch.randn(n, 1, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    out = (sample.ddim(denoiser, start, sigmas) - law.mean).flatten(1)
    lam, q = torch.linalg.eigh(law.covariance.dense())
    keep = lam > 1e-10 * lam.max()
    ratio = ((out @ q[:, keep]) ** 2).sum(0) / lam[keep]
    low, high = scipy.stats.chi2.ppf([(1 - CONFIDENCE) / 40, 1 - (1 - CONFIDENCE) / 40], n)
    assert ratio.min() > low
    assert ratio.max() < high


@pytest.mark.parametrize("last", [0.0, 0.3])
def test_a_layer_trained_in_principal_coordinates_generates_a_gaussian_of_their_plane(last):
    """Mean, covariance and push, which need r pictures only, are those of the d x d matrices of all
    steps.
    """
    spec = Shallow(noise_levels=4, components=6, train=Train(steps=30, batch=16))
    denoiser = spec.fit(images(c=1))
    sigmas = torch.cat([noise.cosine(4)[:-1], torch.tensor([last], dtype=torch.float64)])
    law, (m, b) = generated_by(denoiser, sigmas), steps_multiplied(denoiser, sigmas)
    close = {"rtol": 1e-9, "atol": 1e-10}
    torch.testing.assert_close(law.mean.flatten(), b, **close)
    torch.testing.assert_close(
        law.covariance.matmul(torch.eye(20, dtype=torch.float64)), m @ m.T, **close
    )
    start = seeds.normal(range(3), denoiser.shape, dtype=torch.float64)
    torch.testing.assert_close(law.push(start).flatten(1), start.flatten(1) @ m.T + b, **close)
    assert law.rank == (20 if last else 6)


def test_networks_with_hidden_layers_have_no_known_law():
    train = Train(steps=1, batch=4)
    with pytest.raises(LookupError, match="not affine at every noise level"):
        generated_by(MLP(width=4, depth=1, train=train).fit(images(c=1)), noise.cosine(4))
    with pytest.raises(LookupError, match="knows only the noise levels"):
        generated_by(Shallow(noise_levels=2, train=train).fit(images(c=1)))
