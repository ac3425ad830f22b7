"""The study of bias cards at toy size: it runs, its store says what was predicted, its figures
draw.
"""

from pathlib import Path

import numpy as np
import paper_page
import pytest
import torch

import archbias
from archbias import study
from archbias.metrics import compare

FOLDER = Path(__file__).parents[2] / "studies" / "bias_cards"


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    asked = study.load(FOLDER)
    folder = tmp_path_factory.mktemp("bias_cards")
    state = study.run(asked, asked.configure("toy"), folder)
    assert not state.failed
    return asked, archbias.open_study(folder)


@pytest.mark.slow
def test_the_store_holds_cards_proposals_and_agreement(ran):
    _, tree = ran
    cards, proposals, r = tree["cards"], tree["proposals"], tree["agreement"]["r"]
    assert cards["receptive"].shape[:2] == (2, 3)
    np.testing.assert_allclose(cards["receptive"].sum(("row", "column")), 1, rtol=1e-6)
    assert proposals["machine"].sel(family="unet, circular").values.tolist() == ["els"] * 3
    assert (proposals["window"].diff("level") >= 0).all()
    assert {
        "card 50%",
        "card 90%",
        "card 99%",
        "calibrated",
        "replicate",
        "mean image",
        "wiener",
        "another seed",
    } <= set(r["predictor"].values)
    assert r.isel(seed=0).notnull().all()


@pytest.mark.slow
def test_figures_and_summary(ran, tmp_path):
    asked, tree = ran
    made = study.figures(asked.folder)
    paper_page.check(made, tree, tmp_path)
    assert set(made.figures(tree)) == {"agreement", "cards", "receptive_fields", "samples"}
    table = made.summary(tree)
    r = tree["agreement"]["r"].sel(family="resnet")
    want = compare.scale(
        torch.from_numpy(r.sel(predictor="card 90%").values),
        ceiling=torch.from_numpy(r.sel(predictor="replicate").values),
        floors={"mean image": torch.from_numpy(r.sel(predictor="mean image").values)},
    )
    row = table[(table["network"] == "resnet") & (table["predictor"] == "card 90%")].iloc[0]
    assert row["share of ceiling"] == str(want.share["mean image"])
