"""Moved and patched neighbours, and percentiles of held-out images, against brute force and known
laws.
"""

import math

import pytest
import torch
from scipy import stats

from archbias.errors import InputError
from archbias.metrics import realism, symmetry


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def brute_moved(x, phi, s):
    """Every image, shift and reflection, by hand, for one sample: least distance of every image."""
    h, w = x.shape[-2:]
    best = torch.full((len(phi),), torch.inf, dtype=torch.float64)
    for flipped in (False, True):
        for a in range(-s, s + 1):
            for b in range(-s, s + 1):
                rows = [r for r in range(h) if 0 <= r - a < h]
                cols = [c for c in range(w) if 0 <= c - b < w]
                for i, image in enumerate(phi):
                    y = image.flip(-1) if flipped else image
                    gap = sum(
                        ((x[:, r, c] - y[:, r - a, c - b]) ** 2).sum() for r in rows for c in cols
                    )
                    best[i] = min(best[i], (gap * h * w / (len(rows) * len(cols))).sqrt())
    return best.sort(stable=True)


def test_nearest_moved_against_brute_force():
    x, phi = normal(3, 2, 4, 5), normal(6, 2, 4, 5, seed=1)
    found = symmetry.nearest_moved(x, phi, shift=1)
    for i in range(3):
        value, index = brute_moved(x[i], phi, 1)
        assert found.distance[i].item() == pytest.approx(value[0].item(), rel=1e-12)
        assert found.second_distance[i].item() == pytest.approx(value[1].item(), rel=1e-12)
        assert (found.index[i], found.second_index[i]) == (index[0], index[1])


def test_a_moved_copy_is_found_with_its_move():
    phi = normal(20, 1, 8, 8)
    x = phi[[4, 7, 9]].clone()
    x[0, :, 2:, :] = phi[4, :, :-2, :]  # moved down by 2
    x[1] = phi[7].flip(-1)
    found = symmetry.nearest_moved(x, phi, shift=2)
    assert found.index.tolist() == [4, 7, 9]
    assert found.shift.tolist() == [[2, 0], [0, 0], [0, 0]]
    assert found.flipped.tolist() == [False, True, False]
    assert found.copy.all()
    assert not symmetry.nearest_moved(x, phi, shift=0, flip=False).copy[:2].any()
    with pytest.raises(InputError, match="lower shift"):
        symmetry.nearest_moved(x, phi, shift=8)


def test_nearest_patch_finds_a_mosaic_and_equals_brute_force():
    phi = normal(7, 2, 6, 6)
    # left half of one, a piece of another
    x = torch.cat([phi[2, :, :, :3], phi[5, :, :, 1:4]], dim=-1)[None]
    found = symmetry.nearest_patch(x, phi, size=3, memory=20000)
    assert found.distance.shape == (1, 4, 4)
    assert (found.image[0, :, 0] == 2).all()
    assert (found.image[0, :, 3] == 5).all()
    assert found.column[0, 0, 3] == 1
    keys = torch.nn.functional.unfold(phi, 3).permute(0, 2, 1).flatten(0, 1)
    queries = torch.nn.functional.unfold(x, 3).permute(0, 2, 1).flatten(0, 1)
    want = (queries[:, None] - keys[None]).square().sum(-1).min(1)
    torch.testing.assert_close(found.distance.flatten(), want.values.sqrt(), atol=1e-12, rtol=0)
    where = (found.image * 16 + found.row * 4 + found.column).flatten()
    assert torch.equal(where, want.indices)


def test_no_samples_have_maps_of_no_rows():
    images = torch.zeros(2, 1, 6, 5)
    assert symmetry.nearest_patch(images[:0], images, size=3).image.shape == (0, 4, 3)
    assert symmetry.nearest_moved(images[:0], images, shift=1).distance.shape == (0,)


def test_percentiles_of_held_out_images_are_uniform_and_copies_are_low():
    images, held_out, fresh = (
        normal(200, 1, 4, 4),
        normal(300, 1, 4, 4, seed=1),
        normal(300, 1, 4, 4, seed=2),
    )
    for found in (
        realism.novelty(fresh, images, held_out),
        realism.distance(fresh, held_out),
        realism.patches(fresh, held_out, size=3, stride=1),
        realism.likelihood(fresh, held_out),
    ):
        # one reference set of R = 150-300: the law of percentiles is uniform up to sqrt(1/R), hence
        # two-sample
        assert stats.ks_2samp(found.value, found.reference).pvalue > 0.001
        assert found.percentile.min() > 0
        assert found.percentile.max() < 1
    copies = realism.novelty(images[:20] + 0.01, images, held_out)
    assert (copies.percentile < 0.01).all()
    far = realism.distance(fresh[:20] + 3, held_out)
    assert (far.percentile > 0.99).all()
    assert (realism.likelihood(fresh[:20] * 4, held_out).percentile < 0.05).all()


def test_percentile_counts_ties_half():
    found = realism.Calibrated(
        torch.tensor([0.0, 2.0, 9.0, torch.nan]).double(), torch.tensor([1.0, 2.0, 2.0]).double()
    )
    torch.testing.assert_close(found.percentile[:3], torch.tensor([0.5, 2.5, 3.5]).double() / 4)
    assert found.percentile[3].isnan()


def test_probabilistic_pca_is_its_gaussian():
    x = normal(40, 1, 2, 3) * torch.tensor([3.0, 2.0, 1.0, 1.0, 0.5, 0.5]).double().reshape(
        1, 1, 2, 3
    )
    log_prob = realism.probabilistic_pca(x, 2)
    flat = x.flatten(1)
    value, basis = torch.linalg.eigh(flat.T.cov(correction=0))
    model = basis @ torch.cat([value[:4].mean().expand(4), value[4:]]).diag() @ basis.T
    want = torch.distributions.MultivariateNormal(flat.mean(0), model).log_prob(flat)
    torch.testing.assert_close(log_prob(x), want)
    with pytest.raises(InputError, match="lower"):
        realism.probabilistic_pca(x, 6)


def test_likelihood_takes_any_law_and_prefers_the_held_out():
    held_out = normal(200, 1, 3, 3)

    def fit(images):
        scale = images.flatten(1).std(0)
        return lambda x: torch.distributions.Normal(0.0, scale).log_prob(x.flatten(1)).sum(1)

    found = realism.likelihood(torch.zeros(1, 1, 3, 3).double(), held_out, fit=fit)
    assert found.percentile.item() > 0.95  # the mode is more likely than any draw
    assert found.value.item() == pytest.approx(-4.5 * math.log(2 * math.pi), rel=0.1)
    with pytest.raises(InputError, match="hold out more"):
        realism.distance(held_out, held_out[:3])
