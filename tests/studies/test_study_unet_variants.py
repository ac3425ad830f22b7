"""The study of UNet variants: its grid, its statistics against independent ones, and the whole of
it at toy size.
"""

import sys
from itertools import product
from pathlib import Path

import numpy as np
import paper_page
import pytest
import torch
import xarray as xr

import archbias
from archbias import seeds, study
from archbias.metrics import realism
from archbias.metrics.intervals import bootstrap
from archbias.nets.train import Train
from archbias.study import Images

FOLDER = Path(__file__).parents[2] / "studies" / "unet_variants"
LAPTOP = ["base", "max", "1 level", "3 levels", "8 channels", "no skips"]


@pytest.fixture(scope="module")
def asked():
    return study.load(FOLDER)


@pytest.fixture(scope="module")
def module(asked):
    return sys.modules[asked.cells.__module__]


@pytest.fixture(scope="module")
def ran(asked, tmp_path_factory):
    folder = tmp_path_factory.mktemp("unet_variants")
    settings = asked.configure("toy")
    assert study.run(asked, settings, folder).failed == {}
    return folder, settings, archbias.open_study(folder)


def test_one_change_at_a_time(asked, module):
    settings = asked.configure("laptop")
    found = module.variants(settings)
    assert list(found) == LAPTOP
    for label, variant in found.items():
        assert len(variant.changed) == (label != "base")
    assert [len(module.trained(settings)), len({c.name for c in asked.plan(settings)})] == [12, 28]


def test_the_crossed_grid_is_whole_and_its_labels_say_what_changed(asked, module):
    settings = asked.configure("paper")
    found = module.variants(settings)
    axes = ("pooling", "levels", "channels", "skips", "conditioning")
    wanted = set(product(*(getattr(settings, axis) for axis in axes)))
    assert {tuple(getattr(v.spec, axis) for axis in axes) for v in found.values()} == wanted
    assert len(found) == len(wanted) == 5 * 4 * 4 * 2 * 2
    assert next(iter(found)) == "base"
    spec = found["no pooling, 1 level, 8 channels, no skips, per level"].spec
    assert (spec.pooling, spec.levels, spec.channels, spec.skips, spec.conditioning) == (
        "none",
        1,
        8,
        False,
        "per_level",
    )
    # a network for each step of the sampler
    assert spec.sigmas() == tuple(settings.sigmas[:-1].tolist())


@pytest.mark.parametrize(
    ("preset", "grid"),
    [
        ("as_published", {"levels": (1, 2, 3), "channels": (8, 16), "skips": (True, False)}),
        ("as_published_64", {"levels": (3,), "channels": (8,), "skips": (True,)}),
    ],
)
def test_as_published(asked, module, preset, grid):
    settings = asked.configure(preset)
    found = module.variants(settings)
    theirs = [v for v in found.values() if v.protocol == "as published"]
    ours = [v for v in found.values() if v.protocol != "as published"]
    assert [v.name for v in theirs] == [v.name for v in ours]
    for variants in (theirs, ours):
        tried = {(v.spec.levels, v.spec.channels, v.spec.skips) for v in variants}
        assert len(variants) == len(tried)
        assert tried == set(product(*grid.values()))
    for v in theirs:
        # ten noise-blind networks, normalised by batches, that predict the clean image
        assert len(v.spec.sigmas()) == 10
        assert not v.spec.told
        assert (v.spec.normalisation, v.spec.pooling) == ("batch", "average")
        assert (v.spec.upsampling, v.spec.predicts) == ("transpose", "image")
        published = {(1, 32): 93_248, (3, 8): 120_720, (3, 16): 480_672}
        counted = v.spec.parameters((3, 32, 32))
        if v.spec.skips and (v.spec.levels, v.spec.channels) in published:
            assert counted == published[v.spec.levels, v.spec.channels]
    for v in ours:
        assert v.spec.sigmas() == (None,)
        assert v.spec.told
        assert v.spec.normalisation == "none"
    networks = module.trained(settings)
    assert len(networks) == 2 * len(found)
    assert {one.training for one in networks.values()} == {1, 2}


def test_the_short_run_has_both_protocols_take_as_many_steps(asked, module):
    settings = asked.configure("as_published_short")
    found = module.variants(settings)
    names = ["base", "1 level", "4 channels", "no skips"]
    assert [v.name for v in found.values()] == 2 * names
    taken = {v.protocol: len(v.spec.sigmas()) * v.spec.train.steps for v in found.values()}
    assert len(set(taken.values())) == 1


@pytest.fixture(scope="module")
def both(asked, tmp_path_factory):
    """The preset as_published with fewer and smaller networks, hardly trained."""
    small = {
        "data": Images(name="fashion_mnist", n=60, size=8),
        "held_out": 40,
        "judged": 8,
        "seeds": 4,
        "steps": 3,
        "levels": (1, 2),
        "channels": (4,),
        "unet.train": Train(steps=10, batch=8),
        "published.train": Train(steps=5, batch=8),
    }
    folder = tmp_path_factory.mktemp("as_published")
    settings = asked.configure("as_published", small)
    assert study.run(asked, settings, folder).failed == {}
    return archbias.open_study(folder)


@pytest.mark.slow
def test_both_protocols_in_one_store(asked, both):
    known, made = both["variants"].to_dataset(), study.figures(asked.folder)
    found = made.by_protocol(both)
    names = ["base", "2 levels", "no skips", "2 levels, no skips"]
    assert {k: list(v) for k, v in found.items()} == {"this study's": names, "as published": names}
    # the published counts are of one network; here are three
    theirs, ours = (int(known["parameters"].sel(family=f)) for f in ("as published", "base"))
    assert theirs % 3 == 0
    assert theirs // 3 < ours
    # the same variant under the other protocol, of the other training
    r, pairs = both["agreement"]["r"], both["pairs"]["between"]
    met = [
        r.sel(family=f, predictor="other protocol").values
        for f in ("as published, no skips", "as published, no skips, training 2")
    ]
    wanted = pairs.sel(variant="as published, no skips", other="no skips").values
    np.testing.assert_allclose(np.mean(met, 0), wanted, atol=1e-6)
    # a base of its own for either protocol
    assert r.sel(family="as published", predictor="base").isnull().all()
    first = r.sel(family="as published, 2 levels", predictor="base").values
    samples = both["samples"]["sample"]
    x, y = (
        samples.sel(family=f).values.reshape(4, -1)
        for f in ("as published, 2 levels", "as published, training 2")
    )
    np.testing.assert_allclose(
        first, [np.corrcoef(a, b)[0, 1] for a, b in zip(x, y, strict=True)], atol=1e-5
    )


@pytest.mark.slow
def test_findings_are_counted(asked, both):
    made = study.figures(asked.folder)
    drawn = made.figures(both)
    shown = {"wall", "samples", "plane", "loss", "agreement", "theory", "protocols", "changes"}
    assert set(drawn) == shown
    for figure in drawn.values():
        figure.canvas.draw()
    upper, lower = drawn["protocols"].axes
    assert [t.get_text() for t in upper.get_xticklabels()] == [
        t.get_text() for t in lower.get_xticklabels()
    ]
    # of a single architecture the protocols stand side by side
    own = both["variants"].to_dataset()
    single = both.copy()
    single["variants"] = xr.DataTree(own.sel(family=own["architecture"] == "base"))
    assert [t.get_text() for t in made.figures(single)["protocols"].axes[0].get_xticklabels()] == [
        "this study's", "this study's\nretrained", "as published", "as published\nretrained"
    ]  # fmt: skip
    said = made.findings(both)
    # a change moves the images where the two are less alike than each with itself retrained
    r, moved = both["pairs"]["between"], {}
    for protocol, names in made.by_protocol(both).items():
        first, *others = names.values()
        one = [
            r.sel(variant=v, other=first)
            - (r.sel(variant=v, other=v) + r.sel(variant=first, other=first)) / 2
            for v in others
        ]
        found = made.beyond_retraining(both, [first, *others])
        np.testing.assert_allclose(found[1:], [v.values for v in one], atol=1e-12)
        assert np.isnan(found[0]).all()
        moved[protocol] = sum(bootstrap(v.values).high < 0 for v in one)
        assert any(f"{protocol}: {moved[protocol]} of 3 changes move" in line for line in said)
    above = made.says(both)["changes"]
    ours, theirs = moved.values()
    assert f"{ours} of 3 changes" in above
    assert f"{theirs} of 3 as published" in above
    # a variant that only one protocol has: here one is left out of the published ones
    known = both["variants"].to_dataset()
    kept = [f for f in map(str, known["family"].values) if "published, 2 levels, no" not in f]
    fewer = both.copy()
    fewer["variants"] = xr.DataTree(known.sel(family=kept))
    rows = made.changes(fewer).axes[1].lines
    at = {line.get_marker(): set() for line in rows if len(line.get_ydata())}
    for line in rows:
        at[line.get_marker()] |= set(np.round(line.get_ydata()))
    assert sorted(map(len, at.values())) == [3, 4]
    above = made.says(fewer)["changes"]
    assert " of 3 changes move" in above
    assert " of 2 as published" in above
    assert any("Between the protocols" in line for line in made.findings(fewer))
    frechet, halves = both["realism"]["frechet"], both["held_out"]["frechet"].values
    for protocol, start in (("this study's", ""), ("as published", "as published")):
        own = [
            f for f in map(str, frechet["family"].values) if f.startswith("as pub") == bool(start)
        ]
        less = int((frechet.sel(family=own).values > halves.max()).sum())
        wanted = f"{protocol}: {less} of 8 networks are less realistic than held-out images"
        assert any(line.startswith(wanted) for line in said)
    assert "other protocol" in "".join(made.summary(both).columns)
    assert len(said) == 9


@pytest.mark.slow
def test_samples_are_judged_as_metrics_realism_does(ran):
    _, settings, tree = ran
    held = settings.data.unseen(settings.held_out).images
    ours = set(settings.data.load().ids)
    assert len(ours & set(settings.data.unseen(settings.held_out).ids)) == 0
    for family in ("base", "per level, training 2"):
        x = torch.from_numpy(tree["samples"]["sample"].sel(family=family).values)
        for name, wanted in {
            "patch_distance": realism.patches(x, held, size=5, stride=2),
            "face_distance": realism.distance(x, held),
            "log_likelihood": realism.likelihood(x, held),
        }.items():
            np.testing.assert_allclose(
                tree["realism"][name].sel(family=family).values, wanted.value, rtol=1e-6
            )
            np.testing.assert_allclose(tree["held_out"][name].values, wanted.reference, rtol=1e-6)


@pytest.mark.slow
def test_errors_are_mean_squares_over_the_judged_images(ran):
    folder, settings, tree = ran
    denoiser = archbias.families.load(folder / "models" / "max.safetensors")
    for kind, images in (
        ("training", settings.data.load()),
        ("held out", settings.data.unseen(settings.held_out)),
    ):
        x = images.images[: settings.judged]
        errors = tree["errors"]["error"].sel(family="max", images=kind)
        for sigma in errors["sigma"].values:
            noise = torch.cat(
                [
                    seeds.normal([0], x.shape[1:], stream=archbias.nets.train.ERRORS + i)
                    for i in range(len(x))
                ]
            )
            apart = denoiser(x + float(sigma) * noise, float(sigma)) - x
            assert float(errors.sel(sigma=sigma)) == pytest.approx(
                float(apart.double().square().mean()), rel=1e-5
            )


@pytest.mark.slow
def test_the_store_agrees_with_itself(ran):
    _, _, tree = ran
    known, r, between = (
        tree["variants"].to_dataset(),
        tree["agreement"]["r"],
        tree["pairs"]["between"],
    )
    assert known["parameters"].sel(family="no skips") < known["parameters"].sel(family="base")
    assert known["receptive_field"].sel(family="2 levels") > known["receptive_field"].sel(
        family="base"
    )
    np.testing.assert_allclose(
        r.sel(family="base", predictor="replicate").values,
        between.sel(variant="base", other="base").values,
        atol=1e-6,
    )
    both = [r.sel(family=f, predictor="base").values for f in ("max", "max, training 2")]
    np.testing.assert_allclose(
        np.mean(both, 0), between.sel(variant="max", other="base").values, atol=1e-6
    )
    assert r.sel(family="base", predictor="base").isnull().all()
    assert {"wiener law", "mean image"} <= set(r["predictor"].values)


@pytest.mark.slow
def test_figures_and_summary(asked, ran, tmp_path):
    _, _, tree = ran
    made = study.figures(asked.folder)
    paper_page.check(made, tree, tmp_path)
    drawn = made.figures(tree)
    assert set(drawn) == {"wall", "samples", "plane", "loss", "agreement", "theory"}
    for figure in drawn.values():
        figure.canvas.draw()
    names = [t.get_text().replace("\n", " ") for t in drawn["wall"].axes[0].get_xticklabels()]
    assert names == [
        "base",
        "base, training 2",
        "max",
        "2 levels",
        "2 channels",
        "no skips",
        "per level",
    ]
    table = made.summary(tree).set_index("network")
    assert len(table) == 12
    assert table.loc["max", "copies"].startswith("0 of 4, 0.00 [0.00, 0.49]")
    likely = made.percentile(tree, "log_likelihood").sel(family="max").values
    reference = tree["held_out"]["log_likelihood"].values
    value = tree["realism"]["log_likelihood"].sel(family="max").values
    below = (reference[None] < value[:, None]).sum(1)
    np.testing.assert_allclose(likely, (below + 0.5) / (len(reference) + 1))


@pytest.mark.slow
def test_a_finished_run_computes_nothing_again(asked, ran):
    folder, settings, _ = ran
    before = {p: p.stat().st_mtime_ns for p in (folder / "cells").iterdir()}
    assert study.run(asked, settings, folder).waiting == ()
    assert {p: p.stat().st_mtime_ns for p in (folder / "cells").iterdir()} == before
