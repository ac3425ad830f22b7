"""Intervals cover what they claim, and agree with scipy."""

import numpy as np
import pytest
from scipy import stats

from archbias.errors import InputError
from archbias.metrics import intervals as I


def test_bootstrap_agrees_with_scipy():
    x = np.random.default_rng(0).gamma(2.0, size=60)
    for statistic, f in (("mean", np.mean), ("median", np.median)):
        theirs = stats.bootstrap(
            (x,), f, n_resamples=20000, method="percentile", random_state=1
        ).confidence_interval
        mine = I.bootstrap(x, statistic=statistic, resamples=20000)
        assert mine.value == f(x)
        assert mine.low == pytest.approx(theirs.low, abs=0.03)
        assert mine.high == pytest.approx(theirs.high, abs=0.03)


@pytest.mark.parametrize("statistic", ["mean", "median"])
def test_bootstrap_covers(statistic):
    """95 % nominal at 40 seeds; 600 repetitions put the observed coverage within 0.905 and 0.99
    (about five standard errors).
    """
    rng = np.random.default_rng(1)
    hits = 0
    for k in range(600):
        found = I.bootstrap(rng.normal(size=40), statistic=statistic, resamples=400, seed=k)
        hits += found.low <= 0 <= found.high
    assert 0.905 < hits / 600 < 0.99


def test_an_interval_is_written_in_one_format():
    found = I.Interval(0.12345, 0.1, 2.0, 0.95, 7)
    assert f"{found:.2f}" == "0.12 [0.10, 2.00]"
    assert str(found) == f"{found}" == "0.123 [0.1, 2]"


def test_missing_values_are_counted():
    found = I.bootstrap(np.array([1.0, np.nan, 3.0]), statistic="mean")
    assert (found.value, found.n, found.missing) == (2.0, 2, 1)
    nothing = I.bootstrap(np.array([np.nan]))
    assert np.isnan(nothing.value)
    assert (nothing.n, nothing.missing) == (0, 1)


def test_sequences_are_resampled_together():
    """A difference of identical values is exactly 0 in every resample."""
    x = np.random.default_rng(2).normal(size=30)
    found = I.bootstrap(x, x, statistic=lambda a, b, axis=-1: a.mean(axis) - b.mean(axis))
    assert (found.low, found.high) == (0.0, 0.0)


def test_binomial_against_the_formula():
    z = stats.norm.ppf(0.975)
    k, n = 7, 50
    p = k / n
    centre, half = (
        (p + z**2 / (2 * n)) / (1 + z**2 / n),
        z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2)),
    )
    found = I.binomial(k, n)
    assert (found.low, found.high) == pytest.approx((centre - half, centre + half), abs=1e-12)
    exact = I.binomial(k, n, exact=True)
    assert stats.binom.sf(k - 1, n, exact.low) == pytest.approx(0.025, abs=1e-9)
    assert stats.binom.cdf(k, n, exact.high) == pytest.approx(0.025, abs=1e-9)
    assert I.binomial(0, 0).high == 1.0


def test_bad_input():
    with pytest.raises(InputError, match="median"):
        I.bootstrap(np.ones(3), statistic="mode")
    with pytest.raises(InputError, match="between 0"):
        I.binomial(5, 3)
    with pytest.raises(InputError, match="level"):
        I.bootstrap(np.ones(3), level=95)
