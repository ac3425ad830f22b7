"""The study of score machines: its statistics against independent computations, and the whole of it
at toy size.
"""

from pathlib import Path

import numpy as np
import paper_page
import pytest
import torch

import archbias
from archbias import noise, study
from archbias.data import ImageSet
from archbias.errors import InputError
from archbias.metrics import agreement, parts
from archbias.nets.resnet import ResNet
from archbias.nets.train import Train
from archbias.posteriors import calibrate
from archbias.posteriors.score_machines import BBELS, LS

FOLDER = Path(__file__).parents[2] / "studies" / "score_machines"


@pytest.fixture(scope="module")
def asked():
    return study.load(FOLDER)


@pytest.fixture(scope="module")
def ran(asked, tmp_path_factory):
    folder = tmp_path_factory.mktemp("score_machines")
    settings = asked.configure("toy")
    state = study.run(asked, settings, folder)
    assert not state.failed
    return settings, folder, archbias.open_study(folder)


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_one_measurement_serves_both_protocols_that_follow_a_network():
    images = ImageSet.from_array(random(12, 1, 8, 8))
    network = ResNet(depth=2, width=4, train=Train(steps=3, batch=4)).fit(images)
    settings = dict(fit_seeds=range(90, 93), windows=(3, 5, 7), sigmas=noise.cosine(5))
    found = calibrate.calibrate(network, LS(), images, protocol="cosine", **settings)
    want = calibrate.calibrate(network, LS(), images, protocol="monotone", **settings)
    other = found.under("monotone")
    assert (other.schedule, other.protocol) == (want.schedule, "monotone")
    assert torch.equal(other.choice, want.choice)
    assert found.under("cosine").schedule == found.schedule
    with pytest.raises(InputError, match="calibrate again"):
        found.under("held-out")


def test_settings_choose_sets_and_say_what_is_missing(asked, tmp_path):
    settings = asked.configure(
        "laptop", {"sets": "fashion_mnist", "celeba.root": "faces", "mnist.n": 500}
    )
    # of the sets at hand a run remembers which images they were
    assert settings.hashes() == {"fashion_mnist": settings.fashion_mnist.load().hash}
    assert asked.configure("laptop", {"sets": "celeba", "celeba.root": "faces"}).hashes() == {}
    names = {c.name for c in asked.plan(settings)}
    assert {"fashion_mnist resnet", "fashion_mnist resnet parts"} <= names
    assert not any(n.startswith(("celeba", "mnist", "cifar10")) for n in names)
    assert (settings.celeba.root, settings.mnist.n) == ("faces", 500)
    everything = {c.name for c in asked.plan(asked.configure("paper"))}
    assert {
        "cifar10 unet, attention compare",
        "celeba unet bbels, published",
        "mnist unet, circular els, held-out",
        "mnist resnet, circular els, published",
        "cifar10 resnet, circular ls, published",
    } <= everything
    # no windows were published for these
    assert "cifar10 unet, attention bbels, published" not in everything
    longer = asked.configure("overnight", {"cifar10.root": "p"})
    assert [(str(r), r.images_of.n, r.maker.train.steps, r.labelled) for r in longer.chosen()] == [
        (f"cifar10-{n} {net}", n, 15_000, True)
        for n in (20_000, 5000, 1000)
        for net in ("unet", "unet, attention", "resnet")
    ]
    assert all(r.images_of.root == "p" for r in longer.chosen())
    assert "cifar10-5000 resnet bbels, published" in {c.name for c in asked.plan(longer)}
    for wrong, said in (
        ({"rows": "celeba renset"}, "SET NETWORK"),
        ({"data": "mnist"}, "own settings"),
        ({"sets": "x"}, "sets are"),
    ):
        with pytest.raises(InputError, match=said):
            asked.plan(asked.configure("laptop", wrong))
    absent = asked.configure(
        "toy", {"sets": "mnist", "rows": "mnist resnet", "mnist.root": str(tmp_path)}
    )
    state = study.run(asked, absent, tmp_path / "run")
    assert "wanted MNIST" in state.failed["mnist resnet"]
    assert str(tmp_path) in state.failed["mnist resnet"]


@pytest.mark.slow
def test_scales_are_fitted_on_other_seeds_and_kept_seed_by_seed(ran):
    settings, _, tree = ran
    calibration = tree["calibration"].to_dataset()
    assert not set(calibration["fit_seed"].values) & set(range(settings.seeds))
    choice = calibration["choice"].sel(family="fashion_mnist resnet", machine="bbels")
    assert set(np.unique(choice)) <= {3, 5, 9}
    for protocol, statistic in (("cosine", "score_cosine"), ("monotone", "score_error")):
        one = calibration.sel(
            family="fashion_mnist resnet", machine="bbels", protocol=protocol
        ).sortby("sigma", ascending=False)
        values = one[statistic]
        if protocol == "cosine":
            want = values["window"].values[values.argmax("window").values]
            np.testing.assert_array_equal(one["choice"].values, want)
            np.testing.assert_array_equal(
                one["scale"].values, np.quantile(want, 0.5, axis=1, method="lower")
            )
        else:
            assert (one["scale"].diff("sigma") <= 0).all()


@pytest.mark.slow
def test_agreement_is_that_of_the_stored_pictures(ran):
    _, _, tree = ran
    row, network = "fashion_mnist unet, attention", "unet, attention"
    x = torch.from_numpy(tree["fashion_mnist/samples/sample"].sel(family=network).values)
    p = torch.from_numpy(
        tree["fashion_mnist/predictions/prediction"].sel(family=network, predictor="bbels").values
    )
    r = tree["agreement"]["r"].sel(family=row)
    np.testing.assert_allclose(
        r.sel(predictor="bbels").values, agreement.pearson_r(x, p).numpy(), atol=1e-12
    )
    known = {
        "bbels",
        "bbels, held-out",
        "bbels, monotone",
        "ls",
        "ideal",
        "es",
        "wiener",
        "mean image",
        "replicate",
        "another seed",
    }
    assert r.sel(predictor=sorted(known)).notnull().all()
    assert r.sel(predictor="els").isnull().all()  # its border is bbELS's


@pytest.mark.slow
def test_the_machine_is_the_one_the_calibration_chose(ran):
    settings, _, tree = ran
    images = settings.fashion_mnist.load()
    one = (
        tree["calibration"]["scale"]
        .sel(family="fashion_mnist resnet", machine="bbels", protocol="monotone")
        .sortby("sigma")
    )
    schedule = archbias.posteriors.windows.WindowSchedule(
        tuple(one["sigma"].values.tolist()), tuple(int(k) for k in one.values)
    )
    labels = torch.tensor([images.classes[s % len(images.classes)] for s in range(settings.seeds)])
    start = archbias.seeds.normal(range(settings.seeds), images.shape)
    want = archbias.sample.ddim(
        BBELS(window=schedule).fit(images), start, settings.sigmas, labels=labels
    )
    found = tree["fashion_mnist/predictions/prediction"].sel(
        family="resnet", predictor="bbels, monotone"
    )
    np.testing.assert_allclose(found.values, want.numpy(), atol=1e-5)


@pytest.mark.slow
def test_parts_beliefs_and_mosaics_are_in_the_store(ran):
    settings, _, tree = ran
    pictures = tree["fashion_mnist/parts/image"].sel(family="resnet", maker="network", kind=1)
    pictures = torch.from_numpy(pictures.values[: settings.part_seeds])
    counted = (
        tree["parts"]["parts"].sel(family="fashion_mnist resnet", maker="network", kind=1).values
    )
    np.testing.assert_array_equal(counted[: settings.part_seeds], parts.parts(pictures).numpy())
    images = settings.fashion_mnist.load()
    training = tree["parts"]["parts"].sel(family="fashion_mnist resnet", maker="training", kind=1)
    assert training.notnull().sum() == (images.labels == 1).sum()
    effective = tree["collapse"]["effective"].sel(family="fashion_mnist resnet")
    assert (effective >= 1 - 1e-6).all()
    assert (effective.sel(window="falling") >= effective.sel(window="fixed at 9")).mean() > 0.5
    exact = tree["mosaic"]["consistent"].sel(family="fashion_mnist resnet")
    assert exact.sel(maker="bbels, settled").mean() > exact.sel(maker="bbels").mean()


@pytest.mark.slow
def test_a_finished_run_is_left_alone(ran, asked):
    settings, folder, _ = ran
    before = {p: p.stat().st_mtime_ns for p in (folder / "cells").glob("*.nc")}
    study.run(asked, settings, folder)
    assert before == {p: p.stat().st_mtime_ns for p in (folder / "cells").glob("*.nc")}


@pytest.mark.slow
def test_figures_and_summary(ran, asked, tmp_path):
    settings, _, tree = ran
    made = study.figures(asked.folder)
    paper_page.check(made, tree, tmp_path)
    drawn = made.figures(tree)
    wanted = {
        "wall",
        "wall-fashion_mnist-unet",
        "agreement",
        "scale",
        "collapse",
        "mosaic",
        "parts",
        "attention-fashion_mnist",
    }
    assert wanted <= set(drawn)
    for name in wanted:
        assert archbias.plots.render(drawn[name], "png")
    table = made.summary(tree).set_index(["set", "network"])
    absent, present = (
        table.loc["CelebA", "ResNet, zeros"],
        table.loc["FashionMNIST", "ResNet, zeros"],
    )
    assert (absent["theirs ELS"], absent["theirs LS"], absent["theirs IS"]) == (
        "0.96",
        "0.90",
        "0.47",
    )
    assert set(absent.drop(["theirs ELS", "theirs LS", "theirs IS"])) == {made.DASH}
    assert (present["N"], present["training steps"], present["epochs"], present["seeds"]) == (
        "40",
        "20",
        "4",
        "3",
    )
    values = [
        float(np.median(tree["agreement"][k].sel(family="fashion_mnist resnet", predictor="bbels")))
        for k in ("r", "r_squared", "explained", "amplitude_ratio")
    ]
    r, *rest = present["ours ELS"].split(" / ")
    assert r.split()[0] == f"{values[0]:.2f}"
    assert rest == [f"{v:.2f}" for v in values[1:]]
    assert table.loc["FashionMNIST", "ResNet, circular"]["theirs ELS"] == made.DASH
    assert len(made.THEIRS) == 11
    assert settings.families.keys() >= {"resnet", "unet"}


@pytest.mark.slow
def test_a_network_on_more_images_of_a_set_is_a_row_of_its_own(asked, tmp_path):
    few, many = "fashion_mnist resnet", "fashion_mnist-60 resnet"
    changes = {"rows": (few, many), "scales": "cosine", "fixed": (), "kinds": (), "seeds": 4}
    settings = asked.configure("toy", changes)
    assert not study.run(asked, settings, tmp_path / "run").failed
    tree, made = archbias.open_study(tmp_path / "run"), study.figures(FOLDER)
    n = tree["rows"]["n"].to_series().to_dict()
    assert n == {few: 40, many: 60}
    r = tree["agreement"]["r"].sel(predictor="bbels")
    change = np.median(r.sel(family=many) - r.sel(family=few))
    (said,) = (s for s in made.findings(tree) if "from N = 40 to 60" in s)
    assert f"(difference seed by seed {change:.2f} [" in said
    briefly = made.says(tree)["number"]
    assert f"From N = 40 to 60 r changes by {change:.2f} with bbels and by " in briefly
    assert briefly.endswith("with Wiener (FashionMNIST ResNet, zeros).")
    (axes,) = made.figures(tree)["number"].axes
    line = next(one for one in axes.lines if one.get_label() == "its machine")
    assert line.get_xdata().tolist() == [40, 60]
    medians = [float(r.sel(family=row).median()) for row in (few, many)]
    np.testing.assert_allclose(line.get_ydata(), medians)
    assert made.title("fashion_mnist-60", "resnet") == "FashionMNIST ResNet, zeros, N = 60"
    assert len(made.summary(tree).query("network == 'ResNet, zeros'").query("N != '–'")) == 2
    with pytest.raises(InputError, match="SET-N NETWORK"):
        asked.plan(asked.configure("toy", {"rows": "fashion-60 resnet"}))
    noise_of = [0.1, -0.1, 0.1, -0.1]
    for shift, word in ((0.2, "rises"), (-0.2, "falls"), (0, "is not told apart")):
        other = tree.copy(deep=True)
        values = other["agreement"]["r"]
        own = values.loc[{"family": few, "predictor": "bbels"}]
        values.loc[{"family": many, "predictor": "bbels"}] = own + shift + noise_of
        (said,) = (s for s in made.findings(other) if "from N = 40 to 60" in s)
        assert f"agreement with bbels {word}, r " in said
