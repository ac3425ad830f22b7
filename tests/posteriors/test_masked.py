"""Masked posterior means against the definition, the machines they contain, and their limits."""

import math

import numpy as np
import pytest
import torch

from archbias import families
from archbias.data import ImageSet
from archbias.errors import InputError
from archbias.posteriors import gaps, masked, masks
from archbias.posteriors.ideal import Ideal
from archbias.posteriors.levels import Schedule
from archbias.posteriors.masked import Masked
from archbias.posteriors.masks import Masks
from archbias.posteriors.score_machines import BBELS, LS
from archbias.posteriors.windows import WindowSchedule

INF = math.inf


def images(n=12, shape=(2, 5, 6), seed=0, labels=None):
    x = np.random.default_rng(seed).uniform(-1, 1, (n, *shape))
    x = (x + np.roll(x, 1, 2) + np.roll(x, 1, 3)) / 3
    return ImageSet.from_array(x.astype(np.float32), labels=labels)


def noisy(data, level, batch=2, seed=1, dtype=torch.float64):
    n = torch.randn(batch, *data.shape, generator=torch.Generator().manual_seed(seed))
    return (data.images[:batch] + level * n).to(dtype)


def brute(mask, phi, y, sigma, rho=0.0, radius=0):
    """The definition with loops, float64: mask (P, X) positions first, replicated edges."""
    phi, y, mask = (np.asarray(v, np.float64) for v in (phi, y, mask))
    _, c, h, w = y.shape
    moves = [(0, 0)] if rho == 0 else [
        (a, b) for a in range(-radius, radius + 1) for b in range(-radius, radius + 1)
    ]  # fmt: skip
    out = np.zeros_like(y)
    for row, one in enumerate(y):
        for p in range(h * w):
            for ch in range(c):
                logits, values = [], []
                for down, right in moves:
                    prior = 0 if rho in (0, INF) else -(down**2 + right**2) / (2 * rho**2)
                    for image in phi:
                        total = 0.0
                        for x in range(h * w):
                            r = min(max(x // w + down, 0), h - 1)
                            s = min(max(x % w + right, 0), w - 1)
                            for e in range(c):
                                m = (
                                    mask[p, x]
                                    if len(mask) == h * w
                                    else mask[p * c + ch, x * c + e]
                                )
                                total += m * (one[e, x // w, x % w] - image[e, r, s]) ** 2
                        logits.append(prior - total / (2 * sigma**2))
                        r = min(max(p // w + down, 0), h - 1)
                        values.append(image[ch, r, min(max(p % w + right, 0), w - 1)])
                weight = np.exp(np.array(logits) - max(logits))
                out[row, ch, p // w, p % w] = weight @ np.array(values) / weight.sum()
    return out


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize(("rho", "radius"), [(0.0, 1), (0.7, 1), (INF, 1)])
def test_equals_the_definition(shared, rho, radius, monkeypatch):
    data = images(4, (2, 3, 4))
    monkeypatch.setattr(masked, "BLOCK", 3 * 24)  # three images at once
    for settings in ({"mask": "energy", "share": 0.6}, {"mask": "wiener", "power": 0.4}):
        spec = Masked(shared=shared, rho=rho, radius=radius, **settings)
        denoiser = spec.fit(data)
        for level in (0.05, 0.6, 4.0):
            y = noisy(data, level, 1)
            want = brute(denoiser.mask(level), data.images, y, level, rho, radius)
            assert np.abs(denoiser(y, level).numpy() - want).max() < 1e-12
            assert np.abs(denoiser(y.float(), level).numpy() - want).max() < 1e-5


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("level", [0.05, 0.5, 5.0])
def test_a_window_as_mask_is_the_local_machine(shared, level):
    """And with moved sources that padding rules out, the boundary-broken one."""
    data = images(12, (2, 5, 6))
    y = noisy(data, level)
    for k in (1, 3, 13):
        settings = {"mask": "window", "window": k, "shared": shared}
        close = {"atol": 1e-12, "rtol": 0}
        got = Masked(**settings).fit(data)(y, level)
        torch.testing.assert_close(got, LS(window=k).fit(data)(y, level), **close)
        moved = Masked(**settings, rho=INF, radius=5, edges="border").fit(data)(y, level)
        torch.testing.assert_close(moved, BBELS(window=k).fit(data)(y, level), **close)
    whole = Masked(mask="wiener", power=0.0, shared=shared).fit(data)(y, level)
    torch.testing.assert_close(whole, Ideal().fit(data)(y, level), atol=1e-12, rtol=0)


def test_settings_may_change_with_the_noise():
    data = images()
    windows = WindowSchedule((0.1, 1.0), (3, 7))
    spec = Masked(mask="window", window=windows, rho=Schedule((0.1, 1.0), (0.0, INF)), radius=2)
    levels = torch.tensor([0.12, 2.0], dtype=torch.float64)
    y = noisy(data, 0.5)
    together = spec.fit(data)(y, levels)
    for i, (k, rho) in enumerate(((3, 0.0), (7, INF))):
        alone = Masked(mask="window", window=k, rho=rho, radius=2).fit(data)(y, float(levels[i]))
        torch.testing.assert_close(together[i], alone[i], atol=1e-13, rtol=0)


def test_wiener_weights_are_those_of_the_definition():
    data = images(40, (2, 3, 4))
    x = data.images.double().flatten(2).transpose(1, 2).reshape(40, -1)  # positions first
    x = x - x.mean(0)
    s = x.T @ x / 40
    w = s @ torch.linalg.inv(s + 0.3**2 * torch.eye(24, dtype=torch.float64))
    ratio = (w / w.diagonal()[:, None]).abs()
    want = (ratio >= 0.1 * ratio.max()).double()
    rows = Masked(share=0.1).fit(data)
    torch.testing.assert_close(rows.mask(0.3), want)
    torch.testing.assert_close(Masked(share=0.1, index="column").fit(data).mask(0.3), want.T)
    assert not torch.equal(want, want.T), "the two readings differ"
    own = (ratio >= 0.1 * ratio.amax(1, keepdim=True)).double()
    torch.testing.assert_close(Masked(share=0.1, largest="row").fit(data).mask(0.3), own)
    energy = w.square().reshape(12, 2, 12, 2).sum((1, 3))
    softened = Masked(power=0.3, shared=True).fit(data).mask(0.3)
    torch.testing.assert_close(softened, (energy / energy.amax(1, keepdim=True)) ** 0.3)
    kept = Masked(mask="energy", share=0.7, shared=True).fit(data).mask(0.3).bool()
    for p in range(12):
        order = energy[p].sort(descending=True).values
        fewest = next(n for n in range(1, 13) if order[:n].sum() >= 0.7 * order.sum())
        assert int(kept[p].sum()) == fewest
        assert energy[p][kept[p]].sum() >= 0.7 * energy[p].sum()
        assert energy[p][kept[p]].min() >= energy[p][~kept[p]].max()


def test_wiener_masks_follow_a_permutation_of_the_pixels_and_windows_do_not():
    data = images(20, (1, 4, 5))
    order = torch.randperm(20, generator=torch.Generator().manual_seed(2))
    mixed = ImageSet.from_array(data.images.flatten(2)[..., order].reshape(data.images.shape))
    y = noisy(data, 0.4)
    moved = y.flatten(2)[..., order].reshape(y.shape)

    def error(spec):
        want = spec.fit(data)(y, 0.4).flatten(2)[..., order].reshape(y.shape)
        return (spec.fit(mixed)(moved, 0.4) - want).abs().max()

    assert error(Masked(power=0.5)) < 1e-10
    assert error(Masked(mask="window", window=3)) > 1e-2


@pytest.mark.parametrize("level", [0.02, 0.3, 0.9, 1.1, 5.0, 80.0])
def test_float32_logits_are_off_by_little(level):
    """In nats, against float64, where a noisy image has 3072 numbers."""
    data = images(30, (3, 32, 32))
    y = noisy(data, level, 1)[0].flatten(1).T[..., None]
    phi = data.images.flatten(2).permute(2, 1, 0)
    mask = torch.rand(200, 1024, generator=torch.Generator().manual_seed(3))
    centre = phi.mean(2, keepdim=True) if level > gaps.SQUARES else None
    wide = [v if v is None else v.double() for v in (y, phi, centre, mask)]
    want = gaps.logits_of(*wide, True) / (2 * level**2)
    got = gaps.logits_of(*[v if v is None else v.float() for v in wide], True) / (2 * level**2)
    near = want > want.amax(1, keepdim=True) - 20  # the rest has no weight
    error = (got - want)[near].abs()
    assert error.max() < 1e-3 / max(level, 1)


def test_labels_confine_the_sources_and_not_the_masks():
    labels = torch.arange(12) % 3
    data = images(labels=labels)
    denoiser = Masked(power=0.5, shared=True).fit(data)
    y = noisy(data, 0.5, 3)
    got = denoiser(y, 0.5, torch.tensor([2, 0, 2]))
    for b, label in enumerate((2, 0, 2)):
        part = data.images[labels == label]
        want = brute(denoiser.mask(0.5), part, y[b : b + 1], 0.5)
        assert np.abs(got[b].numpy() - want[0]).max() < 1e-12


def test_a_mean_of_mini_batches_is_another_function():
    """Unless the batch is the training set."""
    data = images(40)
    denoiser = Masked(mask="window", window=3).fit(data)
    y = noisy(data, 0.2)
    exact = denoiser(y, 0.2)
    torch.testing.assert_close(denoiser.mini_batches(y, 0.2, 40), exact, atol=1e-13, rtol=0)
    halves = [Masked(mask="window", window=3).fit(ImageSet.from_array(h)) for h in
              data.images.split(20)]  # fmt: skip
    want = sum(h(y, 0.2) for h in halves) / 2
    torch.testing.assert_close(denoiser.mini_batches(y, 0.2, 20), want, atol=1e-12, rtol=0)
    assert (denoiser.mini_batches(y, 0.2, 8) - exact).abs().max() > 0.05


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # torch.func imports it
def test_derivatives_are_those_of_the_definition():
    data = images(6, (2, 3, 4))
    denoiser = Masked(mask="energy", share=0.5, rho=0.8, radius=1).fit(data)
    y = noisy(data, 0.6)
    direction = torch.randn(y.shape, generator=torch.Generator().manual_seed(5), dtype=y.dtype)
    step = 1e-5
    numeric = (denoiser(y + step * direction, 0.6) - denoiser(y - step * direction, 0.6)) / (
        2 * step
    )
    leaf = y.clone().requires_grad_()
    denoiser(leaf, 0.6).backward(direction)
    torch.testing.assert_close(
        (leaf.grad * direction).sum(), (numeric * direction).sum(), rtol=1e-6, atol=1e-8
    )
    sigma = torch.full((2,), 0.6, dtype=y.dtype)
    forward = torch.func.jvp(lambda v: denoiser.denoise(v, sigma), (y,), (direction,))[1]
    torch.testing.assert_close(forward, numeric, rtol=1e-5, atol=1e-8)


def test_measured_masks_are_saved_with_the_images(tmp_path):
    data = images()
    energy = torch.rand(2, 30, 30, generator=torch.Generator().manual_seed(4))
    found = Masks(torch.tensor([0.1, 1.0], dtype=torch.float64), energy, data.shape, "made up")
    spec = Masked(mask="jacobian", power=0.5, shared=True)
    denoiser = spec.fit(data, masks=found)
    want = (energy[1] / energy[1].amax(1, keepdim=True)).double().sqrt()
    torch.testing.assert_close(denoiser.mask(0.9), want, rtol=1e-6, atol=1e-7)
    families.save(denoiser, tmp_path / "m.safetensors")
    y = noisy(data, 0.5)
    assert torch.equal(families.load(tmp_path / "m.safetensors")(y, 0.5), denoiser(y, 0.5))
    assert (spec.told, Masked().told) == ("its Jacobian", "nothing")
    with pytest.raises(InputError, match="takes measured masks"):
        spec.fit(data)
    with pytest.raises(InputError, match="takes no measured masks"):
        Masked().fit(data, masks=found)
    with pytest.raises(InputError, match="shared=False"):
        Masked(mask="jacobian").fit(data, masks=found)


def test_reach_is_how_far_a_mask_shows():
    near = masks.window_energy(5, 9, 11)
    rows, columns = masks.reach(near, 9, 11)
    assert (rows == 2).all()
    assert (columns == 2).all()
    faint = near + 0.01  # below what counts as seen
    assert torch.equal(masks.reach(faint, 9, 11)[0], rows)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"mask": "winer"}, "did you mean 'wiener'"),
        ({"index": "rows"}, "did you mean 'row'"),
        ({"largest": "all"}, "unknown largest"),
        ({"edges": "wrap"}, "unknown edges"),
        ({"share": 0.0}, "share must be a number above 0"),
        ({"power": -1.0}, "power must be"),
        ({"rho": Schedule((1.0,), (-1.0,))}, "rho must be"),
        ({"radius": 1.5}, "radius must be"),
        ({"shared": 1}, "shared must be True or False"),
        ({"window": 4}, "odd"),
    ],
)
def test_bad_settings_are_explained(settings, words):
    with pytest.raises(InputError, match=words):
        Masked(**settings)


def test_schedules_and_masks_of_the_wrong_shape_are_refused():
    with pytest.raises(InputError, match="one value for each noise level"):
        Schedule((1.0,), (1.0, 2.0))
    with pytest.raises(InputError, match="must be positive and increase"):
        Schedule((1.0, 0.5), (1.0, 2.0))
    with pytest.raises(InputError, match="one 30 or 60 square"):
        Masks(torch.tensor([1.0]), torch.zeros(1, 30, 60), (2, 5, 6))
    with pytest.raises(InputError, match="levels of masks"):
        Masks(torch.tensor([1.0, 1.0]), torch.zeros(2, 30, 30), (2, 5, 6))


def test_a_windows_beliefs_are_those_of_the_local_machine():
    data = images(9, (2, 5, 6))
    y = noisy(data, 0.7)
    level = torch.tensor([0.7, 0.2], dtype=torch.float64)
    for k in (1, 3, 13):
        mine = Masked(mask="window", window=k, shared=True).fit(data).posterior(y, level, top=4)
        local = LS(window=k).fit(data).posterior(y, level, top=4)
        for name in ("entropy", "effective", "log_evidence", "weight"):
            torch.testing.assert_close(getattr(mine, name), getattr(local, name), atol=1e-9, rtol=0)
        for name in ("image", "row", "column", "numbers"):
            assert torch.equal(getattr(mine, name), getattr(local, name)), name


def test_beliefs_by_the_definition_with_moves_soft_masks_and_labels():
    """Every source's weight by loops; their mean is the denoised image."""
    rho, level = 0.7, 0.6
    data = images(5, (2, 3, 4), labels=[0, 1, 1, 0, 1])
    denoiser = Masked(mask="energy", power=0.4, shared=True, rho=rho).fit(data)
    y, mask = noisy(data, level, 1), denoiser.mask(level).numpy()
    found = denoiser.posterior(y, level, torch.tensor([1]), top=27)
    phi, one = data.images.double().numpy(), y[0].numpy()
    mean = np.zeros((2, 3, 4))
    for p in range(12):
        r, s = divmod(p, 4)
        logs, places, prior = [], [], []
        for down in (-1, 0, 1):
            for right in (-1, 0, 1):
                for i in (1, 2, 4):
                    total = 0.0
                    for x in range(12):
                        a, b = divmod(x, 4)
                        moved = phi[i, :, np.clip(a + down, 0, 2), np.clip(b + right, 0, 3)]
                        total += mask[p, x] * np.square(one[:, a, b] - moved).sum()
                    prior.append(-(down**2 + right**2) / (2 * rho**2))
                    logs.append(prior[-1] - total / (2 * level**2))
                    places.append((i, np.clip(r + down, 0, 2), np.clip(s + right, 0, 3)))
        w = np.exp(logs)
        evidence = (
            np.log(w.sum() / np.exp(prior).sum()) + np.log(mask[p] / (2 * np.pi * level**2)).sum()
        )
        w /= w.sum()
        named = [
            (found.image[0, k, r, s].item(), found.row[0, k, r, s].item(),
             found.column[0, k, r, s].item()) for k in range(27)
        ]  # fmt: skip
        assert sorted(named) == sorted(places)
        np.testing.assert_allclose(found.weight[0, :, r, s], np.sort(w)[::-1], atol=1e-12)
        assert found.entropy[0, r, s].item() == pytest.approx(-(w * np.log(w)).sum(), abs=1e-12)
        assert found.log_evidence[0, r, s].item() == pytest.approx(evidence, abs=1e-9)
        for k, (i, a, b) in enumerate(named):
            mean[:, r, s] += found.weight[0, k, r, s].item() * phi[i, :, a, b]
    wanted = denoiser(y, level, torch.tensor([1]))[0]
    np.testing.assert_allclose(mean, wanted, atol=1e-12)
    few = denoiser.posterior(y, level, torch.tensor([1]), top=30)
    assert bool((few.image[:, 27:] == -1).all())
    with pytest.raises(InputError, match="shared=True"):
        Masked(mask="window").fit(data).posterior(y, level)
