"""Every family keeps the contract of archbias.denoise: the suite runs over FAMILIES, whatever is in
it.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch

from archbias import families, testing
from archbias.data import ImageSet
from archbias.denoise import Spec, configure, noise_of, score_of
from archbias.errors import InputError
from archbias.families import FAMILIES
from archbias.nets.train import Train
from archbias.nets.unet import UNet
from archbias.regressions.linear import Linear
from archbias.regressions.power_features import PowerFeatures
from archbias.regressions.power_patches import PowerPatches

SHORT = Train(steps=3, batch=8, warmup=1)
SETTINGS = {
    "ls": {"window": 3},
    "els": {"window": 3},
    "bbels": {"window": 3},
    "polynomial": {"degree": 2, "components": 3},
    "power_features": {"features": 16},
    "bottleneck": {"rank": 3},
    "unet": {"channels": 8, "levels": 2},
    "resnet": {"depth": 2, "width": 8},
    "mlp": {"width": 16},
}
# tested apart: trajectories of polynomials may leave, a schedule may have its own levels
APART = ("polynomial", "power_patches", "power_patches, as published")
# families in the form of their publication
PUBLISHED = {
    "power_features, as published": PowerFeatures.published(features=16),
    "power_patches, as published": PowerPatches.published(features=16),
    "unet, as published": replace(UNet.published(channels=4, levels=2), train=SHORT),
}


@pytest.fixture(scope="module")
def images() -> ImageSet:
    rng = np.random.default_rng(3)
    x = np.cumsum(rng.standard_normal((24, 1, 8, 8)), axis=-1)
    return ImageSet.from_array((x / np.abs(x).max()).astype("f4"), name="walks")


def spec_of(name: str) -> Spec:
    if name in PUBLISHED:
        return PUBLISHED[name]
    cls = FAMILIES[name]
    return configure(cls, **SETTINGS.get(name, {}), **({"train": SHORT} if cls.trained else {}))


@pytest.fixture(scope="module", params=[*sorted(FAMILIES), *PUBLISHED])
def fitted(request, images):
    return request.param, spec_of(request.param).fit(images)


@pytest.mark.parametrize("check", testing.CHECKS, ids=lambda check: check.__name__)
def test_the_contract(fitted, images, check):
    name, denoiser = fitted
    if check is testing.samples_follow_their_seeds and name in APART:
        pytest.skip(
            "trajectories of polynomials may leave to infinity, or their schedule has its own "
            "levels: tested apart"
        )
    check(denoiser, images)


def test_a_family_that_breaks_the_contract_is_told(images):
    def changed(denoise):
        class Changed(type(fitted)):
            pass

        Changed.denoise = denoise
        other = Changed.__new__(Changed)
        other.__dict__ = fitted.__dict__ | {"_cast": {}}
        return other

    fitted = Linear().fit(images)
    mean_of_batch = changed(lambda self, y, sigma, labels=None: y * 0 + y.mean(0))
    with pytest.raises(AssertionError):
        testing.treats_rows_alone(mean_of_batch, images)
    single = changed(lambda self, y, sigma, labels=None: (0 * y).float())
    with pytest.raises(AssertionError, match="form"):
        testing.follows_its_input(single, images)
    greedy = changed(lambda self, y, sigma, labels=None: y.mul_(0))
    testing.follows_its_input(greedy, images)  # it was given a copy
    endless = changed(lambda self, y, sigma, labels=None: y / 0)
    with pytest.raises(AssertionError, match="finite"):
        testing.samples_follow_their_seeds(endless, images)


def test_saved_and_loaded_gives_the_same_output(fitted, images, tmp_path):
    name, denoiser = fitted
    families.save(denoiser, tmp_path / "d.safetensors")
    again = families.load(tmp_path / "d.safetensors")
    assert again.spec == denoiser.spec
    y = testing.noisy(images, 0.8)
    for dtype in (torch.float64, torch.float32):
        assert torch.equal(again(y.to(dtype), 0.8), denoiser(y.to(dtype), 0.8)), name


def test_labels_are_refused_where_none_were_fitted(fitted, images):
    with pytest.raises(InputError, match="fitted without labels"):
        fitted[1](testing.noisy(images, 1.0), 1.0, torch.zeros(4, dtype=torch.int64))


def test_score_and_noise_are_arithmetic_on_the_estimate(images):
    denoiser = FAMILIES["linear"]().fit(images)
    y = testing.noisy(images, 0.5)
    x = denoiser(y, 0.5)
    torch.testing.assert_close(y - 0.5 * noise_of(x, y, 0.5), x)
    torch.testing.assert_close(y + 0.25 * score_of(x, y, torch.full((4,), 0.5)), x)


@pytest.mark.parametrize("name", ["ideal", "linear", "ls", "els", "bbels"])
def test_closed_forms_have_their_limits(images, name):
    """sigma -> infinity: the mean over the sources. sigma -> 0 at a training image: that image."""
    denoiser = spec_of(name).fit(images)
    x = images.images.double()
    far = denoiser(torch.zeros(1, 1, 8, 8, dtype=torch.float64), 1e6)[0]
    if name in ("ideal", "linear", "ls"):
        torch.testing.assert_close(far, x.mean(0), rtol=1e-5, atol=1e-5)
    elif name == "els":
        torch.testing.assert_close(far, x.mean().expand_as(far), rtol=1e-5, atol=1e-5)
    else:
        torch.testing.assert_close(
            far[0, 1:-1, 1:-1], x[:, 0, 1:-1, 1:-1].mean().expand(6, 6), rtol=1e-5, atol=1e-5
        )
    torch.testing.assert_close(denoiser(x[:3], 1e-4), x[:3], rtol=1e-3, atol=1e-3)


def test_unknown_families_and_settings_name_the_nearest(tmp_path):
    with pytest.raises(InputError, match="did you mean 'bbels'"):
        families.family("bbel")
    with pytest.raises(InputError, match="did you mean 'window'"):
        families.parse("els(windo=3)")
    (tmp_path / "x").write_bytes(b"not safetensors")
    with pytest.raises(InputError, match="fit it again"):
        families.load(tmp_path / "x")
