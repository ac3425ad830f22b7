"""Laws of bottlenecks against the sampler in d dimensions, counting with stated confidence, and
quadrature.
"""

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from archbias import noise, sample, seeds
from archbias.data import ImageSet
from archbias.distributions import generated_by
from archbias.errors import InputError
from archbias.posteriors.ideal import Ideal
from archbias.regressions.bottleneck import Bottleneck

SHAPE = (1, 4, 5)
CONFIDENCE = 1 - 1e-6


def images(n=12, seed=0):
    rng = np.random.default_rng(seed)
    clump = np.where(np.arange(n) % 2, 0.4, -0.4)[:, None, None, None]
    x = np.tanh(clump + 0.3 * rng.normal(size=(n, *SHAPE)).cumsum(2))
    return ImageSet.from_array((x - x.mean(0)) / np.abs(x - x.mean(0)).max())


LINEAR = Bottleneck(kind="linear", rank=3)
MIXTURE = Bottleneck(kind="mixture", rank=3, components=2)
CONFINED = Bottleneck(kind="confined", rank=3)
UNRESTRICTED = Bottleneck(kind="unrestricted", rank=3)
IDEAL = Ideal()
FITTED = {
    spec: spec.fit(images(60) if spec is MIXTURE else images())
    for spec in (LINEAR, MIXTURE, CONFINED, UNRESTRICTED, IDEAL)
}


@pytest.mark.parametrize("spec", FITTED, ids=repr)
@settings(max_examples=10, deadline=None)
@given(
    ratios=st.lists(st.floats(0.3, 0.9), min_size=1, max_size=6),
    top=st.floats(1.0, 100.0),
    zero=st.booleans(),
)
def test_push_is_the_sampler_seed_by_seed(spec, ratios, top, zero):
    """`push` runs r dimensions, the sampler d; both from the same noise."""
    values = [top, *(top * np.cumprod(ratios)).tolist()]
    sigmas = torch.tensor(
        [*values, 0.0] if zero or spec in (CONFINED, UNRESTRICTED, IDEAL) else values,
        dtype=torch.float64,
    )
    start = seeds.normal(range(4), SHAPE, dtype=torch.float64)
    want = sample.ddim(FITTED[spec], start, sigmas)
    got = generated_by(FITTED[spec], sigmas).push(start)
    assert (got - want).abs().max() <= 1e-9 * want.abs().max()


@pytest.mark.parametrize("spec", [CONFINED, UNRESTRICTED, IDEAL], ids=repr)
def test_samples_are_the_training_images_each_with_weight_one_over_n(spec):
    """3000 sampler outputs: all on an atom; counts inside binomial intervals (Bonferroni) and a
    chi-square test.
    """
    n, denoiser = 3000, FITTED[spec]
    data = images().images.double()
    x = data.flatten(1).numpy()
    v = np.linalg.svd(x - x.mean(0))[2][:3].T
    points = x if spec is not CONFINED else x.mean(0) + (x - x.mean(0)) @ v @ v.T
    start = torch.randn(n, *SHAPE, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    out = sample.ddim(denoiser, start, noise.geometric(300, 1e-3, 300.0)).flatten(1).numpy()
    distance = ((out[:, None] - points) ** 2).sum(-1)
    assert distance.min(1).max() < 1e-10  # every one is on an atom
    counts = np.bincount(distance.argmin(1), minlength=12)
    tail = (1 - CONFIDENCE) / 12 / 2
    low, high = scipy.stats.binom.ppf([tail, 1 - tail], n, 1 / 12)
    assert low <= counts.min()
    assert counts.max() <= high
    assert scipy.stats.chisquare(counts).pvalue > 1 - CONFIDENCE


@pytest.mark.parametrize("spec", [CONFINED, UNRESTRICTED, IDEAL], ids=repr)
class TestAtoms:
    def test_moments_and_probabilities(self, spec):
        law = generated_by(FITTED[spec])
        x = law.points.flatten(1)
        torch.testing.assert_close(law.mean.flatten(), x.mean(0), rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(
            law.covariance.dense(), torch.cov(x.T, correction=0), rtol=1e-9, atol=1e-10
        )
        np.testing.assert_allclose(law.log_prob(law.points).exp(), 1 / 12)
        assert (law.log_prob(law.points + 1e-3) == -torch.inf).all()

    def test_draws_and_pushes_of_the_limit_are_atoms(self, spec):
        law = generated_by(FITTED[spec])
        drawn = law.sample(range(20))
        assert (law.nearest(drawn)[1] < 1e-6).all()
        torch.testing.assert_close(law.sample([7])[0], drawn[7])
        assert (law.nearest(law.push(seeds.normal(range(20), SHAPE)))[1] < 1e-3).all()

    def test_a_sampler_that_stops_early_has_no_atoms(self, spec):
        with pytest.raises(LookupError, match="end the schedule with 0"):
            generated_by(FITTED[spec], torch.tensor([10.0, 0.1]))


class TestMixture:
    def test_moments_by_simulation(self):
        """Variances along the law's axes and the mean from 4000 exact draws: the fourth moment of a
        mixture is bounded by its components'.
        """
        law = generated_by(FITTED[MIXTURE])
        x = (law.sample(range(4000)) - law.mean).flatten(1)
        z = x.mean(0) @ law.covariance.u / (law.covariance.s / len(x)).sqrt()
        assert z.abs().max() < scipy.stats.norm.isf((1 - CONFIDENCE) / 6)
        squares = (x @ law.covariance.u) ** 2
        score = (squares.mean(0) - law.covariance.s) / (squares.std(0) / len(x) ** 0.5)
        assert score.abs().max() < scipy.stats.norm.isf((1 - CONFIDENCE) / 6)

    def test_density_against_scipy_and_off_the_plane(self):
        law, state = generated_by(FITTED[MIXTURE]), FITTED[MIXTURE].state()
        x = law.sample(range(6))
        z = ((x - state["mean"]).flatten(1) @ state["basis"]).numpy()
        want = 0.0
        for w, m, l, q in zip(
            *(state[k].numpy() for k in ("weights", "centres", "spreads", "axes")), strict=True
        ):
            want = want + w * scipy.stats.multivariate_normal(m, q @ np.diag(l) @ q.T).pdf(z)
        np.testing.assert_allclose(law.log_prob(x), np.log(want), rtol=1e-8)
        assert (law.log_prob(x + 1e-3) == -torch.inf).all()
        assert law.rank == 3
        torch.testing.assert_close(law.plane.dense(), state["basis"] @ state["basis"].T)

    def test_ending_above_zero_convolves_with_the_noise_that_is_left(self):
        law, state = (
            generated_by(FITTED[MIXTURE], torch.tensor([1000.0, 0.2], dtype=torch.float64)),
            FITTED[MIXTURE].state(),
        )
        x = seeds.normal(range(4), SHAPE, dtype=torch.float64)
        density, v = 0.0, state["basis"].numpy()
        for w, m, l, q in zip(
            *(state[k].numpy() for k in ("weights", "centres", "spreads", "axes")), strict=True
        ):
            cov = v @ q @ np.diag(l) @ q.T @ v.T + 0.04 * np.eye(20)
            density = density + w * scipy.stats.multivariate_normal(
                state["mean"].flatten().numpy() + v @ m, cov
            ).pdf(x.flatten(1))
        np.testing.assert_allclose(law.log_prob(x), np.log(density), rtol=1e-8)
        assert law.rank == 20
        assert law.covariance.eigenvalues.min() == pytest.approx(0.04)

    def test_fine_steps_of_the_sampler_follow_the_law(self):
        """Along each axis, 2000 sampler outputs against exact draws: Kolmogorov-Smirnov, Bonferroni
        over 3 axes.
        """
        denoiser = FITTED[MIXTURE]
        law = generated_by(denoiser)
        start = seeds.normal(range(2000), SHAPE, dtype=torch.float64)
        out = denoiser.encode(law.push(start))
        drawn = denoiser.encode(law.sample(range(2000, 4000)))
        for axis in range(3):
            assert scipy.stats.ks_2samp(out[:, axis], drawn[:, axis]).pvalue > (1 - CONFIDENCE) / 3


def test_the_linear_bottleneck_generates_the_gaussian_on_its_plane():
    law, x = generated_by(FITTED[LINEAR]), images().images.double().flatten(1).numpy()
    lam, q = np.linalg.eigh(np.cov(x.T, bias=True))
    np.testing.assert_allclose(
        law.covariance.dense(), q[:, -3:] @ np.diag(lam[-3:]) @ q[:, -3:].T, rtol=1e-8, atol=1e-10
    )
    assert law.rank == 3


@pytest.mark.parametrize("spec", FITTED, ids=repr)
def test_noise_of_another_shape(spec):
    with pytest.raises(InputError, match="noise must have shape"):
        generated_by(FITTED[spec], noise.cosine(3)).push(torch.zeros(1, 1, 5, 4))
