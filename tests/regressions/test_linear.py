"""Linear denoisers against regressions written out in full: no Fourier transforms, no shared
moments, no shortcuts.
"""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from archbias.data import ImageSet
from archbias.errors import InputError
from archbias.regressions.linear import Linear


def images(n=12, c=2, h=5, w=4, seed=0):
    rng = np.random.default_rng(seed)
    return ImageSet.from_array(np.tanh(rng.normal(size=(n, c, h, w)).cumsum(2).cumsum(3) / 3))


def regress(x, y_at, sigma):
    """The affine least-squares map from features y_at(x) + sigma n to x, by the normal equations,
    as a function of features.
    """
    features = y_at - y_at.mean(0)
    gram = features.T @ features / len(x) + sigma**2 * np.eye(features.shape[1])
    weights = np.linalg.solve(gram, features.T @ (x - x.mean(0)) / len(x))
    return lambda f: x.mean(0) + (f - y_at.mean(0)) @ weights


def translates(x):
    return np.concatenate(
        [np.roll(x, (i, j), (2, 3)) for i in range(x.shape[2]) for j in range(x.shape[3])]
    )


def flat(x):
    return x.reshape(len(x), -1)


def windows(x, k, circular):
    """(N, C, k, k, H, W): every pixel's window, zero where a window leaves the image."""
    half = k // 2
    padded = np.pad(
        x, ((0, 0), (0, 0), (half, half), (half, half)), mode="wrap" if circular else "constant"
    )
    h, w = x.shape[2:]
    return np.stack(
        [[padded[:, :, i : i + h, j : j + w] for j in range(k)] for i in range(k)]
    ).transpose(2, 3, 0, 1, 4, 5)


def noisy(seed, shape, b=3):
    return 2 * torch.randn(
        b, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)
    )


levels = st.floats(0.03, 50.0)


@settings(max_examples=10, deadline=None)
@given(n=st.integers(2, 60), sigma=levels, seed=st.integers(0, 1000))
def test_wiener_is_the_full_regression(n, sigma, seed):
    """On both sides of N = d = 40."""
    data, y = images(n, seed=seed), noisy(seed, (2, 5, 4))
    x = data.images.double().numpy()
    want = regress(flat(x), flat(x), sigma)(flat(y.numpy()))
    np.testing.assert_allclose(
        flat(Linear().fit(data)(y, sigma).numpy()), want, rtol=1e-8, atol=1e-9
    )


@settings(max_examples=10, deadline=None)
@given(rank=st.integers(1, 11), sigma=levels)
def test_rank_r_is_reduced_rank_regression(rank, sigma):
    """Izenman: the full regression projected on the leading eigenvectors of the explained
    covariance.
    """
    data, y = images(), noisy(1, (2, 5, 4))
    x = flat(data.images.double().numpy())
    cov = np.cov(x.T, bias=True)
    explained = cov @ np.linalg.solve(cov + sigma**2 * np.eye(40), cov)
    top = np.linalg.eigh(explained)[1][:, -rank:]
    full = regress(x, x, sigma)(flat(y.numpy()))
    want = x.mean(0) + (full - x.mean(0)) @ top @ top.T
    np.testing.assert_allclose(
        flat(Linear(rank=rank).fit(data)(y, sigma).numpy()), want, rtol=1e-7, atol=1e-8
    )


def test_full_rank_is_wiener():
    data, y = images(), noisy(2, (2, 5, 4))
    torch.testing.assert_close(
        Linear(rank=11).fit(data)(y, 0.7), Linear().fit(data)(y, 0.7), rtol=1e-12, atol=1e-12
    )


@settings(max_examples=8, deadline=None)
@given(sigma=levels, seed=st.integers(0, 1000))
def test_equivariant_is_the_regression_on_all_translates(sigma, seed):
    data, y = images(seed=seed), noisy(seed, (2, 5, 4))
    x = flat(translates(data.images.double().numpy()))
    want = regress(x, x, sigma)(flat(y.numpy()))
    got = Linear(constraint="equivariant").fit(data)(y, sigma)
    np.testing.assert_allclose(flat(got.numpy()), want, rtol=1e-8, atol=1e-9)


@settings(max_examples=8, deadline=None)
@given(sigma=levels, k=st.sampled_from([1, 3]), c=st.integers(1, 3))
def test_local_is_the_regression_of_a_pixel_on_its_window(sigma, k, c):
    data, y = images(c=c, h=4, w=5), noisy(3, (c, 4, 5))
    x = data.images.double().numpy()
    w = windows(x, k, circular=True)  # every window of every image is one example
    examples = w.transpose(0, 4, 5, 1, 2, 3).reshape(-1, c * k * k)
    pixels = x.transpose(0, 2, 3, 1).reshape(-1, c)
    fit = regress(pixels, examples, sigma)
    seen = windows(y.numpy(), k, circular=True).transpose(0, 4, 5, 1, 2, 3)
    want = fit(seen.reshape(-1, c * k * k)).reshape(3, 4, 5, c).transpose(0, 3, 1, 2)
    got = Linear(constraint="local", window=k).fit(data)(y, sigma)
    np.testing.assert_allclose(got.numpy(), want, rtol=1e-8, atol=1e-9)


@settings(max_examples=8, deadline=None)
@given(sigma=levels, k=st.sampled_from([1, 3, 5, 9]), c=st.integers(1, 2))
def test_local_per_pixel_is_one_regression_per_pixel(sigma, k, c):
    data, y = images(c=c, h=5, w=4), noisy(4, (c, 5, 4))
    x = data.images.double().numpy()
    w, seen = windows(x, k, circular=False), windows(y.numpy(), k, circular=False)
    got = Linear(constraint="local_per_pixel", window=k).fit(data)(y, sigma).numpy()
    for i in range(5):
        for j in range(4):
            fit = regress(x[:, :, i, j], flat(w[..., i, j]), sigma)
            np.testing.assert_allclose(
                got[:, :, i, j], fit(flat(seen[..., i, j])), rtol=1e-8, atol=1e-9
            )


def test_a_window_covering_the_image_is_no_restriction():
    data, y = images(h=5, w=5), noisy(5, (2, 5, 5))
    close = {"rtol": 1e-9, "atol": 1e-10}
    everywhere = Linear(constraint="local_per_pixel", window=9).fit(data)(y, 0.4)
    torch.testing.assert_close(everywhere, Linear().fit(data)(y, 0.4), **close)
    torus = Linear(constraint="local", window=5).fit(data)(y, 0.4)
    torch.testing.assert_close(torus, Linear(constraint="equivariant").fit(data)(y, 0.4), **close)
    shifted = ImageSet.from_array(translates(data.images.numpy()))
    # images are float32
    torch.testing.assert_close(torus, Linear().fit(shifted)(y, 0.4), rtol=1e-6, atol=1e-6)


EVERY = [
    Linear(),
    Linear(rank=3),
    Linear(constraint="equivariant"),
    Linear(constraint="local", window=3),
    Linear(constraint="local_per_pixel", window=3),
]


@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")
@pytest.mark.parametrize("spec", EVERY, ids=repr)
def test_one_level_per_row_and_derivatives(spec):
    """Rows at different levels equal rows one by one; the derivative of an affine map is its linear
    part everywhere.
    """
    denoiser, y = spec.fit(images()), noisy(6, (2, 5, 4))
    sigma = torch.tensor([0.3, 2.0, 0.3], dtype=torch.float64)
    mixed = denoiser(y, sigma)
    for b in range(3):
        torch.testing.assert_close(
            mixed[b : b + 1], denoiser(y[b : b + 1], float(sigma[b])), rtol=1e-12, atol=1e-12
        )
    v = noisy(7, (2, 5, 4))
    value, slope = torch.func.jvp(lambda u: denoiser.denoise(u, sigma), (y,), (v,))
    torch.testing.assert_close(value + slope, denoiser(y + v, sigma), rtol=1e-11, atol=1e-11)
    mapped = torch.func.vmap(lambda u: denoiser.denoise(u[None], sigma[:1])[0])(y)
    torch.testing.assert_close(mapped, denoiser(y, 0.3), rtol=1e-12, atol=1e-12)


def test_constant_images_give_their_mean():
    data = ImageSet.from_array(np.full((5, 1, 3, 3), 0.25))
    y = noisy(8, (1, 3, 3))
    for spec in [Linear(), Linear(constraint="equivariant"), Linear(constraint="local", window=3)]:
        torch.testing.assert_close(
            spec.fit(data)(y, 1.0), torch.full_like(y, 0.25), rtol=1e-12, atol=1e-12
        )


@pytest.mark.parametrize(
    ("settings_", "message"),
    [
        ({"constraint": "lokal"}, "unknown constraint 'lokal'"),
        ({"constraint": "local"}, "odd window of at least 1, got None"),
        ({"constraint": "local", "window": 4}, "odd window of at least 1, got 4"),
        ({"window": 3}, "belongs to a local constraint"),
        ({"rank": 0}, "rank must be an integer of at least 1"),
        ({"rank": 3, "constraint": "equivariant"}, "without a constraint"),
    ],
)
def test_bad_settings(settings_, message):
    with pytest.raises(InputError, match=message):
        Linear(**settings_)


def test_settings_the_images_do_not_allow():
    with pytest.raises(InputError, match="at most 11, the dimensions these 12 images span, got 12"):
        Linear(rank=12).fit(images())
    with pytest.raises(InputError, match="at most 4 for 5x4 images, got 5"):
        Linear(constraint="local", window=5).fit(images())
