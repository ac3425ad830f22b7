"""A judgement: health speaks first, targets are what they say, the rest is a study like others."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
import xarray as xr

import archbias
from archbias import families, study
from archbias.data import load
from archbias.errors import InputError
from archbias.judging import Judged, findings, grid, target, verdict
from archbias.judging.answers import answers
from archbias.judging.grid import SET, Given
from archbias.judging.images import Held
from archbias.judging.settings import Settings, Subject
from archbias.judging.stand_ins import untrained
from archbias.posteriors.ideal import Ideal
from archbias.posteriors.score_machines import BBELS, ELS
from archbias.regressions.linear import Linear

SMALL = {
    "seeds": 8,
    "steps": 6,
    "health_levels": 5,
    "health_images": 16,
    "card_levels": (1.0,),
}


@pytest.fixture(scope="module")
def images():
    return load("fashion_mnist", n=120, size=16)


def health_of(model, images, tmp_path, unseen=None):
    """The store of a judgement without card and theories."""
    held = Held(images, unseen)
    given = Given(Subject("net", model, held), None, held)
    wanted = ("convention", "net", "health", "looks", "duplicates", "copies")

    def some(settings, given):
        return [c for c in grid(settings, given) if c.name.removeprefix(f"{SET} ") in
                (*wanted, *(f"net {w}" for w in wanted))]  # fmt: skip

    asked = replace(Settings(), data=None, **SMALL)
    judged = replace(study.load("judge"), cells=partial(some, given=given))
    state = study.run(judged, asked, tmp_path / "run")
    assert not state.failed, state.failed
    return archbias.open_study(tmp_path / "run")


def test_a_denoiser_is_sound_and_a_filter_is_at_the_filters_error(images, tmp_path):
    unseen = load("fashion_mnist", n=140, size=16)
    unseen = unseen.subset(ids=unseen.ids[120:])
    tree = health_of(Ideal().fit(images), images, tmp_path, unseen)
    assert verdict(tree) == "sound"
    first = findings(tree)[0]
    assert "net: it is a sound denoiser" in first
    assert "on training images; on unseen images it is worse at sigma" in first
    # the ideal denoiser of 120 images against their Wiener filter, on 20 others, by hand
    per_level = tree["health"]["error"].isel(family=0).sel(kind="unseen").mean("image")
    there = per_level.sel(denoiser="network") > 2 * per_level.sel(denoiser="wiener")
    assert there.any()
    for sigma in there["sigma"].values[there.values]:
        assert f"{sigma:.2g}" in first.partition("on unseen images")[2]
    filtered = health_of(Linear().fit(images), images, tmp_path / "filter", unseen)
    assert "on training and unseen images" in findings(filtered)[0]
    error = tree["health"]["error"].sel(kind="training").isel(family=0)
    torch.testing.assert_close(
        error.sel(denoiser="network").values, error.sel(denoiser="ideal").values
    )


def test_an_untrained_network_predicts_nothing_and_says_so_first(images, tmp_path):
    tree = health_of(untrained(), images, tmp_path)
    assert verdict(tree) == "nothing"
    lines = findings(tree)
    assert lines[0].startswith("net predicts nothing")
    assert "show that the program runs, no more" in lines[0]
    assert any("no convention makes a denoiser" in line for line in lines)


def test_a_network_that_fails_at_high_noise_and_fades_is_unsound(images, tmp_path):
    """Like a UNet that divides by the amplitude of its input: a filter at low noise, a grey
    answer of a brightness of its own at high noise.
    """
    filter_ = Linear().fit(images)

    def fading(y, sigma):
        grey = y.mean((1, 2, 3), keepdim=True).sign() + 0 * y
        high = (sigma > 3).reshape(-1, 1, 1, 1)
        return torch.where(high, grey, filter_(y, sigma))

    tree = health_of(archbias.adapters.from_callable(fading, images.shape), images, tmp_path)
    lines = findings(tree)
    levels = tree["health"]["sigma"].values
    for level in levels[levels > 3]:
        assert f"{level:.2g}" in lines[0]
    assert lines[0].startswith("net is worse than the Wiener filter at sigma")
    assert verdict(tree) == "unsound"
    assert "lose the brightness of images" in lines[1]


def test_errors_of_health_are_those_of_a_simulation(images, tmp_path):
    """The Wiener filter given as the network: its stored error against a computation by hand."""
    tree = health_of(Linear().fit(images), images, tmp_path)
    error = tree["health"]["error"].isel(family=0).sel(kind="training", denoiser="network")
    x = images.images[:16].double()
    flat = images.images.double().flatten(1)
    mean, cov = flat.mean(0), torch.cov(flat.T, correction=0)
    sigma = float(error["sigma"].values[2])
    gain = cov @ torch.linalg.inv(cov + sigma**2 * torch.eye(len(cov), dtype=torch.float64))
    # E |D - x|^2 over the noise, for each image
    centred = x.flatten(1) - mean
    bias = centred @ gain.T - centred
    want = (bias.square().sum(1) + sigma**2 * gain.square().sum()) / len(cov)
    got = error.isel(sigma=2).values[: len(x)]
    assert got.mean() == pytest.approx(float(want.mean()), rel=0.1)


def test_without_unseen_images_nothing_is_said_of_them(images, tmp_path):
    tree = health_of(Ideal().fit(images), images, tmp_path)
    assert list(tree["health"]["kind"].values) == ["training"]
    assert "unseen" not in findings(tree)[0]


def test_samples_that_are_not_finite_are_said(images, tmp_path):
    def half(y, sigma):
        return Ideal().fit(images)(y, sigma) / (y[:, :, :1, :1] > 0).to(y.dtype)

    tree = health_of(archbias.adapters.from_callable(half, images.shape), images, tmp_path)
    assert any("of its samples are not finite" in line for line in findings(tree))
    assert np.isnan(tree["copies"]["novel"].values).any()


def test_images_that_repeat_each_other_are_said(images, tmp_path):
    x = images.images[:60]
    copied = archbias.ImageSet.from_array(torch.cat([x, x[:2], x[2:3] * 0.999]))
    said = "3 of the 63 images of array repeat another one (2 equal to it and 1 near it"
    assert any(said in line for line in findings(health_of(untrained(), copied, tmp_path / "a")))
    tree = health_of(untrained(), archbias.ImageSet.from_array(x), tmp_path / "b")
    assert not any("repeat another one" in line for line in findings(tree))


def test_targets_are_saved_denoisers_and_import_paths(images, tmp_path, monkeypatch):
    families.save(Linear(rank=3).fit(images), tmp_path / "mine.safetensors")
    name, found = target.opened(str(tmp_path / "mine.safetensors"))
    assert name == "mine"
    assert found.spec == Linear(rank=3)
    (tmp_path / "judged_module.py").write_text(
        "from archbias.judging.stand_ins import untrained\n"
        "def make():\n    return untrained()\n"
        "def denoise(y, sigma):\n    return y\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert isinstance(target.opened("judged_module:make")[1], torch.nn.Module)
    y = torch.zeros(1)
    assert target.opened("judged_module:denoise")[1](y, 1.0) is y
    for wrong in ("judged_module:nothing", "no_such_module:make"):
        with pytest.raises(InputError, match="cannot import the target"):
            target.opened(wrong)
    with pytest.raises(InputError, match="my_module:make"):
        target.opened("no-such-network")


def test_a_pipeline_of_diffusers_is_read_from_its_folder(images, tmp_path):
    diffusers = pytest.importorskip("diffusers")
    unet = diffusers.UNet2DModel(
        sample_size=16, in_channels=1, out_channels=1, block_out_channels=(8, 8),
        layers_per_block=1, norm_num_groups=4, down_block_types=("DownBlock2D",) * 2,
        up_block_types=("UpBlock2D",) * 2,
    )  # fmt: skip
    scheduler = diffusers.DDPMScheduler()
    diffusers.DDPMPipeline(unet, scheduler).save_pretrained(tmp_path / "pipe")
    name, found = target.opened(str(tmp_path / "pipe"), images.shape)
    assert name == "pipe"
    y = torch.randn(2, *images.shape)
    want = archbias.adapters.from_diffusers(unet, scheduler)(y, 0.5)
    torch.testing.assert_close(found(y, 0.5), want)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "model_index.json").write_text(
        '{"vae": ["diffusers", "AutoencoderKL"], "unet": ["diffusers", "UNet2DModel"], '
        '"scheduler": ["diffusers", "DDPMScheduler"]}',
        encoding="utf-8",
    )
    with pytest.raises(InputError, match="latent"):
        target.opened(str(tmp_path / "other"))


def test_weights_of_another_network_are_refused(images):
    from archbias.judging.settings import check

    filter_ = Linear().fit(images)
    check(filter_, target.fingerprint(filter_), "filter")
    with pytest.raises(InputError, match="another network"):
        check(Linear(rank=2).fit(images), target.fingerprint(filter_), "filter")


def test_the_usual_settings_plan_the_blend_beside_its_parts(images):
    """Its cells are those of its parts and its weights, each once."""
    names = _plan(images)
    assert {
        f"images net {cell}" for cell in ("scale els", "scale bbels", "weights stacked")
    } <= names


def test_a_blend_is_judged_and_finds_the_part_that_the_network_is(tmp_path):
    """The network is bbELS with one window at every level: that part alone weighs, and predicts."""
    few = load("fashion_mnist", n=24, size=8)
    asked = Settings()
    kept = ("wiener", "els", "bbels", "sighted, calibrated", "stacked")
    asked = replace(
        asked, theories={k: asked.theories[k] for k in kept}, windows=(3, 5),
        found={k: v for k, v in asked.found.items() if k in kept},
        free={k: v for k, v in asked.free.items() if k in kept}, seeds=4, steps=5, levels=3,
        points=2, mask_points=1, health_levels=3, health_images=4, card_levels=(1.0,), fit_seeds=2,
        fit_steps=4,
    )  # fmt: skip
    network = BBELS(window=5).fit(few)
    found = archbias.judge(network, few, tmp_path / "run", settings=asked, name="net")
    assert not found.failed, found.failed
    tree = found.tree
    weights = tree["weights"]["weight"].isel(family=0, theory=0)
    assert set(weights["part"].values) == {"els", "bbels", "sighted, calibrated"}
    np.testing.assert_allclose(weights.sel(part="bbels"), 1, atol=1e-6)
    r = tree["agreement"]["r"].isel(family=0)
    for predictor in ("bbels", "stacked"):
        assert float(r.sel(predictor=predictor).min()) > 0.999
    assert float(r.sel(predictor="els").median()) < 0.9
    assert any("too few seeds to tell it from stacked" in line for line in found.findings)


def test_a_folder_knows_which_network_it_judged(images, tmp_path):
    """Weights do not tell: a function has none, and a window or a convention is no weight."""
    few = {"wiener": Linear()}
    asked = replace(
        Settings(), theories=few, found={}, free={}, parts={}, seeds=1, steps=3, levels=2,
        points=1, mask_points=1, health_levels=2, health_images=2, card_levels=(1.0,), windows=(3,),
        fit_seeds=1, fit_steps=2,
    )  # fmt: skip

    def judged(one, again=None):
        return archbias.judge(
            one, images, tmp_path / "run", settings=asked, name="net", again=again
        )

    def half(y, sigma):
        return 0.5 * y

    def third(y, sigma):
        return y / 3

    def called(function):
        return archbias.adapters.from_callable(function, images.shape)

    judged(called(half), called(half))
    judged(called(half), called(half))  # goes on
    for one, again in ((third, half), (half, third)):
        with pytest.raises(InputError, match="another network of the name 'net'"):
            judged(called(one), called(again))
    windows = [ELS(window=w).fit(images) for w in (3, 5)]
    assert target.fingerprint(windows[0]) == target.fingerprint(windows[1])
    found = [answers(Subject("net", one, Held(images)), _row(images)) for one in windows]
    assert not np.allclose(*found, rtol=0, atol=1e-2)


def _plan(images) -> set[str]:
    """The cells of the usual settings."""
    held = Held(images)
    given = Given(Subject("net", Linear().fit(images), held), None, held)
    usual = replace(study.load("judge"), cells=partial(grid, given=given))
    return {c.name for c in usual.plan(replace(Settings(), data=None))}


def _row(images):
    from archbias.judging.grid import row_of

    asked = replace(Settings(), data=None, **SMALL)
    return row_of(Subject("net", Linear().fit(images), Held(images)), Held(images), asked)


def test_unseen_images_are_those_that_were_named(images):
    told = Judged(name="fashion_mnist", n=50, size=12, held_out=7)
    assert told.knows_unseen
    assert not set(told.unseen(20).ids) & set(told.load().ids)
    assert len(told.unseen(20)) == 7
    alone = Judged(name="fashion_mnist", n=50, size=12)
    assert not alone.knows_unseen
    assert set(alone.unseen(5).ids) <= set(alone.load().ids)


def test_sizes_too_small_to_mean_anything_are_said():
    from archbias.judging.findings import toy

    def tree(n, side, seeds):
        rows = xr.Dataset({"n": ("family", [n]), "side": ("family", [side])})
        looks = xr.Dataset(coords={"family": ["a"], "seed": np.arange(seeds)})
        return xr.DataTree.from_dict({"rows": rows, "looks": looks})

    assert toy(tree(1000, 28, 16)) == ""
    assert toy(tree(20, 28, 4)) == "4 seeds, 20 training images"
