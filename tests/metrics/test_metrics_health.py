"""Errors between the ideal denoiser's and the Wiener filter's, against closed forms."""

import math

import pytest
import torch

from archbias.errors import InputError
from archbias.metrics import health

LAM = torch.tensor([4.0, 1.0, 0.25, 0.04], dtype=torch.float64).reshape(1, 2, 2)
SIGMAS = [3.0, 0.5, 0.05]


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def gaussian(n, seed=0):
    """Independent pixels of variance LAM: the Wiener filter is the posterior mean."""
    return normal(n, 1, 2, 2, seed=seed) * LAM.sqrt()


def wiener(y, sigma):
    return LAM / (LAM + sigma**2) * y


def test_the_wiener_filter_errs_as_its_formula_says():
    """Per pixel lam s^2 / (lam + s^2), within 4 standard errors."""
    found = health.errors(wiener, gaussian(4000), SIGMAS, batch=999)
    assert found.shape == (3, 4000)
    for row, sigma in zip(found, SIGMAS, strict=True):
        want = float((LAM * sigma**2 / (LAM + sigma**2)).mean())
        assert abs(float(row.mean()) - want) < 4 * float(row.std()) / math.sqrt(4000)


def test_identity_and_zero_have_their_errors():
    x = gaussian(500)
    for row, sigma in zip(health.errors(lambda y, s: y, x, SIGMAS), SIGMAS, strict=True):
        # chi^2 of 4 pixels: standard deviation sqrt(2 / 4) of sigma^2
        assert abs(float(row.mean()) / sigma**2 - 1) < 4 * math.sqrt(0.5 / 500)
    zero = health.errors(lambda y, s: 0 * y, x, SIGMAS)
    torch.testing.assert_close(zero, x.flatten(1).square().mean(1).expand(3, -1))
    parts = health.errors(wiener, x, SIGMAS, batch=7)
    torch.testing.assert_close(parts, health.errors(wiener, x, SIGMAS, batch=500))


def ideal_of(images):
    def ideal(y, sigma):
        gap = (y[:, None] - images[None]).square().flatten(2).sum(2)
        weights = torch.softmax(-gap / (2 * sigma**2), 1)
        return (weights @ images.flatten(1)).reshape(y.shape)

    return ideal


def test_the_ideal_denoiser_of_two_images_errs_as_quadrature_says():
    """Images -a and a: D = a tanh(a.y / s^2), its error E |a|^2 (1 - tanh)^2 over the noise along
    a.
    """
    a = torch.tensor([0.3, -0.2, 0.5, 0.1], dtype=torch.float64).reshape(1, 1, 2, 2)
    images = torch.cat([a, -a]).repeat(2000, 1, 1, 1)
    square, sigma = float(a.square().sum()), 0.8
    t = torch.linspace(-10, 10, 20001, dtype=torch.float64)
    weight = torch.exp(-t.square() / 2) * 1e-3 / math.sqrt(2 * math.pi)
    belief = torch.tanh((square + math.sqrt(square) * sigma * t) / sigma**2)
    want = float((weight * (1 - belief).square()).sum()) * square / 4
    row = health.errors(ideal_of(torch.cat([a, -a])), images, [sigma])[0]
    assert abs(float(row.mean()) - want) < 4 * float(row.std()) / math.sqrt(len(row))


def test_ideal_is_at_0_and_wiener_at_1_and_nothing_beats_the_ideal_on_training_images():
    x = gaussian(60)
    ideal = ideal_of(x)
    for network, place in ((ideal, 0.0), (wiener, 1.0)):
        found = health.beside(network, ideal, wiener, x, [0.5, 0.2])
        assert [v.value for v in found.place()] == pytest.approx([place, place], abs=1e-12)
        assert not found.worse_than_wiener().any()
    assert all(v.value < 1 for v in health.beside(ideal, ideal, wiener, x, [0.5]).against_wiener())
    same = health.beside(wiener, wiener, wiener, x, [0.5])
    assert math.isnan(same.place()[0].value)  # no room between the two


def test_a_network_that_fails_at_high_noise_is_named_there():
    """Right below sigma 1, the noisy image itself above: (lam + s^2) / lam times the Wiener
    error, weighted by lam s^2 / (lam + s^2).
    """
    x = gaussian(800)

    def network(y, sigma):
        return y if sigma > 1 else wiener(y, sigma)

    found = health.beside(network, ideal_of(x[:50]), wiener, x, SIGMAS)
    assert found.worse_than_wiener().tolist() == [True, False, False]
    want = 9 / float((LAM * 9 / (LAM + 9)).mean())
    first = found.against_wiener()[0]
    assert first.low < want < first.high
    assert found.finite_share().tolist() == [1, 1, 1]
    assert found.mean("wiener")[0].n == 800


def test_answers_that_are_not_finite_are_left_out_and_counted():
    x = gaussian(40)

    def network(y, sigma):
        out = wiener(y, sigma)
        out[:10] = torch.nan if sigma > 1 else out[:10]
        return out

    found = health.beside(network, wiener, wiener, x, SIGMAS, batch=40)
    assert found.finite_share().tolist() == [0.75, 1, 1]
    assert found.mean()[0].missing == 10
    dead = health.beside(lambda y, s: y * torch.inf, wiener, wiener, x, [1.0])
    assert dead.worse_than_wiener().tolist() == [True]
    for sigmas in ([0.0], [], [math.nan], "a", [1.0, None]):
        with pytest.raises(InputError):
            health.errors(wiener, x, sigmas)


def test_labels_reach_the_network():
    labels = torch.arange(10)
    found = health.errors(
        lambda y, s, c: 0 * y + c.reshape(-1, 1, 1, 1),
        torch.zeros(10, 1, 2, 2),
        [1.0],
        labels=labels,
        batch=4,
    )
    assert found[0].tolist() == [float(k) ** 2 for k in range(10)]


def test_range_of_samples():
    x = torch.zeros(5, 1, 2, 2)
    x[0, 0, 0] = torch.tensor([-1.0, 3.0])
    x[4, 0, 0, 0] = torch.nan
    found = health.range_of(x)
    assert (found.low, found.high, found.finite) == (-1, 3, 0.8)
    assert found.saturated == 2 / 16
    assert found.beyond == pytest.approx(math.sqrt(4 / 16))
    assert math.isnan(health.range_of(x[4:]).low)
    assert health.range_of(x[4:]).finite == 0


def test_lost_brightness_and_contrast_are_measured():
    """Images 0.2 z_b + 0.5 n: brightness of spread about 0.2, amplitude about 0.5."""
    x = 0.2 * normal(4000, 1, 1, 1, seed=1) + 0.5 * normal(4000, 1, 8, 8, seed=2)
    spread = math.sqrt(0.04 + 0.25 / 64)
    held = x[:1000]
    same = health.looks(held, x[1000:])
    assert abs(same.z_brightness) < 4
    assert same.brightness.low - 0.05 < 0 < same.brightness.high + 0.05
    assert same.amplitude.value == pytest.approx(1, abs=0.02)
    dark = health.looks(0.5 * (held - held.mean((1, 2, 3), keepdim=True)) - 0.3, x[1000:])
    assert dark.brightness.value == pytest.approx(-0.3 / spread, rel=0.1)
    assert dark.amplitude.value == pytest.approx(0.5, rel=0.05)
    assert dark.z_brightness < -30
    assert dark.z_amplitude < -30
    bad = held.clone()
    bad[3] = torch.nan
    assert health.looks(bad, x[1000:]).brightness.missing == 1
    with pytest.raises(InputError, match="at least 1 sample"):
        health.looks(held[:0], x)


def test_shares_of_the_distance_from_wiener():
    network, filtered = normal(6, 1, 3, 3), normal(6, 1, 3, 3, seed=1)
    half = network + 0.5 * (filtered - network)
    torch.testing.assert_close(
        health.shares(network, half, filtered), torch.full((6,), 0.25).double()
    )
    assert (health.shares(network, network, filtered) == 0).all()
    assert health.shares(network, half, network).isnan().all()
    bad = half.clone()
    bad[2] = torch.nan
    assert health.shares(network, bad, filtered).isnan().tolist() == [k == 2 for k in range(6)]
    pooled = health.share(network, bad, filtered)
    assert (pooled.value, pooled.missing) == (pytest.approx(0.25), 1)
    # by its definition: the ratio of sums, not the mean of ratios
    theory = network + torch.arange(6).reshape(-1, 1, 1, 1)
    want = (theory - network).square().sum() / (filtered - network).square().sum()
    assert health.share(network, theory, filtered).value == pytest.approx(float(want))
    with pytest.raises(InputError, match="one shape"):
        health.shares(network, half[:3], filtered)
