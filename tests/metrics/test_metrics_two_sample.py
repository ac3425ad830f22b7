"""Two-sample measures: p-values uniform under equality, closed forms, and other libraries."""

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.metrics.pairwise import polynomial_kernel, rbf_kernel

from archbias.errors import InputError
from archbias.metrics import classifier, coverage, features, frechet, sliced, two_sample


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize(
    "test",
    [
        lambda x, y, k: two_sample.energy(x, y, permutations=99, seed=k).p,
        lambda x, y, k: two_sample.mmd(x, y, permutations=99, seed=k).p,
        lambda x, y, k: two_sample.mmd(x, y, kernel="cubic", permutations=99, seed=k).p,
        lambda x, y, k: sliced.sliced_wasserstein(x, y, slices=8, permutations=39, seed=k).p,
    ],
    ids=["energy", "mmd rbf", "mmd cubic", "sliced"],
)
def test_p_values_are_uniform_under_equality_and_small_under_difference(test):
    """Kolmogorov-Smirnov against the uniform law at level 0.001, over 150 pairs of sets; a shift of
    1.5 is found.
    """
    p = [test(normal(12, 3, seed=2 * k), normal(15, 3, seed=2 * k + 1), k) for k in range(150)]
    # p is a multiple of 1 / (permutations + 1)
    jitter = np.random.default_rng(0).uniform(0, min(p), size=len(p))
    assert stats.kstest(np.array(p) - jitter, "uniform").pvalue > 0.001
    assert test(normal(12, 3), normal(15, 3, seed=1) + 1.5, 0) < 0.03


def test_classifier_p_values_are_valid():
    """The binomial p is discrete: P(p <= a) <= a, within 4 standard errors at 200 pairs."""
    p = np.array(
        [
            classifier.classifier_test(
                normal(20, 3, seed=2 * k), normal(24, 3, seed=2 * k + 1), seed=k
            ).p
            for k in range(200)
        ]
    )
    for a in (0.05, 0.1, 0.3):
        assert (p <= a).mean() <= a + 4 * np.sqrt(a * (1 - a) / 200)
    # equal means, other spread
    found = classifier.classifier_test(normal(60, 3), 3 * normal(60, 3, seed=1))
    assert found.p < 1e-3
    assert found.accuracy.low > 0.5
    assert found.accuracy.n == 60


def test_energy_and_mmd_against_their_definitions():
    x, y = normal(9, 4), normal(7, 4, seed=1) + 0.3
    cross, own_x, own_y = (
        torch.cdist(x, y).mean(),
        torch.cdist(x, x).mean(),
        torch.cdist(y, y).mean(),
    )
    assert two_sample.energy(x, y, permutations=9).statistic == pytest.approx(
        float(2 * cross - own_x - own_y), rel=1e-9
    )
    assert two_sample.energy(x, x, permutations=9).statistic == pytest.approx(0, abs=1e-12)
    # in one dimension scipy's is its root
    one = two_sample.energy(x[:, :1], y[:, :1], permutations=9).statistic
    assert one == pytest.approx(stats.energy_distance(x[:, 0], y[:, 0]) ** 2, rel=1e-9)

    off = lambda k: (k.sum() - np.trace(k)) / (len(k) * (len(k) - 1))  # noqa: E731
    for kernel, f in (
        ("rbf", lambda a, b: rbf_kernel(a, b, gamma=1 / (2 * 1.7**2))),
        ("cubic", lambda a, b: polynomial_kernel(a, b, degree=3)),
    ):
        a, b = x.numpy(), y.numpy()
        want = off(f(a, a)) + off(f(b, b)) - 2 * f(a, b).mean()
        assert two_sample.mmd(
            x, y, kernel=kernel, bandwidth=1.7, permutations=9
        ).statistic == pytest.approx(want, rel=1e-9)


@pytest.mark.parametrize("m", [11, 16])
@pytest.mark.parametrize("order", [1, 2])
def test_sliced_wasserstein_against_pot(m, order):
    ot = pytest.importorskip("ot", reason="POT is not installed")
    x, y = normal(11, 5), normal(m, 5, seed=1) + 0.4
    theta = sliced.directions(5, 20)
    want = ot.sliced_wasserstein_distance(x.numpy(), y.numpy(), projections=theta.numpy(), p=order)
    assert sliced.sliced_wasserstein(x, y, order=order, slices=20).statistic == pytest.approx(
        want, rel=1e-9
    )


def test_sliced_wasserstein_of_a_shift_is_the_shift_over_root_d():
    x = normal(50, 16)
    shift = normal(16, seed=3)
    found = sliced.sliced_wasserstein(x, x + shift, slices=4000).statistic
    assert found == pytest.approx(float(shift.norm()) / 4, rel=0.05)


def gaussians():
    a, b = normal(6, 6, seed=1), normal(6, 6, seed=2)
    return (
        normal(6, seed=3),
        a @ a.T / 6,
        normal(6, seed=4),
        b @ b.T / 6 + 0.3 * torch.eye(6).double(),
    )


def test_frechet_of_gaussians_against_pot_and_the_commuting_formula():
    ot = pytest.importorskip("ot", reason="POT is not installed")
    ma, sa, mb, sb = gaussians()
    want = (
        ot.gaussian.bures_wasserstein_distance(ma.numpy(), mb.numpy(), sa.numpy(), sb.numpy()) ** 2
    )
    assert frechet.frechet_gaussian(ma, sa, mb, sb) == pytest.approx(want, rel=1e-6)
    la, lb = torch.tensor([4.0, 1.0, 0.0]).double(), torch.tensor([1.0, 9.0, 0.25]).double()
    zero = torch.zeros(3).double()
    assert frechet.frechet_gaussian(zero, la.diag(), zero, lb.diag()) == pytest.approx(
        1 + 4 + 0.25, rel=1e-12
    )


@pytest.mark.parametrize(("n", "m"), [(5, 30), (40, 50), (4, 5)])
def test_frechet_of_sets_is_that_of_their_moments(n, m):
    x, y = normal(n, 6), 1.4 * normal(m, 6, seed=1) + 0.5
    want = frechet.frechet_gaussian(x.mean(0), x.T.cov(), y.mean(0), y.T.cov())
    assert frechet.frechet(x, y) == pytest.approx(want, rel=1e-7)
    assert frechet.frechet(x, x) == pytest.approx(0, abs=1e-10)


def test_frechet_bias_is_measured_by_splitting():
    real, same, other = normal(300, 10), normal(100, 10, seed=1), 1.5 * normal(100, 10, seed=2)
    equal = frechet.frechet_with_null(same, real)
    assert equal.sizes == (100, 200)
    assert equal.bias > 0.1  # the true distance is 0
    assert equal.band[0] * 0.7 < equal.value < equal.band[1] * 1.4
    assert frechet.frechet_with_null(other, real).value > 2 * equal.band[1]


def test_kl_of_gaussians_against_simulation_and_torch():
    ma, sa, mb, sb = gaussians()
    sa = sa + 0.2 * torch.eye(6).double()
    a, b = (
        torch.distributions.MultivariateNormal(ma, sa),
        torch.distributions.MultivariateNormal(mb, sb),
    )
    assert frechet.kl_gaussian(ma, sa, mb, sb) == pytest.approx(
        float(torch.distributions.kl_divergence(a, b)), rel=1e-10
    )
    with pytest.raises(InputError, match="positive definite"):
        frechet.kl_gaussian(ma, torch.zeros(6, 6), mb, sb)


def test_coverage_against_prdc(capsys):
    compute_prdc = pytest.importorskip("prdc", reason="prdc is not installed").compute_prdc
    x, y = normal(40, 4), 0.8 * normal(55, 4, seed=1) + 0.3
    found = coverage.coverage(x, y, k=3)
    want = compute_prdc(real_features=y.numpy(), fake_features=x.numpy(), nearest_k=3)
    for name, value in want.items():
        assert getattr(found, name) == pytest.approx(value, abs=1e-12)
    same = coverage.coverage(y, y, k=3)
    assert (same.precision, same.recall, same.coverage) == (1, 1, 1)
    with pytest.raises(InputError, match="lower k"):
        coverage.coverage(x[:3], y)


# vendi-score 0.0.3 imports from scipy.sparse.csr
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("n", [6, 30])
def test_vendi_against_its_authors(n):
    vendi = pytest.importorskip("vendi_score.vendi", reason="vendi-score is not installed")
    x = normal(n, 10)
    unit = (x / x.norm(dim=1, keepdim=True)).numpy()
    assert coverage.vendi(x) == pytest.approx(vendi.score_K(unit @ unit.T), rel=1e-9)
    assert coverage.vendi(torch.eye(7)) == pytest.approx(7)
    assert coverage.vendi(torch.ones(5, 3)) == pytest.approx(1)


def test_principal_space_is_isometric_at_full_rank_and_white_when_asked():
    x, y = normal(30, 1, 2, 3), normal(4, 1, 2, 3, seed=1)
    full = features.principal(x, 6)
    torch.testing.assert_close(
        torch.cdist(full(y), full(y)), torch.cdist(y.flatten(1), y.flatten(1))
    )
    white = features.principal(x, 4, whiten=True)(x)
    torch.testing.assert_close(white.T.cov(), torch.eye(4).double(), atol=1e-10, rtol=0)
    with pytest.raises(InputError, match="lower it"):
        features.principal(x, 7)


def test_convolutional_space_is_fixed_and_sees_texture():
    x = normal(150, 3, 12, 12).float()
    space = features.convolutional(3, widths=(8, 16))
    z = space(x)
    assert z.shape == (150, 5 * 24)
    assert torch.equal(z, features.convolutional(3, widths=(8, 16))(x))
    torch.testing.assert_close(space(x[3:4]), z[3:4])
    # same mean, about the same variance, other texture
    smooth = torch.nn.functional.avg_pool2d(x, 3, 1, 1) * 3
    assert frechet.frechet(x, smooth, space=space) > 5 * frechet.frechet(
        x, normal(150, 3, 12, 12, seed=9).float(), space=space
    )
    with pytest.raises(InputError, match="their channels"):
        space(x[:, :1])


def test_bad_input():
    with pytest.raises(InputError, match="unknown kernel"):
        two_sample.mmd(normal(4, 2), normal(4, 2), kernel="gauss")
    with pytest.raises(InputError, match="two-sample"):
        two_sample.energy(normal(4, 2), normal(4, 3))
    with pytest.raises(InputError, match="one shape"):
        frechet.frechet(normal(4, 2), normal(4, 3))
