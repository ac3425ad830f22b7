"""The ideal denoiser against the definition, its limits, and the derivative of its own score."""

import numpy as np
import pytest
import torch

from archbias.data import ImageSet
from archbias.errors import InputError
from archbias.posteriors.ideal import Ideal


def images(n=40, shape=(2, 5, 6), seed=0, labels=None):
    x = np.random.default_rng(seed).uniform(-1, 1, (n, *shape)).astype(np.float32)
    return ImageSet.from_array(x, labels=labels)


def brute(phi, y, sigma):
    """The definition, one pair at a time, with distances rather than products."""
    phi, out = phi.numpy().astype(np.float64), np.zeros(y.shape)
    for b, row in enumerate(y.numpy().astype(np.float64)):
        logits = np.array([-((row - p) ** 2).sum() / (2 * float(sigma[b]) ** 2) for p in phi])
        w = np.exp(logits - logits.max())
        out[b] = np.tensordot(w / w.sum(), phi, 1)
    return out


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("level", [0.01, 0.3, 2.0, 80.0])
def test_equals_the_definition(level, dtype):
    data = images()
    y = (
        data.images[:3]
        + level * torch.randn(3, *data.shape, generator=torch.Generator().manual_seed(1))
    ).to(dtype)
    sigma = torch.tensor([level, 2 * level, level / 2], dtype=dtype)
    got, want = Ideal().fit(data)(y, sigma).double().numpy(), brute(data.images, y, sigma)
    assert np.abs(got - want).max() <= (1e-12 if dtype == torch.float64 else 1e-6)


def test_limits():
    data = images()
    denoiser = Ideal().fit(data)
    y = data.images[[7, 9]] + 0.01
    assert torch.equal(denoiser(y, 1e-3), data.images[[7, 9]])
    assert torch.equal(denoiser(y + 500, 1e-3), brute_nearest(data.images, y + 500))
    torch.testing.assert_close(
        denoiser(y, 1e6), data.images.mean(0).expand(2, -1, -1, -1), atol=1e-5, rtol=0
    )


def brute_nearest(phi, y):
    distance = (y.double()[:, None] - phi.double()).square().flatten(2).sum(2)
    return phi[distance.argmin(1)]


def test_labels_confine_the_sum_to_their_images():
    labels = torch.arange(40) % 3
    data = images(labels=labels)
    y = torch.randn(3, *data.shape, dtype=torch.float64)
    got = Ideal().fit(data)(y, 1.5, torch.tensor([2, 0, 2]))
    for b, label in enumerate([2, 0, 2]):
        want = brute(data.images[labels == label], y[b : b + 1], [1.5])
        assert np.abs(got[b].numpy() - want[0]).max() < 1e-12
    with pytest.raises(InputError, match="label 3 has no training image"):
        Ideal().fit(data)(y[:1], 1.5, torch.tensor([3]))


def test_blocks_and_rows_do_not_matter(monkeypatch):
    data = images()
    y, denoiser = torch.randn(4, *data.shape, dtype=torch.float64), Ideal().fit(data)
    whole = denoiser(y, 0.7)
    monkeypatch.setattr("archbias.posteriors.ideal.BLOCK", 7 * 60)
    monkeypatch.setattr("archbias.posteriors.ideal.LOGITS", 80)
    torch.testing.assert_close(denoiser(y, 0.7), whole, atol=1e-14, rtol=0)
    torch.testing.assert_close(denoiser(y[2:3], 0.7), whole[2:3], atol=1e-14, rtol=0)


def test_weights_sum_to_one_and_give_the_mean():
    data = images()
    y, denoiser = torch.randn(2, *data.shape, dtype=torch.float64), Ideal().fit(data)
    w = denoiser.weights(y, 1.0)
    torch.testing.assert_close(w.sum(1), torch.ones(2, dtype=torch.float64))
    torch.testing.assert_close(
        torch.einsum("bn,nchw->bchw", w, data.images.double()), denoiser(y, 1.0)
    )


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # torch.func imports it
def test_derivatives_are_the_posterior_covariance():
    """dD/dy = Cov(x | y) / sigma^2 (second-order Tweedie), here formed from the weights."""
    data = images(12, (1, 3, 3))
    y, denoiser = torch.randn(1, *data.shape, dtype=torch.float64), Ideal().fit(data)
    sigma = torch.tensor([0.9], dtype=torch.float64)
    jacobian = torch.func.jacrev(lambda v: denoiser.denoise(v, sigma))(y).reshape(9, 9)
    x = data.images.double().flatten(1)
    x = x - denoiser.weights(y, 0.9) @ x
    want = (x.T * denoiser.weights(y, 0.9)) @ x / 0.81
    torch.testing.assert_close(jacobian, want)
    forward = torch.func.jvp(lambda v: denoiser.denoise(v, sigma), (y,), (torch.ones_like(y),))[1]
    torch.testing.assert_close(forward.flatten(), want.sum(1))
