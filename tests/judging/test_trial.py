"""The convention of a network is found by trial: networks that follow a known one, exactly."""

import pytest
import torch

from archbias import adapters
from archbias.data import load
from archbias.errors import InputError
from archbias.judging.trial import Convention, adapted, trial
from archbias.regressions.linear import Linear

# what a network told a level makes of it
SIGMA_OF = {
    "sigma": lambda v: v,
    "log_sigma": lambda v: v.exp(),
    "abar": lambda v: ((1 - v) / v).sqrt(),
    "flow_time": lambda v: 1 / v - 1,
    "quarter_log_sigma": lambda v: (4 * v).exp(),
}


@pytest.fixture(scope="module")
def images():
    return load("fashion_mnist", n=60, size=8)


def follower(images, predicts, input, level, scale=1.0, shift=0.0):
    """A function that follows a convention exactly, of the Wiener filter."""
    theirs = adapters.from_callable(
        lambda y, s: scale * Linear().fit(images)((y - shift) / scale, s / scale) + shift,
        images.shape,
    )
    module = adapters.to_module(theirs, predicts=predicts, input=input)
    return lambda z, told: module(z, SIGMA_OF[level](told))


@pytest.mark.parametrize(
    ("predicts", "input", "level"),
    [
        ("noise", "ve", "log_sigma"),
        ("noise", "vp", "abar"),
        ("image", "ve", "quarter_log_sigma"),
        ("v", "vp", "sigma"),
        ("velocity", "flow", "flow_time"),
        ("score", "ve", "sigma"),
        ("residual", "vp", "log_sigma"),
    ],
)
def test_the_convention_a_network_follows_is_found(images, predicts, input, level):
    model = follower(images, predicts, input, level)
    found = trial(model, images, Convention(), "follower")
    assert (found.best.predicts, found.best.input, found.best.level) == (predicts, input, level)
    assert found.scores[0] < 0
    y = images.images[:3] + 0.7 * torch.randn(3, *images.shape)
    want = Linear().fit(images)(y, 0.7)
    got = adapted(model, images.shape, found.best, "follower")(y, 0.7)
    torch.testing.assert_close(got, want, atol=1e-4, rtol=1e-3)


def test_pixels_of_another_range_are_found_where_they_are_given(images):
    model = follower(images, "noise", "ve", "sigma", scale=0.5, shift=0.5)
    found = trial(model, images, Convention(scale=0.5, shift=0.5), "follower")
    assert (found.best.predicts, found.best.input, found.best.level) == ("noise", "ve", "sigma")


def test_what_is_given_is_not_tried(images):
    model = follower(images, "noise", "ve", "sigma")
    found = trial(model, images, Convention(predicts="noise", level="sigma"), "follower")
    assert {w.predicts for w in found.conventions} == {"noise"}
    assert len(found.conventions) == 3


def test_a_network_told_nothing_is_called_without_a_level(images):
    filter_ = Linear().fit(images)
    found = trial(lambda y: filter_(y, 0.6), images, Convention(), "blind")
    assert found.best.level == "none"
    assert found.best.predicts == "image"


def test_a_network_that_knows_nothing_has_no_convention(images):
    found = trial(lambda y, s: torch.zeros_like(y) + 0.8, images, Convention(), "constant")
    assert not found.scores[0] < 0


def test_conventions_are_checked():
    assert Convention(level="log").level == "log_sigma"
    with pytest.raises(InputError, match="unknown predicts 'nois'"):
        Convention(predicts="nois")


def test_a_network_that_cannot_be_called_says_why(images):
    def broken(y, sigma, more):
        return y

    with pytest.raises(InputError, match="which raised TypeError"):
        trial(broken, images, Convention(), "broken")
