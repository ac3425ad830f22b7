"""What every closed-form law does: it says what it is, and answers row by row."""

import pytest
import torch

import archbias
from archbias import distributions, noise, seeds
from archbias.distributions.score_matched import score_matched
from archbias.errors import InputError

SIGMAS = noise.cosine(6)
LAWS = {
    "linear(rank=3)": ("Gaussian", "covariance of rank 3", "by 6 DDIM steps, sigma 80.2 to 0"),
    "linear(constraint='local',window=3)": ("Gaussian", "stationary on the torus", "window=3"),
    "linear(constraint='local_per_pixel',window=3)": ("Gaussian", "when asked for", "window=3"),
    "bottleneck(rank=2)": ("Gaussian", "covariance of rank 2", "rank=2"),
    "ideal": ("Atoms", "40 atoms of equal probability", "Ideal()"),
    "bottleneck(rank=3,kind='confined')": ("Atoms", "40 atoms", "kind='confined'"),
    "bottleneck(rank=3,kind='mixture',components=2)": (
        "LiftedMixture",
        "2 Gaussians on a plane of 3 dimensions",
        "components=2",
    ),
    "polynomial(components=2)": ("FlowLaw", "polynomial in 2 of 64 coordinates", "degree=3"),
}


@pytest.fixture(scope="module")
def images():
    return archbias.load("digits", n=40)


@pytest.fixture(scope="module", params=LAWS)
def law(request, images):
    denoiser = archbias.families.parse(request.param).fit(images)
    return request.param, distributions.generated_by(denoiser, SIGMAS)


def test_it_says_family_shape_form_and_sampler(law):
    kind, *words = LAWS[law[0]]
    assert repr(law[1]).startswith(f"<{kind}, law of 1x8x8 images; ")
    for part in (*words, "by 6 DDIM steps"):
        assert part in repr(law[1])
        assert part.replace("'", "&#x27;") in law[1]._repr_html_()


def test_limits_and_stationary_laws_say_so(images):
    limit = distributions.generated_by(archbias.families.parse("linear").fit(images), None)
    assert "in the limit of infinitely many steps" in repr(limit)
    spec = archbias.families.parse("polynomial(components=1,degree=3,conservative=True)")
    stationary = score_matched(spec.fit(images), 1.0)
    assert "stationary under the score of" in repr(stationary)
    assert "at sigma 1>" in repr(stationary)


def test_a_row_that_is_not_finite_is_nan_and_the_others_are_as_without_it(law):
    law = law[1]
    n = seeds.normal(range(4), law.shape, dtype=torch.float64)
    bad = n.clone()
    bad[1, 0, 3, 3], bad[2] = torch.nan, torch.inf
    x = law.push(n)
    found = law.push(bad)
    torch.testing.assert_close(found[[0, 3]], x[[0, 3]], rtol=1e-9, atol=1e-9, equal_nan=True)
    assert found[[1, 2]].isnan().all()
    y = x.nan_to_num()
    y[2, 0, 0, 0] = torch.nan
    density, whole = law.log_prob(y), law.log_prob(x.nan_to_num())
    keep = torch.tensor([0, 1, 3])
    torch.testing.assert_close(density[keep], whole[keep], rtol=1e-6, atol=1e-6, equal_nan=True)
    assert density[2].isnan()
    assert law.push(torch.full_like(n, torch.nan)).isnan().all()
    assert law.log_prob(torch.full_like(n, torch.nan)).isnan().all()
    assert law.log_prob(n[:0]).shape == (0,)
    assert law.push(n.float()).dtype == torch.float32


def test_images_of_another_shape_are_refused(law):
    for f in (law[1].push, law[1].log_prob):
        with pytest.raises(InputError, match=r"must have shape \(B, 1, 8, 8\)"):
            f(torch.zeros(2, 64))
