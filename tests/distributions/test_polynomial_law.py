"""What polynomial denoisers generate: flow laws and score-matched laws against samples and
quadrature, in float64.

Stated confidence: comparisons of means use 5 standard errors (a false alarm about once in two
million); the Langevin test is two-sample Kolmogorov-Smirnov at level 0.001 with fixed seeds.
"""

import math

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from archbias import noise, sample
from archbias.data import ImageSet
from archbias.data.plane import plane
from archbias.distributions import generated_by
from archbias.distributions.continuous import flow_density, flow_push
from archbias.distributions.score_matched import score_matched
from archbias.errors import InputError
from archbias.regressions.linear import Linear
from archbias.regressions.polynomial import Polynomial
from archbias.seeds import normal


def two_modes():
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(-0.5, 0.1, 300), rng.normal(0.4, 0.2, 200)]).clip(-1, 1)
    return ImageSet.from_array(torch.from_numpy(x.reshape(-1, 1, 1, 1)))


def faces_like(n=60, side=4, channels=1, seed=0):
    rng = np.random.default_rng(seed)
    x = np.tanh(
        rng.standard_normal((n, 6)) ** 3 @ rng.standard_normal((6, channels * side * side)) / 4
    )
    return ImageSet.from_array(torch.from_numpy(x.reshape(n, channels, side, side)))


def trajectories(denoiser, sigmas, count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(count, *denoiser.shape, generator=generator, dtype=torch.float64)
    return z, sample.ddim(denoiser, z, sigmas)


@pytest.mark.parametrize("degree", [1, 2, 3, 5, 7])
def test_push_is_the_sampler(degree):
    """Seed by seed, in 1-D, 2-D and on images, wherever the trajectory stays."""
    sigmas = noise.cosine(20)
    for images, settings in (
        (two_modes(), {}),
        (plane("moons", 100), {}),
        (plane("ring", 100), {"conservative": True}),
        (faces_like(), {"components": 3 if degree < 5 else 2}),
        (faces_like(), {"components": 4, "separable": True}),
    ):
        denoiser = Polynomial(degree=degree, **settings).fit(images)
        law = generated_by(denoiser, sigmas)
        z, x = trajectories(denoiser, sigmas, 200)
        stays = ~law.escaped(z)
        assert stays.double().mean() > 0.95
        assert (law.push(z) - x)[stays].abs().max() < 1e-9
        assert law.push(z)[~stays].isnan().flatten(1).any(1).all()


@pytest.mark.parametrize("degree", [2, 3, 5, 7])
def test_the_density_on_the_line_integrates_to_what_stays_and_has_the_samples_moments(degree):
    sigmas = noise.cosine(20)
    denoiser = Polynomial(degree=degree).fit(two_modes())
    law = generated_by(denoiser, sigmas)
    z, x = trajectories(denoiser, sigmas, 100_000)
    stays = ~law.escaped(z)
    share = float(stays.double().mean())
    assert (
        abs(1 - share - law.escape) < 5 * math.sqrt(law.escape * (1 - law.escape) / len(z)) + 1e-6
    )

    # Midpoints of fine cells: folds make integrable poles, which midpoints approach from both
    # sides.
    edges = torch.linspace(-9.5, 9.5, 100_001, dtype=torch.float64)
    middle = (edges[1:] + edges[:-1]) / 2
    density = law.log_prob(middle.reshape(-1, 1, 1, 1)).exp() * (edges[1] - edges[0])
    assert float(density.sum()) == pytest.approx(1 - law.escape, abs=2e-3)

    kept = x[stays].flatten()
    for power in (1, 2, 3):
        by_density = float((density * middle**power).sum() / density.sum())
        error = 5 * float((kept**power).std()) / math.sqrt(len(kept)) + 2e-3
        assert abs(by_density - float((kept**power).mean())) < error
    assert float(law.mean) == pytest.approx(
        float(kept.mean()), abs=5 * float(kept.std()) / math.sqrt(len(kept))
    )
    spread = float(((kept - kept.mean()) ** 2).std()) / math.sqrt(len(kept))
    assert float(law.covariance.dense()) == pytest.approx(float(kept.var()), abs=5 * spread)


def test_folds_count_every_preimage():
    """Histogram of 200 000 samples against the density integrated over the bins, where a fold is
    inside the range.
    """
    sigmas = torch.tensor([3.0, 0.5, 0.0], dtype=torch.float64)  # two coarse steps fold
    denoiser = Polynomial(degree=3).fit(two_modes())
    law = generated_by(denoiser, sigmas)
    (line,) = law.lines
    slopes = line.slope[line.z.abs() < 3]
    assert slopes.min() < 0 < slopes.max()
    _, x = trajectories(denoiser, sigmas, 200_000)
    edges = torch.linspace(-1, 1, 41, dtype=torch.float64)
    counts = torch.histogram(x.flatten(), edges).hist.numpy() / len(x)
    fine = torch.linspace(-1, 1, 100_001, dtype=torch.float64)
    middle = (fine[1:] + fine[:-1]) / 2
    density = law.log_prob(middle.reshape(-1, 1, 1, 1)).exp() * (fine[1] - fine[0])
    expected = density.reshape(40, -1).sum(1).numpy()
    error = 5 * np.sqrt(expected / len(x)) + 1e-3
    assert (np.abs(counts - expected) < error).all()


@pytest.mark.parametrize(
    ("name", "degree", "conservative"), [("moons", 3, True), ("spiral", 3, False)]
)
def test_the_density_on_the_plane_integrates_to_one_and_has_the_samples_moments(
    name, degree, conservative
):
    sigmas = noise.geometric(30, 0.1, 20)[:-1]  # ends at 0.1: smooth, no fold in the bulk
    denoiser = Polynomial(degree=degree, conservative=conservative).fit(plane(name, 100))
    law = generated_by(denoiser, sigmas)
    axis = torch.linspace(-2.4, 2.4, 121, dtype=torch.float64)
    grid = torch.cartesian_prod(axis, axis)
    density = law.log_prob(grid.reshape(-1, 2, 1, 1)).exp() * (axis[1] - axis[0]) ** 2
    assert float(density.sum()) == pytest.approx(1 - law.escape, abs=5e-3)
    z, x = trajectories(denoiser, sigmas, 100_000)
    x = x[~law.escaped(z)].flatten(1)
    for product in (lambda v: v, lambda v: v**2, lambda v: v[:, :1] * v[:, 1:]):
        seen = product(x)
        error = 5 * seen.std(0) / math.sqrt(len(x)) + 5e-3
        assert ((density @ product(grid) / density.sum() - seen.mean(0)).abs() < error).all()
    assert ((law.mean.flatten() - x.mean(0)).abs() < 5 * x.std(0) / math.sqrt(len(x))).all()
    assert (law.covariance.dense() - torch.cov(x.T)).abs().max() < 5 * float(
        (x**2).std()
    ) / math.sqrt(len(x))


def test_where_nothing_folds_the_density_is_the_change_of_variables_along_the_trajectory():
    """log p(T(z)) = log N(z) - log |det dT/dz|, the determinant from automatic differentiation of
    the sampler itself.
    """
    sigmas = noise.geometric(20, 0.1, 20)[:-1]
    for images, settings in (
        (plane("moons", 80), {}),
        (faces_like(side=2), {"components": 3}),
        (faces_like(side=2), {"separable": True}),
    ):
        denoiser = Polynomial(degree=3, **settings).fit(images)
        law = generated_by(denoiser, sigmas)
        shape, d = denoiser.shape, math.prod(denoiser.shape)

        def run(z, denoiser=denoiser, shape=shape):
            y = sigmas[0] * z.reshape(1, *shape)
            for s, t in zip(sigmas[:-1], sigmas[1:], strict=True):
                d = denoiser.denoise(y, s.reshape(1), None)
                y = d + (t / s) * (y - d)
            return y.flatten()

        z = 0.6 * torch.randn(5, d, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        x = torch.stack([run(v) for v in z])
        jacobian = torch.stack([torch.func.jacrev(run)(v) for v in z])
        expected = -(z**2).sum(1) / 2 - d / 2 * math.log(2 * math.pi) - jacobian.det().abs().log()
        assert (law.log_prob(x.reshape(-1, *shape)) - expected).abs().max() < 1e-7


def test_degree_one_generates_the_gaussian_of_the_linear_family():
    """On images of deficient rank, ending at 0 (a plane, -inf off it) and above 0."""
    images = faces_like(n=10)
    for sigmas in (noise.cosine(12), noise.geometric(12, 0.2, 30)[:-1]):
        law = generated_by(Polynomial(degree=1, components=2, separable=True).fit(images), sigmas)
        gauss = generated_by(Linear().fit(images), sigmas)
        x = law.sample(range(20))
        assert (x - gauss.sample(range(20))).abs().max() < 1e-9
        assert (law.mean - gauss.mean).abs().max() < 1e-6
        assert (law.covariance.dense() - gauss.covariance.dense()).abs().max() < 1e-6
        assert (law.log_prob(x) - gauss.log_prob(x)).abs().max() < 1e-4
    flat = generated_by(
        Polynomial(degree=1, components=2, separable=True).fit(images), noise.cosine(12)
    )
    assert (flat.log_prob(torch.randn(3, 1, 4, 4, dtype=torch.float64)) == -math.inf).all()


def test_escape_is_detected_reported_and_kept_out_of_means():
    """Degree 5 on two modes loses a few trajectories in ten thousand; simulated share within 5
    standard errors.
    """
    sigmas = noise.cosine(20)
    denoiser = Polynomial(degree=5).fit(two_modes())
    law = generated_by(denoiser, sigmas)
    z, x = trajectories(denoiser, sigmas, 100_000, seed=1)
    gone = ~(x.flatten().abs() < 10)
    assert gone.any()
    assert 1e-4 < law.escape < 2e-3
    assert abs(float(gone.double().mean()) - law.escape) < 5 * math.sqrt(law.escape / len(z))
    escaped = law.escaped(z)
    assert escaped[gone].all()
    assert (escaped & ~gone).sum() <= 0.1 * gone.sum()  # a trajectory may leave and be thrown back
    assert math.isfinite(float(law.mean))
    assert generated_by(Polynomial(degree=3).fit(two_modes()), sigmas).escape < 1e-9


def test_the_law_wants_noise_levels():
    with pytest.raises(LookupError, match="noise levels"):
        generated_by(Polynomial().fit(two_modes()), None)
    law = generated_by(Polynomial().fit(two_modes()), noise.cosine(4))
    with pytest.raises(InputError, match="noise must have shape"):
        law.push(torch.zeros(2, 3, 1, 1))


@pytest.mark.parametrize("sigma", [0.2, 1.0])
def test_the_score_matched_density_on_the_line(sigma):
    """Its gradient is the denoiser's score; it integrates to one by adaptive quadrature, and so do
    mean and covariance.
    """
    denoiser = Polynomial(degree=3).fit(two_modes())
    law = score_matched(denoiser, sigma)
    y = torch.linspace(-2, 2, 30, dtype=torch.float64).reshape(-1, 1, 1, 1).requires_grad_()
    (slope,) = torch.autograd.grad(law.log_prob(y).sum(), y)
    assert (slope - (denoiser(y, sigma) - y) / sigma**2).abs().max() < 1e-10

    def density(v):
        return math.exp(float(law.log_prob(torch.full((1, 1, 1, 1), v, dtype=torch.float64))))

    for power, expected in (
        (0, 1.0),
        (1, float(law.mean)),
        (2, float(law.covariance.dense() + law.mean.flatten() ** 2)),
    ):
        value = integrate.quad(
            lambda v, k=power: v**k * density(v),
            -12,
            12,
            points=[-0.5, 0.4],
            epsabs=1e-10,
            limit=200,
        )[0]
        assert value == pytest.approx(expected, abs=1e-7)


def test_the_score_matched_density_on_the_plane_and_its_transport():
    sigma = 0.3
    denoiser = Polynomial(degree=3, conservative=True).fit(plane("moons", 200))
    law = score_matched(denoiser, sigma)
    y = torch.randn(
        20, 2, 1, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    ).requires_grad_()
    (slope,) = torch.autograd.grad(law.log_prob(y).sum(), y)
    assert (slope - (denoiser(y, sigma) - y) / sigma**2).abs().max() < 1e-9
    axis = torch.linspace(-4, 4, 641, dtype=torch.float64)
    grid = torch.cartesian_prod(axis, axis)
    density = law.log_prob(grid.reshape(-1, 2, 1, 1)).exp() * (axis[1] - axis[0]) ** 2
    assert float(density.sum()) == pytest.approx(1, abs=1e-8)
    mean = density @ grid
    assert (mean - law.mean.flatten()).abs().max() < 1e-7
    assert (
        (density[:, None] * (grid - mean)).T @ (grid - mean) - law.covariance.dense()
    ).abs().max() < 1e-7
    x = law.push(
        torch.randn(
            50_000, 2, 1, 1, generator=torch.Generator().manual_seed(1), dtype=torch.float64
        )
    ).flatten(1)
    for j in range(2):
        marginal = density.reshape(641, 641).sum(1 - j)
        below = (marginal.cumsum(0) - marginal / 2).numpy()
        distance = stats.kstest(
            x[:, j].numpy(), lambda v, below=below: np.interp(v, axis.numpy(), below)
        )
        assert distance.pvalue > 0.001


@pytest.mark.parametrize(
    ("images", "sigma"), [(two_modes(), 0.5), (plane("ring", 200), 0.6)], ids=["line", "plane"]
)
def test_langevin_samples_follow_the_score_matched_law(images, sigma):
    """1000 chains, two-sample Kolmogorov-Smirnov on each coordinate and the radius at level 0.001,
    fixed seeds.
    """
    denoiser = Polynomial(degree=3, conservative=True).fit(images)
    law, count = score_matched(denoiser, sigma), 1000
    start = law.mean + law.covariance.diagonal().max().sqrt() * normal(
        range(count), images.shape, dtype=torch.float64
    )
    chains = sample.langevin(
        denoiser, start, sigma, seeds=range(count), steps=150, step=sigma**2 / 10
    ).flatten(1)
    exact = law.sample(range(10_000, 10_000 + 4 * count)).flatten(1)
    for statistic in (lambda v: v[:, 0], lambda v: v[:, -1], lambda v: v.norm(dim=1)):
        assert stats.ks_2samp(statistic(chains).numpy(), statistic(exact).numpy()).pvalue > 0.001
    # and the test has power: the same test rejects the Gaussian of the same mean and covariance
    gauss = law.mean.flatten() + normal(
        range(4 * count), images.shape, dtype=torch.float64
    ).flatten(1) @ (torch.linalg.cholesky(law.covariance.dense()).T)
    assert (
        min(
            stats.ks_2samp(f(exact).numpy(), f(gauss).numpy()).pvalue
            for f in (lambda v: v[:, 0], lambda v: v.norm(dim=1))
        )
        < 1e-3
    )


def test_the_score_matched_law_of_an_image_is_a_product_when_separable():
    """Linear in every direction but two: the score of the whole image, at a level, by automatic
    differentiation.
    """
    images, sigma = (
        ImageSet.from_array(
            torch.rand(40, 1, 3, 3, generator=torch.Generator().manual_seed(0)) * 2 - 1
        ),
        0.8,
    )
    for settings in ({"separable": True, "components": 3}, {"conservative": True, "components": 2}):
        denoiser = Polynomial(degree=3, **settings).fit(images)
        law = score_matched(denoiser, sigma)
        y = torch.randn(5, *images.shape, dtype=torch.float64).requires_grad_()
        (slope,) = torch.autograd.grad(law.log_prob(y).sum(), y)
        assert (slope - (denoiser(y, sigma) - y) / sigma**2).abs().max() < 1e-9


def test_the_transport_wants_noise_of_the_images_shape():
    with pytest.raises(InputError, match="noise must have shape"):
        score_matched(Polynomial(degree=3).fit(two_modes()), 0.5).push(torch.zeros(2, 2, 1, 1))


def test_a_law_that_does_not_exist_is_refused_with_the_reason():
    images = plane("moons", 100)
    with pytest.raises(LookupError, match="does not confine"):
        score_matched(Polynomial(degree=2).fit(two_modes()), 0.5)
    with pytest.raises(LookupError, match="no gradient"):
        score_matched(Polynomial(degree=3).fit(images), 0.5)
    with pytest.raises(LookupError, match="does not confine"):
        score_matched(Polynomial(degree=4, conservative=True).fit(images), 0.5)
    with pytest.raises(LookupError, match="at most 2"):
        score_matched(Polynomial(degree=3, conservative=True, components=3).fit(faces_like()), 0.5)
    with pytest.raises(LookupError, match="standard deviations out"):
        score_matched(Polynomial(degree=7).fit(two_modes()), 5.0)


def test_the_continuous_flow_of_degree_one_is_the_gaussian_limit():
    """mean mu - g mu and variance s_0^2 g^2, g = sqrt((lam + s_T^2) / (lam + s_0^2)), in every
    direction of the image.
    """
    images, sigmas = faces_like(n=8, side=3), noise.geometric(60, 0.2, 20)[:-1]
    denoiser = Polynomial(degree=1, components=2).fit(images)
    x0 = images.images.double().flatten(1)
    mu, cov = x0.mean(0), torch.cov(x0.T, correction=0)
    l, q = torch.linalg.eigh(cov)
    g = ((l.clamp_min(0) + 0.04) / (l.clamp_min(0) + 400)).sqrt()
    gauss = torch.distributions.MultivariateNormal(
        mu - q @ (g * (q.T @ mu)), q @ torch.diag(400 * g**2) @ q.T
    )
    x = (
        gauss.loc
        + torch.randn(6, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        @ gauss.scale_tril.T
    )
    assert (
        flow_density(denoiser, x.reshape(6, 1, 3, 3), sigmas, steps=4) - gauss.log_prob(x)
    ).abs().max() < 1e-6
    z = torch.randn(5, 1, 3, 3, dtype=torch.float64)
    expected = mu + (20 * z.flatten(1) - mu) @ q @ torch.diag(g) @ q.T
    assert (flow_push(denoiser, z, sigmas, steps=4).flatten(1) - expected).abs().max() < 1e-7
    with pytest.raises(InputError, match="above 0"):
        flow_push(denoiser, z, noise.cosine(4))


@pytest.mark.parametrize(
    ("images", "degree"), [(two_modes(), 5), (plane("moons", 80), 3)], ids=["line", "plane"]
)
def test_the_continuous_density_integrates_to_one_and_many_steps_approach_it(images, degree):
    d, sigmas = math.prod(images.shape), noise.geometric(50, 0.15, 15)[:-1]
    denoiser = Polynomial(degree=degree).fit(images)
    axis = torch.linspace(-2.6, 2.6, 1041 if d == 1 else 81, dtype=torch.float64)
    grid = torch.cartesian_prod(*[axis] * d).reshape(-1, *images.shape)
    density = flow_density(denoiser, grid, sigmas).exp() * (axis[1] - axis[0]) ** d
    assert float(density.sum()) == pytest.approx(1, abs=5e-3)
    z = 0.8 * torch.randn(
        20, *images.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )
    limit = flow_push(denoiser, z, sigmas)
    gaps = []
    for count in (200, 400):
        finite = sample.ddim(denoiser, z, noise.geometric(count, 0.15, 15)[:-1])
        gaps.append(float((finite - limit).abs().max()))
    assert 1.8 < gaps[0] / gaps[1] < 2.2  # Euler: first order
