"""A person who waits is told how far a call is; pipes, tests and runs are not."""

import io
import sys

import pytest
import torch

import archbias
from archbias import noise, sample, seeds, waiting
from archbias.nets.descent import CHECK
from archbias.posteriors.calibrate import calibrate
from archbias.posteriors.ideal import Ideal
from archbias.posteriors.score_machines import LS


class Screen(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def screen(monkeypatch):
    """Someone reads, and every moment is long enough to speak."""
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)
    monkeypatch.setattr(waiting, "AFTER", -1.0)
    monkeypatch.setattr(waiting, "BETWEEN", -1.0)
    shown = Screen()
    monkeypatch.setattr(waiting, "screen", lambda: shown)
    return shown


@pytest.fixture(scope="module")
def images():
    return archbias.load("fashion_mnist", n=10, size=8)


def drawn(images) -> torch.Tensor:
    return sample.ddim(Ideal().fit(images), seeds.normal(range(2), images.shape), noise.cosine(4))


def test_a_terminal_is_told_and_left_clean(screen, images):
    drawn(images)
    said = screen.getvalue()
    assert "sampling: 2 of 4, about 0 s left" in said
    assert said.endswith(" \r")
    calibrate(Ideal().fit(images), LS(), images, [1], windows=(3, 5), sigmas=noise.cosine(3))
    assert "calibrating: 1 of" in screen.getvalue()


def test_a_training_tells_what_it_does(screen, images):
    spec = archbias.FAMILIES["mlp"](
        width=4, depth=1, train=archbias.nets.train.Train(steps=2 * CHECK)
    )
    spec.fit(images)
    assert f" of {2 * CHECK}, about" in screen.getvalue()


def test_pipes_and_the_cells_of_a_run_are_not_told(screen, images, monkeypatch):
    with waiting.silence():
        drawn(images)
    pipe = io.StringIO()
    monkeypatch.setattr(waiting, "screen", lambda: pipe)
    drawn(images)
    assert (screen.getvalue(), pipe.getvalue()) == ("", "")


def test_a_notebook_speaks_where_someone_opened_it(screen, images, monkeypatch):
    monkeypatch.setattr(waiting, "screen", io.StringIO)
    monkeypatch.setitem(sys.modules, "ipykernel", object())
    for name in waiting.SESSIONS:
        monkeypatch.delenv(name, raising=False)
    assert not waiting.person()
    monkeypatch.setenv("JPY_SESSION_NAME", "tour.ipynb")
    assert waiting.person()


def test_what_is_compiled_is_named(screen):
    from archbias.compiled import njit

    @njit
    def twice(x):
        return 2 * x

    assert twice(3) == 6
    assert "compiling twice, once on this machine" in screen.getvalue()
