"""The settings that studies share."""

import numpy as np
import pytest
import torch
import xarray as xr

from archbias import data, plots, store
from archbias.errors import InputError
from archbias.regressions.linear import Linear
from archbias.report import tables
from archbias.study import Images, Study, cells, realism, run


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"seeds": 0}, "at least one seed"),
        ({"seeds": -1}, "at least one seed"),
        ({"variance_seeds": -3}, "at least 2 seeds"),
        ({"variance_seeds": 1}, "at least 2 seeds"),  # one sample has no variance
        ({"steps": 0}, "number of noise steps"),
        ({"schedule": "cosin"}, "did you mean 'cosine'"),
    ],
    ids=str,
)
def test_settings_no_cell_could_use_are_refused_before_the_first(settings, message):
    with pytest.raises(InputError, match=message):
        cells.Settings(**settings)


def test_one_training_image_has_no_spectrum_and_its_figures_are_drawn(tmp_path):
    x = np.linspace(-1, 1, 36, dtype="f4").reshape(1, 1, 6, 6)
    np.savez(tmp_path / "one.npz", images=x)
    settings = cells.Settings(
        data=Images(name="array", root=str(tmp_path / "one.npz"), n=1),
        seeds=2,
        variance_seeds=2,
        steps=3,
    )
    made = [f("linear", Linear(), settings) for f in (cells.sampled, cells.law_of)]
    state = run(Study("one", "", settings, lambda _: made), settings, tmp_path / "run")
    assert not state.failed
    tree = store.open_study(tmp_path / "run")
    assert "spectrum" not in tree.children
    np.testing.assert_allclose(
        tree["samples/sample"].values, np.broadcast_to(x, (1, 2, 1, 6, 6)), atol=1e-6
    )
    assert set(plots.standard(tree)) == {"samples"}


def test_one_sample_that_diverged_is_left_out_and_counted():
    """Per seed it is NaN, of what is one number for a set it is left out; tables say how many."""
    images = data.load("digits", n=60)
    x = images.images[:30] * 0.9
    bad = x.clone()
    bad[3, 0, 2, 2] = torch.nan
    near, other = (cells.novelty_of(v, images, "net") for v in (bad, x))
    assert near["nearest_id"].values[0, 3] == ""
    assert np.isnan(near["nearest_image"].values[0, 3]).all()
    rest = {"seed": [s for s in range(30) if s != 3]}
    xr.testing.assert_identical(near.isel(rest), other.isel(rest))
    tree = xr.DataTree.from_dict(
        {"novelty": near, "agreement": cells.agreements(bad, x * 0.8 + 0.1, "net", "ideal")}
    )
    text = tables.render(tree)
    lines = [line for line in text.splitlines() if line.startswith("| net")]
    assert len(lines) == 7
    assert all("1 of 30 left out" in line for line in lines)
    frame = tables.novelty(tree)
    assert frame["missing"].tolist() == [1, 1, 1]
    settings = cells.Settings(data=Images(name="digits", n=60))
    assert int(cells.variances(bad, settings, "net")["n_variance"][0]) == 29
    np.testing.assert_allclose(
        cells.variances(bad, settings, "net")["mode_variance"],
        cells.variances(x[rest["seed"]], settings, "net")["mode_variance"],
    )
    judged = realism.judged("net", bad, bad, images.images[30:], "cpu")
    assert judged["left_out"].values.tolist() == [1]
    assert np.isfinite(judged["frechet"].values).all()
    assert np.isnan(judged["face_distance"].values[0]).tolist() == [s == 3 for s in range(30)]
