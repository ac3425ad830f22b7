"""The study of other people's networks at toy size, without any file: it runs, its store says what
was predicted, its figures and sentences are made of it.
"""

from pathlib import Path

import numpy as np
import paper_page
import pytest

import archbias
from archbias import networks, plots, study
from archbias.errors import InputError
from archbias.study.strangers import theories

FOLDER = Path(__file__).parents[2] / "studies" / "published_networks"


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    asked = study.load(FOLDER)
    folder = tmp_path_factory.mktemp("published_networks")
    state = study.run(asked, asked.configure("toy"), folder)
    assert not state.failed, state.failed
    return asked, archbias.open_study(folder)


@pytest.mark.slow
def test_every_theory_is_compared_at_every_count(ran):
    _, tree = ran
    r = tree["agreement"]["r"]
    assert {
        *("ls 20", "ls 40", "bbels 20", "jacobian 40", "jacobian, moved 20", "ideal 60"),
        *("golden 60", "wiener masks 40", "smoothed 40", "patch composites 20"),
    } <= set(r["predictor"].values)
    assert "bbels 40" not in r["predictor"].values
    own = r.sel(family="stand-in cnn")
    assert np.isfinite(own.sel(predictor="stand-in blind cnn")).all()
    assert not np.isfinite(own.sel(predictor="stand-in cnn")).any()
    samples = tree["garments"]["samples"]["sample"].sel(family="stand-in cnn").values
    other = tree["garments"]["samples"]["sample"].sel(family="stand-in blind cnn").values
    for seed in range(3):
        want = np.corrcoef(samples[seed].ravel(), other[seed].ravel())[0, 1]
        got = float(own.sel(predictor="stand-in blind cnn", seed=seed))
        assert got == pytest.approx(want, abs=1e-5)


@pytest.mark.slow
def test_windows_health_and_brightness_are_measured(ran):
    _, tree = ran
    windows = tree["windows"].sel(network="stand-in blind cnn")
    assert float(windows["window"]) == float(windows["built"]) == 5
    assert float(windows["scaling"]) < 1e-6
    assert float(windows["interior"]) < 1e-6 < float(windows["border"])
    assert np.isnan(float(tree["windows"]["built"].sel(network="stand-in cnn")))
    error = tree["garments"]["health"]["error"].sel(family="stand-in cnn").mean("image")
    assert (error.sel(denoiser="ideal") < error.sel(denoiser="wiener")).all()
    x = tree["garments"]["samples"]["sample"].sel(family="stand-in cnn")
    np.testing.assert_allclose(
        tree["looks"]["brightness"].sel(family="stand-in cnn"),
        x.mean(("channel", "row", "column")),
        atol=1e-6,
    )


@pytest.mark.slow
def test_figures_findings_and_summary(ran, tmp_path):
    asked, tree = ran
    made = study.figures(asked.folder)
    paper_page.check(made, tree, tmp_path)
    drawn = made.figures(tree)
    assert {"agreement", "counts", "health", "masks-garments", "wall-stand-in-cnn"} <= set(drawn)
    for name, figure in drawn.items():
        plots.save(figure, tmp_path / name, ("png",))
    lines = made.findings(tree)
    assert lines[0].startswith("stand-in")
    assert "worse than the Wiener filter at sigma" in lines[0]
    assert "The card finds the window that was built in 1 of 1 networks." in lines
    table = made.summary(tree)
    best = table[table["network"] == "stand-in cnn"].iloc[0]
    assert best["share of ceiling"].startswith("1 ")


def test_the_laptop_preset_is_what_it_says():
    asked = study.load(FOLDER)
    plan = asked.plan(asked.configure("laptop"))
    assert sum(cell.seconds for cell in plan) < 7200
    assert asked.settings.seeds >= 64
    windows = [c.name for c in plan if c.name.startswith("celeba160")]
    assert len(windows) == 5
    with pytest.raises(InputError, match=r"counts\.mnist"):
        asked.plan(asked.configure("toy", {"sets": {"mnist": ("mnist-cnn",)}}))


def test_no_seed_is_judged_that_was_fitted_on():
    assert study.load(FOLDER).settings.seeds < theories.FIRST_FIT


def test_a_set_is_sampled_where_all_its_networks_were_trained():
    asked = study.load(FOLDER)
    settings = asked.configure("toy")
    sigmas = settings.sigmas("garments", 5)
    assert sigmas[0] == 2
    assert settings.denoiser("stand-in cnn").levels == (0.02, 100.0)
    assert networks.names()[0] == "mnist-cnn"
