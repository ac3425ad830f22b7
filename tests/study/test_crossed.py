"""Crossed designs: names, labels, costs, and a whole small design whose numbers are made again by
hand.
"""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from archbias import families, noise, open_study, sample, seeds
from archbias.data import ImageSet
from archbias.errors import InputError
from archbias.metrics import agreement
from archbias.nets.resnet import ResNet
from archbias.nets.train import Train
from archbias.nets.unet import UNet
from archbias.posteriors import calibrate
from archbias.posteriors.ideal import Ideal
from archbias.posteriors.score_machines import BBELS, ELS, LS
from archbias.regressions.linear import Linear
from archbias.study import Images, Study, cells, crossed, run
from archbias.study.crossed import ByLabel, Fit, Row, Theory, costs, predictions

FIT = Fit(seeds=2, windows=(3, 5, 9), steps=3, held_out=4)


@dataclass(frozen=True)
class FromFile:
    """A network that is read, not trained."""

    file: str
    trained = False

    def fit(self, images, *, runtime=None):
        return families.load(self.file)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    rng = np.random.default_rng(0)
    x = rng.uniform(-0.2, 0.2, (24, 1, 8, 8)) + np.repeat([-0.5, 0.5], 12)[:, None, None, None]
    folder = tmp_path_factory.mktemp("images")
    file = folder / "two.npz"
    np.savez(file, images=x.astype("f4"), labels=np.repeat([4, 9], 12))
    return Images(name="array", root=str(file), n=20, size=None)


def row_of(images, **changes):
    usual = dict(set="two", network="read", maker=Ideal(), images_of=images, seeds=3, steps=4)
    return Row(**(usual | dict(network_steps=5) | changes))


def test_names_of_a_row_with_one_set_and_with_several(images):
    several, one = row_of(images), row_of(images, set="")
    assert [str(several), several.cell("ls"), several.group("samples")] == [
        "two read",
        "two read ls",
        "two/samples",
    ]
    assert [str(one), one.cell("ls"), one.group("samples")] == ["read", "ls-read", "samples"]
    x = torch.zeros(3, 1, 8, 8)
    assert several.prediction("ls", x)["two/predictions"].sizes["family"] == 1
    assert one.prediction("ls", x)["predictions"]["predictor"].item() == "read: ls"


def test_labels_go_round_and_theories_without_labels_follow_them():
    rng = torch.Generator().manual_seed(0)
    x = 0.1 * torch.rand(6, 1, 8, 8, generator=rng) + torch.repeat_interleave(
        torch.tensor([-0.5, 0.5]), 3
    ).reshape(6, 1, 1, 1)
    images = ImageSet.from_array(x, labels=torch.tensor([4, 4, 4, 9, 9, 9]))
    labels = crossed.labels_of(images, range(5))
    assert labels.tolist() == [4, 9, 4, 9, 4]
    theory = crossed.theory_of(Linear(), images, True)
    assert isinstance(theory, ByLabel)
    y = seeds.normal(range(5), images.shape) + x[[0, 3, 0, 3, 0]]
    found = theory(y, 0.7, labels)
    apart = {4: Linear().fit(images.subset(ids=images.ids[:3]))}
    apart[9] = Linear().fit(images.subset(ids=images.ids[3:]))
    for b, label in enumerate(labels.tolist()):
        want = apart[label](y[b : b + 1], 0.7)
        torch.testing.assert_close(found[b : b + 1], want, atol=1e-6, rtol=0)
    levels = torch.tensor([0.7, 0.2, 0.7, 0.2, 0.7])
    torch.testing.assert_close(theory(y, levels, labels)[1::2], apart[9](y[1::2], 0.2))
    assert crossed.theory_of(Linear(), images, False).classes == ()
    assert not isinstance(crossed.theory_of(LS(), images, True), ByLabel)


def test_the_mean_image_is_that_of_the_label(images):
    row = row_of(images, labelled=True)
    x = images.load()
    means = predictions.mean_images(row)
    wanted = [x.images[x.labels == k].double().mean(0).float() for k in (4, 9, 4)]
    torch.testing.assert_close(means, torch.stack(wanted))
    plain = predictions.mean_images(row_of(images))
    torch.testing.assert_close(plain[2], x.images.double().mean(0).float())


@pytest.mark.parametrize(
    "spec",
    [
        UNet(),
        UNet(pooling="none", levels=3, skips=False),
        UNet(pooling="stride", levels=4, multiplier=1),
        UNet(pooling="blur", channels=8, blocks=2),
        UNet(conditioning="per_level", levels=1),
        ResNet(depth=4, width=24),
    ],
    ids=lambda spec: f"{type(spec).__name__} {getattr(spec, 'pooling', '')}",
)
def test_multiplications_are_those_that_pytorch_counts(spec):
    with FlopCounterMode(display=False) as counter, torch.device("meta"), torch.no_grad():
        spec.module((3, 32, 32))(
            torch.zeros(1, 3, 32, 32), torch.zeros(1) if spec.told else None, None
        )
    counted = counter.get_total_flops() / 2
    assert costs.multiplications(spec, (3, 32, 32)) == pytest.approx(counted, rel=0.01)


def test_a_theory_says_how_its_scale_is_found():
    with pytest.raises(InputError, match="did you mean 'cosine'"):
        Theory(spec=LS(), found="cosin")
    assert Theory(spec=LS(), found="cosine").fitted == "ls"
    assert Theory(spec=ELS(), found="cosine", like="bbels").fitted == "bbels"


def test_a_whole_design_is_made_again_by_hand(images, tmp_path):
    """A network read from a file, another one as its ceiling, theories of every kind."""
    x = images.load()
    files = [str(tmp_path / f"{k}.safetensors") for k in range(2)]
    for file, spec in zip(files, (LS(window=3), LS(window=5)), strict=True):
        families.save(spec.fit(x), file)
    row = row_of(images, maker=FromFile(files[0]))
    theories = {
        "given": Theory(spec=BBELS(window=3)),
        "ls": Theory(spec=LS(), found="cosine"),
        "ls, monotone": Theory(spec=LS(), found="monotone"),
        "ls, held-out": Theory(spec=LS(), found="held-out"),
    }
    made = [crossed.predicted(row, name, theory) for name, theory in theories.items()]
    made.append(crossed.again(row, FromFile(files[1]), "another network"))
    made += [crossed.reference(row, n, s) for n, s in (("mean image", None), ("ideal", Ideal()))]
    plan = [
        *made,
        crossed.network(row),
        crossed.calibrated(row, "ls", FIT),
        crossed.held_out(row, "ls", FIT),
        crossed.compared(row, made, also=(crossed.by_region, crossed.by_band("ls"))),
    ]
    settings = cells.Settings(data=images)
    state = run(Study("one", "", settings, lambda _: plan), settings, tmp_path / "run")
    assert state.failed == {}
    tree = open_study(tmp_path / "run")

    noise_, network = seeds.normal(range(3), x.shape), families.load(files[0])
    drawn = sample.ddim(network, noise_, noise.cosine(5))
    np.testing.assert_allclose(tree["two/samples/sample"][0], drawn, atol=1e-5)
    found = calibrate.calibrate(
        network, LS(), x, FIT.which, windows=(3, 5), sigmas=noise.cosine(3), protocol="monotone"
    )
    want = sample.ddim(LS(window=found.schedule).fit(x), noise_, noise.cosine(4))
    predicted = tree["two/predictions/prediction"].sel(family="read")
    np.testing.assert_allclose(predicted.sel(predictor="ls, monotone"), want, atol=1e-5)
    other = sample.ddim(families.load(files[1]), noise_, noise.cosine(5))
    np.testing.assert_allclose(predicted.sel(predictor="another network"), other, atol=1e-5)
    r = tree["agreement/r"].sel(family="two read")
    assert set(r["predictor"].values) == {
        *theories,
        "another network",
        "mean image",
        "ideal",
        "another seed",
    }
    np.testing.assert_allclose(
        r.sel(predictor="another network"), agreement.pearson_r(drawn, other), atol=1e-5
    )
    np.testing.assert_allclose(
        r.sel(predictor="another seed"), agreement.pearson_r(drawn, drawn.roll(-1, 0)), atol=1e-5
    )
    assert tree["rows/n"].item() == 20
    assert "training_steps" not in tree["rows"]
    assert tree["regions/region_r"].sizes["region"] == 4
    assert tree["bands"].sizes["seed"] == 3
    assert not (tmp_path / "run" / "models").exists()


def test_a_ceiling_differs_in_its_training_seed_alone():
    spec = ResNet(train=Train(steps=7, seed=3))
    assert crossed.retrained(spec, 8) == ResNet(train=Train(steps=7, seed=8))
