"""Parts of the windows engine on their own: the exponential, the pairs, the lanes."""

import os
import subprocess
import sys

import numba
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from archbias.posteriors.windows import KINDS, Geometry, engine, kernel, portable, screen
from archbias.posteriors.windows.engine import lanes, window_sum


def over(function, t):
    @numba.njit
    def loop(t, out):
        for i in range(len(t)):
            out[i] = function(t[i])

    out = np.empty_like(t)
    loop(t, out)
    return out


def test_the_exponential_is_as_good_as_float32():
    t = np.linspace(-99, 0, 200_001).astype(np.float32)
    got, want = over(kernel.exp2, t).astype(np.float64), np.exp2(t.astype(np.float64))
    assert np.abs(got / want - 1).max() < 3e-7
    assert (over(kernel.exp2, np.array([-1e30, -200], np.float32)) <= 2.0**-99).all()


def test_the_exponential_is_as_good_as_float64():
    t = np.linspace(-999, 0, 200_001)
    assert np.abs(over(kernel.exp2_double, t) / np.exp2(t) - 1).max() < 1e-15
    assert (over(kernel.exp2_double, np.array([-1e30, -2000.0])) <= 2.0**-999).all()


@pytest.mark.parametrize("kind", ["ls", "bbels"])
def test_a_window_far_beyond_the_image_is_the_image(kind):
    """And costs no more: its offsets stay within the image."""
    covering, beyond = Geometry(kind, 13, 6, 7), Geometry(kind, 1023, 6, 7)
    for size in (6, 7):
        assert max(map(abs, beyond.offsets(size))) == size - 1
    np.testing.assert_array_equal(covering.extent(), beyond.extent())
    np.testing.assert_array_equal(covering.sources(7), beyond.sources(7))


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
    np.testing.assert_allclose(
        window_sum(x, Geometry("els", 9, 6, 7)), x.sum((1, 2), keepdims=True) * np.ones((1, 6, 7))
    )


def test_memory_mapped_images_give_the_same_bits(tmp_path):
    x = np.random.default_rng(0).uniform(-1, 1, (50, 1, 6, 7)).astype(np.float32)
    np.save(tmp_path / "images.npy", x)
    mapped = torch.from_numpy(np.load(tmp_path / "images.npy", mmap_mode="c"))
    y, sigma, pairs = torch.randn(2, 1, 6, 7), torch.tensor([0.3, 2.0]), Geometry("bbels", 3, 6, 7)
    got, want = (
        engine.believe(images, np.arange(50), y, sigma, pairs).mean
        for images in (mapped, torch.from_numpy(x))
    )
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
                x[:1]
                + level * torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(0)),
                torch.tensor([level]),
            )
            chosen.add(
                bool(
                    engine.single_is_enough(
                        pairs, y.double().numpy().transpose(0, 2, 3, 1), np.array([level])
                    )[0]
                )
            )
            got, want = (
                engine.believe(x, np.arange(40), v, sigma.to(v.dtype), pairs).mean
                for v in (y, y.double())
            )
            assert np.abs(got - want).max() <= 2e-6 * np.abs(want - y.numpy()).max()
    assert chosen == {True, False}


def smooth(n, shape, seed=0):
    x = np.random.default_rng(seed).uniform(-1, 1, (n, *shape))
    return torch.from_numpy(((x + np.roll(x, 1, 2) + np.roll(x, 1, 3)) / 3).astype(np.float32))


def decide(monkeypatch, choice):
    """Always the screen, or never."""
    monkeypatch.setattr(
        screen.Screen, "worth", lambda self, rows, sigma, direct: np.full(len(rows), choice)
    )


@given(
    kind=st.sampled_from(KINDS),
    k=st.sampled_from([1, 3, 5, 9]),
    shape=st.sampled_from([(1, 6, 7), (3, 9, 5), (2, 5, 5)]),
    scale=st.sampled_from([1e-3, 1.0, 300.0]),
    seed=st.integers(0, 99),
)
@settings(max_examples=40, deadline=None)
def test_the_embedding_never_lengthens_a_distance(kind, k, shape, scale, seed):
    k = min(k, 5) if kind == "inside" else k
    pairs, x = Geometry(kind, k, *shape[1:]), smooth(20, shape, seed)
    y = x[:2] + scale * torch.randn(2, *shape, generator=torch.Generator().manual_seed(seed))
    found = screen.Screen(x.numpy(), lanes(np.arange(20))[0], pairs, 30.0)
    waves = tuple(
        screen.cosines(n)[: screen.FREQUENCIES]
        for n in (shape[0], *(np.ptp(pairs.offsets(s)) + 1 for s in shape[1:]))
    )
    rows = [v.double().numpy().transpose(0, 2, 3, 1) for v in (y, x)]
    e, norms = zip(*(found._embed(v, waves) for v in rows), strict=True)
    queries, keys = (
        portable.gather(torch.from_numpy(v.transpose(0, 3, 1, 2)), pairs) for v in rows
    )
    true = torch.cdist(
        queries.flatten(0, 1), keys.flatten(0, 1), compute_mode="donot_use_mm_for_euclid_dist"
    ).square()
    a, b = (v.reshape(-1, screen.RANK) for v in e)
    products = a @ b.T - (norms[1].reshape(1, -1) / 2).astype(np.float32)
    bound = norms[0].reshape(-1, 1) - 2 * products.astype(np.float64)
    alike = np.tile(portable.allowed(pairs).numpy(), (2, 20))
    assert (bound <= true.numpy())[alike].all()
    near = alike & (true.numpy() < 1e-3 * norms[0].reshape(-1, 1))
    assert np.abs(bound)[near].max(initial=0) <= 2e-3 * norms[0].max(), (
        "and is tight for near windows"
    )


def test_the_cosines_are_orthonormal():
    for n in (1, 2, 3, 9, 32):
        np.testing.assert_allclose(screen.cosines(n) @ screen.cosines(n).T, np.eye(n), atol=1e-14)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("shape", "k"), [((1, 7, 6), 3), ((3, 6, 9), 5), ((3, 5, 5), 1)])
def test_screened_beliefs_are_those_of_the_sliding_kernel(kind, shape, k, dtype, monkeypatch):
    x = smooth(60, shape)
    x[40] = x[3]  # a tie
    pairs, generator = Geometry(kind, k, *shape[1:]), torch.Generator().manual_seed(2)
    sigma = torch.tensor([0.02, 0.1, 0.3, 0.02], dtype=dtype)
    y = x[[3, 5, 7, 9]].to(dtype) + sigma[:, None, None, None] * torch.randn(
        4, *shape, generator=generator
    ).to(dtype)
    y[3] += 20  # far from every window
    found = {}
    for choice in (True, False):
        decide(monkeypatch, choice)
        found[choice] = engine.believe(x, np.arange(60), y, sigma, pairs, keep=4)
    got, want = found[True], found[False]
    close = 1e-11 if dtype == torch.float64 else 1e-6
    np.testing.assert_allclose(got.mean, want.mean, atol=close)
    np.testing.assert_allclose(got.entropy[:3], want.entropy[:3], atol=10 * close)
    np.testing.assert_allclose(
        got.log_sum, want.log_sum, rtol=1e-6 if dtype == torch.float32 else 1e-13, atol=close
    )
    np.testing.assert_allclose(
        got.logits, want.logits, rtol=1e-6 if dtype == torch.float32 else 1e-13, atol=close
    )
    alone = np.abs(np.diff(want.logits, axis=1)).min(1) > 1e-3  # ties have no order
    assert alone.mean() > 0.1
    assert (got.sources == want.sources)[:, :3][alone[:, None].repeat(3, 1)].all()
    decide(monkeypatch, True)
    some = engine.believe(x, np.arange(60)[::7], y, sigma, pairs)
    decide(monkeypatch, False)
    np.testing.assert_allclose(
        some.mean, engine.believe(x, np.arange(60)[::7], y, sigma, pairs).mean, atol=close
    )


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_screen_drops_is_bounded(kind, monkeypatch):
    x = smooth(80, (1, 8, 8))
    y, sigma, pairs = (
        x[:2] + 0.1 * torch.randn(2, 1, 8, 8),
        torch.tensor([0.1, 0.05]),
        Geometry(kind, 3, 8, 8),
    )
    decide(monkeypatch, False)
    whole = engine.believe(x, np.arange(80), y.double(), sigma.double(), pairs, tolerance=0)
    decide(monkeypatch, True)
    for tolerance in (1e-7, 1e-2, 0.3):
        some = engine.believe(x, np.arange(80), y, sigma, pairs, tolerance=tolerance)
        lost = -np.expm1(some.log_sum - whole.log_sum)
        assert (lost <= some.dropped + 1e-12).all()
        assert 0 < some.dropped.max() <= tolerance


def test_each_row_is_screened_or_not_by_itself():
    x = smooth(300, (1, 24, 24))
    x = (x + x.roll(1, 2) + x.roll(1, 3) + x.roll((2, 2), (2, 3))) / 2
    sigma = torch.tensor([3.0, 0.005, 0.2, 0.01])
    y = x[:4] + sigma[:, None, None, None] * torch.randn(
        4, 1, 24, 24, generator=torch.Generator().manual_seed(0)
    )
    for pairs in (Geometry("bbels", 7, 24, 24), Geometry("els", 5, 24, 24)):
        members, rows = lanes(np.arange(300))[0], y.double().numpy().transpose(0, 2, 3, 1)
        found = screen.Screen(x.numpy(), members, pairs, 28.0)
        chosen = found.worth(rows, sigma.double().numpy(), False)
        assert not chosen[0]
        assert chosen[1]
        whole = engine.believe(x, np.arange(300), y, sigma, pairs)
        for i in range(4):
            here = slice(i, i + 1)
            assert found.worth(rows[here], sigma[here].double().numpy(), False)[0] == chosen[i]
            np.testing.assert_array_equal(
                engine.believe(x, np.arange(300), y[here], sigma[here], pairs).mean,
                whole.mean[here],
            )
        before = torch.get_num_threads()
        try:
            torch.set_num_threads(2 if before == 1 else 1)
            np.testing.assert_array_equal(
                engine.believe(x, np.arange(300), y, sigma, pairs).mean, whole.mean
            )
        finally:
            torch.set_num_threads(before)


def test_kernels_leave_torch_its_threads():
    """In a process of its own, since the first parallel call is what matters."""
    script = """
import numpy as np, torch
from archbias.posteriors.score_machines import LS
from archbias.data import ImageSet
images = ImageSet.from_array(np.random.default_rng(0).random((20, 1, 8, 8)).astype("f4"))
for wanted in (1, 2):
    torch.set_num_threads(wanted)
    LS(window=3).fit(images)(images.images[:1], 1.0)
    assert torch.get_num_threads() == wanted, torch.get_num_threads()
"""
    env = {k: v for k, v in os.environ.items() if k not in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS")}
    done = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-500:]


@pytest.mark.parametrize("layer", ["workqueue", "default"])
def test_python_threads_take_turns(layer):
    """numba's workqueue layer aborts the process when two threads run kernels at once; it is the
    only layer of some installations. Nobody's numbers of threads change."""
    script = """
import numba, numpy as np, torch
from concurrent.futures import ThreadPoolExecutor
from archbias.posteriors.score_machines import ELS
from archbias.data import ImageSet
images = ImageSet.from_array(np.random.default_rng(0).random((40, 1, 8, 8)).astype("f4"))
machine, y = ELS(window=5).fit(images), images.images[:2]
torch.set_num_threads(2)
numba.set_num_threads(1)
alone = [machine(y, 0.5 + k) for k in range(4)]
assert (torch.get_num_threads(), numba.get_num_threads()) == (2, 1)
def many(k):
    numba.set_num_threads(1)
    for _ in range(15):
        assert torch.equal(machine(y, 0.5 + k), alone[k])
    return numba.get_num_threads()
with ThreadPoolExecutor(4) as pool:
    assert list(pool.map(many, range(4))) == [1] * 4
assert torch.get_num_threads() == 2
"""
    env = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"}
    env |= {"NUMBA_NUM_THREADS": "2", "NUMBA_THREADING_LAYER": layer}
    done = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-500:]


@pytest.mark.slow
def test_kernels_compiled_now_and_kernels_from_the_cache_give_the_same_bits(tmp_path):
    script = """
import hashlib, torch
from archbias.posteriors.windows import believe, geometry
x = torch.linspace(-1, 1, 150 * 3 * 12 * 12).reshape(150, 3, 12, 12).sin().mul(9).cos()
y = x[:2] + 0.3 * torch.linspace(-2, 2, 2 * 3 * 12 * 12).reshape(2, 3, 12, 12).mul(50).sin()
digest = hashlib.sha256()
for sigma in (0.02, 0.3):
    for keep in (0, 2):
        broken = geometry("bbels", 5, 12, 12)
        found = believe(x, range(150), y, torch.full((2,), sigma), broken, keep=keep)
        digest.update(found.mean.tobytes() + found.log_sum.tobytes())
print(digest.hexdigest())
"""
    env = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    runs = [
        subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True)
        for _ in range(2)
    ]
    assert [r.returncode for r in runs] == [0, 0], runs[0].stderr
    assert runs[0].stdout == runs[1].stdout
    assert list(tmp_path.rglob("*.nbc")), "nothing was cached"
