"""Patch set posterior composites against the definition and their limits."""

import numpy as np
import pytest
import torch

from archbias import families, noise
from archbias.data import ImageSet
from archbias.errors import InputError
from archbias.posteriors import patch_composite
from archbias.posteriors.ideal import Ideal
from archbias.posteriors.levels import Schedule
from archbias.posteriors.masks import Masks
from archbias.posteriors.patch_composite import PatchComposite
from archbias.posteriors.score_machines import LS


def images(n=8, shape=(2, 5, 6), labels=None):
    x = np.random.default_rng(0).uniform(-1, 1, (n, *shape)).astype(np.float32)
    return ImageSet.from_array(x, labels=labels)


def noisy(data, level, batch=2):
    n = torch.randn(batch, *data.shape, generator=torch.Generator().manual_seed(1))
    return (data.images[:batch] + level * n).double()


def brute(patches, phi, y, sigma):
    """Patch by patch, float64; patches is a list of lists of pixels (row, column)."""
    phi, y = phi.double().numpy(), y.double().numpy()
    out, count = np.zeros_like(y), np.zeros(y.shape[2:])
    for pixels in patches:
        r, c = np.array(pixels).T
        count[r, c] += 1
        for b, one in enumerate(y):
            logits = -((one[:, r, c] - phi[:, :, r, c]) ** 2).sum((1, 2)) / (2 * sigma**2)
            w = np.exp(logits - logits.max())
            out[b][:, r, c] += np.tensordot(w / w.sum(), phi[:, :, r, c], 1)
    return out / count


@pytest.mark.parametrize("k", [1, 2, 3, 5, 9])
@pytest.mark.parametrize("level", [0.05, 0.5, 4.0])
def test_squares_equal_the_definition(k, level):
    data = images()
    y, (_, h, w) = noisy(data, level), data.shape
    rows, columns = min(k, h), min(k, w)
    patches = [
        [(a + u, b + v) for u in range(rows) for v in range(columns)]
        for a in range(h - rows + 1)
        for b in range(w - columns + 1)
    ]
    want = brute(patches, data.images, y, level)
    denoiser = PatchComposite(size=k).fit(data)
    assert np.abs(denoiser(y, level).numpy() - want).max() < 1e-12
    assert np.abs(denoiser(y.float(), level).numpy() - want).max() < 1e-5


def test_flexible_patches_equal_the_definition_and_are_saved(tmp_path):
    labels = torch.arange(8) % 2
    data = images(labels=labels)
    energy = torch.rand(2, 30, 30, generator=torch.Generator().manual_seed(4))
    heat = Masks(torch.tensor([0.1, 1.0], dtype=torch.float64), energy, data.shape)
    denoiser = PatchComposite(patches="flex", share=0.6, measured=True).fit(data, masks=heat)
    patches = []
    for p in range(30):
        values = energy[1, p].double().numpy()
        order = [int(x) for x in np.argsort(-values)]
        held = np.cumsum(values[order]) >= 0.6 * values.sum()
        kept = {p, *order[: int(np.argmax(held)) + 1]}
        patches.append([(q // 6, q % 6) for q in kept])
    y = noisy(data, 0.8)
    want = brute(patches, data.images, y, 0.8)
    assert np.abs(denoiser(y, 0.8).numpy() - want).max() < 1e-12
    got = denoiser(y, 0.8, torch.tensor([1, 1]))
    want = brute(patches, data.images[labels == 1], y, 0.8)
    assert np.abs(got.numpy() - want).max() < 1e-12
    families.save(denoiser, tmp_path / "p.safetensors")
    assert torch.equal(families.load(tmp_path / "p.safetensors")(y, 0.8), denoiser(y, 0.8))
    assert denoiser.spec.told == "its Jacobian"


def test_limits():
    data = images()
    y = noisy(data, 0.5)
    close = {"atol": 1e-12, "rtol": 0}
    whole = Ideal().fit(data)(y, 0.5)
    torch.testing.assert_close(PatchComposite(size=32).fit(data)(y, 0.5), whole, **close)
    full = PatchComposite(patches="flex", share=1.0).fit(data)(y, 0.5)
    torch.testing.assert_close(full, whole, **close)
    one = LS(window=1).fit(data)(y, 0.5)
    torch.testing.assert_close(PatchComposite(size=1).fit(data)(y, 0.5), one, **close)


def test_the_published_schedules_run_from_small_patches_to_the_image():
    levels = noise.karras(18)[:-1].tolist()
    sizes = [patch_composite.SIZES(s) for s in levels]
    assert sizes[:8] == [32] * 7 + [23]
    assert sizes[-6:] == [3] * 6
    assert [patch_composite.SHARES(s) for s in levels][6:10] == [1.0, 0.7, 0.7, 0.5]
    spec = PatchComposite(size=patch_composite.SIZES)
    assert spec.told == "nothing"
    data = images()
    y = noisy(data, 0.5)
    levels = torch.tensor([0.01, 50.0], dtype=torch.float64)
    got = spec.fit(data)(y, levels)
    torch.testing.assert_close(got[0], PatchComposite(size=3).fit(data)(y, 0.01)[0])
    torch.testing.assert_close(got[1], Ideal().fit(data)(y, 50.0)[1])


def test_bad_settings_are_explained():
    with pytest.raises(InputError, match="unknown patches"):
        PatchComposite(patches="round")
    with pytest.raises(InputError, match="size must be"):
        PatchComposite(size=0)
    with pytest.raises(InputError, match="share must be"):
        PatchComposite(share=Schedule((1.0,), (1.5,)))
    with pytest.raises(InputError, match="measured is True or False"):
        PatchComposite(measured=True)
    with pytest.raises(InputError, match="takes masks"):
        PatchComposite(patches="flex", measured=True).fit(images())
