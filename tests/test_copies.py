"""Copies planted among samples are found, new images are not, two folders are enough."""

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from archbias import ImageSet, cli, copies
from archbias.errors import InputError


def drawn(n, seed, size=6):
    """Smooth random images, so that neighbours differ as those of photographs do."""
    rng = np.random.default_rng(seed)
    low = rng.uniform(-1, 1, (n, 1, 3, 3))
    x = 0.9 * np.kron(low, np.ones((2, 2))) + rng.uniform(-0.1, 0.1, (n, 1, size, size))
    return ImageSet.from_array(x.astype(np.float32), ids=[f"{seed}-{i}" for i in range(n)])


def planted(images, n=40, copied=5):
    """n samples of which the first few are training images with a little noise."""
    x = drawn(n, 99).images.clone()
    noise = 0.01 * torch.randn(copied, *images.shape, generator=torch.Generator().manual_seed(0))
    x[:copied] = (images.images[:copied] + noise).clamp(-1, 1)
    return ImageSet.from_array(x)


def by_hand(x, images):
    """Sorted distances (B, N) by subtraction."""
    d = x.double()[:, None] - images.double()[None]
    return d.flatten(2).square().sum(2).sqrt().sort(1)


@pytest.mark.parametrize("given", [True, False])
def test_planted_copies_are_found_and_new_images_are_not(given):
    images, held_out = drawn(400, 0), drawn(300, 1) if given else None
    found = copies.of(planted(images), images, held_out)
    distances = by_hand(found.samples.images, images.images)
    torch.testing.assert_close(found.near.distance, distances.values[:, 0])
    ratio = distances.values[:, 0] / distances.values[:, 1]
    torch.testing.assert_close(found.near.ratio, ratio)
    assert found.copy[:5].all()
    assert int(found.copy[5:].sum()) <= 3
    assert found.near.index[:5].tolist() == [0, 1, 2, 3, 4]
    assert found.novelty[:5].max() < 0.02
    assert f"{int(found.copy.sum())} of 40 samples are copies" in found.sentence()
    assert ("set aside" in found.sentence()) is not given
    if given:
        new = by_hand(held_out.images, images.images).values
        as_low = (new[:, 0] / new[:, 1])[None] <= ratio[:, None]
        torch.testing.assert_close(found.p, (1 + as_low.sum(1)).double() / 301)


def test_new_images_count_as_often_as_the_level_says():
    images = drawn(500, 0)
    found = copies.of(drawn(1000, 5), images, drawn(1000, 6), level=0.05)
    # binomial of both sets: 50 expected, standard deviation about 10
    assert 15 < int(found.copy.sum()) < 90
    assert 0.4 < float(found.novelty.median()) < 0.6
    uniform = torch.quantile(found.p, torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64))
    torch.testing.assert_close(uniform, torch.tensor([0.25, 0.5, 0.75]).double(), rtol=0, atol=0.1)


def test_a_sample_that_diverged_is_no_copy_and_is_counted():
    images = drawn(200, 0)
    samples = planted(images)
    samples.images[7] = torch.nan
    found = copies.of(samples, images)
    assert not found.copy[7]
    assert found.table()["nearest"][7] == ""
    assert "of 39 samples" in found.sentence()
    assert "1 of 40" in found.sentence()


def test_duplicates_are_said():
    images = drawn(200, 0)
    twice = torch.cat([images.images, images.images])
    found = copies.of(drawn(20, 3), ImageSet.from_array(twice))
    assert "near-duplicates" in found.sentence()


def test_two_folders_one_table_one_wall_one_sentence(tmp_path, capsys):
    images = drawn(120, 0)
    samples = planted(images, 12, 3)
    for name, these in (("images", images), ("samples", samples)):
        (tmp_path / name).mkdir()
        for i, x in enumerate(these.images):
            pixels = ((x[0].numpy() + 1) * 127.5).round().astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"{i:03d}.png")
    out = tmp_path / "out"
    words = [str(tmp_path / "samples"), str(tmp_path / "images"), "--out", str(out)]
    assert cli.main(["copies", *words]) == 0
    said = capsys.readouterr().out
    assert "samples are copies" in said
    table = pd.read_csv(out / "copies.csv", dtype={"nearest": str})
    assert table["copy"].tolist()[:3] == [True] * 3
    assert [name.removesuffix(".png") for name in table["nearest"][:3]] == ["000", "001", "002"]
    assert (out / "finding.txt").read_text(encoding="utf-8").strip() in said
    with Image.open(out / "wall.png") as picture:
        assert picture.width > 100
    assert sorted(p.name for p in out.iterdir()) == ["copies.csv", "finding.txt", "wall.png"]
    np.savez(tmp_path / "samples.npz", images=samples.images.numpy())
    assert cli.main(["copies", str(tmp_path / "samples.npz"), *words[1:], "--size", "4"]) == 0
    assert cli.main(["copies", str(tmp_path / "none"), *words[1:]]) == 2


def test_what_cannot_be_compared_is_refused():
    images = drawn(100, 0)
    with pytest.raises(InputError, match="one shape"):
        copies.of(drawn(5, 1).resize(4), images)
    with pytest.raises(InputError, match="at least 20 new images, got 4"):
        copies.of(drawn(5, 1), images.subset(20))
    with pytest.raises(InputError, match="between 0 and 1"):
        copies.of(drawn(5, 1), images, level=2)
