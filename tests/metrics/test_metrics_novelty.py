"""Nearest images against brute force, in the cases where rounding and ties decide."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from archbias.errors import InputError
from archbias.metrics import novelty as N


def brute(x, phi):
    d = (x.double().flatten(1)[:, None] - phi.double().flatten(1)[None]).square().sum(-1).sqrt()
    value, index = d.sort(dim=1, stable=True)
    return value[:, 0], index[:, 0], value[:, 1], index[:, 1]


def check(x, phi, **settings):
    found = N.nearest(x, phi, **settings)
    for got, want in zip(
        (found.distance, found.index, found.second_distance, found.second_index),
        brute(x, phi),
        strict=True,
    ):
        torch.testing.assert_close(got, want, rtol=1e-12, atol=0)
    return found


@settings(deadline=None, max_examples=25)
@given(
    b=st.integers(1, 9),
    n=st.integers(2, 60),
    seed=st.integers(0, 10**6),
    memory=st.sampled_from([1, 3000, 10**6]),
)
def test_equals_brute_force_at_any_block_size(b, n, seed, memory):
    g = torch.Generator().manual_seed(seed)
    check(torch.randn(b, 2, 3, 4, generator=g), torch.randn(n, 2, 3, 4, generator=g), memory=memory)


def test_small_distances_far_from_the_origin():
    """d^2 = |x|^2 + |phi|^2 - 2 x.phi in float32 would lose these altogether."""
    g = torch.Generator().manual_seed(0)
    base = 1 + 1e-3 * torch.randn(300, 1, 8, 8, generator=g)
    base[0] = -1.0
    phi = base
    x = phi[:40] + 1e-6 * torch.randn(40, 1, 8, 8, generator=g)
    assert (check(x, phi).index == torch.arange(40)).all()


def test_ties_go_to_the_smaller_index_and_duplicates_are_copies():
    phi = torch.zeros(50, 1, 4, 4)
    phi[25:] = 1.0
    found = check(torch.zeros(3, 1, 4, 4), phi, memory=5000)
    assert (found.index == 0).all()
    assert (found.second_index == 1).all()
    assert found.ratio.isnan().all()
    assert found.copy.all()


def test_copy_is_a_ratio_below_a_third():
    phi = torch.zeros(2, 1, 1, 2)
    phi[1, 0, 0, 0] = 4.0
    x = torch.zeros(3, 1, 1, 2)
    x[:, 0, 0, 0] = torch.tensor([0.9, 1.1, 2.0])
    found = N.nearest(x, phi)
    torch.testing.assert_close(
        found.ratio,
        torch.tensor([0.9 / 3.1, 1.1 / 2.9, 1.0], dtype=torch.float64),
        rtol=1e-6,
        atol=0,
    )
    assert found.copy.tolist() == [True, False, False]


def test_one_image_has_no_second():
    found = N.nearest(torch.randn(2, 1, 3, 3), torch.randn(1, 1, 3, 3))
    assert found.ratio.isnan().all()
    assert (found.second_index == -1).all()
    assert not found.copy.any()


def test_row_alone_equals_row_in_batch_and_inputs_stay():
    x, phi = torch.randn(20, 1, 5, 5), torch.randn(100, 1, 5, 5)
    kept = x.clone(), phi.clone()
    whole, alone = N.nearest(x, phi), N.nearest(x[7:8], phi)
    assert whole.distance[7] == alone.distance[0]
    assert whole.index[7] == alone.index[0]
    assert torch.equal(x, kept[0])
    assert torch.equal(phi, kept[1])


def test_blocks_stay_within_the_memory_asked_for():
    """Images are asked for in slices; what a slice and its distances to all samples take stays
    below the budget.
    """

    class Watched:
        def __init__(self, x):
            self.x, self.most = x, 0
            self.shape, self.dtype, self.device = x.shape, x.dtype, x.device

        def __len__(self):
            return len(self.x)

        def __getitem__(self, which):
            if isinstance(which, slice):
                self.most = max(self.most, len(self.x[which]))
            return self.x[which]

    g = torch.Generator().manual_seed(0)
    x, phi = torch.randn(50, 64, generator=g), Watched(torch.randn(5000, 64, generator=g))
    found = N.nearest(x, phi, memory=200_000)
    torch.testing.assert_close(found.distance, brute(x, phi.x)[0], rtol=1e-12, atol=0)
    assert phi.most * (64 + 50) * 4 < 200_000
    assert phi.most > 50


def test_bad_input():
    with pytest.raises(InputError, match="one shape"):
        N.nearest(torch.zeros(2, 1, 3, 3), torch.zeros(4, 1, 2, 2))
    with pytest.raises(InputError, match="image 2"):
        N.nearest(torch.zeros(1, 2), torch.tensor([[0.0, 1.0], [0.0, 0.0], [torch.inf, 0.0]]))
    assert N.nearest(torch.zeros(0, 2), torch.zeros(3, 2)).distance.shape == (0,)


def test_a_sample_that_is_not_finite_is_near_nothing_and_the_others_are_found():
    phi = torch.randn(9, 1, 3, 3, generator=torch.Generator().manual_seed(0))
    x = phi[[4, 5, 6]] + 0.01
    bad = x.clone()
    bad[1, 0, 2, 2] = torch.inf
    found, alone = N.nearest(bad, phi), N.nearest(x[[0, 2]], phi)
    assert torch.equal(found.distance[[0, 2]], alone.distance)
    assert found.index.tolist() == [4, -1, 6]
    assert found.second_index[1] == -1
    assert found.distance[1].isnan()
    assert found.ratio[1].isnan()
    assert found.copy.tolist() == [True, False, True]


def test_quantised_windows_with_thousands_of_ties():
    """Pixels of few grey levels, mostly background: many images at one distance, which is where
    exact search gets slow.
    """
    g = torch.Generator().manual_seed(0)
    phi = (
        torch.randint(0, 3, (4000, 6), generator=g) * (torch.rand(4000, 6, generator=g) < 0.2)
    ).float() / 2 - 1
    x = (
        torch.randint(0, 3, (60, 6), generator=g) * (torch.rand(60, 6, generator=g) < 0.5)
    ).float() / 2 - 0.9
    for memory in (20_000, 2**28):
        check(x, phi, memory=memory)
        check(phi[:30], phi, memory=memory)
