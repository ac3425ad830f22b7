"""Every operator against the dense matrix it stands for."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from archbias.errors import InputError
from archbias.linalg import Circulant, Dense, LowRank

torch.manual_seed(0)


def _orthonormal(d, r, generator):
    return torch.linalg.qr(torch.randn(d, r, dtype=torch.float64, generator=generator)).Q


def dense(seed=0):
    g = torch.Generator().manual_seed(seed)
    a = torch.randn(9, 9, dtype=torch.float64, generator=g)
    return Dense(a @ a.T + 0.1 * torch.eye(9)), a @ a.T + 0.1 * torch.eye(9)


def low_rank(seed=0, c=0.3, r=4):
    g = torch.Generator().manual_seed(seed)
    u, s = _orthonormal(11, r, g), torch.rand(r, dtype=torch.float64, generator=g) + 0.5
    return LowRank(u, s, c), u @ torch.diag(s) @ u.T + c * torch.eye(11, dtype=torch.float64)


def circulant(seed=0, channels=3, height=4, width=5):
    """The matrix is written entry by entry from the autocovariance of random pictures, without
    Fourier transforms.
    """
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(6, channels, height, width, dtype=torch.float64, generator=g)
    shifts = [(i, j) for i in range(height) for j in range(width)]
    r = torch.empty(channels, channels, height, width, dtype=torch.float64)
    for i, j in shifts:
        moved = torch.roll(x, (-i, -j), (2, 3))  # moved[p] = x[p + shift]
        r[:, :, i, j] = torch.einsum("nchw,nehw->ce", moved, x) / (6 * height * width)
    r[range(channels), range(channels), 0, 0] += 0.05
    full = torch.empty(channels, height * width, channels, height * width, dtype=torch.float64)
    for a, p in enumerate(shifts):
        for b, q in enumerate(shifts):
            full[:, a, :, b] = r[:, :, (p[0] - q[0]) % height, (p[1] - q[1]) % width]
    return Circulant.of_covariance(r), full.reshape(channels * height * width, -1)


CASES = {
    "dense": dense,
    "low rank": low_rank,
    "low rank, all columns": lambda seed=0: low_rank(seed, c=0.2, r=11),
    "low rank, no column": lambda seed=0: low_rank(seed, c=0.7, r=0),
    "circulant": circulant,
    "circulant, one channel": lambda seed=0: circulant(seed, channels=1, height=3, width=4),
}
close = {"rtol": 1e-10, "atol": 1e-11}


@pytest.mark.parametrize("case", CASES)
class TestAgainstDense:
    @settings(max_examples=5, deadline=None)
    @given(seed=st.integers(0, 2**16))
    def test_matrix_and_products(self, case, seed):
        a, full = CASES[case](seed)
        x = torch.randn(2, 3, len(full), dtype=torch.float64)
        assert a.shape == tuple(full.shape)
        torch.testing.assert_close(a.dense(), full, **close)
        torch.testing.assert_close(a.matmul(x), x @ full, **close)
        torch.testing.assert_close(a.diagonal(), full.diagonal(), **close)
        torch.testing.assert_close(a.trace(), full.trace(), **close)

    @settings(max_examples=5, deadline=None)
    @given(seed=st.integers(0, 2**16))
    def test_spectrum(self, case, seed):
        a, full = CASES[case](seed)
        x = torch.randn(3, len(full), dtype=torch.float64)
        torch.testing.assert_close(a.eigenvalues, torch.linalg.eigvalsh(full).flip(0), **close)
        torch.testing.assert_close(a.logdet(), torch.linalg.slogdet(full).logabsdet, **close)
        torch.testing.assert_close(
            a.solve(x), torch.linalg.solve(full, x.T).T, rtol=1e-8, atol=1e-9
        )
        assert a.rank() == len(full)

    def test_spectral_mapping(self, case):
        a, full = CASES[case]()
        torch.testing.assert_close(
            a.apply(torch.exp).dense(), torch.linalg.matrix_exp(full), rtol=1e-8, atol=1e-9
        )
        root = a.apply(torch.sqrt)
        torch.testing.assert_close(root.dense() @ root.dense(), full, **close)
        torch.testing.assert_close(root.apply(torch.square).eigenvalues, a.eigenvalues, **close)

    def test_wrong_length_is_named(self, case):
        a, full = CASES[case]()
        with pytest.raises(InputError, match=f"vectors of {len(full)} entries"):
            a.matmul(torch.zeros(2, len(full) + 1))


def test_singular_operators_name_their_plane():
    a, full = low_rank(c=0.0)
    assert a.rank() == 4
    assert a.logdet() == -torch.inf
    torch.testing.assert_close(a.pinv().dense(), torch.linalg.pinv(full), **close)
    torch.testing.assert_close(a.plane().dense(), a.u @ a.u.T, **close)
    with pytest.raises(InputError, match="rank 4 of 11"):
        a.solve(torch.ones(11))


def test_circulant_null_space():
    a, _ = circulant()
    flat = a.apply(lambda l: torch.where(l > a.eigenvalues[10], l, 0.0))
    torch.testing.assert_close(
        flat.pinv().dense(), torch.linalg.pinv(flat.dense(), rtol=1e-9), rtol=1e-7, atol=1e-8
    )
    torch.testing.assert_close(flat.plane().matmul(flat.dense()), flat.dense(), **close)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Dense(torch.zeros(2, 3)), "square matrix"),
        (lambda: LowRank(torch.zeros(3, 2), torch.zeros(3)), "u \\(d, r\\)"),
        (lambda: Circulant(torch.zeros(4, 4, 1, 1)), "complex Fourier blocks"),
    ],
)
def test_bad_shapes(build, message):
    with pytest.raises(InputError, match=message):
        build()
