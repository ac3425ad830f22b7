"""Every family keeps the contract of archbias.denoise: the suite runs over FAMILIES, whatever is in
it.
"""

import numpy as np
import pytest
import torch

from archbias import families, noise, sample, seeds
from archbias.data import ImageSet
from archbias.denoise import Spec, configure, from_json, noise_of, score_of, to_json
from archbias.errors import InputError
from archbias.families import FAMILIES
from archbias.nets.train import Train

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


@pytest.fixture(scope="module")
def images() -> ImageSet:
    rng = np.random.default_rng(3)
    x = np.cumsum(rng.standard_normal((24, 1, 8, 8)), axis=-1)
    return ImageSet.from_array((x / np.abs(x).max()).astype("f4"), name="walks")


def spec_of(name: str) -> Spec:
    cls = FAMILIES[name]
    return configure(cls, **SETTINGS.get(name, {}), **({"train": SHORT} if cls.trained else {}))


@pytest.fixture(scope="module", params=sorted(FAMILIES))
def fitted(request, images):
    return request.param, spec_of(request.param).fit(images)


def noisy(images: ImageSet, sigma: float, dtype=torch.float64) -> torch.Tensor:
    return images.images[:4].to(dtype) + sigma * seeds.normal(range(4), images.shape, dtype=dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_output_follows_the_input_and_leaves_it_alone(fitted, images, dtype):
    _, denoiser = fitted
    y = noisy(images, 0.5, dtype)
    before = y.clone()
    x = denoiser(y, 0.5)
    assert x.shape == y.shape
    assert x.dtype == dtype
    assert x.device == y.device
    assert torch.equal(y, before)
    assert torch.isfinite(x).all()


def test_a_call_in_inference_mode_does_not_spoil_later_gradients(fitted, images):
    denoiser = fitted[1].spec.rebuild(fitted[1].state())  # with nothing kept from earlier calls
    for dtype in (torch.float32, torch.float64):
        y = noisy(images, 0.5, dtype)
        with torch.inference_mode():
            x = denoiser(y, 0.5)
        again = denoiser(y.requires_grad_(), 0.5)
        assert torch.allclose(again, x, atol=1e-4 if dtype == torch.float32 else 1e-9)
        if again.requires_grad:
            assert torch.autograd.grad(again.sum(), y)[0].isfinite().all()


def test_a_row_alone_is_the_row_in_its_batch_and_sigma_may_vary(fitted, images):
    _, denoiser = fitted
    sigma = torch.tensor([0.1, 0.7, 3.0, 20.0], dtype=torch.float64)
    y = images.images[:4].double() + sigma[:, None, None, None] * seeds.normal(
        range(4), images.shape, dtype=torch.float64
    )
    together = denoiser(y, sigma)
    for i in range(4):
        torch.testing.assert_close(
            denoiser(y[i : i + 1], float(sigma[i]))[0], together[i], rtol=1e-7, atol=1e-7
        )
    assert denoiser(y[:0], 1.0).shape == (0, 1, 8, 8)


def test_saved_and_loaded_gives_the_same_output(fitted, images, tmp_path):
    name, denoiser = fitted
    families.save(denoiser, tmp_path / "d.safetensors")
    again = families.load(tmp_path / "d.safetensors")
    assert again.spec == denoiser.spec
    y = noisy(images, 0.8)
    for dtype in (torch.float64, torch.float32):
        assert torch.equal(again(y.to(dtype), 0.8), denoiser(y.to(dtype), 0.8)), name


def test_the_spec_is_rebuilt_by_its_repr_and_its_json(fitted):
    name, denoiser = fitted
    spec = denoiser.spec
    assert from_json(type(spec), to_json(spec)) == spec
    namespace = {c.__name__: c for c in FAMILIES.values()} | {"Train": Train}
    assert eval(repr(spec), namespace) == spec
    assert hash(spec) == hash(from_json(type(spec), to_json(spec)))
    assert type(spec).summary, f"{name} needs a summary for `archbias list`"


def test_bad_input_says_wanted_got_remedy(fitted, images):
    _, denoiser = fitted
    y = noisy(images, 1.0)
    for bad, sigma in [
        (y.repeat(1, 3, 1, 1), 1.0),
        (y[..., :4], 1.0),
        (y[0], 1.0),
        (y.long(), 1.0),
        (y, 0.0),
        (y, -1.0),
        (y, float("nan")),
        (y, torch.ones(3)),
    ]:
        with pytest.raises(InputError, match="must"):
            denoiser(bad, sigma)
    with pytest.raises(InputError, match="fitted without labels"):
        denoiser(y, 1.0, torch.zeros(4, dtype=torch.int64))


def test_samples_are_finite_and_follow_their_seeds(fitted, images):
    name, denoiser = fitted
    if name in ("polynomial", "power_patches"):
        pytest.skip(
            "trajectories of polynomials may leave to infinity, or their schedule has its own "
            "levels: tested apart"
        )
    start = seeds.normal(range(3), images.shape)
    x = sample.ddim(denoiser, start, noise.cosine(5))
    assert torch.isfinite(x).all()
    alone = sample.ddim(denoiser, start[1:2], noise.cosine(5))
    torch.testing.assert_close(alone[0], x[1], rtol=1e-4, atol=1e-4)
    in_parts = sample.ddim(denoiser, start, noise.cosine(5), batch=2)
    torch.testing.assert_close(in_parts, x, rtol=1e-4, atol=1e-4)


def test_score_and_noise_are_arithmetic_on_the_estimate(images):
    denoiser = FAMILIES["linear"]().fit(images)
    y = noisy(images, 0.5)
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
