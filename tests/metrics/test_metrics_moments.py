"""Moments and spectra against numpy, scipy, closed forms and random-matrix theory."""

import numpy as np
import pytest
import torch
from scipy import stats

from archbias.errors import InputError
from archbias.metrics import moments as M
from archbias.metrics import nulls
from archbias.metrics import spectrum as S


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize(("n", "m"), [(7, 9), (40, 50)])  # fewer and more images than the 12 pixels
def test_covariance_error_against_numpy(n, m):
    a, b = normal(n, 1, 3, 4) + 2, 1.5 * normal(m, 1, 3, 4, seed=1)
    sa, sb = np.cov(a.flatten(1).numpy().T), np.cov(b.flatten(1).numpy().T)
    assert M.covariance_error(a, b) == pytest.approx(
        np.linalg.norm(sa - sb) / np.linalg.norm(sb), rel=1e-10
    )
    assert M.covariance_error(a, a) < 1e-7
    shift = a.flatten(1).mean(0) - b.flatten(1).mean(0)
    assert M.mean_error(a, b) == pytest.approx(
        float(shift.norm()) / np.sqrt(np.trace(sb)), rel=1e-10
    )


def test_covariance_noise_is_the_error_of_gaussian_draws():
    scale = torch.linspace(0.3, 2, 15, dtype=torch.float64)
    reference = scale * normal(20000, 15)
    errors = torch.tensor(
        [M.covariance_error(scale * normal(30, 15, seed=k), reference) for k in range(1, 200)]
    )
    rms = errors.double().square().mean().sqrt()
    assert M.covariance_noise(reference, 30) == pytest.approx(float(rms), rel=0.06)


def test_skewness_and_kurtosis_against_scipy():
    x = torch.from_numpy(np.random.default_rng(0).gamma(2.0, size=(60, 2, 3, 3)))
    np.testing.assert_allclose(M.skewness(x), stats.skew(x.numpy()), rtol=1e-10)
    np.testing.assert_allclose(M.kurtosis(x), stats.kurtosis(x.numpy()), rtol=1e-10)
    x[:, 0, 0, 0] = 0.1
    assert M.skewness(x)[0, 0, 0].isnan()
    assert M.kurtosis(x)[0, 0, 1].isfinite()


@pytest.mark.parametrize(("n", "d"), [(9, 20), (50, 20)])
def test_eigenvalues_against_numpy(n, d):
    x = normal(n, 1, 4, 5)
    want = np.sort(np.linalg.eigvalsh(np.cov(x.flatten(1).numpy().T)))[::-1][: min(n - 1, d)]
    np.testing.assert_allclose(S.eigenvalues(x), want, rtol=1e-9)


@pytest.mark.parametrize(("n", "d"), [(1200, 300), (300, 900)])
def test_white_noise_fills_marchenko_pastur(n, d):
    value = S.eigenvalues(2 * normal(n, d)).sort().values.numpy()
    low, high = S.marchenko_pastur_edges(4.0, n, d)
    assert low * 0.9 < value.min() < low * 1.3
    assert high * 0.9 < value.max() < high * 1.1
    u = (np.arange(len(value)) + 0.5) / len(value)
    assert np.abs(S.marchenko_pastur_quantile(u, 4.0, n, d) - value).max() < 0.05 * (high - low)
    if d < n:  # all eigenvalues are nonzero, so their mean is the variance
        assert S.marchenko_pastur_quantile(
            np.linspace(0, 1, 20001), 4.0, n, d
        ).mean() == pytest.approx(4.0, rel=1e-3)


def test_gaussian_band_holds_a_fresh_draw():
    law = torch.tensor([9.0, 4.0, 1.0, 0.5, 0.1, 0.0], dtype=torch.float64)
    low, middle, high = S.gaussian_band(law, 25, repeats=200)
    inside = torch.stack(
        [(S.eigenvalues(normal(25, 6, seed=k) * law.sqrt()) - low).sign() for k in range(100)]
    )
    below = (inside < 0).double().mean(0)[:5]
    assert (below < 0.08).all()  # 2.5 % nominal; 0.08 is 3.5 standard errors above
    assert ((middle > low)[:5] & (high > middle)[:5]).all()
    assert (high[5] < 1e-12).all()


def test_bootstrap_band_covers_the_observed():
    low, observed, high = S.bootstrap_band(normal(40, 8), repeats=50)
    assert (low <= high).all()
    assert (low >= 0).all()
    torch.testing.assert_close(observed, S.eigenvalues(normal(40, 8)))


def test_radial_power_of_a_wave_white_noise_and_a_constant():
    col = torch.arange(16, dtype=torch.float64)
    wave = torch.cos(2 * torch.pi * 3 * col / 16).expand(1, 1, 16, 16)
    power = S.radial_power(wave)[0]
    assert power.argmax() == 3
    assert power[[0, 1, 2, 4, 5, 6, 7, 8]].abs().max() < 1e-20
    flat = S.radial_power(normal(2000, 1, 16, 16))
    assert flat.shape == (2000, 9)
    error = flat.std(0) / 2000**0.5
    assert ((flat.mean(0) - 1).abs() < 4.5 * error).all()
    assert S.radial_power(torch.full((1, 2, 8, 8), 0.5))[0, 0].item() == pytest.approx(0.25 * 64)


def test_split_null_reads_what_equal_sets_read():
    """The value of a fresh draw of the same law lies in the null band about as often as it
    should.
    """
    inside = 0
    for k in range(60):
        real, fake = normal(80, 6, seed=2 * k), normal(40, 6, seed=2 * k + 1)
        found = nulls.against_splits(M.covariance_error, fake, real, splits=40, seed=k)
        assert found.sizes == (40, 40)
        inside += found.value <= found.band[1]
    assert inside >= 47  # 95-97 % nominal; splits of one set are a little too alike
    shifted = nulls.against_splits(M.mean_error, normal(40, 6) + 3, normal(80, 6, seed=1))
    assert shifted.p == pytest.approx(1 / 21)
    with pytest.raises(InputError, match="at least 4"):
        nulls.against_splits(M.mean_error, normal(3, 2), normal(3, 2))
