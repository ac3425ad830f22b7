"""Networks of strangers, judged with their own files and images, where these are at hand: the first
lines say which of them are denoisers.
"""

import os
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

import archbias
from archbias import study
from archbias.judging import Judged, findings, grid, verdict
from archbias.judging.grid import SET, Given
from archbias.judging.settings import Settings, subject

CELLS = ("", " health", " looks")


@pytest.fixture(scope="module")
def weights() -> Path:
    folder = Path(
        os.environ.get(
            "ARCHBIAS_NETWORKS", Path(__file__).parents[2].parent / "shared" / "networks"
        )
    )
    if not folder.is_dir():
        pytest.skip("weight files are not at hand; set ARCHBIAS_NETWORKS to their folder")
    return folder


def judged(name, weights, real_data, tmp_path):
    known = {"name": "mnist", "root": str(real_data), "n": 600}
    if name.startswith("celeba"):
        known = {"name": "celeba", "root": str(real_data / "celeba"), "n": 600, "size": 40}
    asked = Settings(
        target=name, root=str(weights), data=Judged(like=name, **known), health_images=16
    )
    network = subject(asked, name, asked.data)

    def some(settings):
        wanted = [f"{SET} {network.name}{c}" for c in CELLS]
        given = Given(network, None, asked.data)
        return [c for c in grid(settings, given) if c.name in wanted]

    state = study.run(replace(study.load("judge"), cells=partial(some)), asked, tmp_path / "run")
    assert not state.failed, state.failed
    return archbias.open_study(tmp_path / "run")


@pytest.mark.slow
def test_the_unet_is_worse_than_the_filter_at_high_noise_and_fades(weights, real_data, tmp_path):
    tree = judged("mnist-unet", weights, real_data, tmp_path)
    first, second = findings(tree)[:2]
    assert verdict(tree) == "unsound"
    assert first.startswith("mnist-unet is worse than the Wiener filter at sigma")
    levels = tree["health"]["sigma"].values
    for level in levels[levels > 3.2]:
        assert f"{level:.2g}" in first
    assert "lose the brightness of images" in second


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mnist-cnn", "mnist-transformer", "celeba40-blind-cnn"])
def test_the_others_are_sound(name, weights, real_data, tmp_path):
    tree = judged(name, weights, real_data, tmp_path)
    assert verdict(tree) == "sound", findings(tree)
    assert "sound" in findings(tree)[0]
