"""Ranks, windows and features that cannot be are refused before anything is computed."""

import json

import numpy as np
import pytest
import torch

import archbias
from archbias import families
from archbias.data import limits
from archbias.denoise import from_json, plain, to_json
from archbias.errors import InputError
from archbias.nets.train import Train
from archbias.regressions import moments


@pytest.fixture(scope="module")
def images():
    return archbias.load("digits", n=30)


@pytest.mark.parametrize(
    "spec",
    [
        "linear(rank=10000)",
        "linear(rank=30)",
        "bottleneck(rank=10000)",
        "bottleneck(rank=30,kind='confined')",
        "bottleneck(rank=3,kind='mixture',components=31)",
        "polynomial(components=20,degree=6)",
    ],
)
def test_what_cannot_be_is_refused_before_the_principal_axes(spec, images, monkeypatch):
    def computed(*_):
        raise AssertionError("principal axes were computed")

    monkeypatch.setattr(moments, "principal", computed)
    monkeypatch.setattr("archbias.regressions.polynomial.principal", computed)
    with pytest.raises(InputError, match="at most"):
        families.parse(spec).fit(images)


def test_a_rank_beyond_what_the_images_span_is_refused_after_all(images):
    """Digits have pixels that never change: 30 of them span less than their number allows."""
    flat = images.resize(4).images[:, :, :2]  # 8 pixels, two of them constant
    flat[:, :, 0, :2] = -1
    few = archbias.ImageSet.from_array(flat)
    with pytest.raises(InputError, match="rank must be at most 6"):
        families.parse("linear(rank=7)").fit(few)


@pytest.mark.parametrize(
    "spec",
    [
        "linear",
        "linear(constraint='local',window=7)",
        "linear(constraint='local_per_pixel',window=7)",
        "bottleneck(rank=20,kind='mixture',components=29)",
        "power_features(features=2000)",
        "power_patches(features=2000)",
        "power_patches(features=2000,shared=True)",
    ],
)
def test_memory_is_named_before_it_is_asked_for(spec, images, monkeypatch):
    monkeypatch.setattr(limits, "memory", lambda: 2**16)
    with pytest.raises(InputError, match="of memory, more than half of the"):
        families.parse(spec).fit(images)


@pytest.mark.parametrize("name", ["power_features", "power_patches"])
def test_absurd_features_are_refused_on_any_machine(name, images):
    with pytest.raises(InputError, match="lower features"):
        families.parse(f"{name}(features={10**8})").fit(images)


def test_settings_counted_by_numpy_are_plain():
    n, t = np.int64, torch.tensor
    cls = archbias.FAMILIES
    for made, want in (
        (cls["linear"](rank=n(3)), cls["linear"](rank=3)),
        (
            cls["linear"](constraint="local", window=t(5)),
            cls["linear"](constraint="local", window=5),
        ),
        (
            cls["polynomial"](degree=n(2), separable=np.bool_(True)),
            cls["polynomial"](degree=2, separable=True),
        ),
        (cls["bottleneck"](rank=np.uint8(2)), cls["bottleneck"](rank=2)),
        (
            cls["power_features"](features=n(9), ridge=np.float64(0.5)),
            cls["power_features"](features=9, ridge=0.5),
        ),
        (cls["power_patches"](windows=(n(3), n(5))), cls["power_patches"](windows=(3, 5))),
        (
            cls["unet"](channels=n(8), train=Train(steps=n(5))),
            cls["unet"](channels=8, train=Train(steps=5)),
        ),
        (cls["ideal"](), cls["ideal"]()),
    ):
        assert repr(made) == repr(want)
        assert made == want
        assert hash(made) == hash(want)
        assert from_json(type(made), json.loads(json.dumps(to_json(made)))) == want
    assert Train(learning_rate=np.float32(0.5)).learning_rate == 0.5
    assert plain({"a": [n(1), (np.float32(2.0),)], "b": "text"}) == {"a": [1, (2.0,)], "b": "text"}
    with pytest.raises(InputError, match="rank must be an integer"):
        cls["linear"](rank=np.float64(2.0))
