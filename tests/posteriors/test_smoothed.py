"""The smoothed ideal denoiser: the definition, its limit, and a case solved by quadrature."""

import numpy as np
import pytest
import torch

from archbias.data import ImageSet
from archbias.errors import InputError
from archbias.posteriors.ideal import Ideal
from archbias.posteriors.levels import Schedule
from archbias.posteriors.smoothed import Smoothed


def images(n=12, shape=(2, 3, 4), labels=None):
    x = np.random.default_rng(0).uniform(-1, 1, (n, *shape)).astype(np.float32)
    return ImageSet.from_array(x, labels=labels)


def noisy(data, level, batch=2):
    n = torch.randn(batch, *data.shape, generator=torch.Generator().manual_seed(1))
    return (data.images[:batch] + level * n).double()


def ideal(phi, y, sigma):
    """Explicit distances, float64."""
    logits = np.array([-((y - p) ** 2).sum() / (2 * sigma**2) for p in phi])
    w = np.exp(logits - logits.max())
    return np.tensordot(w / w.sum(), phi, 1)


@pytest.mark.parametrize("level", [0.05, 0.5, 4.0])
def test_equals_the_definition(level):
    labels = torch.arange(12) % 2
    data = images(labels=labels)
    denoiser = Smoothed(smoothing=0.3, draws=6).fit(data)
    y, near = noisy(data, level), 0.3 * (1 + level)
    u = denoiser.neighbours().numpy()
    assert np.array_equal(u[:3], -u[3:])
    phi = data.images.double().numpy()
    for told in (None, torch.tensor([1, 0])):
        got = denoiser(y, level, told).numpy()
        for b in range(2):
            part = phi if told is None else phi[(labels == told[b]).numpy()]
            want = np.mean([ideal(part, y[b].numpy() + near * v, level) for v in u], 0)
            assert np.abs(got[b] - want).max() < 1e-11
    single = denoiser(y.float(), level).double().numpy()
    assert np.abs(single - denoiser(y, level).numpy()).max() < 1e-5


def test_without_smoothing_it_is_the_ideal_denoiser():
    data = images()
    y = noisy(data, 0.4)
    got = Smoothed(smoothing=Schedule((0.4, 9.0), (0.0, 0.5))).fit(data)(y, 0.4)
    torch.testing.assert_close(got, Ideal().fit(data)(y, 0.4), atol=1e-13, rtol=0)


def test_between_two_images_the_weight_is_a_gaussian_integral():
    """Two images: w = E logistic(a + b g), g ~ N(0, 1), by Gauss-Hermite quadrature."""
    data = images(2)
    one, two = data.images.double()
    level, kappa = 0.5, 0.4
    y = (0.6 * one + 0.4 * two)[None]
    a = ((y[0] - two).square().sum() - (y[0] - one).square().sum()) / (2 * level**2)
    b = kappa * (1 + level) * (one - two).norm() / level**2
    nodes, weights = np.polynomial.hermite_e.hermegauss(200)
    want = (weights / (1 + np.exp(-(float(a) + float(b) * nodes)))).sum() / weights.sum()
    got = Smoothed(smoothing=kappa, draws=4000).fit(data)(y, level)[0]
    share = ((got - two) * (one - two)).sum() / (one - two).square().sum()
    assert abs(float(share) - want) < 4 * 0.5 / 4000**0.5  # a logistic lies in [0, 1]
    sharp = 1 / (1 + np.exp(-float(a)))
    assert abs(want - sharp) > 0.1, "smoothing matters here"


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # torch.func imports it
def test_derivatives_are_those_of_the_definition():
    data = images()
    denoiser, y = Smoothed(smoothing=0.3, draws=4).fit(data), noisy(data, 0.6)
    direction = torch.randn(y.shape, generator=torch.Generator().manual_seed(5), dtype=y.dtype)
    step, sigma = 1e-5, torch.full((2,), 0.6, dtype=y.dtype)
    numeric = (denoiser(y + step * direction, 0.6) - denoiser(y - step * direction, 0.6)) / (
        2 * step
    )
    forward = torch.func.jvp(lambda v: denoiser.denoise(v, sigma), (y,), (direction,))[1]
    torch.testing.assert_close(forward, numeric, rtol=1e-5, atol=1e-8)


def test_bad_settings_are_explained():
    for draws in (3, 0, 2.0, True):
        with pytest.raises(InputError, match="draws come in pairs"):
            Smoothed(draws=draws)
    with pytest.raises(InputError, match="smoothing must be"):
        Smoothed(smoothing=-0.1)
    assert Smoothed().told == "nothing"
