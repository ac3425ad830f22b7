"""Measured masks against Jacobians that are known."""

import pytest
import torch

from archbias import seeds
from archbias.data import ImageSet
from archbias.errors import InputError
from archbias.posteriors.ideal import Ideal
from archbias.posteriors.measured import STREAM, of_network
from archbias.posteriors.score_machines import LS
from archbias.regressions.linear import Linear


def images(n=20, shape=(2, 4, 5), seed=0):
    x = torch.rand(n, *shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    return ImageSet.from_array((x + x.roll(1, 2) + x.roll(1, 3)) / 3)


def by_position(a, channels):
    """(C HW, C HW) channels first -> (HW C, HW C) positions first."""
    pixels = len(a) // channels
    a = a.reshape(channels, pixels, channels, pixels).permute(1, 0, 3, 2)
    return a.reshape(pixels * channels, -1)


def test_of_a_linear_denoiser_they_are_its_squared_matrix():
    data, others = images(), images(3, seed=1)
    denoiser = Linear().fit(data)
    found = of_network(denoiser, others, [3.0, 0.5, 0.0], shared=False, batch=7)
    assert found.sigmas.tolist() == [0.5, 3.0]
    x = data.images.double().flatten(1)
    s = (x - x.mean(0)).T @ (x - x.mean(0)) / len(x)
    for number, level in enumerate((0.5, 3.0)):
        w = s @ torch.linalg.inv(s + level**2 * torch.eye(40, dtype=torch.float64))
        want = by_position(w.square(), 2).float()
        torch.testing.assert_close(found.energy[number], want, rtol=1e-4, atol=1e-7)
        one = ImageSet.from_array(data.images[:, :1])
        grey = Linear().fit(one)
        shared = of_network(grey, ImageSet.from_array(others.images[:, :1]), [level])
        alone = of_network(grey, ImageSet.from_array(others.images[:, :1]), [level], shared=False)
        torch.testing.assert_close(shared.energy, alone.energy)


def test_random_signs_over_colours_are_unbiased():
    data, others = images(), images(1, seed=1)
    denoiser = Linear().fit(data)
    full = of_network(denoiser, others, [0.5], shared=False, points=1).energy[0]
    want = full.reshape(20, 2, 20, 2).sum((1, 3))
    draws = torch.stack(
        [of_network(denoiser, others, [0.5], points=1, seed=k).energy[0] for k in range(200)]
    )
    wrong = (draws.mean(0) - want).abs() / (draws.std(0) / 200**0.5 + 1e-6)
    assert wrong.max() < 5  # 400 numbers, standard errors
    assert (draws.mean(0) - want).norm() < 0.05 * want.norm()


def test_they_are_means_over_noisy_images_and_nothing_beyond_a_window():
    data, others = images(), images(4, seed=1)
    denoiser = LS(window=3).fit(data)
    found = of_network(denoiser, others, [0.6], points=2, shared=False, dtype=torch.float64)
    total = 0
    for k in range(2):
        n = seeds.normal([k], data.shape, stream=STREAM, dtype=torch.float64)
        y = others.images[k : k + 1].double() + 0.6 * n
        sigma = torch.tensor([0.6], dtype=torch.float64)
        j = torch.autograd.functional.jacobian(lambda v, s=sigma: denoiser.denoise(v, s), y)
        total = total + by_position(j.reshape(40, 40).square(), 2) / 2
    torch.testing.assert_close(found.energy[0], total.float(), rtol=1e-4, atol=1e-8)
    assert found.energy[0][0, -1] == 0


def test_bad_input_is_explained():
    data = images()
    denoiser = Ideal().fit(data)
    with pytest.raises(InputError, match="positive finite noise levels"):
        of_network(denoiser, data, [0.0])
    with pytest.raises(InputError, match="need at least 30 images"):
        of_network(denoiser, data, [1.0], points=30)
    told = ImageSet.from_array(data.images, labels=torch.arange(20) % 2)
    with pytest.raises(InputError, match="conditioned on labels"):
        of_network(Ideal().fit(told), data, [1.0])
