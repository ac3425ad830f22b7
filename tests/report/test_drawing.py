"""Figures under the sentence that says what they show."""

import json
import types

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure
from PIL import Image

from archbias import plots, report
from archbias.plots import crossed
from archbias.plots.styles import heading, headline
from archbias.report import drawing, words


def _store(seeds=16, copies=()):
    flags = np.zeros((2, seeds))
    flags[0, list(copies)] = 1
    r = np.linspace(0.5, 0.6, seeds)[None, None].repeat(2, 0)
    coords = {"family": ["ideal", "unet"], "seed": range(seeds)}
    return xr.DataTree.from_dict(
        {
            "novelty": xr.Dataset({"copy": (("family", "seed"), flags)}, coords),
            "agreement": xr.Dataset(
                {"r": (("family", "predictor", "seed"), r)}, coords | {"predictor": ["law"]}
            ),
            "training": xr.Dataset(
                {"loss": (("family", "step"), [[4.0] * 10 + [1.0] * 10])}, {"family": ["unet"]}
            ),
        }
    )


def _module(says=None, own=""):
    def figures(tree):
        figure = Figure()
        if own:
            headline(figure, own)
        return {"mine": figure}

    found = types.SimpleNamespace(figures=figures)
    if says:
        found.says = says
    return found


def test_a_figure_stands_under_what_its_study_says_of_it():
    module = _module(lambda tree: {"mine": "r is .5 for $2 or $3.", "not drawn": "1."})
    figure = report.drawn(module, _store())["mine"]
    assert heading(figure) == ["r is .5 for $2 or $3."]


def test_the_words_of_a_figure_itself_are_kept_below():
    module = _module(lambda tree: {"mine": "Two of 3."}, own="left: sample")
    assert heading(report.drawn(module, _store())["mine"]) == ["Two of 3.", "left: sample"]
    untold = _module(own="left: sample")
    assert heading(report.drawn(untold, _store())["mine"]) == ["left: sample"]


def test_a_figure_grows_by_the_lines_above_it_alone():
    figure = Figure(figsize=(4, 3))
    headline(figure, "One.")
    once = figure.get_size_inches()[1]
    headline(figure, "Another.")
    assert figure.get_size_inches()[1] == once > 3
    headline(figure, "Two", "lines.")
    assert figure.get_size_inches()[1] == pytest.approx(3 + 2 * (once - 3))


def test_a_run_too_small_says_so_in_every_figure():
    title = " ".join(heading(report.drawn(_module(lambda t: {"mine": "1."}), _store(4))["mine"]))
    assert title.startswith("1. 4 seeds")
    assert title.endswith(f"{words.RUNS}.")
    silent = " ".join(heading(report.drawn(_module(), _store(4))["mine"]))
    assert silent.endswith(f"{words.RUNS}.")


def test_what_is_not_there_yet_is_not_said():
    def says(tree):
        return {"mine": str(tree["missing"])}

    assert heading(report.drawn(_module(says), _store())["mine"]) == []


def test_the_usual_sentences():
    assert drawing.sentences(xr.DataTree()) == {}
    said = drawing.sentences(_store(16, copies=range(16)))
    assert said["samples"] == said["wall"] == "Copies: 16 of 16 of ideal; none of 16 of the others."
    assert said["training"] == "The loss ends at 0.25 of where it began."
    assert drawing.sentences(_store())["samples"] == "None of 32 samples is a copy."
    some = _store(16, copies=[3, 5])
    some["novelty"]["copy"][1] = np.nan  # of this family nothing is known
    assert drawing.sentences(some)["samples"] == "Copies: 2 of 16 of ideal."


def test_the_variance_of_samples_over_their_law():
    rng = np.random.default_rng(0)
    x = 2.0 * rng.standard_normal((4000, 1, 2, 2))
    dims = ("family", "seed", "channel", "row", "column")
    tree = xr.DataTree.from_dict(
        {
            "samples": xr.Dataset({"sample": (dims, x[None])}, {"family": ["linear"]}),
            "distributions": xr.Dataset(
                {"eigenvalue": (("law", "mode"), [[4.0, 4.0, 4.0, 4.0]])}, {"law": ["linear"]}
            ),
        }
    )
    said = drawing.sentences(tree)["covariance"]
    share = float(said.split()[-1].rstrip("."))
    # 16 000 squared normals: the standard error of the share is (2 / 16 000) ** .5 = .011
    assert abs(share - 1) < 5 * 0.0112 + 0.005


def test_survivors_are_counted():
    shares = {"linear": np.array([1.0, 0.9, 0.6]), "rank 1": np.array([1.0, 0.1, 0.0])}
    said = plots.variance.survivors(shares)
    assert said == "Of 3 directions at least 0.5 of the variance survives in: linear 3, rank 1 1."


def test_a_picture_keeps_its_sentence(tmp_path):
    figure = report.drawn(_module(lambda tree: {"mine": "Two of 3."}), _store())["mine"]
    told = {"settings": json.dumps({"data": {"name": "celeba", "root": "/home/me/faces"}})}
    (path,) = plots.save(figure, tmp_path / "mine", ["png"], told)
    with Image.open(path) as picture:
        assert picture.text["Description"] == "Two of 3."
        # pictures are passed on, and tell nothing of the machine
        assert json.loads(picture.text["Settings"])["data"] == {"name": "celeba", "root": None}


def test_winners():
    assert words.winners(["x"], [0.5]) == "x (0.50)"
    several = words.winners(["x", "y", "x"], [0.5, 0.1, 0.7])
    assert several == "x in 2 of 3 (0.50 to 0.70); y in 1 of 3 (0.10)"


@pytest.mark.parametrize(
    ("panels", "shape"), [(1, (1, 1)), (4, (1, 4)), (5, (2, 3)), (8, (2, 4)), (9, (3, 3))]
)
def test_panels_stand_in_even_lines(panels, shape):
    assert crossed.grid_shape(panels) == shape


def test_how_far_a_network_looks():
    """A disc of even energy: half of it lies within the radius over the root of two."""
    y, x = np.indices((41, 41)) - 20
    disc = (np.hypot(y, x) <= 15).astype(float)
    field = xr.DataArray(
        np.stack([disc, np.eye(41)[20][:, None] * np.eye(41)[20]])[None],
        {"family": ["f"], "sigma": [2.0, 0.1]},
        ("family", "sigma", "row", "column"),
    )
    wide = plots.cards.reach(field)
    assert abs(wide.sel(sigma=2.0).item() - 15 / 2**0.5) < 0.5
    assert wide.sel(sigma=0.1).item() == 0
    assert plots.cards.looking(field) == (
        f"Half of what moves a pixel lies within {float(wide[0, 0]):.1f} pixels of it at sigma 2, "
        "within 0.0 at 0.1."
    )
