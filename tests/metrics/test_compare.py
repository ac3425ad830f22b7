"""A comparison on samples whose common and private parts are known."""

import numpy as np
import pytest
import torch
from scipy import stats

from archbias.errors import InputError
from archbias.metrics import agreement
from archbias.metrics import compare as C


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def world(b=40, private=0.5):
    """Two replicates = template + common part + private part, and the prediction that knows all
    that is common.
    """
    template, common = normal(1, 16, 16, seed=1), normal(b, 1, 16, 16, seed=2)
    shared = 0.7 * template + common
    one, two = (
        shared + private * normal(b, 1, 16, 16, seed=3),
        shared + private * normal(b, 1, 16, 16, seed=4),
    )
    return one, two, shared, 0.7 * template


def test_value_ceiling_floor_and_share():
    samples, replicate, shared, template = world()
    found = C.compare(samples, shared, replicate=replicate, floors={"mean image": template})
    torch.testing.assert_close(found.values, agreement.pearson_r(samples, shared))
    ceiling, floor, value = (
        found.ceiling.value,
        found.floors["mean image"].value,
        found.value.value,
    )
    assert ceiling == pytest.approx(1.49 / 1.74, abs=0.02)  # shared variance over all variance
    assert floor == pytest.approx(0.7 / 1.74**0.5, abs=0.05)
    assert found.floors["another seed"].value == pytest.approx(0.49 / 1.74, abs=0.05)
    assert found.share["mean image"].value == pytest.approx(
        (value - floor) / (ceiling - floor), rel=1e-12
    )
    assert (
        found.share["mean image"].low
        < found.share["mean image"].value
        < found.share["mean image"].high
    )
    assert found.value.low < value < found.value.high


def test_a_predictor_of_all_that_is_shared_reaches_the_root_of_the_ceiling():
    samples, replicate, shared, _ = world(private=1.0)
    found = C.compare(samples, shared, replicate=replicate)
    assert found.value.value == pytest.approx(found.shared_ceiling, abs=0.01)
    assert found.share["another seed"].value > 1


def test_share_is_one_for_a_replicate_and_zero_for_the_floor():
    samples, replicate, _, template = world()
    as_good = C.compare(
        samples, replicate, replicate=replicate, floors={"mean image": template}
    ).share["mean image"]
    assert (as_good.value, as_good.low, as_good.high) == (1, 1, 1)
    nothing = C.compare(
        samples, template, replicate=replicate, floors={"mean image": template}
    ).share["mean image"]
    assert (nothing.value, nothing.low, nothing.high) == (0, 0, 0)


def test_errors_count_downwards():
    samples, replicate, _, template = world()
    better = samples + 0.1 * normal(40, 1, 16, 16, seed=9)
    found = C.compare(
        samples, better, replicate=replicate, floors={"mean image": template}, metric="mse"
    )
    assert found.share["mean image"].value > 1
    assert (
        C.compare(samples, template, replicate=better, metric="mse").share["another seed"].value
        < 0.9
    )


def test_no_room_between_ceiling_and_floor_gives_nan():
    samples, _, shared, _ = world()
    found = C.compare(samples, shared, replicate=normal(40, 1, 16, 16, seed=8))
    assert np.isnan(found.share["another seed"].value)


def test_share_interval_covers():
    """95 % nominal over 80 worlds of 30 seeds; 68 hits are 4 standard errors below."""
    hits = 0
    for k in range(80):
        g = torch.Generator().manual_seed(k)
        x = torch.randn(30, 1, 6, 6, generator=g, dtype=torch.float64)
        samples, replicate, p = (
            x + s * torch.randn(x.shape, generator=g, dtype=torch.float64) for s in (0.6, 0.6, 1.0)
        )
        share = C.compare(samples, p, replicate=replicate, statistic="mean", resamples=400).share[
            "another seed"
        ]
        # r = 1/sqrt(1.36 * 2) = 0.606 over 1/1.36 = 0.735, floor 0
        hits += share.low <= 0.825 <= share.high
    assert hits >= 68


def test_undefined_seeds_are_counted_and_left_out():
    samples, _, shared, _ = world(b=5)
    samples[2] = 0.3
    found = C.compare(samples, shared)
    assert (found.value.n, found.value.missing) == (4, 1)
    assert found.values[2].isnan()
    assert found.ceiling is None
    assert not found.share


def test_versus_is_the_paired_test_with_holms_correction():
    samples, _, shared, template = world()
    predictions = {
        "shared": shared,
        "near": shared + 0.01 * normal(40, 1, 16, 16, seed=5),
        "mean image": template[None].expand(40, -1, -1, -1),
    }
    found = {(v.first, v.second): v for v in C.versus(samples, predictions)}
    assert len(found) == 3
    a, b = (agreement.pearson_r(samples, predictions[k]) for k in ("shared", "mean image"))
    assert found["shared", "mean image"].result.p == pytest.approx(stats.wilcoxon(a, b).pvalue)
    assert found["shared", "mean image"].adjusted_p < 1e-6
    assert found["shared", "mean image"].result.difference.low > 0
    for v in found.values():
        assert v.adjusted_p >= v.result.p


def test_scale_is_compare_from_stored_values():
    samples, replicate, shared, template = world()
    whole = C.compare(samples, shared, replicate=replicate, floors={"mean image": template})
    stored = C.scale(whole.values, ceiling=whole.ceiling_values, floors=whole.floor_values)
    assert str(stored) == str(whole)
    with pytest.raises(InputError, match="align the seeds"):
        C.scale(whole.values, ceiling=whole.values[:3])


def test_bad_input():
    samples, _, shared, _ = world(b=3)
    with pytest.raises(InputError, match="unknown metric"):
        C.compare(samples, shared, metric="R2")
    with pytest.raises(InputError, match="the same seeds"):
        C.compare(samples, shared[:2])
    with pytest.raises(InputError, match="floor 'wiener'"):
        C.compare(samples, shared, floors={"wiener": shared[:2]})
    with pytest.raises(InputError, match="at least 2"):
        C.versus(samples, {"one": shared})
    with pytest.raises(InputError, match="statistic"):
        C.compare(samples, shared, statistic="mode")
