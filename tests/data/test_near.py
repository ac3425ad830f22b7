"""Duplicates against all distances in float64 and SciPy's single linkage."""

import numpy as np
import pytest
from scipy.cluster.hierarchy import linkage
from scipy.spatial.distance import squareform

from archbias import cli, data
from archbias.data import ImageSet, near
from archbias.errors import InputError


def smooth(n, shape=(1, 9, 7), seed=0):
    """Pictures with structure at every scale."""
    x = np.random.default_rng(seed).normal(size=(n, *shape)).cumsum(2).cumsum(3)
    return np.tanh(x / 4).astype(np.float32)


def planted():
    """60 pictures: 3 equal, a reflected copy, a chain of three near ones, a blurred pair at .2 of
    the typical distance.
    """
    x, rng = smooth(60), np.random.default_rng(1)
    x[7], x[31] = x[2], x[2]
    x[40] = x[11][..., ::-1]
    x[21] = x[20] + 1e-4 * rng.normal(size=x[0].shape)
    x[22] = x[21] + 1e-4 * rng.normal(size=x[0].shape)
    return ImageSet.from_array(np.clip(x, -1, 1), name="planted")


def brute(images, share, reflected):
    """Groups by their definition, from the matrix of all distances."""
    x = images.images.numpy().astype(np.float64)
    n, flat = len(x), x.reshape(len(x), -1)
    d = np.linalg.norm(flat[:, None] - flat[None], axis=2)
    distinct = np.unique(flat, axis=0, return_index=True)[1]
    among = np.sort(d[np.ix_(distinct, distinct)], axis=1)[:, min(5, len(distinct) - 1)]
    typical = np.sort(among)[(len(distinct) - 1) // 2]
    if reflected:
        mirror = x[..., ::-1].reshape(n, -1)
        d = np.minimum(d, np.linalg.norm(flat[:, None] - mirror[None], axis=2))
        np.fill_diagonal(d, 0)
    tree = linkage(squareform(d, checks=False), "single")
    members = [[i] for i in range(n)]
    parent_height = np.full(2 * n - 1, np.inf)
    for a, b, h, _ in tree:
        members.append(members[int(a)] + members[int(b)])
        parent_height[[int(a), int(b)]] = h
    groups = [
        set(members[n + k])
        for k, h in enumerate(tree[:, 2])
        if h <= share * typical and parent_height[n + k] >= 2 * h and parent_height[n + k] > 0
    ]
    largest = [g for g in groups if not any(g < other for other in groups)]
    return typical, {tuple(images.ids[i] for i in sorted(g)) for g in largest}


@pytest.mark.parametrize("reflected", [True, False])
@pytest.mark.parametrize("share", [0.25, 0.1, 0.5])
def test_groups_are_those_of_all_distances(share, reflected):
    images = planted()
    typical, groups = brute(images, share, reflected)
    found = data.duplicates(images, share=share, reflected=reflected)
    assert found.typical == pytest.approx(typical, rel=1e-6)
    assert {g.ids for g in found.groups} == groups
    assert ("000002", "000007", "000031") in groups
    assert (("000011", "000040") in groups) == reflected
    assert any({"000020", "000021", "000022"} <= set(g) for g in groups)


@pytest.mark.parametrize("seed", range(6))
def test_random_clusters_are_grouped_as_single_linkage_does(seed):
    """Tight and loose clusters of points, at every distance from each other."""
    rng = np.random.default_rng(seed)
    centres = rng.uniform(-0.5, 0.5, (25, 1, 4, 4))
    spread = 10.0 ** rng.uniform(-6, -0.7, 25)
    which = rng.integers(0, 25, 80)
    x = centres[which] + spread[which, None, None, None] * rng.normal(size=(80, 1, 4, 4))
    images = ImageSet.from_array(np.clip(x, -1, 1))
    for share in (0.5, 0.25):
        found = data.duplicates(images, share=share)
        assert {g.ids for g in found.groups} == brute(images, share, True)[1]


def test_equal_images_are_at_zero_exactly_and_distances_are_of_differences():
    """Also far from the origin, where a matrix product loses what near images differ by."""
    x = np.full((40, 3, 8, 8), -0.9) + 1e-3 * smooth(40, (3, 8, 8))
    x[5] = x[1]
    x[9] = x[3] + 1e-7
    x = x.astype(np.float32)
    found = {g.ids: g for g in data.duplicates(ImageSet.from_array(x)).groups}
    assert found["000001", "000005"].distances == (0.0, 0.0)
    wanted = np.linalg.norm((x[9].astype(np.float64) - x[3]).ravel())
    assert 0 < wanted < 1e-4
    assert found["000003", "000009"].distances == pytest.approx((wanted, wanted), rel=1e-12)
    assert found["000003", "000009"].reflected == (False, False)


def test_a_reflected_copy_says_so():
    group = next(g for g in data.duplicates(planted()).groups if "000040" in g.ids)
    assert group.ids == ("000011", "000040")
    assert group.reflected == (True, True)
    assert group.distances == (0.0, 0.0)


def test_more_directions_than_pixels_and_blocks_change_nothing(monkeypatch):
    images = planted()
    wanted = data.duplicates(images)
    assert wanted.groups
    for name, value in (("BLOCK", 7), ("DIRECTIONS", 3), ("PAIRS", 2), ("BLOCK", 1)):
        monkeypatch.setattr(near, name, value)
        found = data.duplicates(images)
        assert [g.ids for g in found.groups] == [g.ids for g in wanted.groups]


def test_dense_neighbourhoods_are_no_copies():
    """A quarter of the set lies on a line, as near as the ones of MNIST: no group of them."""
    x = smooth(200)
    x[:50] = x[0] + 0.002 * np.arange(50)[:, None, None, None] * np.sign(x[1])
    found = data.duplicates(ImageSet.from_array(np.clip(x, -1, 1)), reflected=False)
    assert 0.002 * np.sqrt(63) < 0.25 * found.typical
    assert all(len(g.ids) >= 50 or int(g.ids[0]) >= 50 for g in found.groups)


def test_sets_without_duplicates_and_of_hardly_any_image():
    found = data.duplicates(data.load("digits", n=300))
    assert found.groups == ()
    assert found.finding == "none of the 300 images of digits is a duplicate of another"
    for n in (1, 2):
        assert data.duplicates(ImageSet.from_array(smooth(n))).groups == ()
    same = ImageSet.from_array(np.repeat(smooth(1), 4, axis=0))
    (group,) = data.duplicates(same).groups
    assert group.distances == (0.0,) * 4
    assert data.duplicates(same).extra == 3


def test_the_sentence_counts_what_repeats():
    text = data.duplicates(planted()).finding
    assert text.startswith(
        "5 of the 60 images of planted repeat another one (3 equal to it and 2 near"
    )
    assert "in 3 groups); leave them out" in text


@pytest.mark.parametrize("share", [0, 0.6, -1, float("nan")])
def test_impossible_shares_are_refused(share):
    with pytest.raises(InputError, match="share must be above 0"):
        data.duplicates(planted(), share=share)


def test_the_command_names_them(tmp_path, capsys):
    images = planted()
    np.savez(tmp_path / "x.npz", images=images.images.numpy())
    words = ["data", "show", "array", "--root", str(tmp_path / "x.npz"), "--duplicates"]
    assert cli.main(words) == 0
    shown = capsys.readouterr().out
    assert "5 of the 60 images" in shown
    assert "000002 (0)  000007 (0)  000031 (0)" in shown
    assert "000011 (0, reflected)" in shown
    assert cli.main([*words, "--n", "10"]) == 0
    assert "1 of the 10 images" in capsys.readouterr().out
