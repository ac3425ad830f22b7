"""Graded knowledge of place: the definition, and both ends."""

import itertools
import math

import numpy as np
import pytest
import torch

from archbias.data import ImageSet
from archbias.errors import InputError
from archbias.posteriors.graded import Graded
from archbias.posteriors.levels import Schedule
from archbias.posteriors.score_machines import BBELS, ELS, LS
from archbias.posteriors.windows import WindowSchedule

INF = math.inf


def images(n=6, shape=(2, 5, 6), labels=None):
    x = np.random.default_rng(0).uniform(-1, 1, (n, *shape))
    x = (x + np.roll(x, 1, 2) + np.roll(x, 1, 3)) / 3
    return ImageSet.from_array(x.astype(np.float32), labels=labels)


def noisy(data, level, batch=2, dtype=torch.float64):
    n = torch.randn(batch, *data.shape, generator=torch.Generator().manual_seed(1))
    return (data.images[:batch] + level * n).to(dtype)


def alike(p, q, size, half):
    """Whether the windows at p and q meet the border in the same way."""
    return p == q or all(half <= at < size - half for at in (p, q))


def brute(k, rho, radius, border, phi, y, sigma):
    """The definition with loops over pixels, moves and images, float64."""
    phi, y = phi.double().numpy(), y.double().numpy()
    h, w, half = y.shape[2], y.shape[3], k // 2
    out, steps = np.zeros_like(y), range(-radius, radius + 1)
    torus = border == "circular"
    for b, pr, pc in itertools.product(range(len(y)), range(h), range(w)):
        logits, values = [], []
        for down, right in itertools.product(steps, steps):
            qr, qc = pr + down, pc + right
            if torus:
                qr, qc = qr % h, qc % w
            elif not (alike(pr, qr, h, half) and alike(pc, qc, w, half)):
                continue
            prior = 0 if math.isinf(rho) else -(down**2 + right**2) / (2 * rho**2)
            for image in phi:
                total = 0.0
                for u, v in itertools.product(range(-half, half + 1), range(-half, half + 1)):
                    r, c = pr + u, pc + v
                    if torus:
                        gap = y[b, :, r % h, c % w] - image[:, (qr + u) % h, (qc + v) % w]
                    elif 0 <= r < h and 0 <= c < w:
                        gap = y[b, :, r, c] - image[:, qr + u, qc + v]
                    else:
                        continue
                    total += (gap**2).sum()
                logits.append(prior - total / (2 * sigma**2))
                values.append(image[:, qr, qc])
        weight = np.exp(np.array(logits) - max(logits))
        out[b, :, pr, pc] = weight @ np.array(values) / weight.sum()
    return out


@pytest.mark.parametrize("border", ["zeros", "circular"])
@pytest.mark.parametrize(("rho", "radius"), [(0.7, 1), (1.5, 2), (INF, 1)])
def test_equals_the_definition(border, rho, radius):
    data = images()
    denoiser = Graded(window=3, rho=rho, radius=radius, border=border).fit(data)
    for level in (0.05, 0.6, 5.0):
        y = noisy(data, level)
        want = brute(3, rho, radius, border, data.images, y, level)
        assert np.abs(denoiser(y, level).numpy() - want).max() < 1e-12
        assert np.abs(denoiser(y.float(), level).numpy() - want).max() < 1e-5
        portable = denoiser(y.clone().requires_grad_(), level).detach().numpy()
        assert np.abs(portable - want).max() < 1e-9


@pytest.mark.parametrize("level", [0.05, 0.6, 5.0])
@pytest.mark.parametrize("k", [1, 3, 5])
def test_both_ends_are_the_machines(level, k):
    data = images(20)
    y = noisy(data, level)
    close = {"atol": 1e-12, "rtol": 0}

    def graded(rho, border, radius=5):
        return Graded(window=k, rho=rho, radius=radius, border=border).fit(data)(y, level)

    local, broken = LS(window=k).fit(data)(y, level), BBELS(window=k).fit(data)(y, level)
    every = ELS(window=k).fit(data)(y, level)
    torch.testing.assert_close(graded(0.0, "zeros"), local, **close)
    torch.testing.assert_close(graded(0.01, "zeros"), local, **close)
    torch.testing.assert_close(graded(1.0, "zeros", 0), local, **close)
    for rho in (INF, 1e9):
        torch.testing.assert_close(graded(rho, "zeros"), broken, **close)
        torch.testing.assert_close(graded(rho, "circular"), every, **close)


def test_on_the_torus_it_commutes_with_shifts_only_when_all_places_are_alike():
    data = images(20)
    y = noisy(data, 0.3)

    def error(rho):
        denoiser = Graded(window=3, rho=rho, radius=5, border="circular").fit(data)
        return (denoiser(y.roll((2, 1), (2, 3)), 0.3) - denoiser(y, 0.3).roll((2, 1), (2, 3))).abs()

    assert error(INF).max() < 1e-12
    assert error(0.7).max() > 1e-2


def test_settings_may_change_with_the_noise_and_labels_confine_the_sources():
    labels = torch.arange(12) % 2
    data = images(12, labels=labels)
    spec = Graded(
        window=WindowSchedule((0.1, 1.0), (3, 5)), rho=Schedule((0.1, 1.0), (0.7, 0.0)), radius=1
    )
    levels = torch.tensor([0.12, 2.0], dtype=torch.float64)
    y = noisy(data, 0.5)
    together = spec.fit(data)(y, levels, torch.tensor([1, 0]))
    for i, (k, rho, label) in enumerate(((3, 0.7, 1), (5, 0.0, 0))):
        part = ImageSet.from_array(data.images[labels == label])
        alone = Graded(window=k, rho=rho, radius=1).fit(part)(y, float(levels[i]))
        torch.testing.assert_close(together[i], alone[i], atol=1e-13, rtol=0)


def test_what_it_is_told_and_what_it_refuses():
    assert Graded().told == "its padding"
    fitted = Schedule((1.0,), (0.5,), "calibrated: cosine, 4 seeds, Graded")
    assert Graded(rho=fitted).told == "its padding and a scale"
    with pytest.raises(InputError, match="unknown border"):
        Graded(border="reflect")
    with pytest.raises(InputError, match="fit on the 5x6 torus"):
        Graded(window=7, border="circular").fit(images())
    with pytest.raises(InputError, match="rho must be"):
        Graded(rho=-1.0)
