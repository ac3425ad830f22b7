"""Every way of stating a denoiser comes back as the same denoiser: an exact Gaussian, from the
conditional expectation of what each model predicts.
"""

import math

import pytest
import torch

from archbias import adapters, noise, seeds
from archbias.errors import InputError

MEAN, SD = 0.3, 0.4  # of our pixels, independent and Gaussian


def exact(y, sigma):
    """E[x | y] of x ~ N(MEAN, SD^2), y = x + sigma n."""
    return MEAN + SD**2 / (SD**2 + sigma**2) * (y - MEAN)


def stated(predicts, input, scale, shift):
    """What an optimal model of pixels q = scale x + shift predicts from z = a q + b n.

    Regression of q and of n on z; the score is the derivative of the Gaussian density of z.
    """
    mean, sd = scale * MEAN + shift, scale * SD

    def model(z, s):
        s = s[:, None, None, None]
        a, b = {
            "ve": (torch.ones_like(s), s),
            "vp": (1 / (1 + s**2).sqrt(), s / (1 + s**2).sqrt()),
            "flow": (1 / (1 + s), s / (1 + s)),
        }[input]
        variance = (a * sd) ** 2 + b**2
        q = mean + a * sd**2 / variance * (z - a * mean)
        n = b / variance * (z - a * mean)
        cos, sin = 1 / (1 + s**2).sqrt(), s / (1 + s**2).sqrt()
        return {
            "image": q,
            "noise": n,
            "residual": b * n,
            "v": cos * n - sin * q,
            "velocity": q - n,
            "velocity_to_noise": n - q,
            "score": -(z - a * mean) / variance,
        }[predicts]

    return model


@pytest.mark.parametrize(("scale", "shift"), [(1, 0), (0.5, 0.5), (0.5, 0), (127.5, 127.5)])
@pytest.mark.parametrize("input", adapters.INPUTS)
@pytest.mark.parametrize("predicts", adapters.PREDICTIONS)
def test_every_convention_is_the_same_denoiser(predicts, input, scale, shift):
    y = seeds.normal(range(3), (2, 3, 4), dtype=torch.float64)
    sigma = torch.tensor([0.05, 1.0, 7.0], dtype=torch.float64)
    expected = exact(y, sigma[:, None, None, None])
    model = stated(predicts, input, scale, shift)
    settings = {"predicts": predicts, "input": input}
    denoiser = adapters.from_callable(model, (2, 3, 4), **settings, scale=scale, shift=shift)
    torch.testing.assert_close(denoiser(y, sigma), expected, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(denoiser(y[1:2], 1.0), expected[1:2], rtol=1e-9, atol=1e-9)
    if (scale, shift) == (1, 0):  # there: what a model predicts, from its own input
        a = {"ve": 1 + 0 * sigma, "vp": noise.abar_of(sigma).sqrt(), "flow": 1 / (1 + sigma)}[input]
        z = a[:, None, None, None] * y
        back = adapters.to_module(denoiser, **settings)
        torch.testing.assert_close(back(z, sigma), model(z, sigma), rtol=1e-9, atol=1e-9)


def test_a_model_of_copies_of_each_channel():
    """x is the same in three channels with noise of their own: E[x | three measurements at level
    s]."""

    def model(z, s):
        s = s[:, None, None, None]
        mean = z.mean(1, keepdim=True)
        x = MEAN + SD**2 / (SD**2 + s**2 / 3) * (mean - MEAN)
        return ((z - x) / s).expand_as(z)

    denoiser = adapters.from_callable(model, (1, 4, 4), predicts="noise", repeat=3)
    y = seeds.normal(range(2), (1, 4, 4), dtype=torch.float64)
    torch.testing.assert_close(denoiser(y, 0.7), exact(y, 0.7), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("level", "wanted"),
    [
        ("sigma", lambda s: s),
        ("log_sigma", math.log),
        ("abar", lambda s: 1 / (1 + s**2)),
        ("flow_time", lambda s: 1 / (1 + s)),
        (lambda s: s**2, lambda s: s**2),
    ],
)
def test_what_a_model_is_told_is_its_own_level(level, wanted):
    told = []

    def model(z, tell):
        told.append(tell)
        return z

    adapters.from_callable(model, (1, 2, 2), level=level, scale=0.5)(torch.ones(1, 1, 2, 2), 3.0)
    assert told[0].tolist() == pytest.approx([wanted(1.5)])


def test_a_noise_blind_model_is_told_nothing():
    denoiser = adapters.from_callable(
        lambda y: 0.1 * y, (1, 2, 2), level=None, predicts="residual", scale=0.5, shift=0.5
    )
    y = torch.full((1, 1, 2, 2), 0.6)
    torch.testing.assert_close(denoiser(y, 0.3), torch.full((1, 1, 2, 2), 2 * 0.9 * 0.8 - 1))
    assert torch.equal(denoiser(y, 0.3), denoiser(y, 1.3))


def test_a_schedule_of_steps_knows_its_steps_and_its_range():
    abar = torch.linspace(0.999, 0.01, 50, dtype=torch.float64)
    steps = adapters.Steps(abar, divide=50)
    sigmas = ((1 - abar) / abar).sqrt()
    torch.testing.assert_close(steps(sigmas), torch.arange(50, dtype=torch.float64) / 50)
    assert torch.equal(adapters.Steps(abar, whole=True)(sigmas * 1.001), torch.arange(50))
    middle = (sigmas[3] + sigmas[4]).reshape(1) / 2
    assert float(adapters.Steps(abar, linear=True)(middle)) == pytest.approx(3.5)
    between = (sigmas[3] * sigmas[4]).sqrt().reshape(1)
    assert float(adapters.Steps(abar)(between)) == pytest.approx(3.5)
    denoiser = adapters.from_callable(
        lambda z, t: z, (1, 2, 2), input="vp", level=steps, scale=0.5, predicts="noise"
    )
    low, high = 2 * sigmas[0].item(), 2 * sigmas[-1].item()  # in our pixels
    assert denoiser.levels == pytest.approx((low, high))
    assert "told the step of 0 to 49 / 50" in repr(denoiser)
    with pytest.raises(InputError, match="abar must be"):
        adapters.Steps(abar.flip(0))


def test_levels_outside_the_trained_range_are_refused_and_a_schedule_is_trimmed():
    denoiser = adapters.from_callable(lambda y, s: y, (1, 2, 2), levels=(0.1, 2.0))
    y = torch.zeros(2, 1, 2, 2)
    for inside in (0.1, 0.5, 2.0):
        assert torch.equal(denoiser(y, inside), y)
    for dtype in (torch.float32, torch.bfloat16):  # the ends, rounded, are still inside
        denoiser(y.to(dtype), torch.tensor([0.1, 2.0], dtype=dtype))
    for outside in (0.09, 2.01, torch.tensor([1.0, 3.0])):
        with pytest.raises(InputError, match=r"sigma from 0.1 to 2, got .*archbias.noise.within"):
            denoiser(y, outside)
    sigmas, whole = noise.within(noise.cosine(20), denoiser.levels), noise.cosine(20)
    assert sigmas.tolist() == [2.0, *whole[(whole >= 0.1) & (whole < 2)].tolist(), 0.0]
    assert torch.equal(noise.within(whole, None), whole)
    assert torch.equal(noise.within(sigmas, denoiser.levels), sigmas)


def test_the_repr_says_what_the_adapter_does():
    denoiser = adapters.from_callable(
        lambda z, t, k: z, (1, 2, 2), predicts="image", input="flow", level="flow_time",
        scale=0.5, shift=0.5, levels=(0.02, 100), classes=11, null=10, clip=1.0, name="transformer",
    )  # fmt: skip
    assert repr(denoiser) == (
        "<denoiser of 1x2x2 images: transformer, given t x + (1 - t) n of pixels in [0, 1]; told "
        "flow_time; predicts image; levels 0.02 to 100; label 10 for none; clipped at 1>"
    )
