"""The exactness contract of docs/score_machines.md: every line of it is a test here or in
test_windows.py.
"""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from archbias.data import ImageSet
from archbias.errors import InputError
from archbias.posteriors.ideal import Ideal
from archbias.posteriors.score_machines import BBELS, ELS, ES, LS
from archbias.posteriors.windows import (
    SCHEDULES,
    WindowSchedule,
    engine,
    portable,
    published,
    screen,
)


def images(n, shape, seed=0, labels=None):
    """Smooth random images: windows resemble each other, as they do in real ones."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, (n, *shape))
    x = (x + np.roll(x, 1, 2) + np.roll(x, 1, 3) + np.roll(x, (1, 1), (2, 3))) / 4
    return ImageSet.from_array(x.astype(np.float32), labels=labels)


def noisy(data, level, batch=2, seed=1, dtype=torch.float32):
    noise = torch.randn(batch, *data.shape, generator=torch.Generator().manual_seed(seed))
    return (data.images[torch.arange(batch) % len(data)] + level * noise).to(dtype)


def meets(p, size, half):
    """How the window at p meets the border: its distance to an edge it crosses, or nothing."""
    return (p if p < half else None, size - 1 - p if p > size - 1 - half else None)


def brute(machine, k, phi, y, sigma, wrap=True, pixels=None):
    """The definition in float64 with loops: windows as sets of pixels, one pair (p, q) at a time,
    all images at once.
    """
    phi, y = phi.numpy().astype(np.float64), y.numpy().astype(np.float64)
    height, width = y.shape[2:]
    half, out = k // 2, np.zeros(y.shape)
    circular = machine == "els"
    offsets = range(-half, half + 1)
    for pr, pc in pixels or itertools.product(range(height), range(width)):
        if circular:  # each pixel of the torus at most once
            rows = list(dict.fromkeys(((pr + u) % height, u) for u in offsets))
            rows = list({r: u for r, u in reversed(rows)}.items())
            cols = list(
                {c: v for c, v in reversed([((pc + v) % width, v) for v in offsets])}.items()
            )
        else:
            rows = [(pr + u, u) for u in offsets if 0 <= pr + u < height]
            cols = [(pc + v, v) for v in offsets if 0 <= pc + v < width]
        logits, values = [], []
        for qr, qc in itertools.product(range(height), range(width)):
            if machine == "ls" and (qr, qc) != (pr, pc):
                continue
            if machine == "bbels":
                same_rows, same_cols = (
                    meets(qr, height, half) == meets(pr, height, half),
                    meets(qc, width, half) == meets(pc, width, half),
                )
                if not (same_rows and same_cols):
                    continue
            inside = half <= qr < height - half and half <= qc < width - half
            if circular and not wrap and not inside:
                continue
            r, u = np.array(rows).T
            c, v = np.array(cols).T
            of_y = y[:, :, r[:, None], c]
            of_phi = phi[:, :, ((qr + u) % height)[:, None], (qc + v) % width]
            square = ((of_y[:, None] - of_phi[None]) ** 2).sum((2, 3, 4))  # batch, images
            logits.append(-square / (2 * np.asarray(sigma, np.float64)[:, None] ** 2))
            values.append(phi[:, :, qr, qc])
        logits, values = np.concatenate(logits, 1), np.concatenate(values)
        w = np.exp(logits - logits.max(1, keepdims=True))
        out[:, :, pr, pc] = w / w.sum(1, keepdims=True) @ values
    return out


MACHINES = {"ls": LS, "els": ELS, "bbels": BBELS}


def assert_contract(got, want, y, sigma, dtype):
    level = np.asarray(sigma)[:, None, None, None]
    score, error = np.abs(want - y.double().numpy()) / level**2, np.abs(got.double().numpy() - want)
    relative = (error / level**2).max((1, 2, 3)) / score.max((1, 2, 3))
    if dtype == torch.float64:
        assert relative.max() <= 1e-12
    else:
        assert relative.max() <= 1e-5
        assert error.max() <= 1e-4


SUMS = {
    "celeba-resnet": 174,
    "celeba-unet": 146,
    "cifar10-resnet": 174,
    "cifar10-resnet-circular": 164,
    "cifar10-unet": 172,
    "fashion_mnist-resnet": 208,
    "fashion_mnist-unet": 266,
    "mnist-resnet": 192,
    "mnist-resnet-circular": 144,
    "mnist-unet": 242,
}

CASES = [((3, 6, 7), 20), ((1, 7, 6), 5), ((1, 5, 5), 3), ((1, 4, 5), 1), ((3, 4, 6), 40)]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("machine", ["ls", "els", "inside", "bbels"])
@pytest.mark.parametrize(("shape", "n"), CASES)
def test_equals_the_definition(machine, shape, n, dtype):
    data = images(n, shape)
    wrap = machine != "inside"
    windows = [1, 3, 5] + ([2 * max(shape[1:]) - 1, 7] if wrap else [])
    for k in windows:
        if not wrap and k > min(shape[1:]):
            continue
        spec = MACHINES["els" if not wrap else machine](
            window=k, **({} if wrap else {"wrap": False})
        )
        for level in (0.01, 0.15, 0.6, 3.0, 80.0):
            sigma = torch.tensor([level, level * 1.3], dtype=dtype)
            y = noisy(data, level, dtype=dtype)
            want = brute(
                "els" if not wrap else machine, k, data.images, y, sigma.double().numpy(), wrap
            )
            assert_contract(spec.fit(data)(y, sigma), want, y, sigma.double().numpy(), dtype)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize(
    ("machine", "n", "k", "level"),
    [("bbels", 6, 5, 0.3), ("els", 6, 9, 0.1), ("ls", 300, 17, 0.5), ("bbels", 6, 15, 1.0)],
)
def test_equals_the_definition_at_28_by_32(machine, n, k, level, dtype):
    data = images(n, (1, 28, 32))
    y, sigma = noisy(data, level, 1, dtype=dtype), torch.tensor([level], dtype=dtype)
    pixels = [(0, 0), (1, 30), (27, 5), (13, 16), (12, 15), (7, 31), (20, 11)]
    want = brute(machine, k, data.images, y, sigma.double().numpy(), pixels=pixels)
    got = MACHINES[machine](window=k).fit(data)(y, sigma)
    at = (..., [p for p, _ in pixels], [q for _, q in pixels])
    assert_contract(
        got[at][..., None], want[at][..., None], y[at][..., None], sigma.double().numpy(), dtype
    )


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("machine", ["ls", "els", "inside", "bbels"])
@pytest.mark.parametrize(("shape", "n"), [((3, 6, 7), 20), ((1, 7, 5), 33)])
def test_screened_beliefs_equal_the_definition(machine, shape, n, dtype, monkeypatch):
    monkeypatch.setattr(
        screen.Screen, "worth", lambda self, rows, sigma, direct: np.ones(len(rows), bool)
    )
    labels = torch.arange(n) % 2
    data = images(n, shape, labels=labels)
    data.images[n - 1] = data.images[1]  # a tie, in one class where n is even
    name, wrap = ("els", False) if machine == "inside" else (machine, True)
    spec = MACHINES[name](window=3, **({} if wrap else {"wrap": False}))
    pixels = [(0, 0), (2, 3), (5, 1)]
    at = (..., [r for r, _ in pixels], [c for _, c in pixels])
    for level in (0.01, 0.2):
        y, sigma = noisy(data, level, dtype=dtype), torch.full((2,), level, dtype=dtype)
        for chosen, label in (
            (data.images, None),
            (data.images[labels == 1], torch.tensor([1, 1])),
        ):
            want = brute(name, 3, chosen, y, sigma.double().numpy(), wrap, pixels)
            got = spec.fit(data)(y, sigma, label)
            assert_contract(
                got[at][..., None],
                want[at][..., None],
                y[at][..., None],
                sigma.double().numpy(),
                dtype,
            )


@pytest.mark.parametrize("level", [0.01, 0.5, 5.0, 80.0])
def test_beliefs_over_translates_are_those_over_windows_of_the_whole_torus(level):
    """FFT, for float32, against squared differences, for float64; 150 images, more than are
    transformed at once.
    """
    data = images(150, (2, 6, 7), labels=torch.arange(150) % 2)
    y, sigma, label = (
        noisy(data, level, dtype=torch.float64),
        torch.full((2,), level, dtype=torch.float64),
        torch.tensor([1, 0]),
    )
    machine, pairs = ES().fit(data), ES().geometry(level, 6, 7)
    for told in (None, label):
        want, got = machine(y, sigma, told), machine(y.float(), sigma.float(), told)
        assert_contract(got, want.numpy(), y, sigma.numpy(), torch.float32)
    whole, windows = (
        engine.believe(data.images, np.arange(150), x, sigma, pairs).log_sum for x in (y.float(), y)
    )
    np.testing.assert_allclose(whole, windows, rtol=1e-5)


def test_labels_confine_the_sources_to_their_class():
    labels = torch.arange(30) % 3
    data = images(30, (2, 5, 6), labels=labels)
    y = noisy(data, 0.4, 3, dtype=torch.float64)
    got = BBELS(window=3).fit(data)(y, 0.4, torch.tensor([2, 0, 2]))
    for b, label in enumerate([2, 0, 2]):
        want = brute("bbels", 3, data.images[labels == label], y[b : b + 1], [0.4])
        assert np.abs(got[b].numpy() - want[0]).max() < 1e-12
    with pytest.raises(InputError, match="label 7 has no training image"):
        LS(window=3).fit(data)(y, 0.4, torch.tensor([0, 1, 7]))


@pytest.mark.parametrize(
    "spec",
    [LS(window=3), ELS(window=5), ELS(window=3, wrap=False), BBELS(window=3), ES()],
    ids=repr,
)
def test_rows_order_and_threads(spec):
    data = images(70, (3, 6, 6))
    denoiser, y = spec.fit(data), noisy(data, 0.5, 3)
    whole = denoiser(y, 0.5)
    assert torch.equal(denoiser(y[1:2], 0.5), whole[1:2]), (
        "row i alone = row i in its batch, to the bit"
    )
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        assert torch.equal(denoiser(y, 0.5), whole), "the number of threads changes no bit"
    finally:
        torch.set_num_threads(before)
    order = torch.randperm(70, generator=torch.Generator().manual_seed(3))
    shuffled = spec.fit(ImageSet.from_array(data.images[order]))(y, 0.5)
    torch.testing.assert_close(shuffled, whole, atol=2e-6, rtol=0)


def test_where_arrays_lie_in_memory_changes_no_bit():
    """The last pixel's stretch of sixteen sources ends where the next array may begin."""
    data = images(50, (3, 16, 16))
    denoiser, y, before = LS(window=3).fit(data), noisy(data, 0.5, 3), torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        found = {denoiser(y, 0.5).numpy().tobytes() for _ in range(40)}
    finally:
        torch.set_num_threads(before)
    assert len(found) == 1


@pytest.mark.parametrize("parts", [1, 3, 16])
def test_the_split_of_the_training_set_is_only_rounding(parts, monkeypatch):
    data = images(70, (3, 6, 6))
    y = noisy(data, 0.3, dtype=torch.float64)
    whole = BBELS(window=3).fit(data)(y, 0.3)
    monkeypatch.setattr(engine, "PARTS", parts)
    monkeypatch.setattr(engine, "STATISTICS", 1)
    torch.testing.assert_close(BBELS(window=3).fit(data)(y, 0.3), whole, atol=1e-13, rtol=0)


@pytest.mark.parametrize(
    "spec",
    [LS(window=5), ELS(window=5), ELS(window=3, wrap=False), BBELS(window=3), ES()],
    ids=repr,
)
@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # torch.func imports it
def test_kernel_and_portable_path_agree_and_differentiate(spec, monkeypatch):
    labels = torch.arange(9) % 2
    data = images(9, (3, 5, 6), labels=labels)
    denoiser, y, named = spec.fit(data), noisy(data, 0.4, dtype=torch.float64), torch.tensor([1, 0])
    monkeypatch.setattr(portable, "BUDGET", 2000)
    for lab in (None, named):
        torch.testing.assert_close(
            denoiser(y.clone().requires_grad_(), 0.4, lab).detach(),
            denoiser(y, 0.4, lab),
            atol=1e-12,
            rtol=0,
        )
    single = denoiser(y.float().requires_grad_(), 0.4).detach()
    torch.testing.assert_close(single, denoiser(y.float(), 0.4), atol=1e-5, rtol=0)
    direction = torch.randn(y.shape, generator=torch.Generator().manual_seed(5), dtype=y.dtype)
    step = 1e-5
    numeric = (denoiser(y + step * direction, 0.4) - denoiser(y - step * direction, 0.4)) / (
        2 * step
    )
    leaf = y.clone().requires_grad_()
    denoiser(leaf, 0.4).backward(direction)
    torch.testing.assert_close(
        (leaf.grad * direction).sum(), (numeric * direction).sum(), rtol=1e-6, atol=1e-7
    )
    sigma = torch.full((2,), 0.4, dtype=y.dtype)
    forward = torch.func.jvp(lambda v: denoiser.denoise(v, sigma), (y,), (direction,))[1]
    torch.testing.assert_close(forward, numeric, rtol=1e-5, atol=1e-7)
    rows = torch.func.vmap(lambda v: denoiser.denoise(v[None], sigma[:1])[0])(y)
    torch.testing.assert_close(rows, denoiser(y, sigma), atol=1e-12, rtol=0)


@given(
    level=st.floats(0.02, 20),
    height=st.integers(3, 6),
    width=st.integers(3, 6),
    seed=st.integers(0, 99),
    k=st.sampled_from([1, 3, 5]),
)
@settings(max_examples=15, deadline=None)
def test_limits_between_machines(level, height, width, seed, k):
    data = images(6, (1, height, width), seed)
    y = noisy(data, level, 1, seed, torch.float64)
    covers = 2 * max(height, width) - 1
    close = {"atol": 1e-11, "rtol": 0}
    ideal = Ideal().fit(data)(y, level)
    torch.testing.assert_close(LS(window=covers).fit(data)(y, level), ideal, **close)
    orbit = torch.cat(
        [data.images.roll((i, j), (2, 3)) for i in range(height) for j in range(width)]
    )
    shifted = Ideal().fit(ImageSet.from_array(orbit))(y, level)
    torch.testing.assert_close(ES().fit(data)(y, level), shifted, **close)
    torch.testing.assert_close(ELS(window=covers).fit(data)(y, level), shifted, **close)
    half = k // 2
    local, broken = LS(window=k).fit(data)(y, level), BBELS(window=k).fit(data)(y, level)
    if half:
        torch.testing.assert_close(broken[..., 0, 0], local[..., 0, 0], **close)
        torch.testing.assert_close(broken[..., -1, -1], local[..., -1, -1], **close)
    if height > 2 * half and width > 2 * half:
        inner = (..., slice(half, height - half), slice(half, width - half))
        everywhere = ELS(window=k, wrap=False).fit(data)(y, level)
        torch.testing.assert_close(broken[inner], everywhere[inner], **close)


@pytest.mark.parametrize("offset", [0.0, 0.9])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_copies_and_near_copies_in_the_training_set(offset, dtype):
    """Equal windows share their weight, by the kernel and by products, whose error is bounded."""
    x = images(6, (1, 5, 6)).images / 10 + offset
    near = x[:2] + 1e-4 * torch.randn(x[:2].shape, generator=torch.Generator().manual_seed(7))
    data = ImageSet.from_array(torch.cat([x, x, near]).clamp(-1, 1))
    sigma = torch.tensor([0.01, 0.3], dtype=dtype)
    y = noisy(data, 0.01, dtype=dtype)
    for name in ("ls", "bbels"):
        machine = MACHINES[name](window=3).fit(data)
        want = brute(name, 3, data.images, y, sigma.double().numpy())
        assert np.abs(machine(y, sigma).double().numpy() - want).max() < 1e-6
        norms = 9 * (1 + 1) ** 2
        bound = 11 * 2.0**-53 * 2 * norms / 0.01**2  # nats, of the docstring of `portable`
        got = machine(y.clone().requires_grad_(), sigma).detach().double().numpy()
        assert np.abs(got - want).max() < 2 * bound + 1e-7 * (dtype == torch.float32)
    found = LS(window=3).fit(data).posterior(y, sigma, top=2)
    twins = (found.image[:, 0] - found.image[:, 1]).abs() == 6
    assert twins.any()
    assert torch.equal(found.weight[:, 0][twins], found.weight[:, 1][twins])


def test_window_one_knows_single_pixels_only():
    data = images(8, (1, 5, 5))
    y = noisy(data, 0.3, 1, dtype=torch.float64)
    pixels = data.images.double().flatten()
    w = (-((y.flatten()[:, None] - pixels) ** 2) / (2 * 0.09)).softmax(1)
    want = (w @ pixels).reshape(y.shape)
    for spec in (ELS(window=1), ELS(window=1, wrap=False), BBELS(window=1)):
        torch.testing.assert_close(spec.fit(data)(y, 0.3), want, atol=1e-13, rtol=0)


def test_small_and_large_noise():
    data = images(10, (3, 6, 5))
    y = noisy(data, 1.0)
    for spec in (LS(window=3), ELS(window=3), BBELS(window=3)):
        denoiser = spec.fit(data)
        near = denoiser.mosaic(y)
        rows = data.images[near.image[0], :, near.row[0], near.column[0]].permute(2, 0, 1)
        torch.testing.assert_close(denoiser(y, 1e-3)[0], rows, atol=1e-6, rtol=0)
    mean = data.images.mean(0)
    torch.testing.assert_close(LS(window=3).fit(data)(y, 1e5)[0], mean, atol=1e-5, rtol=0)
    torch.testing.assert_close(
        ELS(window=3).fit(data)(y, 1e5)[0],
        mean.mean((1, 2), True).expand_as(mean),
        atol=1e-5,
        rtol=0,
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_far_from_every_key_the_nearest_still_answers(dtype):
    data = images(10, (1, 5, 5))
    y = torch.full((1, 1, 5, 5), 300.0, dtype=dtype)
    for spec in (LS(window=3), ELS(window=3), BBELS(window=5), ES(), Ideal()):
        assert torch.isfinite(spec.fit(data)(y, 1e-3)).all()
    largest = data.images.max()
    torch.testing.assert_close(
        ELS(window=1).fit(data)(y, 1e-3), largest.expand(1, 1, 5, 5).to(dtype)
    )


def test_els_commutes_with_shifts_and_ls_does_not():
    data = images(12, (1, 6, 7))
    y = noisy(data, 0.4, dtype=torch.float64)
    for spec, same in (
        (ELS(window=3), True),
        (ELS(window=3, wrap=False), True),
        (ES(), True),
        (LS(window=3), False),
        (BBELS(window=3), False),
    ):
        denoiser = spec.fit(data)
        moved = denoiser(y.roll((2, 3), (2, 3)), 0.4) - denoiser(y, 0.4).roll((2, 3), (2, 3))
        assert moved.abs().max().item() < 1e-13 if same else moved.abs().max().item() > 1e-3


def test_posterior_is_the_belief():
    data = images(7, (2, 5, 4))
    y, sigma = noisy(data, 0.5, 1), 0.5
    denoiser = BBELS(window=3).fit(data)
    found = denoiser.posterior(y, sigma, top=3)
    p = (2, 1)  # an interior pixel: its sources are the windows inside
    windows = data.images.double().unfold(2, 3, 1).unfold(3, 3, 1)  # n c rows columns 3 3
    square = (windows - y[0].double()[:, 1:4, 0:3][None, :, None, None]).square().sum((1, 4, 5))
    logits = -square.flatten() / (2 * sigma**2)
    w = logits.softmax(0)
    assert torch.allclose(found.entropy[0, *p], -(w * w.log()).sum())
    assert torch.allclose(found.effective, found.entropy.exp())
    best = w.sort(descending=True)
    torch.testing.assert_close(found.weight[0, :, *p], best.values[:3])
    flat = best.indices[:3]
    assert found.image[0, :, *p].tolist() == (flat // 6).tolist()
    assert found.row[0, :, *p].tolist() == (flat // 2 % 3 + 1).tolist()
    assert found.column[0, :, *p].tolist() == (flat % 2 + 1).tolist()
    gaussian = torch.distributions.Normal(windows.permute(0, 2, 3, 1, 4, 5).reshape(-1, 18), sigma)
    density = gaussian.log_prob(y[0].double()[:, 1:4, 0:3].flatten()).sum(1)
    torch.testing.assert_close(
        found.log_evidence[0, *p], density.logsumexp(0) - np.log(len(density))
    )
    assert found.numbers[0, 0] == 8
    assert found.numbers[2, 1] == 18


def test_what_pruning_leaves_out_is_bounded_and_said():
    data = images(60, (1, 8, 8))
    y, sigma = noisy(data, 0.1), torch.tensor([0.1, 0.1])
    pairs = BBELS(window=3).geometry(0.1, 8, 8)
    whole = engine.believe(data.images, np.arange(60), y, sigma, pairs, tolerance=0)
    assert whole.dropped.max() == 0
    for tolerance in (1e-7, 1e-2):
        some = engine.believe(data.images, np.arange(60), y, sigma, pairs, tolerance=tolerance)
        assert 0 < some.dropped.max() <= tolerance
        spread = data.images.max() - data.images.min()
        assert np.abs(some.mean - whole.mean).max() <= float(spread) * some.dropped.max() + 1e-6


def test_mosaic_of_a_training_image_and_of_a_patchwork():
    data = images(6, (3, 8, 8))
    denoiser = BBELS(window=3).fit(data)
    whole = denoiser.mosaic(data.images[4:5])
    assert (whole.image == 4).all()
    assert (whole.distance == 0).all()
    assert whole.consistent.item() == 1
    assert (whole.margin > 0).all()
    halves = torch.cat([data.images[1:2, :, :, :4], data.images[2:3, :, :, 4:]], 3)
    found = denoiser.mosaic(halves)
    assert (found.image[0, :, :3] == 1).all()
    assert (found.image[0, :, 5:] == 2).all()
    x = data.images[:1] + 0.3
    assert denoiser.mosaic(x).consistent.item() < 0.5


def test_where_the_reverse_process_rests_the_theorem_holds():
    """Theorem 4.1: an image that small noise no longer moves has every pixel from the centre of its
    nearest training window.
    """
    from archbias import noise, sample, seeds

    data = images(5, (1, 6, 6))
    denoiser = BBELS(window=3).fit(data)
    x = sample.ddim(
        denoiser,
        seeds.normal(range(6), data.shape, dtype=torch.float64),
        noise.geometric(30, 1e-3, 50.0),
    )
    for _ in range(20):
        x = denoiser(x, 1e-3)
    rests = (denoiser(x, 1e-3) == x).all((1, 2, 3))
    assert rests.sum() >= 3
    found = denoiser.mosaic(x[rests])
    assert (found.consistent == 1).all()
    assert not (found.image == found.image[:, :1, :1]).all(), "patchworks, not copies"


def test_a_schedule_chooses_the_window_row_by_row():
    data = images(9, (1, 6, 6))
    schedule = WindowSchedule((0.1, 1.0, 10.0), (1, 3, 5))
    y = noisy(data, 0.5, 3)
    got = BBELS(window=schedule).fit(data)(y, torch.tensor([4.0, 0.02, 0.5]))
    for row, (k, level) in enumerate([(5, 4.0), (1, 0.02), (3, 0.5)]):
        assert torch.equal(got[row : row + 1], BBELS(window=k).fit(data)(y[row : row + 1], level))


def test_published_schedules():
    from archbias.noise import cosine

    networks = [f"{d}-{n}" for d in ("celeba", "cifar10", "fashion_mnist", "mnist") for n in
                ("resnet", "unet")]  # fmt: skip
    assert sorted(SCHEDULES) == sorted(
        [*networks, "cifar10-resnet-circular", "mnist-resnet-circular"]
    )
    sums = {name: sum(schedule.windows) for name, schedule in SCHEDULES.items()}
    assert sums == SUMS, "each list as it was published"
    for name in SCHEDULES:
        schedule = published(name)
        assert len(schedule.windows) == 20
        falls = list(schedule.windows) != sorted(schedule.windows)
        assert falls == (name == "mnist-resnet-circular")
        assert "2412.20292" in schedule.source
        assert tuple(schedule(s) for s in cosine(20)[:-1].flip(0).tolist()) == schedule.windows
    assert published("celeba-unet").windows[6:8] == (3, 5)
    with pytest.raises(InputError, match="celeba-resnet"):
        published("celeba-resnt")


@pytest.mark.parametrize("bad", [0, -3, 4, 3.0, True, "7"])
def test_windows_are_odd_and_positive(bad):
    for family in (LS, ELS, BBELS):
        with pytest.raises(InputError, match="odd positive integer"):
            family(window=bad)


def test_other_bad_settings():
    with pytest.raises(InputError, match="wrap must be True or False"):
        ELS(wrap=1)
    with pytest.raises(InputError, match="use wrap=True"):
        ELS(window=9, wrap=False).fit(images(3, (1, 6, 8)))
    with pytest.raises(InputError, match="increase"):
        WindowSchedule((1.0, 0.5), (3, 5))
    with pytest.raises(InputError, match="one window for each"):
        WindowSchedule((1.0,), (3, 5))
    with pytest.raises(InputError, match="positive number of sources"):
        LS().fit(images(3, (1, 6, 8))).posterior(torch.zeros(1, 1, 6, 8), 1.0, top=0)
