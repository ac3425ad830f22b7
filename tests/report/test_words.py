"""Findings in words: computed from the store, first on the page, escaped, and silent about what a
store lacks.
"""

from types import SimpleNamespace

import numpy as np
import xarray as xr

from archbias import report, study
from archbias.report import words


def store(r, seeds=12, copies=1):
    """A store of one family with these predictions: name -> values of r, one per seed."""
    values = np.array([np.resize(v, seeds) for v in r.values()])[None].astype(float)
    who = {"family": ["net"], "seed": np.arange(seeds)}
    agreement = xr.Dataset(
        {"r": (("family", "predictor", "seed"), values)}, who | {"predictor": list(r)}
    )
    copied = np.arange(seeds)[None] < copies
    novelty = xr.Dataset({"copy": (("family", "seed"), copied)}, who)
    return xr.DataTree.from_dict({"agreement": agreement, "novelty": novelty})


def test_the_best_prediction_is_named_with_its_ceiling_and_the_copies():
    tree = store(
        {"ls": np.linspace(0.5, 0.6, 12), "bbels": np.linspace(0.8, 0.9, 12), "replicate": [0.97]}
    )
    said = words.predicted(tree, "net")
    assert said.startswith("bbels predicts net best: median r 0.85")
    assert "of a ceiling of 0.97" in said
    assert "1 of 12 samples are copies" in said
    assert "told apart" not in said


def test_predictions_that_seeds_do_not_tell_apart_are_said():
    a = np.linspace(0.5, 0.6, 12)
    tree = store({"ls": a, "bbels": a + 0.01 * (-1) ** np.arange(12)})
    assert "not told apart from" in words.predicted(tree, "net")
    assert "bbels" not in words.predicted(tree, "net", ["bbels"])


def test_small_runs_say_that_their_numbers_mean_nothing():
    assert words.toy(store({"ls": [0.5]}, seeds=12)) == []
    assert words.toy(store({"ls": [0.5]}, seeds=3)) == [f"3 seeds: {words.RUNS}."]
    assert words.small(16, 20, 12) == "20 training images, 12 pixels a side"


def test_a_run_of_any_study_says_what_its_numbers_say():
    tree = store({"ls": np.linspace(0.5, 0.6, 12), "net": [1.0], "net law": [1.0]})
    [said] = words.usual(tree)
    assert said.startswith("ls predicts net best: median r 0.55")
    alone = xr.DataTree.from_dict(
        {"novelty": store({"ls": [0.5]}, seeds=9)["novelty"].to_dataset()}
    )
    assert words.usual(alone) == ["Of net, 1 of 9 samples are copies."]
    assert words.usual(xr.DataTree.from_dict({"other": xr.Dataset()})) == []


def test_an_untrained_network_is_said():
    rows = {"n": ("family", [500, 900]), "training_steps": ("family", [20.0, np.nan])}
    tree = store({"ls": [0.5]})
    tree["rows"] = xr.DataTree(xr.Dataset(rows))
    assert words.toy(tree) == [f"20 training steps: {words.RUNS}."]


def test_findings_stand_first_on_the_page_and_cannot_become_markup():
    tree = store({"ls": [0.5]})
    module = SimpleNamespace(findings=lambda tree: ["the <b>first</b> finding"])
    assert report.findings(tree, module) == ["the <b>first</b> finding"]
    assert report.findings(tree, None) == words.usual(tree)
    lacking = SimpleNamespace(findings=lambda tree: [tree["nowhere"]])
    assert report.findings(tree, lacking) == []


def test_a_study_that_finds_something_says_so_before_its_figures(tmp_path):
    (tmp_path / "figures.py").write_text(
        "def figures(tree):\n    return {}\ndef findings(tree):\n    return ['r < 1 & more']\n",
        encoding="utf-8",
    )
    (tmp_path / "study.py").write_text("STUDY = None\n", encoding="utf-8")
    assert study.figures(tmp_path).findings(None) == ["r < 1 & more"]
    page = report.page(store({"ls": [0.5]}), study=tmp_path)
    assert "<li>r &lt; 1 &amp; more</li>" in page
    assert page.index("r &lt; 1") < page.index('id="figures"')
