"""Parts of the windows engine on their own: the exponential, the pairs, the lanes."""

import numpy as np
import pytest
import torch

from archbias.windows import KINDS, Geometry, engine, kernel, portable
from archbias.windows.engine import lanes, window_sum


def test_the_exponential_is_as_good_as_float32():
    t = np.linspace(-99, 0, 200_001).astype(np.float32)
    got, want = kernel.exp2_of(t).astype(np.float64), np.exp2(t.astype(np.float64))
    assert np.abs(got / want - 1).max() < 3e-7
    assert (kernel.exp2_of(np.array([-1e30, -200], np.float32)) <= 2.0**-99).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("height", "width", "k"), [(6, 7, 1), (6, 7, 3), (7, 6, 5), (4, 9, 3)])
def test_pairs_by_shift_are_the_pairs_by_position(kind, height, width, k):
    geometry = Geometry(kind, k, height, width)
    allowed = portable.allowed(geometry).reshape(height, width, height, width).numpy()
    rows = allowed.any((1, 3))
    listed = np.zeros_like(rows)
    for shift, first, last in geometry.shifts():
        for r in range(first, last):
            listed[r, (r + shift) % height] = True
    assert (listed == rows).all()
    assert (allowed.sum((2, 3)) == geometry.counts()).all()
    if kind != "els":
        low, high = geometry.band()
        columns = allowed.any((0, 2))
        shift = np.argwhere(columns) @ [-1, 1] + width - 1
        assert (shift >= low).all()
        assert (shift < high).all()


@pytest.mark.parametrize("n", [1, 15, 16, 17, 300])
def test_every_image_has_one_lane(n):
    members, bounds = lanes(np.arange(n) * 3)
    used = members[members >= 0]
    assert sorted(used.tolist()) == (np.arange(n) * 3).tolist()
    assert bounds[0] == 0
    assert bounds[-1] == len(members)
    assert (np.diff(bounds) > 0).all()
    assert len(bounds) <= engine.PARTS + 1


def test_window_sums_against_unfold():
    x = np.random.default_rng(0).normal(size=(2, 6, 7))
    padded = np.pad(x, ((0, 0), (2, 2), (2, 2)))
    want = torch.from_numpy(padded).unfold(1, 5, 1).unfold(2, 5, 1).sum((3, 4))
    np.testing.assert_allclose(window_sum(x, Geometry("ls", 5, 6, 7)), want.numpy())
    np.testing.assert_allclose(window_sum(x, Geometry("els", 9, 6, 7)), x.sum((1, 2), keepdims=True) * np.ones((1, 6, 7)))


def test_memory_mapped_images_give_the_same_bits(tmp_path):
    x = np.random.default_rng(0).uniform(-1, 1, (50, 1, 6, 7)).astype(np.float32)
    np.save(tmp_path / "images.npy", x)
    mapped = torch.from_numpy(np.load(tmp_path / "images.npy", mmap_mode="c"))
    y, sigma, pairs = torch.randn(2, 1, 6, 7), torch.tensor([0.3, 2.0]), Geometry("bbels", 3, 6, 7)
    got, want = (engine.believe(images, np.arange(50), y, sigma, pairs).mean for images in (mapped, torch.from_numpy(x)))
    np.testing.assert_array_equal(got, want)


def test_float32_slides_only_where_they_are_accurate():
    """Over noise levels on both sides of the switch, float32 beliefs against float64 ones."""
    x = np.random.default_rng(0).uniform(-1, 1, (40, 3, 16, 16))
    x = torch.from_numpy(((x + np.roll(x, 1, 2) + np.roll(x, 1, 3)) / 3).astype(np.float32))
    chosen = set()
    for window in (3, 9):
        pairs = Geometry("bbels", window, 16, 16)
        for level in (0.1, 0.3, 0.5, 0.8, 1.2, 2.0, 5.0):
            y, sigma = (
                x[:1] + level * torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(0)),
                torch.tensor([level]),
            )
            chosen.add(bool(engine.single_is_enough(pairs, y.double().numpy().transpose(0, 2, 3, 1), np.array([level]))[0]))
            got, want = (engine.believe(x, np.arange(40), v, sigma.to(v.dtype), pairs).mean for v in (y, y.double()))
            assert np.abs(got - want).max() <= 2e-6 * np.abs(want - y.numpy()).max()
    assert chosen == {True, False}
