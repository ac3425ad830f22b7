"""The study of mosaics at toy size: it runs, its sources are the machine's, its figures draw."""

from pathlib import Path

import numpy as np
import paper_page
import pytest

import archbias
from archbias import study

FOLDER = Path(__file__).parents[2] / "studies" / "mosaic"


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    asked = study.load(FOLDER)
    folder = tmp_path_factory.mktemp("mosaic")
    settings = asked.configure("toy")
    assert not study.run(asked, settings, folder).failed
    return asked, settings, archbias.open_study(folder)


@pytest.mark.slow
def test_the_ideal_machine_copies_and_its_mosaic_is_one_image(ran):
    _, settings, tree = ran
    images = settings.data.load()
    source = tree["mosaic"]["source"].sel(family="ideal")
    for seed in range(2):
        values = source.sel(seed=seed).values
        assert (values == values[0, 0]).all()
        assert (
            images.ids[int(values[0, 0])]
            == tree["novelty"]["nearest_id"].sel(family="ideal", seed=seed).item()
        )
    assert tree["novelty"]["copy"].sel(family="ideal").all()


@pytest.mark.slow
def test_beliefs_narrow_as_the_noise_falls(ran):
    _, _, tree = ran
    entropy = tree["beliefs"]["entropy"].mean(("seed", "row", "column"))
    assert (entropy.isel(sigma=0) > entropy.isel(sigma=-1)).all()
    most = np.log(30 * 14 * 14)
    assert float(entropy.sel(family="els 3").isel(sigma=0)) == pytest.approx(most, rel=0.01)


@pytest.mark.slow
def test_figures_and_summary(ran, tmp_path):
    asked, _, tree = ran
    made = study.figures(asked.folder)
    paper_page.check(made, tree, tmp_path)
    drawn = made.figures(tree)
    assert {"mosaic-bbels-falling", "mosaic-ideal", "entropy-window", "entropy-machine"} <= set(
        drawn
    )
    table = made.summary(tree).set_index("machine")
    assert table.loc["ideal", "copies"] == "2 of 2"
    assert table.loc["ideal", "images in a sample"] == "1"


@pytest.mark.slow
def test_the_report_points_at_pixels(ran):
    _, settings, tree = ran
    titles = [scene["title"] for scene in archbias.exploring.scenes(tree)]
    assert titles == ["What a pixel believes", "Who predicts what a family draws?"]
    ways = tree["ways"].to_dataset()
    assert ways.sizes["sigma"] == settings.steps
    assert float(ways["weight"].sum("source").max()) <= 1 + 1e-9
    assert str(ways["machine"].values) == "LS"
