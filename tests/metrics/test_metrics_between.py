"""Agreement between variants that were trained several times, against numpy's correlations."""

import numpy as np
import pytest
import torch

from archbias.metrics.between import apart, between


def test_agreement_between_variants_is_the_mean_of_correlations_over_unlike_trainings():
    x = np.random.default_rng(0).normal(size=(3, 3, 4, 2, 5, 5))
    got = between(torch.from_numpy(x)).numpy()
    for i, j, b in np.ndindex(got.shape):
        pairs = [(k, l) for k in range(3) for l in range(3) if k != l]
        want = np.mean(
            [np.corrcoef(x[i, k, b].ravel(), x[j, l, b].ravel())[0, 1] for k, l in pairs]
        )
        assert got[i, j, b] == pytest.approx(want, abs=1e-12)


def test_a_variant_trained_once_has_no_ceiling():
    x = np.random.default_rng(1).normal(size=(2, 1, 3, 1, 4, 4))
    got = between(torch.from_numpy(x)).numpy()
    assert np.isnan(got[[0, 1], [0, 1]]).all()
    want = [np.corrcoef(x[0, 0, b].ravel(), x[1, 0, b].ravel())[0, 1] for b in range(3)]
    np.testing.assert_allclose(got[0, 1], want, atol=1e-12)


def test_variants_further_apart_than_their_replicates():
    rng = np.random.default_rng(3)
    r = between(torch.from_numpy(rng.standard_normal((3, 2, 5, 1, 3, 3))))
    got = apart(r, 2, 0).numpy()
    wanted = [r[2, 0, b] - 0.5 * r[0, 0, b] - 0.5 * r[2, 2, b] for b in range(5)]
    np.testing.assert_allclose(got, wanted, atol=1e-12)
    np.testing.assert_allclose(apart(r, 1, 1).numpy(), 0, atol=1e-12)
    once = between(torch.from_numpy(rng.standard_normal((2, 1, 4, 1, 3, 3))))
    assert np.isnan(apart(once, 1, 0).numpy()).all()
