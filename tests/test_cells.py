"""The settings that studies share."""

import pytest

from archbias import cells
from archbias.errors import InputError


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
