"""Calibration finds the scale of a machine that is known, by every protocol."""

import pytest
import torch

from archbias import noise, seeds
from archbias.data import ImageSet
from archbias.errors import InputError
from archbias.posteriors.calibrate import _choose, calibrate
from archbias.posteriors.coordinates import calibrate_all
from archbias.posteriors.ideal import Ideal
from archbias.posteriors.levels import Schedule
from archbias.posteriors.masked import Masked
from archbias.posteriors.score_machines import BBELS, LS
from archbias.posteriors.windows import WindowSchedule


def images(n=12, size=8, seed=0):
    x = torch.rand(n, 1, size, size, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    return ImageSet.from_array((x + x.roll(1, 2) + x.roll(1, 3)) / 3)


LEVELS = noise.geometric(5, 0.1, 3.0)
HIDDEN = WindowSchedule(tuple(LEVELS[:-1].flip(0).tolist()), (3, 3, 5, 7, 7))


@pytest.mark.parametrize("protocol", ["cosine", "monotone"])
@pytest.mark.parametrize("family", [LS, BBELS])
def test_recovers_the_schedule_of_a_machine(family, protocol):
    data = images()
    found = calibrate(
        family(window=HIDDEN).fit(data),
        family(),
        data,
        range(5),
        protocol=protocol,
        sigmas=LEVELS,
        batch=2,
    )
    assert found.schedule.windows == HIDDEN.windows
    assert found.choice.shape == (5, 5)
    assert (found.choice == torch.tensor(HIDDEN.windows).flip(0)[:, None]).all()
    exact = found.error.min(2).values
    assert exact.max() < 1e-10
    assert found.cosine.max(2).values.min() > 1 - 1e-6


@pytest.mark.parametrize("protocol", ["cosine", "monotone", "least"])
def test_recovers_any_numeric_setting(protocol):
    data = images(30)
    sigmas = tuple(LEVELS[:-1].flip(0).tolist())
    hidden = Schedule(sigmas, (0.3, 0.3, 0.6, 1.0, 1.0))
    network = Masked(mask="energy", power=hidden).fit(data)
    found = calibrate(
        network,
        Masked(mask="energy"),
        data,
        range(4),
        protocol=protocol,
        sigmas=LEVELS,
        setting="power",
        candidates=(1.0, 0.3, 0.6),
    )
    assert found.setting == "power"
    assert found.windows.tolist() == [0.3, 0.6, 1.0]
    assert found.schedule == Schedule(sigmas, hidden.values, found.schedule.source)
    assert found.under("least").schedule.values == hidden.values
    spec = Masked(mask="energy", power=found.schedule)
    assert spec.told == "a scale"


def test_recovers_several_settings_in_turn():
    """Coordinate by coordinate; windows and moves of a masked theory, and only whole radii."""
    data, draws = images(20, 6), range(100, 103)
    sigmas = tuple(LEVELS[:-1].flip(0).tolist())
    hidden = Masked(
        mask="window",
        window=WindowSchedule(sigmas, (3, 3, 5, 5, 5)),
        rho=Schedule(sigmas, (0.7, 0.7, 0.7, 0.0, 0.0)),
    )
    settings = {"window": (3, 5), "rho": (0.0, 0.7)}
    found = calibrate_all(
        hidden.fit(data), Masked(mask="window"), data, draws, settings, rounds=2, sigmas=LEVELS
    )
    assert [s.setting for s in found.steps] == ["window", "rho"] * 2
    assert found.spec.window.windows == hidden.window.windows
    assert found.spec.rho.values == hidden.rho.values
    assert found.steps[-1].error.min(2).values.max() < 1e-10
    assert found.apart([1, 2]) == (1, 2)
    with pytest.raises(InputError, match="judge on other seeds"):
        found.apart([100])
    with pytest.raises(InputError, match="wanted settings to fit"):
        calibrate_all(hidden.fit(data), Masked(), data, draws, {})
    with pytest.raises(InputError, match="candidates of the setting share"):
        calibrate_all(hidden.fit(data), Masked(), data, draws, {"share": ()})


def test_held_out_error_is_the_error_on_held_out_images():
    data, others = images(), images(3, seed=1)
    found = calibrate(
        None,
        LS(),
        data,
        range(4),
        protocol="held-out",
        held_out=others,
        sigmas=LEVELS,
        windows=(3, 7),
    )
    for j, k in enumerate((3, 7)):
        for s in range(4):
            x = others.images[s % 3 : s % 3 + 1]
            y = x + 3.0 * seeds.normal([s], data.shape)
            want = (LS(window=k).fit(data)(y, 3.0).double() - x.double()).square().mean()
            torch.testing.assert_close(found.error[0, s, j], want, rtol=1e-5, atol=1e-9)
    assert found.schedule.windows[-1] == (3, 7)[int(found.error[0].mean(0).argmin())]


def test_follows_the_networks_own_trajectory():
    from archbias import sample

    data = images()
    network = Ideal().fit(data)
    found = calibrate(network, LS(), data, [4], sigmas=LEVELS, windows=(5,))
    path = sample.ddim(network, seeds.normal([4], data.shape), LEVELS, path=True)
    for t, sigma in enumerate(LEVELS[:-1].tolist()):
        want = (
            (network(path[t], sigma) - LS(window=5).fit(data)(path[t], sigma))
            .double()
            .square()
            .mean()
        )
        torch.testing.assert_close(found.error[t, 0, 0], want, rtol=1e-4, atol=1e-10)


def test_choices_by_hand():
    error = torch.tensor([[[3.0, 2, 1]], [[1.0, 2, 3]], [[3.0, 1, 0]]])
    together, alone = _choose("monotone", 0 * error, error)
    assert together.tolist() == [2, 0, 0]
    assert alone[:, 0].tolist() == [2, 0, 0]
    cosine = torch.tensor([[[0.1, 0.9, 0.2], [0.9, 0.1, 0.2], [0.0, 0.1, 0.2]]])
    together, alone = _choose("cosine", cosine, -cosine)
    assert alone.tolist() == [[1, 0, 2]]
    assert together.tolist() == [1]


def test_seeds_are_kept_apart_and_bad_input_is_explained():
    data = images(4)
    network = Ideal().fit(data)
    found = calibrate(network, LS(), data, [1, 2], sigmas=LEVELS, windows=(3,))
    assert found.apart(range(3, 6)) == (3, 4, 5)
    with pytest.raises(InputError, match="judge on other seeds"):
        found.apart([2, 3])
    with pytest.raises(InputError, match="unknown calibration protocol"):
        calibrate(network, LS(), data, [1], protocol="cosin")
    with pytest.raises(InputError, match="setting window"):
        calibrate(network, Ideal(), data, [1])
    with pytest.raises(InputError, match="distinct seeds"):
        calibrate(network, LS(), data, [1, 1])
    with pytest.raises(InputError, match="network=None"):
        calibrate(network, LS(), data, [1], protocol="held-out")
    with pytest.raises(InputError, match="pass the network"):
        calibrate(None, LS(), data, [1])


def test_other_shapes_and_other_numbers_of_labels_are_refused():
    data = images(4)
    two = ImageSet.from_array(data.images.repeat(1, 2, 1, 1))
    # one channel would be taken for both
    with pytest.raises(InputError, match=r"shape \(2, 8, 8\)"):
        calibrate(None, LS(), two, [1], protocol="held-out", held_out=data, sigmas=LEVELS)
    told = ImageSet.from_array(data.images, labels=torch.tensor([0, 1, 0, 1]))
    for labels in ([0], [0, 1, 1]):
        with pytest.raises(InputError, match=f"got {len(labels)} for 2 seeds"):
            calibrate(
                LS().fit(told),
                LS(),
                told,
                [1, 2],
                sigmas=LEVELS,
                labels=torch.tensor(labels),
                batch=1,
            )
    with pytest.raises(InputError, match="got none for 2x2 images"):
        calibrate(Ideal().fit(images(4, 2)), LS(), images(4, 2), [1])
