"""Paired tests against scipy and enumeration; Holm against closed testing."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from archbias.errors import InputError
from archbias.metrics.paired import holm, paired


def test_wilcoxon_is_scipys():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 30))
    assert paired(a, b + 0.2).p == pytest.approx(stats.wilcoxon(a, b + 0.2).pvalue)
    assert paired(a, a).p == 1.0
    found = paired(np.append(a, np.nan), np.append(b, 0.0))
    assert (found.difference.n, found.difference.missing) == (30, 1)
    assert found.difference.value == pytest.approx(np.median(a - b))


@pytest.mark.parametrize("n", [8, 30])
def test_signflip_against_scipy(n):
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(2, n))
    b = b - 0.3
    theirs = stats.permutation_test(
        (a, b),
        lambda x, y, axis: (x - y).mean(axis),
        permutation_type="samples",
        n_resamples=9999,
        rng=0,
        vectorized=True,
    )
    assert paired(a, b, test="signflip").p == pytest.approx(
        theirs.pvalue, abs=1e-12 if n == 8 else 0.02
    )


@pytest.mark.parametrize("test", ["wilcoxon", "signflip"])
def test_p_values_are_uniform_when_nothing_differs(test):
    rng = np.random.default_rng(2)
    p = np.array([paired(*rng.normal(size=(2, 11)), test=test, flips=99).p for _ in range(200)])
    for a in (0.05, 0.2, 0.5):
        assert abs((p <= a).mean() - a) < 4 * np.sqrt(a * (1 - a) / 200)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_holm_is_closed_testing_by_bonferroni(p):
    """Adjusted p of a hypothesis = the largest Bonferroni p over all sets of hypotheses that hold
    it.
    """
    want = [
        max(
            min(1.0, len(group) * min(p[i] for i in group))
            for size in range(1, len(p) + 1)
            for group in combinations(range(len(p)), size)
            if k in group
        )
        for k in range(len(p))
    ]
    np.testing.assert_allclose(holm(p), want, rtol=1e-12)


def test_holm_leaves_nan_out():
    np.testing.assert_allclose(holm([0.01, np.nan, 0.04]), [0.02, np.nan, 0.04])


def test_bad_input():
    with pytest.raises(InputError, match="wilcoxon"):
        paired([1.0], [2.0], test="wilcox")
    with pytest.raises(InputError, match="same seeds"):
        paired([1.0, 2.0], [2.0])
