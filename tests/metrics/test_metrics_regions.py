"""Agreement by region, against numpy and against pictures whose regions are plain to see."""

import numpy as np
import pytest
import torch

from archbias.metrics import agreement
from archbias.metrics.regions import masked_r, regions


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_r_within_a_mask_against_numpy():
    x, p = random(5, 3, 8, 8), random(5, 3, 8, 8, seed=1)
    mask = random(5, 8, 8, seed=2) > 0.2
    found = masked_r(x, p, mask)
    for k in range(5):
        a, b = x[k][:, mask[k]].double().numpy().ravel(), p[k][:, mask[k]].double().numpy().ravel()
        assert found[k].item() == pytest.approx(np.corrcoef(a, b)[0, 1], abs=1e-12)
    everything = torch.ones(5, 8, 8, dtype=torch.bool)
    torch.testing.assert_close(masked_r(x, p, everything), agreement.pearson_r(x, p))


def test_foreground_is_what_differs_from_the_border():
    x = torch.full((1, 3, 10, 10), 0.3)
    x[:, 0, 3:7, 2:8] = -1.0  # a thing of 24 pixels on a plain ground
    masks = regions(x)
    want = torch.zeros(10, 10, dtype=torch.bool)
    want[3:7, 2:8] = True
    assert torch.equal(masks["foreground"][0], want)
    assert torch.equal(masks["background"], ~masks["foreground"])
    assert torch.equal(masks["border"], ~masks["centre"])
    assert masks["centre"][0, 2:8, 2:8].all()
    assert masks["centre"].sum() == 64  # |p - 4.5| < 3.54 in rows and in columns
    noisy = regions(random(4, 3, 16, 16))
    assert (noisy["foreground"].sum((1, 2)) == 128).all()
