"""What a notebook shows of a denoiser, a law and a study: a picture or a table, with every name
escaped.
"""

import base64
import io
import re
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from PIL import Image

import archbias
from archbias import distributions, noise, study
from archbias.data import pictures
from archbias.data.plane import plane
from archbias.denoise import Denoiser, Runtime, Spec


@dataclass(frozen=True, kw_only=True)
class Nasty(Spec):
    text: str = "<script>alert(1)</script>"

    def fit(self, images, *, runtime=Runtime()):
        return self.rebuild({"<b>": torch.zeros(images.shape)})

    def rebuild(self, state):
        return Zero(self, state["<b>"].shape, state)


class Zero(Denoiser):
    def denoise(self, y, sigma, labels=None):
        return torch.zeros_like(y)


@pytest.fixture(scope="module")
def images():
    return archbias.load("digits", n=30)


def test_a_denoiser_shows_its_settings_and_tensors(images):
    page = archbias.FAMILIES["linear"](rank=3).fit(images)._repr_html_()
    assert "Linear" in page
    assert "denoiser of 1x8x8 images" in page
    assert "<td>rank</td><td>3</td>" in page
    page = Nasty().fit(images)._repr_html_()
    assert "<script>" not in page
    assert "<td><b>" not in page
    assert "1x8x8 float32" in page


def test_a_law_shows_samples(images):
    sigmas = noise.cosine(5)
    law = distributions.generated_by(archbias.FAMILIES["linear"]().fit(images), sigmas)
    shown = re.findall(r"base64,([^\"]+)", law._repr_html_())
    assert len(shown) == 8
    got = np.asarray(Image.open(io.BytesIO(base64.b64decode(shown[3]))))[::8, ::8]
    np.testing.assert_array_equal(
        got, pictures.to_bytes(law.sample([3])[0, 0].clamp(-1, 1).numpy())
    )
    law = distributions.generated_by(archbias.FAMILIES["linear"]().fit(plane("moons", 50)), sigmas)
    assert "law of 2x1x1 images" in law._repr_html_()
    assert "base64" not in law._repr_html_()


@pytest.mark.parametrize(
    "spec",
    [
        "linear",
        "linear(rank=1)",
        "linear(constraint='local',window=1)",
        "polynomial",
        "ideal",
        "bottleneck(rank=1)",
    ],
)
def test_a_law_of_no_seeds_is_empty(spec):
    law = distributions.generated_by(
        archbias.families.parse(spec).fit(plane("moons", 30)), noise.cosine(4)
    )
    assert law.push(torch.zeros(0, *law.shape)).shape == law.sample([]).shape == (0, *law.shape)


def test_a_study_shows_its_question_and_plan(request):
    page = study.load(request.config.rootpath / "studies" / "families")._repr_html_()
    assert "<b>families</b>" in page
    assert "<td>presets</td>" in page
    assert re.search(r"<td>cells</td><td>\d+, about \d+ s", page)
    nasty = study.Study(
        name="<i>", question="<script>", settings=study.Images(), cells=lambda settings: []
    )
    assert "<script>" not in nasty._repr_html_()
    assert "<i>" not in nasty._repr_html_()
