"""One sample of NaN or infinity among others, at every function of archbias.metrics.

CASES says which half of the rule of `metrics.finite` each function follows. A function that is in
neither CASES nor NOT_OF_IMAGES fails the first test: a new metric needs a rule.
"""

import inspect
from dataclasses import fields, is_dataclass
from importlib import import_module
from pkgutil import iter_modules

import numpy as np
import pytest
import torch

from archbias import metrics
from archbias.errors import InputError
from archbias.metrics import (
    agreement,
    between,
    classifier,
    compare,
    coverage,
    features,
    finite,
    frechet,
    health,
    intervals,
    mifid,
    moments,
    novelty,
    nulls,
    paired,
    parts,
    realism,
    regions,
    sliced,
    spectrum,
    symmetry,
    two_sample,
)

IMAGES = torch.randn(12, 1, 12, 12, generator=torch.Generator().manual_seed(9)).double()
HELD_OUT = torch.randn(20, 1, 12, 12, generator=torch.Generator().manual_seed(8)).double()


def flat(x):
    return x.flatten(1)[:, :4]


# one answer per sample: NaN, -1 or False for the bad one, the others untouched
EACH = {
    **{
        f"agreement.{name}": lambda x, f=getattr(agreement, name): f(x, IMAGES)
        for name in (
            "pearson_r",
            "r_squared",
            "explained",
            "amplitude_ratio",
            "mse",
            "cosine",
            "ssim",
        )
    },
    "agreement.per_channel": lambda x: agreement.per_channel(agreement.mse, x, IMAGES),
    "agreement.per_band": lambda x: agreement.per_band(agreement.pearson_r, x, IMAGES),
    "agreement.bandpass": lambda x: agreement.bandpass(x, [0, 0.2, 1]).transpose(0, 1),
    "between.between": lambda x: between.between(torch.stack([x, IMAGES])[:, None])[0, 1],
    "regions.masked_r": lambda x: regions.masked_r(x, IMAGES + 1, IMAGES[:, 0] > 0),
    "novelty.nearest": lambda x: novelty.nearest(x, HELD_OUT),
    "symmetry.nearest_moved": lambda x: symmetry.nearest_moved(x, HELD_OUT, shift=1),
    "symmetry.nearest_patch": lambda x: symmetry.nearest_patch(x, HELD_OUT, size=9),
    "parts.foreground": lambda x: parts.foreground(x),
    "parts.parts": lambda x: parts.parts(x),
    "parts.strands": lambda x: parts.strands(x),
    "realism.novelty": lambda x: realism.novelty(x, IMAGES, HELD_OUT).percentile,
    "realism.distance": lambda x: realism.distance(x, HELD_OUT).percentile,
    "realism.patches": lambda x: realism.patches(x, HELD_OUT, size=9).percentile,
    "realism.likelihood": lambda x: realism.likelihood(x, HELD_OUT).percentile,
    "realism.probabilistic_pca": lambda x: realism.probabilistic_pca(HELD_OUT, 3)(x),
    "spectrum.radial_power": spectrum.radial_power,
    "health.brightness": health.brightness,
    "health.amplitude": health.amplitude,
    "health.shares": lambda x: health.shares(IMAGES + 1, x, IMAGES),
    "features.pixels": lambda x: features.pixels(x).sum(1),
    "features.principal": features.principal(HELD_OUT, 3),
    "features.convolutional": features.convolutional(1, widths=(4,)),
}

# one answer per set: refused, with the sample's number
SET = {
    "two_sample.mmd": lambda x: two_sample.mmd(x, HELD_OUT, permutations=9),
    "two_sample.energy": lambda x: two_sample.energy(x, HELD_OUT, permutations=9),
    "two_sample.pool": lambda x: two_sample.pool(x, HELD_OUT),
    "sliced.sliced_wasserstein": lambda x: sliced.sliced_wasserstein(x, HELD_OUT),
    "classifier.classifier_test": lambda x: classifier.classifier_test(x, HELD_OUT),
    "coverage.coverage": lambda x: coverage.coverage(x, HELD_OUT),
    "coverage.vendi": coverage.vendi,
    "frechet.frechet": lambda x: frechet.frechet(x, HELD_OUT),
    "frechet.frechet_with_null": lambda x: frechet.frechet_with_null(x, HELD_OUT),
    "mifid.mifid": lambda x: mifid.mifid(x, HELD_OUT),
    "moments.centred": moments.centred,
    "moments.mean_error": lambda x: moments.mean_error(x, HELD_OUT),
    "moments.covariance_error": lambda x: moments.covariance_error(x, HELD_OUT),
    "moments.covariance_noise": lambda x: moments.covariance_noise(x, 5),
    "moments.skewness": moments.skewness,
    "moments.kurtosis": moments.kurtosis,
    "spectrum.eigenvalues": spectrum.eigenvalues,
    "spectrum.bootstrap_band": spectrum.bootstrap_band,
    "spectrum.gaussian_band": lambda x: spectrum.gaussian_band(x[:, 0, 0, 0], 5),
    "nulls.against_splits": lambda x: nulls.against_splits(moments.mean_error, x, HELD_OUT),
    "finite.check": lambda x: finite.check(x, "sample"),
    "finite.check_sets": lambda x: finite.check_sets(x, HELD_OUT),
}

# what the samples are compared with: refused, with the image's number
REFERENCE = {
    **{
        name: lambda x, f=f: f(HELD_OUT, x)
        for name, f in {
            "two_sample.mmd": two_sample.mmd,
            "two_sample.energy": two_sample.energy,
            "sliced.sliced_wasserstein": sliced.sliced_wasserstein,
            "classifier.classifier_test": classifier.classifier_test,
            "coverage.coverage": coverage.coverage,
            "frechet.frechet": frechet.frechet,
            "frechet.frechet_with_null": frechet.frechet_with_null,
            "mifid.mifid": mifid.mifid,
            "moments.mean_error": moments.mean_error,
            "moments.covariance_error": moments.covariance_error,
            "health.looks": health.looks,
            "novelty.nearest": novelty.nearest,
            "symmetry.nearest_moved": lambda a, b: symmetry.nearest_moved(a, b, shift=1),
            "symmetry.nearest_patch": lambda a, b: symmetry.nearest_patch(a, b, size=9),
            "nulls.against_splits": lambda a, b: nulls.against_splits(moments.mean_error, a, b),
        }.items()
    },
    "realism.novelty": lambda x: realism.novelty(HELD_OUT, x, HELD_OUT),
    "realism.novelty, held-out": lambda x: realism.novelty(HELD_OUT, HELD_OUT, x),
    "realism.distance": lambda x: realism.distance(HELD_OUT, x),
    "realism.patches": lambda x: realism.patches(HELD_OUT, x, size=9),
    "realism.likelihood": lambda x: realism.likelihood(HELD_OUT, x),
    "realism.probabilistic_pca": lambda x: realism.probabilistic_pca(x, 2),
    "features.principal": lambda x: features.principal(x, 2),
    "health.errors": lambda x: health.errors(lambda y, s: y, x, [1.0]),
}

# no images in, or the rule's own tools; values of seeds are tested below
NOT_OF_IMAGES = {
    "agreement.octaves",
    "between.apart",  # agreements of seeds, NaN where one is
    "compare.compare",
    "compare.scale",
    "compare.versus",
    "features.inception",  # wrapped like the other spaces; its weights are not at hand
    "finite.each",
    "finite.kept",
    "finite.rows",
    "finite.spread",
    "finite.words",
    "frechet.frechet_gaussian",
    "frechet.kl_gaussian",
    # per-seed values inside, left out and counted: test_metrics_health.py
    "health.beside",
    "health.errors",
    "health.looks",
    "health.range_of",
    "health.share",
    "intervals.binomial",
    "intervals.bootstrap",
    "intervals.per_seed",
    "paired.holm",
    "paired.paired",
    "pairs.apart",  # plain arithmetic of checked rows
    "pairs.between",
    "pairs.distinct",
    "pairs.rounding",
    "pairs.within",
    "sliced.directions",
    "sliced.wasserstein_1d",
    "regions.regions",  # masks of places
    "spectrum.marchenko_pastur_edges",
    "spectrum.marchenko_pastur_quantile",
    "two_sample.p_value",
    "two_sample.shuffles",
}


def public():
    for name in (m.name for m in iter_modules(metrics.__path__)):
        module = import_module(f"archbias.metrics.{name}")
        for key, f in vars(module).items():
            own = inspect.isfunction(f) and f.__module__ == module.__name__
            if own and not key.startswith("_"):
                yield f"{name}.{key}"


def test_every_function_has_a_rule():
    assert set(public()) == {*EACH, *SET, *NOT_OF_IMAGES}


def spoilt(value, row=3):
    """IMAGES with one pixel of one image at this value."""
    x = IMAGES.clone()
    x[row, 0, 5, 6] = value
    return x


def answers(found):
    """The tensors of an answer, each with one entry per sample first."""
    if is_dataclass(found):
        return [getattr(found, f.name) for f in fields(found)]
    return [found]


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("name", EACH)
def test_one_bad_sample_answers_for_itself_alone(name, value):
    others = torch.arange(len(IMAGES)) != 3
    for got, want in zip(
        answers(EACH[name](spoilt(value))), answers(EACH[name](IMAGES)), strict=True
    ):
        torch.testing.assert_close(got[others], want[others], rtol=1e-10, atol=1e-12)
        if name == "features.pixels":
            assert not torch.isfinite(got[3])
        elif got.is_floating_point():
            assert got[3].isnan().all()
        else:
            assert (got[3] == (0 if got.dtype == torch.bool else -1)).all()


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
@pytest.mark.parametrize("name", SET)
def test_one_bad_sample_of_a_set_is_refused_by_its_number(name, value):
    with pytest.raises(InputError, match=r"(sample|image|eigenvalue) 3 of 12"):
        SET[name](
            spoilt(value) if name != "spectrum.gaussian_band" else spoilt(value)[:, :, 5:, 6:]
        )


@pytest.mark.parametrize("name", REFERENCE)
def test_one_bad_image_to_compare_with_is_refused_by_its_number(name):
    with pytest.raises(InputError, match="image 3"):
        REFERENCE[name](spoilt(torch.nan))


@pytest.mark.parametrize("name", [n for n in EACH if not n.startswith("agreement")])
def test_a_set_of_bad_samples_alone_has_answers_too(name):
    found = answers(EACH[name](torch.full_like(IMAGES, torch.nan)))
    assert all(len(v) == len(IMAGES) for v in found)


def test_kept_leaves_out_what_diverged_and_says_how_many():
    x = spoilt(torch.nan)
    x[7] = -torch.inf
    kept = finite.kept(x)
    assert kept.left_out == (3, 7)
    assert str(kept) == "2 of 12 left out"
    assert torch.equal(kept.images, IMAGES[kept.rows])
    assert str(finite.kept(IMAGES)) == ""
    assert two_sample.energy(kept.images, HELD_OUT, permutations=9).p > 0


def test_an_error_names_a_few_of_many():
    with pytest.raises(InputError, match=r"samples 0, 1, 2, 3, 4 and 7 more of 12"):
        finite.check(torch.full((12, 2), torch.nan), "sample")


def test_seeds_without_a_value_are_counted_and_infinite_ones_refused():
    values = torch.tensor([1.0, 2.0, torch.nan, 3.0])
    found = intervals.bootstrap(values)
    assert found.left_out == "1 of 4 left out"
    assert f"{found:.1f}".endswith(" (1 of 4 left out)")
    assert "left out" not in str(intervals.bootstrap(values[:2]))
    for f in (intervals.bootstrap, lambda v: paired.paired(v, values)):
        with pytest.raises(InputError, match="infinity at 1 of 4"):
            f(np.array([1.0, np.inf, 2.0, 3.0]))


def test_a_comparison_goes_on_without_the_sample_that_diverged():
    found = compare.compare(spoilt(torch.nan), HELD_OUT[:12], replicate=HELD_OUT[2:14])
    assert (found.value.n, found.value.missing) == (11, 1)
    # another seed's sample: the bad one as sample and as prediction
    assert found.floors[compare.ANOTHER_SEED].missing == 2
    assert "1 of 12 left out" in str(found)
    pair = compare.versus(spoilt(torch.inf), {"a": HELD_OUT[:12], "b": HELD_OUT[2:14]})[0]
    assert pair.result.difference.missing == 1


def test_moments_of_gaussians_that_are_not_finite_are_refused():
    mean, cov = torch.zeros(3), torch.eye(3)
    bad = cov.clone()
    bad[1, 1] = torch.nan
    for f in (frechet.frechet_gaussian, frechet.kl_gaussian):
        with pytest.raises(InputError, match="finite"):
            f(mean, bad, mean, cov)
        with pytest.raises(InputError, match="finite"):
            f(mean, cov, mean + torch.inf, cov)


def test_no_images_have_no_bands_and_no_spectrum():
    assert agreement.bandpass(IMAGES[:0], [0, 0.2, 1]).shape == (2, 0, 1, 12, 12)
    assert agreement.per_band(agreement.pearson_r, IMAGES[:0], IMAGES[:0], [0, 1]).shape == (0, 1)
    assert spectrum.radial_power(IMAGES[:0]).shape == (0, 7)
