"""Distances where rounding would decide: copies, near-copies, large offsets, odd scales."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from archbias.metrics import coverage, frechet, moments, novelty, pairs, sliced, two_sample


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def brute(x, y):
    """Differences in extended precision, pair by pair."""
    x, y = (v.flatten(1).numpy().astype(np.longdouble) for v in (x, y))
    gap = ((x[:, None] - y[None]) ** 2).sum(-1)
    return torch.from_numpy(np.sqrt(gap).astype(np.float64))


def crowded(offset=0.0, step=1e-6, d=300):
    """40 images, 15 exact copies of one, and 15 images `step` a pixel from another."""
    base = normal(40, d)
    near = base[7] + step * normal(15, d, seed=1)
    return torch.cat([base, base[:1].expand(15, d), near]) + offset


@pytest.mark.parametrize("offset", [0.0, 1000.0, -1e6])
@pytest.mark.parametrize("step", [1e-6, 1e-9])
def test_near_pairs_keep_their_relative_accuracy(offset, step):
    x = crowded(offset, step)
    want = brute(x, x)
    torch.testing.assert_close(pairs.within(x), want, rtol=pairs.RELATIVE, atol=0)
    torch.testing.assert_close(pairs.between(x[:20], x), want[:20], rtol=pairs.RELATIVE, atol=0)
    assert (pairs.within(x)[40:55, 40:55] == 0).all()


def test_the_product_alone_would_lose_them():
    """What the differences are for: the same pairs by |a|^2 + |b|^2 - 2 a.b."""
    x = crowded(step=1e-9)
    a = x - x.mean(0)
    squared = (a.square().sum(1)[:, None] + a.square().sum(1)[None] - 2 * a @ a.T).clamp(min=0)
    wrong = (squared.sqrt() - brute(x, x)).abs()[55:, 55:].max()
    assert wrong > 0.1 * brute(x, x)[55:, 55:].max()


@settings(deadline=None, max_examples=40)
@given(
    n=st.integers(1, 12),
    m=st.integers(1, 12),
    d=st.integers(1, 40),
    scale=st.sampled_from([1e-30, 1e-3, 1.0, 1e12]),
    offset=st.sampled_from([0.0, 1.0, 1e3]),
    step=st.sampled_from([0.0, 1e-12, 1e-6, 1.0]),
    seed=st.integers(0, 10**6),
)
def test_any_pair_is_right_to_the_stated_error(n, m, d, scale, offset, step, seed):
    """Half of the second set are copies or near-copies of the first."""
    x, y = normal(n, d, seed=seed), normal(m, d, seed=seed + 1)
    y[::2] = x[torch.arange(len(y[::2])) % n] + step * y[::2]
    x, y = scale * (x + offset), scale * (y + offset)
    found, want = pairs.between(x, y), brute(x, y)
    torch.testing.assert_close(found, want, rtol=pairs.RELATIVE, atol=0)
    assert ((found == 0) == (want == 0)).all()


def test_a_single_precision_copy_is_at_zero_wherever_it_stands():
    x = normal(70, 3, 8, 8).float() + 1000
    y = x[torch.randperm(70, generator=torch.Generator().manual_seed(3))]
    assert (pairs.between(x, y).min(1).values == 0).all()
    assert two_sample.energy(x, y, permutations=9).statistic == pytest.approx(0, abs=1e-12)
    assert sliced.sliced_wasserstein(x, y).statistic == 0


def test_a_lone_long_row_sums_as_it_does_among_others():
    x, y = normal(3, 200_000), normal(3, 200_000, seed=1)
    threads = torch.get_num_threads()
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            assert pairs.apart(x[1:2], y[1:2])[0] == pairs.apart(x, y)[1]
    finally:
        torch.set_num_threads(threads)


def test_median_bandwidth_of_copies_is_not_rounding():
    """Mostly copies: the median distance is 0, and the kernel falls back to a bandwidth of 1."""
    x = normal(1, 50).expand(20, 50) + 3.7
    y = torch.cat([x[:15], normal(5, 50, seed=1)])
    found = two_sample.mmd(x, y, permutations=9).statistic
    assert found == pytest.approx(two_sample.mmd(x, y, bandwidth=1.0, permutations=9).statistic)


@pytest.mark.parametrize("offset", [0.0, 1000.0])
def test_distances_between_sets_do_not_see_a_common_offset(offset):
    x, y = normal(12, 30), normal(15, 30, seed=1) + 0.3
    for f in (
        lambda a, b: two_sample.energy(a, b, permutations=9).statistic,
        lambda a, b: two_sample.mmd(a, b, permutations=9).statistic,
        lambda a, b: sliced.sliced_wasserstein(a, b, slices=16).statistic,
        frechet.frechet,
        moments.mean_error,
        moments.covariance_error,
    ):
        assert f(x + offset, y + offset) == pytest.approx(f(x, y), rel=1e-9)


def test_copies_on_the_rim_of_a_ball_read_as_they_should():
    """Every image is on the rim of the balls that reach just to it, copies of it too."""
    real = normal(60, 3, 8, 8).float()
    order = torch.randperm(60, generator=torch.Generator().manual_seed(0))
    for offset in (0.0, 1000.0):
        found = coverage.coverage(real[order] + offset, real + offset, k=4)
        assert (found.precision, found.recall, found.coverage) == (1, 1, 1)
        assert found.density == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize(("n", "d"), [(40, 12), (8, 60)])
@pytest.mark.parametrize("step", [1e-5, 1e-8])
def test_gaussians_a_hair_apart(n, d, step):
    """Scaling about the mean by 1 + e: Frechet e^2 tr S, covariances 2 e + e^2 apart."""
    x = normal(n, d) + 5.0
    y = x.mean(0) + (1 + step) * (x - x.mean(0))
    trace = float((x - x.mean(0)).square().sum() / (n - 1))
    assert frechet.frechet(y, x) == pytest.approx(step**2 * trace, rel=1e-5)
    assert moments.covariance_error(y, x) == pytest.approx(2 * step + step**2, rel=1e-6)
    assert frechet.frechet(x, x) < 1e-25 * trace
    assert moments.covariance_error(x, x) < 1e-14
    cov = (x - x.mean(0)).T @ (x - x.mean(0)) / (n - 1)
    mean = x.mean(0)  # eigenvalues of a covariance are known to rounding, their roots to its root
    assert frechet.frechet_gaussian(mean, cov, mean, cov) < 1e-14 * trace


@pytest.mark.parametrize("offset", [0.0, 1000.0])
@pytest.mark.parametrize("step", [1e-6, 1e-8])
def test_the_nearest_of_many_near_copies_is_found(offset, step):
    """More near-copies of one image than the search keeps candidates."""
    base = normal(30, 2000)
    phi = torch.cat([base, base[7] + step * normal(50, 2000, seed=1)]) + offset
    x = base[[7, 7, 3]] + step * normal(3, 2000, seed=2) + offset
    for memory in (2**28, 400_000):
        found = novelty.nearest(x, phi, memory=memory)
        value, index = brute(x, phi).sort(dim=1, stable=True)
        torch.testing.assert_close(found.distance, value[:, 0], rtol=1e-9, atol=0)
        torch.testing.assert_close(found.second_distance, value[:, 1], rtol=1e-9, atol=0)
        assert found.index.tolist() == index[:, 0].tolist()
        assert found.second_index.tolist() == index[:, 1].tolist()


def test_one_image_far_away_does_not_blur_the_others():
    phi = 1e-3 * normal(50, 1, 8, 8).float()
    phi[0] = 1e4
    x = phi[20:24] + 1e-5
    found = novelty.nearest(x, phi)
    value, index = brute(x, phi).sort(dim=1, stable=True)
    assert found.index.tolist() == index[:, 0].tolist()
    assert found.second_index.tolist() == index[:, 1].tolist()
    torch.testing.assert_close(found.second_distance, value[:, 1], rtol=1e-12, atol=0)


def test_copies_among_many_copies_are_named_by_the_first():
    phi = normal(1, 500).expand(300, 500).clone()
    phi[:5] += 1.0
    phi[200] += 1e-9
    found = novelty.nearest(phi[100:101], phi, memory=200_000)
    assert (found.index.item(), found.second_index.item()) == (5, 6)
    assert found.distance.item() == found.second_distance.item() == 0
