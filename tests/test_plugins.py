"""A family outside the package: a toy plug-in, laid out as an installer would leave it, is found,
fitted, saved and listed.
"""

import os
import subprocess
import sys
import textwrap

import pytest

FAMILY = '''
"""D(y, sigma) = mean + lam / (lam + sigma^2) (y - mean): one number for the variance of every
pixel.
"""

from dataclasses import dataclass

import torch

from archbias.denoise import Denoiser, Runtime, Spec


@dataclass(frozen=True, kw_only=True)
class OneNumber(Spec):
    summary = "a toy: the mean image and one variance"
    strength: float = 1.0

    def fit(self, images, *, runtime=Runtime()):
        x = images.images.double()
        return self.rebuild({"mean": x.mean(0), "lam": self.strength * x.var()})

    def rebuild(self, state):
        return Toy(self, state["mean"].shape, state)


class Toy(Denoiser):
    def denoise(self, y, sigma, labels=None):
        t = self.tensors(y)
        s = sigma[:, None, None, None]
        return t["mean"] + t["lam"] / (t["lam"] + s**2) * (y - t["mean"])
'''

USE = """
    import warnings
    warnings.simplefilter("error")
    import torch, archbias
    from archbias import families, sample, noise, seeds

    assert archbias.FAMILIES["one_number"].__module__ == "toy_family"
    images = archbias.load("fashion_mnist", n=20)
    denoiser = families.parse("one_number(strength=2.0)").fit(images)
    x = sample.ddim(denoiser, seeds.normal(range(2), images.shape), noise.cosine(5))
    families.save(denoiser, "toy.safetensors")
    again = families.load("toy.safetensors")
    assert again.spec == denoiser.spec
    assert torch.equal(sample.ddim(again, seeds.normal(range(2), images.shape), noise.cosine(5)), x)
    try:
        families.parse("one_numbre")
    except archbias.InputError as error:
        assert "one_number" in str(error)
    print("used")
"""


@pytest.fixture
def site(tmp_path):
    """A folder as `pip install --target` leaves it: the module and its metadata with the entry
    point.
    """
    (tmp_path / "toy_family.py").write_text(FAMILY)
    info = tmp_path / "toy_family-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-family\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[archbias.families]\none_number = toy_family:OneNumber\n"
    )
    (info / "RECORD").write_text(
        "toy_family.py,,\ntoy_family-1.0.dist-info/METADATA,,\ntoy_family-1.0.dist-info/entry_points.txt,,\n"
    )
    return tmp_path


def python(site, *arguments):
    environment = os.environ | {"PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *arguments],
        env=environment,
        cwd=site,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_an_outside_family_is_found_and_used(site):
    done = python(site, "-c", textwrap.dedent(USE))
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "used"


def test_an_outside_family_is_listed_by_the_command(site):
    done = python(site, "-m", "archbias.cli", "list")
    assert done.returncode == 0, done.stderr
    assert "one_number" in done.stdout


def test_a_broken_plug_in_is_a_warning_and_leaves_the_others(site):
    (site / "toy_family.py").write_text("raise RuntimeError('not today')")
    done = python(
        site,
        "-c",
        "import archbias; print('one_number' in archbias.FAMILIES, 'ideal' in archbias.FAMILIES)",
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["False", "True"]
    assert "not today" in done.stderr
    assert "one_number" in done.stderr


def test_the_plug_in_installs_with_pip(site, tmp_path):
    """pip itself, offline: a source tree whose pyproject declares the entry point."""
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    (source / "toy_family.py").write_text(FAMILY)
    (source / "pyproject.toml").write_text(
        textwrap.dedent("""
        [build-system]
        requires = ["setuptools"]
        build-backend = "setuptools.build_meta"
        [project]
        name = "toy-family"
        version = "1.0"
        [project.entry-points."archbias.families"]
        one_number = "toy_family:OneNumber"
        [tool.setuptools]
        py-modules = ["toy_family"]
        """)
    )
    pytest.importorskip("setuptools", reason="building the plug-in needs setuptools")
    install = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-index",
        "--no-deps",
        "--no-build-isolation",
        "--target",
        str(target),
        str(source),
    ]
    done = python(source, *install)
    assert done.returncode == 0, done.stderr
    done = python(target, "-c", textwrap.dedent(USE))
    assert done.returncode == 0, done.stderr
