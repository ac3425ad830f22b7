"""The bias card against denoisers whose Jacobians are known."""

import numpy as np
import pytest
import torch
from scipy import stats

from archbias.data import ImageSet
from archbias.denoise import Denoiser
from archbias.errors import InputError
from archbias.posteriors.ideal import Ideal
from archbias.posteriors.score_machines import BBELS, ELS, LS
from archbias.probes import bias_card, degree, local, predictors, symmetry, window_schedule
from archbias.probes.jacobian import Jacobian
from archbias.regressions.linear import Linear


class Plain(Denoiser):
    """A denoiser from a function of (y, sigma)."""

    def __init__(self, f, shape):
        super().__init__(None, shape, {})
        self.f = f

    def denoise(self, y, sigma, labels=None):
        return self.f(y, sigma)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture(scope="module")
def images():
    """Smooth random images: neighbouring pixels agree."""
    x = torch.nn.functional.avg_pool2d(normal(300, 1, 12, 12), 3, 1, 1)
    return ImageSet.from_array((x / x.abs().max()).float())


def dense(f, y):
    """The whole Jacobian at one image, by torch's own."""
    return torch.autograd.functional.jacobian(
        lambda v: f(v.reshape(1, *y.shape)).flatten(), y.flatten()
    )


def bumpy(y, sigma=None):
    """Nonlinear, not symmetric, on 2 channels."""
    mixed = torch.stack(
        [y[:, 0] * y[:, 1], torch.tanh(y[:, 0].roll(1, -1)) + 0.3 * y[:, 1] ** 3], 1
    )
    return mixed + 0.1 * y.flip(-1)


def test_products_equal_the_dense_jacobian():
    y, v = normal(5, 2, 3, 4), normal(3, 5, 2, 3, 4, seed=1)
    j = Jacobian(Plain(bumpy, (2, 3, 4)), y, 0.5, batch=4)
    for b in range(5):
        full = dense(bumpy, y[b])
        torch.testing.assert_close(j.push(v)[:, b].flatten(1), v[:, b].flatten(1) @ full.T)
        torch.testing.assert_close(j.pull(v)[:, b].flatten(1), v[:, b].flatten(1) @ full)
    assert j.exact


def test_differences_stand_in_where_there_is_no_forward_mode():
    class NoForward(torch.autograd.Function):
        @staticmethod
        def forward(ctx, y):
            ctx.save_for_backward(y)
            return torch.sin(y)

        @staticmethod
        def backward(ctx, g):
            return g * torch.cos(ctx.saved_tensors[0])

    y, v = normal(2, 1, 3, 3), normal(4, 2, 1, 3, 3, seed=1)
    j = Jacobian(Plain(lambda z, s: NoForward.apply(z), (1, 3, 3)), y, 1.0)
    torch.testing.assert_close(j.push(v), torch.cos(y) * v, atol=1e-7, rtol=1e-6)
    assert not j.exact


def test_hutchinson_against_the_dense_jacobian():
    """Exact in expectation: the mean over 4000 probes, to 4 standard errors (about 6 % of the norms
    here).
    """
    y = normal(1, 2, 3, 4)
    full = dense(bumpy, y[0])
    found = local.moments(Jacobian(Plain(bumpy, (2, 3, 4)), y, 0.5, batch=4000), 4000)
    off = full + full.T
    spread = (off - off.diagonal().diag()).square().sum().div(2).sqrt() / 4000**0.5
    assert abs(found["trace"].item() - full.trace().item()) < 4 * spread
    want = ((full - full.T).norm() / (2 * full.norm())).item()
    assert found["asymmetry"].item() == pytest.approx(want, rel=0.05)
    s2 = torch.linalg.svdvals(full) ** 2
    assert found["participation"].item() == pytest.approx(
        (s2.sum() ** 2 / (s2**2).sum()).item(), rel=0.1
    )


def test_singular_directions_against_the_dense_jacobian():
    y = normal(2, 2, 3, 4)
    values, right, left = local.directions(Jacobian(Plain(bumpy, (2, 3, 4)), y, 0.5), 24)
    for b in range(2):
        full = dense(bumpy, y[b])
        torch.testing.assert_close(values[b], torch.linalg.svdvals(full))
        torch.testing.assert_close(
            full @ right[b, 0].flatten(), values[b, 0] * left[b, 0].flatten()
        )


def test_wiener_card_is_its_matrix(images):
    denoiser = Linear().fit(images)
    sigma = 0.2
    card = bias_card(
        denoiser, images, [sigma], points=2, probes=400, directions=8, fit=20, batch=400
    )
    x = images.images.double().flatten(1)
    cov = (x - x.mean(0)).T @ (x - x.mean(0)) / len(x)
    matrix = cov @ torch.linalg.inv(cov + sigma**2 * torch.eye(144).double())
    torch.testing.assert_close(
        card.values[0], torch.linalg.eigvalsh(matrix).flip(0)[:8], rtol=0.03, atol=0
    )
    torch.testing.assert_close(card.alignment[0], torch.ones(8).double(), atol=0.02, rtol=0)
    assert card.freedom.item() == pytest.approx(matrix.trace().item(), rel=0.03)
    assert card.asymmetry.item() < 1e-5
    assert card.affine.item() == pytest.approx(1, abs=1e-9)
    torch.testing.assert_close(
        card.degrees[0], torch.tensor([1.0, 0, 0, 0]).double(), atol=1e-9, rtol=0
    )
    centre = matrix.reshape(12, 12, 12, 12)[6:8, 6:8]
    field = sum(centre[r, s].square().roll((-r, -s), (0, 1)) for r in range(2) for s in range(2))
    torch.testing.assert_close(card.receptive[0], field / field.sum(), atol=1e-4, rtol=0)
    assert card.memory.isnan().all()


def test_posterior_mean_makes_the_error_its_trace_says():
    """For Gaussian images and their Wiener filter: error = sigma^2 tr J / d = Stein's estimate, to
    sampling error.
    """
    x = (0.25 * normal(3000, 1, 8, 8)).clamp(-1, 1)
    card = bias_card(
        Linear().fit(ImageSet.from_array(x.float())),
        ImageSet.from_array(x[::2].float()),
        [0.3],
        points=200,
        probes=2,
        directions=2,
        fit=16,
    )
    assert card.error.item() == pytest.approx(card.tweedie.item(), rel=0.06)
    assert card.stein.item() == pytest.approx(card.error.item(), rel=0.12)


def test_rank_of_a_bottleneck(images):
    card = bias_card(Linear(rank=5).fit(images), images, [0.1, 1.0], points=1, fit=8)
    assert card.rank.tolist() == [5, 5]
    assert (card.effective_rank <= 5.5).all()
    # all that were looked for
    assert bias_card(Linear().fit(images), images, [0.1], points=1, fit=8).rank.item() == 12


@pytest.mark.parametrize("k", [3, 5])
def test_a_window_is_found_and_circular_means_equivariant(images, k):
    card = bias_card(
        Linear(constraint="local", window=k).fit(images), images, [0.3], points=1, fit=8
    )
    assert card.support.item() == k // 2
    assert (card.interior < 1e-10).all()
    assert (card.border < 1e-10).all()
    assert (card.radius[0].diff() >= 0).all()


def test_zero_padding_shows_at_the_border_only():
    kernel = normal(1, 1, 3, 3)
    net = Plain(
        lambda y, s: torch.tanh(torch.nn.functional.conv2d(y, kernel, padding=1)), (1, 16, 16)
    )
    error = symmetry.equivariance_error(Jacobian(net, normal(4, 1, 16, 16), 1.0), [(1, 0), (2, -2)])
    assert (error[:, 0] < 1e-12).all()
    assert (error[:, 1] > 0.05).all()


def test_knowing_the_place_shows_inside():
    mask = normal(1, 16, 16)
    error = symmetry.equivariance_error(
        Jacobian(Plain(lambda y, s: y * mask, (1, 16, 16)), normal(20, 1, 16, 16), 1.0), [(1, 0)]
    )
    assert (error > 1).all()  # unrelated images of equal contrast read sqrt 2


def test_the_ideal_denoiser_is_curl_free_and_remembers(images):
    half = ImageSet.from_array(images.images[:100]), ImageSet.from_array(images.images[100:])
    card = bias_card(
        Ideal().fit(half[0]), half[0], [0.15], held_out=half[1], points=2, fit=40, directions=4
    )
    assert card.asymmetry.item() < 1e-5
    assert card.memory.item() > 3
    wiener = bias_card(
        Linear(rank=3).fit(half[0]),
        half[0],
        [0.15],
        held_out=half[1],
        points=2,
        fit=40,
        directions=4,
    )
    assert wiener.memory.item() < 1.5
    swirl = Plain(lambda y, s: y.roll(1, -1) - y.roll(-1, -1), (1, 12, 12))
    assert bias_card(swirl, half[0], [0.15], points=1, fit=8).asymmetry.item() == pytest.approx(
        1, abs=1e-9
    )


@pytest.mark.parametrize(
    ("f", "want"),
    [
        (lambda z: 2 * z + 1, [1, 0, 0, 0]),
        (lambda z: z**2, [0, 1, 0, 0]),
        (lambda z: z**3 - 3 * z, [0, 0, 1, 0]),
        (lambda z: z**3, [9 / 15, 0, 6 / 15, 0]),  # z^3 = He_3 + 3 He_1, variances 6 and 9
        (lambda z: z**4 - 6 * z**2 + 3, [0, 0, 0, 1]),
    ],
)
def test_degree_shares_of_hermite_polynomials(f, want):
    """D a polynomial of the noise alone, x = 0; 16 x 2500 independent noises: shares to about
    0.02.
    """
    sigma = 0.7
    net = Plain(lambda y, s: f(y / sigma), (1, 50, 50))
    found = degree.degree_shares(net, torch.zeros(16, 1, 50, 50).double(), sigma)
    torch.testing.assert_close(found, torch.tensor(want).double(), atol=0.04, rtol=0)


def test_affine_share_is_the_best_affine_fit_in_one_dimension():
    """D = y^3 of Gaussian y with unit variance: R^2 = 9 / 15; the fit on finite images comes near
    it from below.
    """
    net = Plain(lambda y, s: y**3, (1, 1, 1))
    fit, test = (Jacobian(net, normal(2000, 1, 1, 1, seed=k), 1.0, batch=5000) for k in (1, 2))
    y = test.y.flatten().numpy()
    assert degree.affine_share(fit, test) == pytest.approx(
        stats.pearsonr(y, y**3).statistic ** 2, abs=0.02
    )


def test_bad_input(images):
    denoiser = Linear(rank=2).fit(images)
    with pytest.raises(InputError, match="final 0"):
        bias_card(denoiser, images, [1.0, 0.0])
    with pytest.raises(InputError, match="shape"):
        bias_card(denoiser, ImageSet.from_array(torch.zeros(3, 1, 8, 8)), [1.0])


def test_a_denoiser_that_answers_nan_has_no_card(images):
    def f(y, sigma):
        return torch.where((sigma > 1).reshape(-1, 1, 1, 1), torch.nan, 0.5 * y)

    diverging = Plain(f, images.shape)
    with pytest.raises(InputError, match=r"NaN or infinity at sigma 3 for 4 of 4"):
        bias_card(diverging, images, [0.3, 3.0], points=4, directions=3, fit=16)
    card = bias_card(diverging, images, [0.3], points=2, directions=3, fit=16)
    assert predictors(card)
    card.receptive[0, 0, 0] = torch.nan
    with pytest.raises(InputError, match="level of a card 0"):
        predictors(card)


def test_card_is_made_of_named_tensors(images):
    card = bias_card(Linear(rank=2).fit(images), images, [1.0, 0.5], points=1, fit=8)
    tensors = card.tensors()
    assert tensors["radius"].shape == (2, 3)
    assert all(len(t) == 2 for name, t in tensors.items() if name != "shifts")
    assert isinstance(card.exact, bool)
    assert np.isfinite(card.error.numpy()).all()


def machine_of(spec, images, sigmas=(0.3, 1.0), fit=24):
    return predictors(
        bias_card(spec.fit(images), images, list(sigmas), points=1, probes=1, fit=fit, directions=8)
    )


@pytest.fixture(scope="module")
def few(images):
    return ImageSet.from_array(images.images[:12, :, 2:10, 2:10].contiguous())


def test_a_score_machine_card_has_its_window(few):
    """The Jacobian of ELS vanishes outside the window, so all its energy lies in it and a 90 %
    radius is no larger.
    """
    card = bias_card(ELS(window=5).fit(few), few, [0.3], points=1, probes=1, fit=2, directions=1)
    assert card.support.item() == 2
    assert (card.border < 1e-6).all()
    assert window_schedule(card, 0.99).windows[-1] <= 5


@pytest.mark.parametrize(
    ("spec", "family"),
    [(ELS(window=3), "els"), (BBELS(window=3), "bbels"), (LS(window=3), "ls"), (Ideal(), "ideal")],
)
def test_every_machine_is_proposed_for_itself(few, spec, family):
    assert machine_of(spec, few, (0.2,), fit=2)[0].family == family


@pytest.mark.parametrize(
    "spec",
    [
        Linear(rank=4),
        Linear(),
        Linear(constraint="equivariant"),
        Linear(constraint="local", window=5),
        Linear(constraint="local_per_pixel", window=5),
    ],
)
def test_every_linear_law_is_proposed_for_itself(images, spec):
    found = machine_of(spec, images)
    assert [p.family for p in found][1:] == ["linear"]
    assert found[1].spec == spec


def test_pooling_on_the_torus_is_not_taken_for_knowing_the_place(images):
    """A circular network that pools by 4 commutes with moves of 4 only; its card says els all the
    same.
    """

    def f(y, s):
        coarse = torch.nn.functional.avg_pool2d(y, 4)
        return torch.nn.functional.interpolate(
            torch.tanh(3 * coarse + coarse.roll(1, -1)), scale_factor=4
        )

    card = bias_card(
        Plain(f, (1, 12, 12)), images, [0.5, 1.0], points=2, probes=1, fit=8, directions=2
    )
    assert (card.interior[:, 0] > 0.2).all()
    assert predictors(card)[0].family == "els"


def test_windows_of_a_card_never_shrink_with_noise(few):
    card = bias_card(
        Ideal().fit(few), few, [0.05, 0.2, 1.0, 5.0], points=1, probes=2, fit=8, directions=2
    )
    windows = window_schedule(card, 0.5).windows
    assert list(windows) == sorted(windows)
    with pytest.raises(InputError, match="choose one"):
        window_schedule(card, 0.95)
