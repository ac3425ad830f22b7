"""The hook in a stranger's loop: when it looks, what it leaves alone, what it writes."""

import json

import numpy as np
import pytest
import torch
from torch import nn

import archbias
from archbias import ImageSet, adapters, noise, sample, seeds
from archbias.errors import InputError
from archbias.posteriors.ideal import Ideal
from archbias.regressions.linear import Linear


@pytest.fixture
def images():
    return archbias.load("fashion_mnist", n=30, size=8)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.Dropout(0.5), nn.ReLU())
        self.last = nn.Conv2d(4, 1, 3, padding=1)

    def forward(self, y, sigma):
        return self.last(self.body(y))


def adapt(images):
    return lambda net: adapters.from_module(net, images.shape)


THEORIES = {"ideal": Ideal(), "wiener": Linear()}


def hook(images, folder, **more):
    settings = dict(denoiser=adapt(images), seeds=2, steps=4, theories=THEORIES)
    settings["clock"] = lambda: 0.0  # every look is affordable
    return archbias.watch(images, folder, **settings | more)


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        self.now += 0.001
        return self.now


def train(network, images, watch, steps=9, first=1):
    optimiser = torch.optim.SGD(network.parameters(), 1e-2)
    for step in range(first, steps + 1):
        x = images.images[torch.randint(len(images), (4,))]
        loss = (network(x + torch.randn_like(x), None) - x).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        watch(step, network)
    return network


def test_it_looks_at_logarithmic_times_and_writes_one_store(images, tmp_path):
    held_out = ImageSet.from_array(archbias.load("fashion_mnist", n=60, size=8).images[30:])
    torch.manual_seed(0)
    network = Net()
    watch = hook(images, tmp_path, held_out=held_out)
    train(network, images, watch)
    assert watch(9, network, last=True)
    assert watch.looks == [1, 2, 4, 8, 9]
    tree = archbias.open_study(tmp_path)
    assert tree["samples"]["sample"].shape == (5, 2, 1, 8, 8)
    assert tree["samples"]["step"].values.tolist() == [1, 2, 4, 8, 9]
    # the last look against the same things made by hand
    denoiser = adapters.from_module(network, images.shape)
    start, sigmas = seeds.normal(range(2), images.shape), noise.cosine(4)
    x = sample.ddim(denoiser, start, sigmas)
    np.testing.assert_allclose(tree["samples"]["sample"].sel(step=9), x, atol=1e-5)
    ideal = sample.ddim(Ideal().fit(images), start, sigmas)
    r = np.corrcoef(x[1].flatten(), ideal[1].flatten())[0, 1]
    kept = tree["agreement"]["r"].sel(step=9, predictor="ideal", seed=1)
    assert float(kept) == pytest.approx(r, abs=1e-5)
    d = (x[0] - images.images).flatten(1).norm(dim=1)
    assert float(tree["novelty"]["distance"].sel(step=9, seed=0)) == pytest.approx(float(d.min()))
    error = tree["errors"]["error"].sel(step=9, sigma=0.5)
    n = seeds.normal(range(30), images.shape, stream=340)
    for kind, those in (("training", images), ("held-out", held_out)):
        out = denoiser(those.images + 0.5 * n, 0.5).detach()
        want = float((out - those.images).square().mean())
        assert float(error.sel(images=kind)) == pytest.approx(want, rel=1e-4)


def test_the_training_is_left_as_it_was(images, tmp_path):
    """Watched or not, the same seeds give the same weights; modes stay."""
    weights = []
    for watched in (False, True):
        torch.manual_seed(3)
        network = Net()
        network.last.eval()
        watch = hook(images, tmp_path) if watched else lambda step, net: None
        train(network, images, watch)
        weights.append(torch.cat([p.flatten() for p in network.parameters()]))
        assert (network.body.training, network.last.training) == (True, False)
        assert all(p.grad is not None for p in network.parameters())
    assert torch.equal(*weights)


def test_a_killed_training_goes_on(images, tmp_path):
    torch.manual_seed(0)
    network = Net()
    train(network, images, hook(images, tmp_path), steps=3)
    made = {p: p.read_bytes() for p in (tmp_path / "cells").iterdir()}
    again = hook(images, tmp_path)
    train(network, images, again, steps=9, first=2)
    assert again.looks == [1, 2, 4, 8]
    assert all(path.read_bytes() == held for path, held in made.items())
    with pytest.raises(InputError, match="other images than"):
        hook(images.subset(20), tmp_path)
    with pytest.raises(InputError, match="other seeds than"):
        hook(images, tmp_path, seeds=3)


def test_looks_wait_until_they_are_affordable(images, tmp_path):
    clock = Clock()
    network = Net()

    def slow(net):  # a look takes ten seconds
        clock.now += 10
        return adapters.from_module(net, images.shape)

    watch = hook(images, tmp_path, denoiser=slow, share=0.1, clock=clock, seconds=45.0, theories={})
    taken = []
    for step in range(1, 1001):
        clock.now += 1  # a training step takes one
        if watch(step, network):
            taken.append(step)
            assert watch.spent <= 10.1 or watch.spent <= 0.1 * clock.now + 0.1
    # due at 1, 2, 4, ...: the second had to wait until two looks are a tenth of the time
    assert taken[0] == 1
    assert 188 <= taken[1] <= 192
    cost = watch.open()["cost"]["look_seconds"]
    np.testing.assert_allclose(cost, 10, atol=0.1)
    assert len(taken) == 4  # a fifth would pass 45 seconds
    assert watch(1000, network, last=True)


def test_a_look_that_fails_later_is_a_warning(images, tmp_path):
    watch = hook(images, tmp_path)
    with pytest.raises(InputError):
        watch(1, lambda y: y)
    network = Net()
    assert watch(1, network)
    with pytest.warns(UserWarning, match="step 2 failed"):
        assert not watch(2, lambda y: y)
    assert watch.looks == [1]


def test_functions_and_bounded_denoisers_are_watched_too(images, tmp_path):
    watch = hook(images, tmp_path / "a", denoiser=None, levels=(0.5, 5.0))
    assert watch(1, lambda y, sigma: 0.9 * y)
    bounded = adapters.from_callable(lambda y, sigma: 0.9 * y, images.shape, levels=(0.01, 2.0))
    other = hook(images, tmp_path / "b", denoiser=None, levels=(0.5, 5.0))
    assert other(1, bounded)
    error = other.open()["errors"]["error"].sel(step=1, images="training")
    assert np.isfinite(error.sel(sigma=0.5))
    assert np.isnan(error.sel(sigma=5.0))
    assert json.loads((tmp_path / "b" / "watch.json").read_text())["seeds"] == 2


def test_bad_settings_are_refused(images, tmp_path):
    with pytest.raises(InputError, match="share"):
        hook(images, tmp_path, share=0.0)
    with pytest.raises(InputError, match="at least one seed"):
        hook(images, tmp_path, seeds=0)
    with pytest.raises(InputError, match="shape"):
        hook(images, tmp_path, held_out=images.resize(4))
