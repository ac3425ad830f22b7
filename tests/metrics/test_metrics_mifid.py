"""MiFID against its definition, and at its threshold."""

import numpy as np
import pytest
import torch

from archbias.errors import InputError
from archbias.metrics import features, frechet, mifid, nulls


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def definition(x, y, threshold):
    """Pair by pair, in NumPy."""
    x, y = x.numpy(), y.numpy()
    cos = np.array([[a @ b / np.linalg.norm(a) / np.linalg.norm(b) for b in y] for a in x])
    s = (1 - np.abs(cos)).min(1).mean()
    mean = ((x.mean(0) - y.mean(0)) ** 2).sum()
    cov = [torch.from_numpy(np.cov(v.T)) for v in (x, y)]
    values = torch.linalg.eigvals(cov[0] @ cov[1]).real.clamp(min=0)
    fid = mean + float(cov[0].trace() + cov[1].trace() - 2 * values.sqrt().sum())
    return fid, s, fid / (s + 1e-14) if s < threshold else fid


@pytest.mark.parametrize("threshold", [0.1, 0.9])
def test_against_its_definition(threshold):
    x, y = normal(12, 4), 1.3 * normal(15, 4, seed=1) + 0.2
    found = mifid.mifid(x, y, threshold=threshold)
    fid, s, value = definition(x, y, threshold)
    assert found.frechet == pytest.approx(fid, rel=1e-7)
    assert found.distance == pytest.approx(s, rel=1e-9)
    assert found.value == pytest.approx(value, rel=1e-7)
    assert found.memorised == (s < threshold)


def test_copies_are_at_distance_0_and_near_copies_at_their_own():
    y = normal(20, 50)
    assert mifid.mifid(y[:10], y).distance == 0
    assert mifid.mifid(-2 * y[:10], y).distance == pytest.approx(0, abs=1e-30)  # the angle's sign
    step = 1e-8 * normal(10, 50, seed=1)
    apart = (
        step - (step * y[:10]).sum(1, keepdim=True) / y[:10].square().sum(1, keepdim=True) * y[:10]
    )  # 1 - cos = tan^2 / 2 for a small step across
    want = float((apart.square().sum(1) / y[:10].square().sum(1) / 2).mean())
    assert mifid.mifid(y[:10] + step, y).distance == pytest.approx(want, rel=1e-5)


def test_it_works_in_a_space_and_with_a_null():
    x, y = normal(30, 1, 6, 6), normal(70, 1, 6, 6, seed=1)
    space = features.convolutional(1, widths=(4,))
    found = mifid.mifid(x, y, space=space)
    assert found.frechet == pytest.approx(frechet.frechet(x, y, space=space))
    null = nulls.against_splits(lambda a, b: mifid.mifid(a, b).value, x, y, splits=3)
    assert null.value == pytest.approx(mifid.mifid(x, y).value)
    with pytest.raises(InputError, match="all zero"):
        mifid.mifid(torch.zeros(5, 4), normal(6, 4))
