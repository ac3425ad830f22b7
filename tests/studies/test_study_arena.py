"""The arena: its settings, and the whole of it at toy size against independent computations."""

from pathlib import Path

import numpy as np
import paper_page
import pytest
import torch
import xarray as xr

import archbias
from archbias import study
from archbias.errors import InputError
from archbias.metrics import compare, health
from archbias.metrics.paired import holm, paired
from archbias.posteriors import blend
from archbias.posteriors.ideal import Ideal
from archbias.posteriors.levels import Schedule
from archbias.posteriors.masks import Masks
from archbias.posteriors.sighted import sighted
from archbias.posteriors.windows import WindowSchedule
from archbias.regressions.linear import Linear

TOLD = {
    "ideal": "nothing",
    "ls": "a scale",
    "ls, held-out": "nothing",
    "bbels": "its padding and a scale",
    "wiener masks": "nothing",
    "sighted": "its Jacobian",
    "sighted, calibrated": "its Jacobian and a scale",
}
FOLDER = Path(__file__).parents[2] / "studies" / "arena"


@pytest.fixture(scope="module")
def asked():
    return study.load(FOLDER)


@pytest.fixture(scope="module")
def ran(asked, tmp_path_factory):
    folder = tmp_path_factory.mktemp("arena")
    settings = asked.configure("toy")
    assert study.run(asked, settings, folder).failed == {}
    return folder, settings, archbias.open_study(folder)


def test_a_theory_joins_by_name_and_a_row_is_answered_by_its_own_border(asked):
    settings = asked.configure("toy", {"theories.mine": "els(window=3)"})
    names = {c.name for c in asked.plan(settings)}
    assert {"fashion_mnist mine", "fashion_mnist unet steps mine"} <= names
    assert {"fashion_mnist unet bbels", "fashion_mnist resnet, circular els"} <= names
    assert not {"fashion_mnist unet els", "fashion_mnist resnet, circular bbels"} & names
    calibrated = asked.configure(
        "toy", {"theories.mine": "els(window=3)", "found.mine": "monotone"}
    )
    names = {c.name for c in asked.plan(calibrated)}
    assert {"fashion_mnist unet mine", "fashion_mnist unet scale els"} <= names


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"theories.wiener": "ideal()"}, "against the Wiener filter"),
        ({"found.nobody": "monotone"}, "theories are"),
        ({"found.ls": "guess"}, "cosine, monotone"),
        ({"points": 5}, "held_out"),
        ({"theories.mine": "els(wrap=False)", "found.mine": "monotone"}, "by 'least'"),
    ],
)
def test_settings_that_cannot_be_judged_are_refused(asked, changes, message):
    with pytest.raises(InputError, match=message):
        asked.plan(asked.configure("toy", changes))


def test_the_laptop_judges_at_least_64_seeds_and_fits_on_others(asked):
    settings = asked.configure("laptop")
    assert settings.seeds >= 64
    assert not set(settings.fit.which) & set(range(settings.seeds))
    assert {c.name for c in asked.plan(asked.configure("bundled"))} == {
        c.name for c in asked.plan(settings) if c.name.startswith("fashion_mnist")
    }


@pytest.mark.slow
def test_one_step_is_the_distance_of_theory_and_network(ran):
    folder, settings, tree = ran
    row, images = "fashion_mnist unet", settings.fashion_mnist.load()
    network = archbias.families.load(folder / "models" / f"{row}.safetensors")
    theory, wiener = Ideal().fit(images), study.crossed.theory_of(Linear(), images, True)
    noise = archbias.seeds.normal(range(700_000, 700_003), (1, 12, 12))
    steps = tree["steps"]["step_error"].sel(family=row, predictor="ideal", kind="training")
    shares = study.steps.share(tree["steps"].to_dataset())
    for sigma in steps["sigma"].values.tolist():
        y, labels = images.images[:3] + sigma * noise, images.labels[:3]
        drawn, said = network(y, sigma, labels), theory(y, sigma, labels)
        want = (said.double() - drawn.double()).square().mean((1, 2, 3)).numpy()
        np.testing.assert_allclose(steps.sel(sigma=sigma).values, want, rtol=1e-4)
        share = health.share(drawn, said, wiener(y, sigma, labels)).value
        found = shares.sel(family=row, predictor="ideal", kind="training", sigma=sigma)
        assert float(found) == pytest.approx(share, rel=1e-3)


@pytest.mark.slow
def test_a_subset_of_the_images_is_set_against_all_of_them(asked, ran):
    _, settings, tree = ran
    images, row = settings.fashion_mnist.load(), "fashion_mnist unet"
    states = tree["fashion_mnist/steps"].to_dataset().sel(family="unet", kind="unseen")
    label = states["label"].values.astype(int)
    found = tree["subset"].to_dataset().sel(family=row, predictor="golden", kind="unseen")
    full, some = settings.theories["ideal"].fit(images), settings.theories["golden"].fit(images)
    for sigma in states["sigma"].values.tolist():
        y = torch.from_numpy(states["noisy"].sel(sigma=sigma).transpose("point", ...).values)
        told = torch.from_numpy(label)
        right, few = full(y, sigma, told).double(), some(y, sigma, told).double()
        want = (few - right).square().flatten(1).mean(1).sqrt()
        errors = found["subset_error"].sel(sigma=sigma).values
        np.testing.assert_allclose(errors, want.numpy(), rtol=1e-3, atol=1e-6)
    assert float(found["subset_error"].max()) > 0.01  # at high noise a subset is not all of them
    lines = [s for s in study.figures(asked.folder).findings(tree) if s.startswith("golden on ")]
    assert len(lines) == len(settings.rows)
    assert all("against the full scan" in line for line in lines)


@pytest.mark.slow
def test_the_theory_told_the_jacobian_is_fitted_to_the_networks_masks(ran):
    folder, settings, tree = ran
    images, row = settings.fashion_mnist.load(), "fashion_mnist unet"
    network = archbias.families.load(folder / "models" / f"{row}.safetensors")
    levels = tree["sight"]["sigma"].values.tolist()
    unseen = settings.fashion_mnist.unseen(1)
    theory = sighted(network, images, unseen, levels, points=1)
    labels = torch.tensor([images.classes[s] for s in range(settings.seeds)])
    start = archbias.seeds.normal(range(settings.seeds), images.shape)
    want = archbias.sample.ddim(theory, start, settings.sigmas, labels=labels)
    predicted = tree["fashion_mnist/predictions/prediction"]
    found = predicted.sel(family="unet", predictor="sighted")
    np.testing.assert_allclose(found.values, want.numpy(), atol=1e-4)
    values = tree["settings"]["value"].sel(family=row, theory="sighted, calibrated")
    assert set(np.unique(values.sel(setting="radius"))) <= {0, 1, 2}
    assert not set(tree["settings"]["fit_seed"].values) & set(range(settings.seeds))


@pytest.mark.slow
def test_the_trajectory_starts_from_the_noise_of_the_judged_seeds(ran):
    _, settings, tree = ran
    states = tree["fashion_mnist/steps"].to_dataset().sel(family="unet", kind="trajectory")
    highest = states["sigma"].max()
    start = archbias.seeds.normal(range(3), (1, 12, 12)).numpy() * float(highest)
    noisy = states["noisy"].sel(sigma=highest).transpose("point", ...)
    np.testing.assert_allclose(noisy, start, rtol=1e-5)

    classes = settings.fashion_mnist.load().classes
    assert states["label"].values.astype(int).tolist() == list(classes[:3])


@pytest.mark.slow
def test_tables_say_what_was_told_and_figures_draw(asked, ran, tmp_path):
    _, _, tree = ran
    made = study.figures(asked.folder)
    paper_page.check(made, tree, tmp_path)
    drawn = made.figures(tree)
    assert {"leaderboard", "where", "wall", "one_step", "weights"} <= set(drawn)
    for figure in drawn.values():
        figure.canvas.draw()
    table = made.summary(tree).set_index(["row", "theory"])
    row = "fashion_mnist unet"
    told = {t: table.loc[(row, t), "told"] for t in TOLD}
    assert told == TOLD
    r = tree["agreement"]["r"].sel(family=row)

    def of(predictor, at=row):
        return torch.from_numpy(tree["agreement"]["r"].sel(family=at, predictor=predictor).values)

    want = compare.scale(of("bbels"), ceiling=of("replicate"), floors={"wiener": of("wiener")})
    assert table.loc[(row, "bbels"), "share of the way"] == str(want.share["wiener"])
    assert r.sel(predictor="els").isnull().all()
    other = "fashion_mnist resnet, circular"
    p = holm([paired(of("ls"), of("bbels")).p, paired(of("ls", other), of("els", other)).p])
    assert table.loc[(row, "ls"), "p, Holm over rows"] == f"{p[0]:.2g}"


@pytest.mark.slow
def test_the_stacked_theory_is_the_blend_of_its_parts_at_the_weights_of_its_cell(ran):
    folder, settings, tree = ran
    row, other = "fashion_mnist unet", "fashion_mnist resnet, circular"
    found = tree["weights"]["weight"].isel(theory=0)
    assert found.sel(family=row).sel(part="els").isnull().all()
    assert found.sel(family=other).sel(part="bbels").isnull().all()
    np.testing.assert_allclose(found.sum("part"), 1, atol=1e-6)
    # one step by hand on the states of the one-step comparison
    images = settings.fashion_mnist.load()
    steps = tree["fashion_mnist/steps"].to_dataset().sel(family="unet", kind="training")
    sigma = float(steps["sigma"].max())
    at = found["sigma"].values[int(np.abs(np.log(found["sigma"].values / sigma)).argmin())]
    y = torch.from_numpy(steps["noisy"].sel(sigma=sigma).transpose("point", ...).values)
    labels = torch.from_numpy(steps["label"].values.astype(int))
    settled = tree["theories"]["settings"].sel(family=row)
    names = {c.__name__: c for c in (*blend.PARTS, blend.Blend, Schedule, WindowSchedule)}
    made = eval(str(settled.sel(predictor="stacked").values), names)
    masks = archbias.families.load(folder / "models" / f"{row} masks.safetensors").state()
    seen = Masks(masks["mask_sigmas"], masks["mask_energy"], images.shape)
    first, second = made.parts[0].fit(images), made.parts[1].fit(images, masks=seen)
    a = found.sel(family=row, sigma=at)
    want = float(a.sel(part="bbels")) * first(y, sigma, labels)
    want = want + float(a.sel(part="sighted, calibrated")) * second(y, sigma, labels)
    network = torch.from_numpy(steps["denoised"].sel(sigma=sigma).transpose("point", ...).values)
    error = (want.double() - network.double()).square().mean((1, 2, 3)).numpy()
    got = tree["steps"]["step_error"].sel(family=row, predictor="stacked", kind="training")
    np.testing.assert_allclose(got.sel(sigma=sigma).values, error, rtol=1e-3, atol=1e-10)


@pytest.mark.slow
def test_findings_say_what_was_promised_and_what_came_of_it(asked, ran):
    _, _, tree = ran
    made, r = study.figures(asked.folder), tree["agreement"]["r"]
    said = made.findings(tree)
    assert "these numbers show that the program runs, no more" in said[0]
    unet, resnet = "fashion_mnist unet", "fashion_mnist resnet, circular"
    for theory in ("sighted", "sighted, calibrated"):
        (line,) = (s for s in said if s.startswith(f"Our theory {theory} "))
        own, border = (r.sel(family=unet, predictor=p).values for p in (theory, "bbels"))
        other = [r.sel(family=resnet, predictor=p).values for p in (theory, "els")]
        p = holm([paired(own, border).p, paired(*other).p])[0]
        ahead = p < 0.05 and np.median(own - border) > 0
        assert f"in {int(ahead)} of 1 UNet rows" in line
        near = np.median(other[0] - other[1]) >= -0.01
        assert f"in {int(near)} of 1 ResNet row." in line
    steps = study.steps.share(tree["steps"].to_dataset())
    ideal = steps.sel(family=unet, predictor="ideal", kind="training")
    near = sorted(s for s, v in zip(ideal["sigma"].values, ideal.values, strict=True) if v < 1)
    where = f"at sigma {', '.join(f'{s:.2g}' for s in near)}" if near else "at no noise level"
    (line,) = (s for s in said if f"training images {unet}" in s)
    assert line.endswith(f"{unet} is nearer the ideal denoiser than the Wiener filter {where}.")
    # what is ahead of the machine by a tenth everywhere keeps its promise
    better = r.copy(deep=True)
    better.loc[{"predictor": "sighted"}] = r.sel(predictor="bbels") + 0.1
    better.loc[{"predictor": "replicate"}] = r.sel(predictor="bbels") + 0.15
    ds = tree["agreement"].to_dataset().assign(r=better).isel(seed=np.arange(40) % 4)
    lucky = tree.copy()
    lucky["agreement"] = xr.DataTree(ds.assign_coords(seed=np.arange(40)))
    line = made.promised(lucky, "sighted")
    assert "in 1 of 1 UNet rows" in line
    assert "leaves to the ceiling in 1" in line
