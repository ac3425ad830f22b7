"""Agreement against numpy, scipy and scikit-learn, and the laws that tell the three numbers
apart.
"""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import r2_score

from archbias.errors import InputError
from archbias.metrics import agreement as A


def pair(b=5, c=3, h=12, w=13, seed=0, dtype=torch.float64):
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(b, c, h, w, generator=g, dtype=torch.float64)
    p = 0.6 * x + 0.5 * torch.randn(b, c, h, w, generator=g, dtype=torch.float64) + 0.1
    return x.to(dtype), p.to(dtype)


def test_against_scipy_and_scikit_learn():
    x, p = pair()
    for i, (a, b) in enumerate(zip(x.flatten(1).numpy(), p.flatten(1).numpy(), strict=True)):
        r = stats.pearsonr(a, b).statistic
        assert A.pearson_r(x, p)[i].item() == pytest.approx(r, abs=1e-12)
        assert A.r_squared(x, p)[i].item() == pytest.approx(r**2, abs=1e-12)
        assert A.explained(x, p)[i].item() == pytest.approx(r2_score(a, b), abs=1e-12)
        assert A.amplitude_ratio(x, p)[i].item() == pytest.approx(b.std() / a.std(), abs=1e-12)
        assert A.mse(x, p)[i].item() == pytest.approx(((a - b) ** 2).mean(), abs=1e-12)
        assert A.cosine(x, p)[i].item() == pytest.approx(
            a @ b / np.linalg.norm(a) / np.linalg.norm(b), abs=1e-12
        )


@settings(deadline=None, max_examples=40)
@given(scale=st.floats(0.01, 100), shift=st.floats(-10, 10), seed=st.integers(0, 1000))
def test_r_is_blind_to_what_explained_and_amplitude_see(scale, shift, seed):
    x, p = pair(b=2, c=1, h=5, w=4, seed=seed)
    q = scale * p + shift
    torch.testing.assert_close(A.pearson_r(x, q), A.pearson_r(x, p), atol=1e-8, rtol=0)
    torch.testing.assert_close(A.amplitude_ratio(x, q), scale * A.amplitude_ratio(x, p))
    assert (A.explained(x, q) <= A.r_squared(x, q) + 1e-9).all()


def test_identity():
    x, _ = pair()
    one = torch.ones(len(x), dtype=torch.float64)
    for metric in (A.pearson_r, A.r_squared, A.explained, A.amplitude_ratio, A.cosine, A.ssim):
        torch.testing.assert_close(metric(x, x), one)
    assert (A.mse(x, x) == 0).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_constant_images_give_nan_and_never_zero(dtype):
    x, p = pair(b=2, dtype=dtype)
    flat = torch.full_like(x, 0.1)  # the mean of many 0.1 is not exactly 0.1
    assert A.pearson_r(flat, p).isnan().all()
    assert A.pearson_r(x, flat).isnan().all()
    assert A.explained(flat, p).isnan().all()
    assert A.amplitude_ratio(flat, p).isnan().all()
    assert (A.amplitude_ratio(x, flat) == 0).all()
    assert A.cosine(torch.zeros_like(x), p).isnan().all()
    assert A.explained(x, flat).isfinite().all()


def test_float32_inputs_are_summed_in_float64():
    x, p = pair()
    big = (x.float() + 1000).double()
    torch.testing.assert_close(
        A.pearson_r(big.float(), p.float()),
        A.pearson_r(big, p.float().double()),
        atol=1e-12,
        rtol=0,
    )


def test_bands_add_up_and_separate_frequencies():
    x, p = pair(h=32, w=32)
    parts = A.bandpass(x, A.octaves(32))
    torch.testing.assert_close(parts.sum(0), x)
    for i in range(len(parts)):  # Parseval: bands are orthogonal
        for j in range(i):
            assert (parts[i] * parts[j]).sum().abs() < 1e-9
    col = torch.arange(32, dtype=torch.float64)
    wave = torch.cos(2 * torch.pi * 8 * col / 32).expand(1, 1, 32, 32)
    energy = A.bandpass(wave, [0, 0.2, 0.3, 1]).square().sum((1, 2, 3, 4))
    torch.testing.assert_close(
        energy, torch.tensor([0.0, 512.0, 0.0], dtype=torch.float64), atol=1e-9, rtol=0
    )
    assert A.per_band(A.pearson_r, x, p).shape == (5, 5)
    noisy = x + A.bandpass(p, [0.3, 1])[0]
    r = A.per_band(A.pearson_r, x, noisy, [0, 0.3, 1])
    torch.testing.assert_close(r[:, 0], torch.ones(5, dtype=torch.float64))
    assert (r[:, 1] < 0.99).all()


def test_per_channel_is_the_metric_of_each_channel():
    x, p = pair()
    r = A.per_channel(A.pearson_r, x, p)
    assert r.shape == (5, 3)
    torch.testing.assert_close(r[:, 1], A.pearson_r(x[:, 1:2], p[:, 1:2]))


def test_ssim_is_scikit_images_published_setting():
    from skimage.metrics import structural_similarity

    x, p = pair(b=2, c=1, h=16, w=16)
    kw = dict(data_range=2.0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False)
    assert A.ssim(x, p)[1].item() == pytest.approx(
        structural_similarity(x[1, 0].numpy(), p[1, 0].numpy(), **kw), abs=1e-12
    )
    with pytest.raises(InputError, match="at least 11"):
        A.ssim(x[..., :8, :8], p[..., :8, :8])


def test_shapes_that_differ_are_refused():
    x, p = pair()
    with pytest.raises(InputError, match="one shape"):
        A.pearson_r(x, p[:2])
    with pytest.raises(InputError, match="increasing"):
        A.bandpass(x, [0.3, 0.1])
