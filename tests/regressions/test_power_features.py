"""Power features: exact noise expectations against quadrature, fits against ridge regression on
nodes.
"""

import math

import numpy as np
import pytest
import torch
from numpy.polynomial import hermite_e

from archbias.data import ImageSet
from archbias.errors import InputError
from archbias.regressions.power_features import PowerFeatures
from archbias.regressions.power_patches import PowerPatches, shrinking
from archbias.regressions.powers import drawn, expectations, features, projections


def images_of(n, shape, seed=0):
    x = np.tanh(np.random.default_rng(seed).standard_normal((n, *shape)))
    return ImageSet.from_array(torch.from_numpy(x))


def nodes(x, sigma, count):
    """Gauss-Hermite nodes around every row of x (N, d): y (N, M, d) and weights (M,) summing to
    one.
    """
    n, w = hermite_e.hermegauss(count)
    d = x.shape[1]
    grid = np.stack(np.meshgrid(*[n] * d, indexing="ij"), -1).reshape(-1, d)
    weight = np.prod(np.stack(np.meshgrid(*[w] * d, indexing="ij"), -1).reshape(-1, d), axis=1)
    return x[:, None] + sigma * grid, weight / weight.sum()


@pytest.mark.parametrize("degree", [1, 2, 3, 5])
@pytest.mark.parametrize("sigma", [0.1, 1.0, 20.0])
def test_expectations_equal_quadrature(degree, sigma):
    x, r = np.random.default_rng(0).normal(size=(6, 3)), projections(9, 3, 0)
    y, w = nodes(x, sigma, degree + 1)
    h = (y @ r.numpy().T) ** degree
    mean, second, scale = expectations(torch.from_numpy(x) @ r.T, r @ r.T, sigma, degree)
    size = float(scale) ** degree
    first = np.einsum("nmk,m->nk", h, w)
    gram = np.einsum("nmk,nml,m->kl", h, h, w) / len(x)
    assert np.abs(mean.numpy() * size - first).max() < 1e-12 * np.abs(gram).max() ** 0.5
    assert np.abs(second.numpy() * size**2 - gram).max() < 1e-12 * np.abs(gram).max()


def test_the_fit_is_ridge_regression_on_the_nodes():
    """Centred ridge with the penalty relative to the mean feature variance, solved by lstsq on
    stacked rows.
    """
    images, sigma, spec = (
        images_of(12, (1, 1, 3)),
        0.5,
        PowerFeatures(degree=2, features=8, ridge=1e-3),
    )
    x = images.images.double().flatten(1).numpy()
    r = projections(8, 3, 0).numpy()
    y, w = nodes(x, sigma, 3)
    h, target = ((y @ r.T) ** 2).reshape(-1, 8), np.repeat(x, len(w), 0)
    weight = np.tile(w, len(x)) / len(x)
    h0, x0 = weight @ h, weight @ target
    penalty = 1e-3 * (weight @ (h - h0) ** 2).mean()
    rows = np.vstack([np.sqrt(weight)[:, None] * (h - h0), math.sqrt(penalty) * np.eye(8)])
    a = np.linalg.lstsq(
        rows, np.vstack([np.sqrt(weight)[:, None] * (target - x0), np.zeros((8, 3))]), rcond=None
    )[0]
    query = np.random.default_rng(1).normal(size=(20, 3))
    got = spec.fit(images)(torch.from_numpy(query.reshape(20, 1, 1, 3)), sigma).flatten(1).numpy()
    # centred images are kept in float32
    assert np.abs(got - (x0 + ((query @ r.T) ** 2 - h0) @ a)).max() < 1e-6


def test_degree_one_with_many_rows_is_the_wiener_denoiser():
    images, sigma = images_of(30, (1, 2, 3)), 0.7
    x = images.images.double().flatten(1).numpy()
    y = np.random.default_rng(1).normal(size=(5, 6))
    cov = np.cov(x.T, bias=True)
    expected = x.mean(0) + (y - x.mean(0)) @ np.linalg.solve(cov + sigma**2 * np.eye(6), cov)
    got = PowerFeatures(degree=1, features=64, ridge=1e-12).fit(images)(
        torch.from_numpy(y.reshape(5, 1, 2, 3)), sigma
    )
    assert np.abs(got.flatten(1).numpy() - expected).max() < 1e-5


def test_simulated_noise_agrees_with_the_exact_expectations():
    """4000 draws around 5 images: every mean feature and second moment within 5.5 standard
    errors.
    """
    x, r, sigma, degree = (
        torch.from_numpy(np.random.default_rng(0).normal(size=(5, 4))),
        projections(6, 4, 0),
        0.8,
        3,
    )
    noise = torch.from_numpy(np.random.default_rng(1).normal(size=(4000, 5, 4)))
    h = (((x + sigma * noise) @ r.T) ** degree).numpy()
    mean, second, scale = expectations(x @ r.T, r @ r.T, sigma, degree)
    size = float(scale) ** degree
    assert (np.abs(h.mean(0) - mean.numpy() * size) < 5.5 * h.std(0) / math.sqrt(4000)).all()
    products = np.einsum("snk,snl->skl", h, h) / 5
    error = products.std(0) / math.sqrt(4000)
    assert (np.abs(products.mean(0) - second.numpy() * size**2) < 5.5 * error).all()


def test_normalised_features_are_blind_to_scale_and_seeded():
    images = images_of(20, (1, 4, 4))
    projected = torch.randn(3, 8, dtype=torch.float64)
    h = features(projected, 3, True)
    assert torch.allclose(h, projected**3 / (projected**3).abs().amax(1, keepdim=True))
    assert torch.allclose(h, features(1e200 * projected, 3, True))
    y = torch.randn(2, 1, 4, 4, dtype=torch.float64)
    one, two, other = (
        PowerFeatures(features=32, normalize=True, seed=s).fit(images) for s in (0, 0, 1)
    )
    assert torch.equal(one(y, 0.5), two(y, 0.5))
    assert torch.allclose(one(y, 0.5), one(3 * y, 0.5))
    assert not torch.allclose(one(y, 0.5), other(y, 0.5))


def test_the_published_fit_is_ridge_regression_under_the_noise():
    """In the plane, by the midpoint rule over the noise in float64; what 4000 draws leave is small,
    what leaving out the normalisation would change is not.
    """
    x = np.tanh(np.random.default_rng(0).normal(size=(6, 2)))
    sigma, r = 0.6, projections(5, 2, 0).numpy()
    axis = np.linspace(-6, 6, 240, endpoint=False) + 0.025
    n = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
    w = np.exp(-(n**2).sum(1) / 2)
    weight = np.tile(w / w.sum(), len(x)) / len(x)
    query = np.random.default_rng(1).normal(size=(40, 2))

    def ridge(h, target, at):
        h0, x0 = weight @ h, weight @ target
        c = (weight[:, None] * (h - h0)).T @ (h - h0)
        penalty = 1e-2 * np.trace(c) / len(c)
        right = (weight[:, None] * (h - h0)).T @ (target - x0)
        return x0 + (at - h0) @ np.linalg.solve(c + penalty * np.eye(len(c)), right)

    def scaled(y):
        h = (y @ r.T) ** 3
        return h / np.abs(h).max(1, keepdims=True)

    y = (x[:, None] + sigma * n).reshape(-1, 2)
    expected = ridge(scaled(y), np.repeat(x, len(n), 0), scaled(query))
    unscaled = ridge((y @ r.T) ** 3, np.repeat(x, len(n), 0), (query @ r.T) ** 3)
    spec = PowerFeatures.published(features=5, draws=4000, ridge=1e-2)
    assert spec == PowerFeatures(features=5, draws=4000, ridge=1e-2, normalize=True)
    images = ImageSet.from_array(torch.from_numpy(x.reshape(6, 2, 1, 1)))
    got = spec.fit(images)(torch.from_numpy(query.reshape(40, 2, 1, 1)), sigma).flatten(1).numpy()
    assert np.abs(got - expected).max() < 0.02
    assert np.abs(unscaled - expected).max() > 0.2


def test_drawn_moments_converge_to_the_exact_ones():
    """Without normalisation the seeded draws estimate the closed form; 5.5 standard errors at 3000
    draws, K = 5.
    """
    x, r = torch.from_numpy(np.random.default_rng(0).normal(size=(4, 5))), projections(5, 5, 0)
    mean, second, scale = expectations(x @ r.T, r @ r.T, 0.5, 2)
    got_mean, got_second = drawn(x @ r.T, r, 0.5, 2, 3000, 7, False)
    h = (
        (
            x
            + 0.5
            * torch.randn(
                3000, 4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64
            )
        )
        @ r.T
    ) ** 2
    size = float(scale) ** 2
    assert ((got_mean - mean * size).abs() < 5.5 * h.std(0) / math.sqrt(3000)).all()
    products = torch.einsum("snk,snl->skl", h, h) / 4
    assert ((got_second - second * size**2).abs() < 5.5 * products.std(0) / math.sqrt(3000)).all()


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("normalize", [False, True])
def test_a_window_as_large_as_the_image_is_the_global_denoiser(shared, normalize):
    images, sigma = images_of(25, (2, 4, 4)), 0.8
    common = {"features": 40, "degree": 2, "normalize": normalize}
    local = PowerPatches(windows=(4,), shared=shared, **common).fit(images)
    whole = PowerFeatures(**common).fit(images)
    y = torch.randn(3, 2, 4, 4, dtype=torch.float64)
    assert torch.allclose(local(y, sigma), whole(y, sigma), atol=1e-5)


def test_a_pixel_sees_its_own_window_shifted_inside_at_the_border():
    images, k, size = images_of(20, (1, 6, 7)), 3, (6, 7)
    denoiser = PowerPatches(windows=(k,), features=10).fit(images)
    jacobian = torch.func.jacrev(
        lambda y: denoiser.denoise(y[None], torch.tensor([0.5]), None)[0, 0]
    )(torch.randn(1, *size))
    for i in range(size[0]):
        for j in range(size[1]):
            top, left = min(max(i - 1, 0), size[0] - k), min(max(j - 1, 0), size[1] - k)
            seen = torch.zeros(size, dtype=torch.bool)
            seen[top : top + k, left : left + k] = True
            assert ((jacobian[i, j, 0] != 0) == seen).all()


def test_each_window_is_its_own_global_fit():
    """A pixel's estimate equals that of a global denoiser fitted on the crop of its window."""
    images, sigma = images_of(15, (1, 5, 5)), 0.4
    common = {"features": 12, "degree": 3}
    y = torch.randn(2, 1, 5, 5, dtype=torch.float64)
    local = PowerPatches(windows=(3,), **common).fit(images)(y, sigma)
    for (i, j), (top, left) in {(2, 2): (1, 1), (0, 4): (0, 2), (4, 1): (2, 0)}.items():
        crop = ImageSet.from_array(images.images[:, :, top : top + 3, left : left + 3])
        own = PowerFeatures(**common).fit(crop)(y[:, :, top : top + 3, left : left + 3], sigma)
        assert torch.allclose(local[:, :, i, j], own[:, :, i - top, j - left], atol=1e-5)


def test_the_window_shrinks_with_the_noise():
    assert shrinking(64) == (64, 55, 45, 35, 27, 21, 15, 11, 7, 3)
    denoiser = PowerPatches(features=8).fit(images_of(5, (1, 16, 16)))
    assert denoiser.windows == shrinking(16)
    seen = [denoiser.window(s) for s in denoiser.sigmas]
    assert seen == sorted(seen, reverse=True) == list(shrinking(16))
    mixed, y = torch.tensor([80.0, 0.2]), torch.randn(2, 1, 16, 16)
    together = denoiser(y, mixed)
    assert torch.allclose(together[1:], denoiser(y[1:], 0.2), atol=1e-6)
    assert torch.equal(denoiser.spec.rebuild(denoiser.state())(y, mixed), together)


def test_bad_settings_are_refused():
    with pytest.raises(InputError, match="degree must be"):
        PowerFeatures(degree=0)
    with pytest.raises(InputError, match="ridge must be positive"):
        PowerFeatures(ridge=0)
    with pytest.raises(InputError, match="one noise level for each"):
        PowerPatches(windows=(3, 5), sigmas=(1.0,))
    with pytest.raises(InputError, match="windows must fit"):
        PowerPatches(windows=(9,)).fit(images_of(3, (1, 4, 4)))
