"""Bottleneck denoisers against brute-force posterior means and quadrature."""

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from archbias.data import ImageSet
from archbias.errors import InputError
from archbias.regressions.bottleneck import Bottleneck
from archbias.regressions.linear import Linear

SHAPE = (1, 4, 5)


def images(n=40, seed=0):
    """Two clumps, so that a mixture has something to find."""
    rng = np.random.default_rng(seed)
    clump = np.where(np.arange(n) % 2, 0.4, -0.4)[:, None, None, None]
    return ImageSet.from_array(np.tanh(clump + 0.3 * rng.normal(size=(n, *SHAPE)).cumsum(2)))


def noisy(seed, b=4):
    return torch.randn(
        b, *SHAPE, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)
    )


def plane(data, rank):
    """mu and V by numpy, from the d x d covariance."""
    x = data.images.double().flatten(1).numpy()
    return x, x.mean(0), np.linalg.eigh(np.cov(x.T, bias=True))[1][:, ::-1][:, :rank]


KINDS = [
    Bottleneck(kind="linear", rank=3),
    Bottleneck(kind="mixture", rank=3, components=2),
    Bottleneck(kind="confined", rank=3),
    Bottleneck(kind="unrestricted", rank=3),
]


@settings(max_examples=10, deadline=None)
@given(rank=st.integers(1, 8), sigma=st.floats(0.02, 30.0))
def test_linear_is_the_rank_limited_wiener_filter(rank, sigma):
    data, y = images(), noisy(1)
    want = Linear(rank=rank).fit(data)(y, sigma)
    torch.testing.assert_close(
        Bottleneck(rank=rank).fit(data)(y, sigma), want, rtol=1e-10, atol=1e-11
    )


@settings(max_examples=15, deadline=None)
@given(
    rank=st.integers(1, 8),
    sigma=st.floats(0.02, 30.0),
    kind=st.sampled_from(["confined", "unrestricted"]),
)
def test_posterior_mean_given_the_code(rank, sigma, kind):
    """Bayes' rule with scipy's normal densities of V^T y around every V^T x_i."""
    data, y = images(), noisy(2)
    x, mu, v = plane(data, rank)
    got = Bottleneck(kind=kind, rank=rank).fit(data)(y, sigma).flatten(1).numpy()
    targets = x if kind == "unrestricted" else mu + (x - mu) @ v @ v.T
    for b in range(len(y)):
        z = (y[b].flatten().numpy() - mu) @ v
        log = scipy.stats.norm.logpdf(z, loc=(x - mu) @ v, scale=sigma).sum(1)
        weights = np.exp(log - log.max())
        np.testing.assert_allclose(got[b], weights @ targets / weights.sum(), rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("sigma", [0.1, 0.5, 3.0])
def test_mixture_by_quadrature(sigma):
    """E[c | z] = int c p(c) N(z; c, sigma^2) dc / int p(c) N(z; c, sigma^2) dc on a fine grid of
    the plane, r = 2.
    """
    denoiser = Bottleneck(kind="mixture", rank=2, components=2).fit(images())
    state = {k: v.numpy() for k, v in denoiser.state().items()}
    line = np.linspace(-8, 8, 801)
    grid = np.stack(np.meshgrid(line, line, indexing="ij"), -1).reshape(-1, 2)
    density = np.zeros(len(grid))
    for k, weight in enumerate(state["weights"]):
        cov = state["axes"][k] @ np.diag(state["spreads"][k]) @ state["axes"][k].T
        density += weight * scipy.stats.multivariate_normal(state["centres"][k], cov).pdf(grid)
    y = noisy(3)
    got = denoiser(y, sigma)
    for b in range(len(y)):
        z = denoiser.encode(y[b : b + 1]).numpy()
        weight = density * np.exp(-((z - grid) ** 2).sum(1) / (2 * sigma**2))
        want = denoiser.lift(torch.from_numpy((weight @ grid / weight.sum())[None]))
        torch.testing.assert_close(got[b : b + 1], want, rtol=1e-5, atol=1e-6)


def test_one_component_is_the_linear_bottleneck():
    data, y = images(), noisy(4)
    one = Bottleneck(kind="mixture", rank=3, components=1).fit(data)(y, 0.8)
    # EM adds 1e-6 to variances
    torch.testing.assert_close(one, Bottleneck(rank=3).fit(data)(y, 0.8), rtol=1e-4, atol=1e-4)


@settings(max_examples=20, deadline=None)
@given(sigma=st.floats(0.05, 20.0), seed=st.integers(0, 1000), spec=st.sampled_from(KINDS))
def test_the_output_depends_on_r_numbers_and_varies_in_at_most_r_directions(sigma, seed, spec):
    """The Jacobian of any decoder through r numbers has rank at most r."""
    denoiser, y = spec.fit(images()), noisy(seed, 1)
    v = plane(images(), 3)[2]
    across = noisy(seed + 1, 1).flatten().numpy()
    across = torch.from_numpy(across - v @ (v.T @ across)).reshape(y.shape)
    torch.testing.assert_close(
        denoiser(y + across, sigma), denoiser(y, sigma), rtol=1e-8, atol=1e-9
    )
    jacobian = torch.autograd.functional.jacobian(lambda u: denoiser(u, sigma), y).reshape(20, 20)
    singular = torch.linalg.svdvals(jacobian)
    assert (singular[3:] < 1e-10).all()


@pytest.mark.parametrize("spec", KINDS, ids=repr)
def test_rows_levels_and_rebuilding(spec):
    denoiser, y = spec.fit(images()), noisy(5)
    sigma = torch.tensor([0.1, 1.0, 10.0, 0.5], dtype=torch.float64)
    mixed = denoiser(y, sigma)
    for b in range(4):
        torch.testing.assert_close(
            mixed[b : b + 1], denoiser(y[b : b + 1], float(sigma[b])), rtol=1e-11, atol=1e-12
        )
    torch.testing.assert_close(spec.rebuild(denoiser.state())(y, sigma), mixed, rtol=0, atol=0)
    assert denoiser(y.float(), 1.0).dtype == torch.float32


@pytest.mark.parametrize(
    ("settings_", "message"),
    [
        ({"kind": "unrestrict"}, "did you mean 'unrestricted'"),
        ({"rank": 0}, "rank must be an integer of at least 1"),
        ({"kind": "mixture"}, "wants components"),
        ({"components": 3}, "components belong to kind='mixture'"),
        ({"seed": -1}, "seed must be an integer"),
    ],
)
def test_bad_settings(settings_, message):
    with pytest.raises(InputError, match=message):
        Bottleneck(**settings_)


def test_settings_the_images_do_not_allow():
    with pytest.raises(InputError, match="at most 3, the dimensions these 4 images span"):
        Bottleneck(rank=5).fit(images(4))
    with pytest.raises(InputError, match="one component per image, got 5 for 4"):
        Bottleneck(kind="mixture", rank=2, components=5).fit(images(4))
