"""The published numbers of the studies still open, and tables and figures are made from them."""

from pathlib import Path

import numpy as np
import pytest

import archbias
from archbias import study
from archbias.metrics.intervals import bootstrap

STUDIES = Path(__file__).parents[2] / "studies"


@pytest.mark.parametrize("file", ["results.nc", "longer.nc"])
def test_score_machines(file):
    tree = archbias.open_study(STUDIES / "score_machines" / file)
    made = study.figures(STUDIES / "score_machines")
    for figure in (made.agreement(tree), made.scales(tree)):
        figure.canvas.draw()
    table = made.summary(tree).set_index(["set", "network"])
    r = tree["agreement"]["r"].sel(family="cifar10 unet", predictor="bbels").values
    shown = table.loc["CIFAR10", "UNet, zeros"]["ours ELS"]
    assert shown.startswith(f"{bootstrap(r).value:.2f}")
    said = made.findings(tree)
    assert len(said) == 1 + tree.sizes.get("family", tree["agreement"].sizes["family"])
    best = [line for line in said if "cifar10 unet best" in line]
    assert len(best) == 1
    assert best[0].startswith("bbels predicts")
    assert f"median r {bootstrap(r):.2f}" in best[0]


def test_unet_variants():
    tree = archbias.open_study(STUDIES / "unet_variants" / "results.nc")
    made = study.figures(STUDIES / "unet_variants")
    for draw in (made.plane, made.loss, made.agreement, made.theory):
        draw(tree).canvas.draw()
    table = made.summary(tree).set_index("network")
    between = tree["pairs"]["between"].sel(variant="base", other="base")
    assert len(table) == 12
    assert table.loc["base", "r, replicate"].startswith(f"{float(np.median(between)):.2f}")
