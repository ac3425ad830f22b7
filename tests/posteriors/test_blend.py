"""A blend of theories: the formula, the weights against an independent optimiser and optimality
conditions, what is refused.
"""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

import archbias
from archbias import families, seeds
from archbias.errors import InputError
from archbias.posteriors import masks
from archbias.posteriors.blend import Blend, simplex, stack
from archbias.posteriors.ideal import Ideal
from archbias.posteriors.levels import Schedule
from archbias.posteriors.masked import Masked
from archbias.posteriors.score_machines import BBELS, LS
from archbias.posteriors.told import told
from archbias.regressions.linear import Linear


@pytest.fixture(scope="module")
def images():
    return archbias.load("fashion_mnist", n=12, size=8)


@pytest.fixture(scope="module")
def unlabelled(images):
    return archbias.data.ImageSet.from_array(images.images)


def test_a_blend_is_the_weighted_mean_of_its_parts_at_each_rows_level(unlabelled):
    falling = Schedule((0.5, 2.0), (0.25, 0.75))
    rest = Schedule((0.5, 2.0), (0.75, 0.25))
    parts = (LS(window=3), Linear())
    blend = Blend(parts=parts, weights=(falling, rest)).fit(unlabelled)
    y = seeds.normal(range(3), unlabelled.shape, dtype=torch.float64)
    sigma = torch.tensor([0.4, 2.5, 0.6], dtype=torch.float64)
    first, second = (part.fit(unlabelled)(y, sigma).numpy() for part in parts)
    a = np.array([0.25, 0.75, 0.25])[:, None, None, None]
    np.testing.assert_allclose(blend(y, sigma).numpy(), a * first + (1 - a) * second, atol=1e-12)


def test_it_is_saved_with_its_parts_and_their_schedules(unlabelled, tmp_path):
    parts = (BBELS(window=archbias.SCHEDULES["cifar10-resnet"]), Ideal())
    blend = Blend(parts=parts, weights=(0.25, 0.75)).fit(unlabelled)
    families.save(blend, tmp_path / "blend.safetensors")
    again = families.load(tmp_path / "blend.safetensors")
    y = seeds.normal(range(2), unlabelled.shape)
    assert again.spec == blend.spec
    assert torch.equal(again(y, 1.0), blend(y, 1.0))


@given(st.integers(1, 5), st.integers(0, 10_000))
def test_the_weights_meet_the_conditions_of_a_minimum_on_the_simplex(count, seed):
    """G a = m on the support and G a >= m off it, m = a' G a (Karush, Kuhn, Tucker)."""
    rng = np.random.default_rng(seed)
    errors = rng.standard_normal((count, 12)) * rng.uniform(0.1, 3, (count, 1))
    gram = torch.from_numpy(errors @ errors.T)
    a = simplex(gram)
    assert float(a.sum()) == pytest.approx(1, abs=1e-9)
    assert float(a.min()) >= 0
    pull, least = gram @ a, float(a @ gram @ a)
    assert bool((pull >= least - 1e-8).all())
    assert bool(((pull - least).abs()[a > 1e-9] < 1e-8).all())


def test_the_weights_are_those_of_another_optimiser():
    rng = np.random.default_rng(1)
    for count in (2, 3, 4):
        errors = rng.standard_normal((count, 30)) * np.linspace(0.5, 1.5, count)[:, None]
        gram = errors @ errors.T
        found = minimize(
            lambda a, gram=gram: a @ gram @ a,
            np.full(count, 1 / count),
            jac=lambda a, gram=gram: 2 * gram @ a,
            bounds=[(0, 1)] * count,
            constraints={"type": "eq", "fun": lambda a: a.sum() - 1},
            method="SLSQP",
            options={"ftol": 1e-14},
        )
        np.testing.assert_allclose(simplex(torch.from_numpy(gram)).numpy(), found.x, atol=1e-5)


def test_a_perfect_theory_takes_all_and_equals_share():
    exact = torch.tensor([[2.0, 0.0], [0.0, 0.0]], dtype=torch.float64)
    assert simplex(exact).tolist() == [0, 1]
    alike = torch.full((2, 2), 3.0, dtype=torch.float64)
    assert float(simplex(alike).sum()) == 1


def test_the_weights_of_a_network_that_is_a_blend_are_recovered(images, unlabelled):
    parts = [LS(window=3).fit(unlabelled), Linear().fit(unlabelled), Ideal().fit(unlabelled)]

    def network(y, sigma, labels=None):
        a = 0.3 if sigma > 1 else 0.8
        return a * parts[0](y, sigma) + (1 - a) * parts[1](y, sigma)

    sigmas = archbias.noise.cosine(5)
    found = stack(network, parts, unlabelled.shape, range(100, 104), sigmas=sigmas)
    want = [[0.3, 0.7, 0] if s > 1 else [0.8, 0.2, 0] for s in sigmas[:-1].tolist()]
    np.testing.assert_allclose(found.weights.numpy(), want, atol=2e-3)
    assert (found.error <= found.alone.min(1).values + 1e-12).all()
    first = found.schedules()[0]
    assert first(50.0) == pytest.approx(0.3, abs=2e-3)
    with pytest.raises(InputError, match="not fitted on"):
        found.apart(range(101))
    assert found.apart(range(5)) == (0, 1, 2, 3, 4)
    blend = Blend(parts=(LS(window=3), Linear(), Ideal()), weights=found.schedules())
    assert told(blend) == "a scale"
    y = seeds.normal(range(2), unlabelled.shape) * 2
    want = network(y, 2.0)
    np.testing.assert_allclose(blend.fit(unlabelled)(y, 2.0).numpy(), want.numpy(), atol=5e-3)


def test_a_blend_is_told_what_its_parts_are(unlabelled):
    c, h, w = unlabelled.shape
    seen = masks.Masks(torch.tensor([1.0]), torch.eye(h * w)[None], (c, h, w))
    sees = Masked(mask="jacobian", shared=True, power=1.0)
    blend = Blend(parts=(BBELS(window=3), sees))
    assert told(blend) == "its padding and its Jacobian"
    followed = Schedule((1.0,), (0.5,), "stacked: 4 seeds")
    one = Blend(parts=blend.parts, weights=(followed, followed))
    assert told(one) == "its padding, its Jacobian and a scale"
    y = seeds.normal(range(2), unlabelled.shape)
    both = [BBELS(window=3).fit(unlabelled), sees.fit(unlabelled, masks=seen)]
    want = (both[0](y, 1.0) + both[1](y, 1.0)) / 2
    np.testing.assert_allclose(
        blend.fit(unlabelled, masks=seen)(y, 1.0).numpy(), want.numpy(), atol=1e-6
    )


def test_labels_are_taken_when_every_part_takes_them(images):
    assert Blend(parts=(LS(window=3), Ideal())).fit(images).classes == images.classes
    assert Blend(parts=(LS(window=3), Linear())).fit(images).classes == ()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"parts": ()}, "1 to 8 theories"),
        ({"parts": (LS(), Blend())}, "closed form"),
        ({"weights": (0.5,)}, "a weight for each"),
        ({"weights": (0.5, 0.6)}, "sum to 1"),
        ({"weights": (1.5, -0.5)}, "from 0 to 1"),
        ({"weights": (Schedule((1.0,), (0.5,)), 0.4)}, "sum to 1"),
    ],
)
def test_what_is_no_blend_is_refused(settings, message):
    with pytest.raises(InputError, match=message):
        Blend(**settings)
