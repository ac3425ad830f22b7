"""The settings that studies share."""

import numpy as np
import pytest

from archbias import plots, store
from archbias.errors import InputError
from archbias.regressions.linear import Linear
from archbias.study import Images, Study, cells, run


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
