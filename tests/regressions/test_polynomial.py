"""Polynomial denoisers: every fit against quadrature, least squares on nodes, or a closed form, in
float64.
"""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.polynomial import hermite_e

from archbias import noise, seeds
from archbias.data import ImageSet
from archbias.data.plane import SHAPES, plane
from archbias.distributions import generated_by
from archbias.errors import InputError
from archbias.regressions.polynomial import Polynomial

TINY = 1e-10


def points(x):
    """(N, d) -> an image set of d channels and one pixel."""
    x = np.asarray(x, dtype=np.float64)
    return ImageSet.from_array(torch.from_numpy(x.reshape(len(x), -1, 1, 1)))


def raw(images):
    return images.images.double().flatten(1).numpy()


def nodes(x, sigma, count):
    """Gauss-Hermite nodes around every point: x and y (M, d) and weights (M,) summing to one."""
    n, w = hermite_e.hermegauss(count)
    d = x.shape[1]
    grid = np.stack(np.meshgrid(*[n] * d, indexing="ij"), -1).reshape(-1, d)
    weight = np.prod(np.stack(np.meshgrid(*[w] * d, indexing="ij"), -1).reshape(-1, d), axis=1)
    weight = weight / weight.sum() / len(x)
    y = (x[:, None] + sigma * grid).reshape(-1, d)
    return np.repeat(x, len(grid), 0), y, np.tile(weight, len(x))


def monomials(y, degree):
    """All monomials of total degree at most `degree` of standardised columns, as a plain list of
    powers.
    """
    d = y.shape[1]
    t = y / np.sqrt((y**2).mean(0))
    powers = [a for a in np.ndindex(*[degree + 1] * d) if sum(a) <= degree]
    return np.stack([np.prod(t ** np.array(a), axis=1) for a in powers], 1)


def at(denoiser, y, sigma):
    return denoiser(torch.from_numpy(y.reshape(len(y), *denoiser.shape)), sigma).flatten(1).numpy()


@settings(deadline=None, max_examples=20)
@given(degree=st.integers(1, 7), sigma=st.floats(0.1, 30), seed=st.integers(0, 99))
def test_the_residual_is_orthogonal_to_every_power_in_one_dimension(degree, sigma, seed):
    rng = np.random.default_rng(seed)
    images = points(rng.uniform(-1, 1, (30, 1)) * rng.uniform(0.3, 1))
    x, y, w = nodes(raw(images), sigma, 14)
    residual = x - at(Polynomial(degree=degree).fit(images), y, sigma)
    powers = monomials(y, degree)
    size = np.sqrt((powers**2 * w[:, None]).sum(0))
    assert np.abs((residual * powers * w[:, None]).sum(0) / size).max() < TINY


@pytest.mark.parametrize("conservative", [False, True])
@pytest.mark.parametrize("sigma", [0.15, 1.0, 40.0])
def test_the_residual_is_orthogonal_to_the_features_in_the_plane(sigma, conservative):
    """Plain: to every monomial, in each coordinate. Conservative: to every gradient of a
    monomial.
    """
    images, p = plane("pinwheel", 60), 4
    denoiser = Polynomial(degree=p, conservative=conservative).fit(images)
    x, y, w = nodes(raw(images), sigma, 8)
    residual = x - at(denoiser, y, sigma)
    t = y / np.sqrt((y**2).mean(0))
    for a in np.ndindex(p + 2, p + 2):
        if conservative and 0 < sum(a) <= p + 1:
            down = [
                t[:, 0] ** max(a[0] - 1, 0) * a[0] * t[:, 1] ** a[1],
                t[:, 0] ** a[0] * a[1] * t[:, 1] ** max(a[1] - 1, 0),
            ]
            feature = np.stack(down, 1) / np.sqrt((y**2).mean(0))
            inner = (residual * feature).sum(1) @ w
            assert abs(inner) < TINY * math.sqrt((feature**2).sum(1) @ w)
        elif not conservative and sum(a) <= p:
            feature = t[:, 0] ** a[0] * t[:, 1] ** a[1]
            assert np.abs((residual * (w * feature)[:, None]).sum(0)).max() < TINY * math.sqrt(
                feature**2 @ w
            )


def test_the_residual_is_orthogonal_by_simulation():
    """400 000 simulated pairs: every mean of residual times feature within 5 standard errors of
    zero.
    """
    images, sigma = plane("moons", 200), 0.4
    rng = np.random.default_rng(1)
    x = raw(images)[rng.integers(200, size=400_000)]
    y = x + sigma * rng.standard_normal(x.shape)
    residual = x - at(Polynomial(degree=3).fit(images), y, sigma)
    for feature in monomials(y, 3).T:
        product = residual * feature[:, None]
        assert (np.abs(product.mean(0)) < 5 * product.std(0) / math.sqrt(len(x))).all()


@pytest.mark.parametrize(("d", "degree"), [(1, 7), (2, 5), (3, 2)])
def test_it_is_the_least_squares_fit_on_quadrature_nodes(d, degree):
    rng = np.random.default_rng(d)
    images, sigma = points(np.tanh(rng.standard_normal((25, d)))), 0.6
    x, y, w = nodes(raw(images), sigma, degree + 1)
    root = np.sqrt(w)[:, None]
    fit = np.linalg.lstsq(monomials(y, degree) * root, x * root, rcond=None)[0]
    assert (
        np.abs(
            at(Polynomial(degree=degree).fit(images), y, sigma) - monomials(y, degree) @ fit
        ).max()
        < 1e-8
    )


def test_the_conservative_fit_is_score_matching():
    """E[g_a . g_b] theta = -E[laplacian of monomial a], score = sum theta_a g_a, by quadrature in
    raw monomials.
    """
    images, sigma, p = plane("spiral", 50), 0.5, 3
    _, y, w = nodes(raw(images), sigma, 7)
    powers = [a for a in np.ndindex(p + 2, p + 2) if 0 < sum(a) <= p + 1]

    def monomial(a, b):
        return y[:, 0] ** a * y[:, 1] ** b if min(a, b) >= 0 else np.zeros(len(y))

    slopes = np.stack(
        [np.stack([a * monomial(a - 1, b), b * monomial(a, b - 1)], 1) for a, b in powers]
    )
    laplace = np.stack(
        [a * (a - 1) * monomial(a - 2, b) + b * (b - 1) * monomial(a, b - 2) for a, b in powers]
    )
    theta = np.linalg.solve(np.einsum("anj,bnj,n->ab", slopes, slopes, w), -laplace @ w)
    score = np.einsum("a,anj->nj", theta, slopes)
    got = (at(Polynomial(degree=p, conservative=True).fit(images), y, sigma) - y) / sigma**2
    assert np.abs(got - score).max() < 1e-8 * np.abs(score).max()


def test_curl_is_the_mean_square_of_the_antisymmetric_jacobian():
    images, sigma, p = plane("spiral", 40), 0.3, 4
    denoiser, gradient = (Polynomial(degree=p, conservative=c).fit(images) for c in (False, True))
    _, y, w = nodes(raw(images), sigma, 6)

    def jacobian(d):
        one = torch.func.jacrev(
            lambda v: d.denoise(
                v.reshape(1, 2, 1, 1), torch.tensor([sigma], dtype=torch.float64), None
            ).flatten()
        )
        return torch.func.vmap(one)(torch.from_numpy(y)).numpy()

    j = jacobian(denoiser)
    ratio = (((j - j.transpose(0, 2, 1)) ** 2).sum((1, 2)) @ w) / (4 * ((j**2).sum((1, 2)) @ w))
    assert denoiser.curl(sigma) == pytest.approx(ratio, rel=1e-8)
    assert ratio > 1e-6
    k = jacobian(gradient)
    assert np.abs(k - k.transpose(0, 2, 1)).max() < 1e-10 * np.abs(k).max()
    with pytest.raises(InputError, match="conservative=True"):
        denoiser.potential(sigma)
    v = torch.from_numpy(y) @ denoiser.state()["basis"].T
    _, slopes = denoiser.differential(v, sigma)
    u = denoiser.state()["basis"].numpy()
    assert np.abs(u.T @ slopes.numpy() @ u - jacobian_at_mean(denoiser, v, sigma)).max() < 1e-10


def jacobian_at_mean(denoiser, v, sigma):
    """Jacobian in pixels at the points whose centred coordinates are v, by automatic
    differentiation.
    """
    mean, basis = denoiser.state()["mean"].flatten(), denoiser.state()["basis"]
    one = torch.func.jacrev(
        lambda y: denoiser.denoise(
            y.reshape(1, 2, 1, 1), torch.tensor([sigma], dtype=torch.float64), None
        ).flatten()
    )
    return torch.func.vmap(one)(mean + v @ basis).numpy()


def thue_morse(k):
    """Prouhet: 0 .. 2^(k+1) - 1 split by the parity of their binary digits; power sums agree up to
    order k, not k + 1.
    """
    numbers = np.arange(2 ** (k + 1))
    odd = np.array([bin(n).count("1") % 2 == 1 for n in numbers])
    scaled = (numbers - numbers.mean()) / 2**k
    return scaled[~odd, None], scaled[odd, None]


@pytest.mark.parametrize("p", [1, 2, 3])
def test_data_with_equal_moments_up_to_2p_give_the_same_denoiser(p):
    one, other = (points(x) for x in thue_morse(2 * p))
    y = np.linspace(-3, 3, 41)[:, None]
    same = [at(Polynomial(degree=p).fit(s), y, 0.4) for s in (one, other)]
    assert np.abs(same[0] - same[1]).max() < 1e-9
    next_degree = [at(Polynomial(degree=p + 1).fit(s), y, 0.4) for s in (one, other)]
    assert np.abs(next_degree[0] - next_degree[1]).max() > 1e-5


def test_equal_moments_in_the_plane():
    """A x A + B x B against A x B + B x A, A and B equal up to order 2: first mixed difference at
    order 6.
    """
    a, b = (x[:, 0] for x in thue_morse(2))

    def product(u, v):
        return np.stack(np.meshgrid(u, v), -1).reshape(-1, 2)

    one, other = (
        points(np.vstack([product(a, a), product(b, b)])),
        points(np.vstack([product(a, b), product(b, a)])),
    )
    y = np.random.default_rng(0).normal(size=(50, 2))
    for degree, low, high in ((2, 0, 1e-10), (3, 1e-4, 1)):
        gap = np.abs(
            at(Polynomial(degree=degree).fit(one), y, 0.3)
            - at(Polynomial(degree=degree).fit(other), y, 0.3)
        ).max()
        assert low <= gap < high


def wiener(x, y, sigma):
    mean, cov = x.mean(0), np.cov(x.T, bias=True).reshape(x.shape[1], x.shape[1])
    return mean + (y - mean) @ np.linalg.solve(cov + sigma**2 * np.eye(len(cov)), cov)


@pytest.mark.parametrize(
    "settings_", [{}, {"conservative": True}, {"separable": True}, {"components": 2}]
)
def test_degree_one_is_the_wiener_denoiser(settings_):
    rng = np.random.default_rng(0)
    x = np.clip(0.3 * rng.standard_normal((12, 20)) @ rng.standard_normal((20, 20)) / 4, -1, 1)
    images = ImageSet.from_array(torch.from_numpy(x.reshape(12, 1, 4, 5)))
    y = rng.normal(size=(7, 20))
    got = at(Polynomial(degree=1, **settings_).fit(images), y, 0.7)
    assert np.abs(got - wiener(raw(images), y, 0.7)).max() < 1e-12


def test_in_an_image_the_leading_components_are_polynomial_and_the_rest_linear():
    rng = np.random.default_rng(3)
    images = ImageSet.from_array(torch.from_numpy(np.tanh(rng.standard_normal((40, 1, 3, 3)) ** 3)))
    x, sigma, degree = raw(images), 0.5, 4
    _, _, v = np.linalg.svd(x - x.mean(0))
    u = (x - x.mean(0)) @ v[:2].T
    clean, noisy, w = nodes(u, sigma, degree + 1)
    root = np.sqrt(w)[:, None]
    scale = np.sqrt((noisy**2).mean(0))
    fit = np.linalg.lstsq(monomials(noisy, degree) * root, clean * root, rcond=None)[0]
    y = rng.normal(size=(30, 9))
    c = (y - x.mean(0)) @ v.T
    powers = [a for a in np.ndindex(degree + 1, degree + 1) if sum(a) <= degree]
    t = c[:, :2] / scale
    inside = np.stack([np.prod(t ** np.array(a), axis=1) for a in powers], 1) @ fit
    expected = (
        wiener(x, y, sigma)
        + (inside - c[:, :2] * (lam := (u**2).mean(0)) / (lam + sigma**2)) @ v[:2]
    )
    got = at(Polynomial(degree=degree, components=2).fit(images), y, sigma)
    assert np.abs(got - expected).max() < 1e-8 * np.abs(expected).max()


def test_separable_is_one_fit_per_principal_coordinate():
    images, sigma = plane("moons", 80), 0.3
    x = raw(images)
    _, _, v = np.linalg.svd(x - x.mean(0))
    y = np.random.default_rng(0).normal(size=(20, 2))
    expected = np.zeros_like(y)
    for direction in v:
        own = (x - x.mean(0)) @ direction
        # halved into [-1, 1]; noise halves too
        fitted = Polynomial(degree=5).fit(points(own[:, None] / 2))
        expected += (
            2 * at(fitted, ((y - x.mean(0)) @ direction)[:, None] / 2, sigma / 2) * direction
        )
    got = at(Polynomial(degree=5, separable=True).fit(images), y, sigma)
    assert np.abs(got - x.mean(0) - expected).max() < 1e-5  # points are kept in float32


def test_high_degree_approaches_the_ideal_denoiser():
    """On five points the error under p_sigma falls with every step of the degree, to 1 % of the
    data's deviation.
    """
    images, sigma = points([[-0.9], [-0.35], [0.0], [0.45], [0.8]]), 0.35
    x, y, w = nodes(raw(images), sigma, 60)
    belief = np.exp(-((y - raw(images).T) ** 2) / (2 * sigma**2))
    ideal = (belief / belief.sum(1, keepdims=True)) @ raw(images)
    errors = [
        math.sqrt(((at(Polynomial(degree=p).fit(images), y, sigma) - ideal)[:, 0] ** 2) @ w)
        for p in (1, 3, 5, 9, 15)
    ]
    assert (np.diff(errors) < 0).all(), errors
    assert errors[-1] < 0.01 * x.std()


def test_levels_may_differ_within_a_batch_and_the_state_rebuilds():
    images = plane("ring", 100)
    denoiser = Polynomial(degree=3).fit(images)
    y, sigma = torch.randn(4, 2, 1, 1), torch.tensor([0.1, 2.0, 0.1, 30.0])
    together = denoiser(y, sigma)
    assert together.dtype == torch.float32
    for i in range(4):
        assert torch.allclose(together[i : i + 1], denoiser(y[i : i + 1], sigma[i]), atol=1e-6)
    again = denoiser.spec.rebuild(denoiser.state())
    assert torch.equal(again(y, sigma), together)


@pytest.mark.parametrize("setting", [{}, {"conservative": True}, {"separable": True}], ids=str)
@pytest.mark.parametrize("count", [1, 3])
def test_images_that_are_all_alike_are_the_estimate_and_the_law(setting, count):
    x = seeds.normal([0], (1, 3, 2)).tanh()
    denoiser = Polynomial(components=2, **setting).fit(
        ImageSet.from_array(x.repeat(count, 1, 1, 1))
    )
    y = 3 * seeds.normal(range(4), (1, 3, 2), dtype=torch.float64)
    assert torch.allclose(denoiser(y, 0.7), x.double().expand_as(y))
    law = generated_by(denoiser, noise.cosine(4))
    assert torch.allclose(law.sample(range(2)), x.double().expand(2, -1, -1, -1))
    assert torch.allclose(law.mean, x[0].double())
    assert law.escape == 0
    assert law.covariance.dense().abs().max() < 1e-20
    assert law.log_prob(y).isneginf().all()
    assert law.log_prob(x).item() == 0


def test_bad_settings_are_refused():
    with pytest.raises(InputError, match="degree must be"):
        Polynomial(degree=0)
    with pytest.raises(InputError, match="components must be"):
        Polynomial(components=0)
    images = ImageSet.from_array(torch.rand(40, 1, 6, 6) * 2 - 1)
    with pytest.raises(InputError, match="at most 1000 terms"):
        Polynomial(degree=9).fit(images)


def test_plane_sets_are_reproducible_and_fill_the_square():
    for name in SHAPES:
        images = plane(name, 200, seed=3)
        assert images.shape == (2, 1, 1)
        assert 0.9 < float(images.images.abs().max()) <= 1
        assert images.hash == plane(name, 200, seed=3).hash != plane(name, 200, seed=4).hash
    with pytest.raises(InputError, match="did you mean 'moons'"):
        plane("moon", 100)
