"""Seeds and noise levels."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from archbias import noise, seeds
from archbias.errors import InputError


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 2**40), min_size=1, max_size=5), st.integers(0, 4))
def test_a_seed_is_the_same_noise_in_any_batch(chosen, stream):
    together = seeds.normal(chosen, (2, 3, 4), stream=stream)
    for row, seed in zip(together, chosen, strict=True):
        assert torch.equal(row, seeds.normal([seed], (2, 3, 4), stream=stream)[0])


def test_noise_is_standard_normal_and_streams_are_independent():
    a = seeds.normal(range(64), (1, 16, 16), dtype=torch.float64).flatten().numpy()
    b = seeds.normal(range(64), (1, 16, 16), stream=1, dtype=torch.float64).flatten().numpy()
    assert stats.kstest(a, "norm").pvalue > 1e-4
    assert abs(np.corrcoef(a, b)[0, 1]) < 4.5 / math.sqrt(len(a))


def test_noise_does_not_change_between_releases():
    """Philox-4x64 with key (17, 0) through NumPy's ziggurat: frozen, so that stored samples can be
    made again.
    """
    drawn = seeds.normal([17], (3,), dtype=torch.float64)[0].tolist()
    expected = np.random.Generator(
        np.random.Philox(key=np.array([17, 0], dtype=np.uint64))
    ).standard_normal(3)
    assert drawn == expected.tolist()
    assert drawn[:2] == pytest.approx([-0.6291, -0.1626], abs=5e-5)


@pytest.mark.parametrize("seed", [-1, 1.5, "a", 2**64])
def test_a_seed_is_a_non_negative_integer_of_64_bits(seed):
    with pytest.raises(InputError, match="a seed must be an integer"):
        seeds.normal([seed], (2,))


def test_cosine_is_the_published_schedule():
    sigmas = noise.cosine(20)
    t = np.arange(20, -1, -1) / 20
    abar = np.cos(t / 1.008 * np.pi / 2) ** 2
    np.testing.assert_allclose(sigmas.numpy(), np.sqrt((1 - abar) / abar), rtol=1e-10, atol=1e-12)
    assert sigmas[0].item() == pytest.approx(80.2, abs=0.05)
    assert sigmas[-1] == 0


def test_linear_schedule_integrates_its_beta():
    sigmas = noise.linear(50, beta_min=0.2, beta_max=15.0)
    t = np.linspace(1, 0, 51)
    fine = [
        np.trapezoid(0.2 + 14.8 * np.linspace(0, u, 20_001), np.linspace(0, u, 20_001)) for u in t
    ]
    np.testing.assert_allclose(noise.abar_of(sigmas).numpy(), np.exp(-np.array(fine)), rtol=1e-7)


def test_karras_has_its_ends_and_its_power():
    sigmas = noise.karras(10, 0.01, 50, rho=3)
    assert sigmas[0].item() == pytest.approx(50)
    assert sigmas[-2].item() == pytest.approx(0.01)
    roots = sigmas[:-1] ** (1 / 3)
    torch.testing.assert_close(roots.diff(), roots.diff()[:1].expand(9))


@settings(deadline=None, max_examples=40)
@given(st.sampled_from(sorted(noise.SCHEDULES)), st.integers(1, 200))
def test_every_schedule_passes_the_check(name, steps):
    sigmas = noise.schedule(name, steps)
    assert len(sigmas) == steps + 1
    assert sigmas[-1] == 0
    torch.testing.assert_close(noise.check(sigmas), sigmas)


@given(st.floats(1e-3, 1e3))
def test_vp_and_ve_are_inverse(sigma):
    assert noise.sigma_of(
        noise.abar_of(torch.tensor(sigma, dtype=torch.float64))
    ).item() == pytest.approx(sigma, rel=1e-6)


@pytest.mark.parametrize(
    ("sigmas", "message"),
    [
        ([1.0, float("nan"), 0.0], "finite and at least 0, got nan"),
        ([1.0, -0.5], "finite and at least 0, got -0.5"),
        ([1.0, 2.0, 0.0], "decrease strictly, got 1 followed by 2 at step 0"),
        ([1.0, 1.0, 0.0], "decrease strictly"),
        ([1.0], "at least 2 noise levels"),
    ],
)
def test_bad_noise_levels_are_named(sigmas, message):
    with pytest.raises(InputError, match=message):
        noise.check(torch.tensor(sigmas))


def test_ratios_are_those_of_neighbouring_levels():
    assert noise.ratios(torch.tensor([8.0, 2.0, 0.5, 0.0])) == [
        (8.0, 0.25),
        (2.0, 0.25),
        (0.5, 0.0),
    ]


def test_bad_schedules_are_named():
    with pytest.raises(InputError, match="did you mean 'cosine'"):
        noise.schedule("cosin", 10)
    with pytest.raises(InputError, match="at least 1"):
        noise.cosine(0)
    with pytest.raises(InputError, match="0 < sigma_min"):
        noise.karras(5, 3, 1)
