"""The golden subset against the definition and against the full scan it approximates."""

import numpy as np
import pytest
import torch

from archbias.data import ImageSet
from archbias.errors import InputError
from archbias.posteriors.golden import Golden
from archbias.posteriors.ideal import Ideal
from archbias.posteriors.levels import Schedule


def images(n=40, shape=(2, 6, 7), labels=None):
    x = np.random.default_rng(0).uniform(-1, 1, (n, *shape))
    x = (x + np.roll(x, 1, 2) + np.roll(x, 1, 3)) / 3
    return ImageSet.from_array(x.astype(np.float32), labels=labels)


def noisy(data, level, batch=3):
    n = torch.randn(batch, *data.shape, generator=torch.Generator().manual_seed(1))
    return (data.images[:batch] + level * n).double()


def thumbnail(x, side):
    """Means over squares, with loops."""
    _, h, w = x.shape
    return np.array(
        [
            x[:, r : r + side, c : c + side].mean((1, 2))
            for r in range(0, h, side)
            for c in range(0, w, side)
        ]
    )


@pytest.mark.parametrize("level", [0.2, 0.6, 4.0])
def test_equals_the_definition(level):
    data = images()
    y, phi = noisy(data, level), data.images.double().numpy()
    denoiser = Golden(coarse=0.5, fine=0.13, proxy=4).fit(data)
    got, gap = denoiser(y, level).numpy(), denoiser.gap(y, level)
    for b, one in enumerate(y.numpy()):
        cheap = [((thumbnail(p, 4) - thumbnail(one, 4)) ** 2).sum() for p in phi]
        near = np.argsort(cheap, kind="stable")[:20]
        distance = np.array([((one - p) ** 2).sum() for p in phi])
        kept = sorted(near, key=lambda i, d=distance: d[i])[:6]
        w = np.exp(-(distance - distance.min()) / (2 * level**2))
        want = np.tensordot(w[kept] / w[kept].sum(), phi[kept], 1)
        assert np.abs(got[b] - want).max() < 1e-12
        full = np.tensordot(w / w.sum(), phi, 1)
        missed = 1 - w[kept].sum() / w.sum()
        assert abs(float(gap.missed[b]) - missed) < 1e-12
        assert abs(float(gap.error[b]) - np.sqrt(((full - want) ** 2).mean())) < 1e-12
        assert float(gap.kept[b]) == 6
        rest = [i for i in range(40) if i not in kept]
        other = np.tensordot(w[rest] / w[rest].sum(), phi[rest], 1)
        np.testing.assert_allclose(full - want, missed * (other - want), atol=1e-10)
    none = denoiser.gap(y[:0], level)  # as a set of images none of which is held out
    assert none.error.shape == none.relative.shape == none.missed.shape == none.kept.shape == (0,)


def test_the_error_falls_as_the_posterior_concentrates():
    data = images()
    denoiser = Golden(coarse=0.5, fine=0.2).fit(data)
    sharp, flat = (denoiser.gap(noisy(data, s), s) for s in (0.1, 20.0))
    assert sharp.error.max() < 1e-8
    assert flat.missed.min() > 0.5
    assert flat.error.min() > 0.01


def test_all_images_are_the_ideal_denoiser():
    labels = torch.arange(40) % 3
    data = images(labels=labels)
    y, told = noisy(data, 0.8), torch.tensor([2, 0, 2])
    denoiser = Golden(coarse=1.0, fine=1.0).fit(data)
    close = {"atol": 1e-12, "rtol": 0}
    torch.testing.assert_close(denoiser(y, 0.8), Ideal().fit(data)(y, 0.8), **close)
    torch.testing.assert_close(denoiser(y, 0.8, told), Ideal().fit(data)(y, 0.8, told), **close)
    some = Golden(coarse=0.5, fine=Schedule((0.1, 1.0), (0.5, 0.1))).fit(data)
    assert len(some.subset(y[0], 0.1, 2)) == 7  # half of 13, rounded up
    assert (labels[some.subset(y[0], 2.0, 2)] == 2).all()


def test_bad_settings_are_explained():
    with pytest.raises(InputError, match="coarse must be"):
        Golden(coarse=0.0)
    with pytest.raises(InputError, match="fine must be"):
        Golden(fine=1.5)
    with pytest.raises(InputError, match="proxy must be"):
        Golden(proxy=0)
