"""The published files themselves, where they are at hand: what they are said to be is measured."""

import os
from pathlib import Path

import network_standins as standins
import pytest
import torch

from archbias import FAMILIES, ImageSet, networks, seeds
from archbias.networks import blind_cnn
from archbias.probes import local
from archbias.probes.jacobian import Jacobian
from archbias.probes.symmetry import equivariance_error

WINDOWS = (5, 9, 13, 23, 43)


@pytest.fixture(scope="module")
def weights() -> Path:
    """The folder of the published files, or a skip that says how to give it."""
    default = Path(__file__).parents[3] / "shared" / "networks"
    folder = Path(os.environ.get("ARCHBIAS_TEST_NETWORKS", default))
    if not folder.is_dir():
        pytest.skip(
            "the published networks are not at hand; set ARCHBIAS_TEST_NETWORKS to their folder"
        )
    return folder


def width_of(denoiser, sigma=0.5) -> int:
    """Side of the window of the bias card: all the energy of the Jacobian."""
    y = sigma * seeds.normal(range(1), denoiser.shape, dtype=torch.float64)
    field = local.receptive_field(Jacobian(denoiser, y, sigma), 1)
    return 2 * local.radii(field)[1] + 1


def test_every_published_file_is_read(weights):
    for name in networks.names():
        assert networks.check(name, weights)["sha256"].endswith("as published")


@pytest.mark.parametrize("window", WINDOWS)
def test_the_card_finds_the_windows_the_authors_built(weights, window):
    denoiser = networks.load(f"celeba160-blind-cnn-window{window}", root=weights, size=47)
    assert width_of(denoiser) == window == denoiser.facts.window


@pytest.mark.parametrize("window", WINDOWS)
def test_the_card_finds_the_window_of_a_stand_in(window, tmp_path):
    """The same five fields with few channels, drawn at random, of 5x5, 3x3 and 1x1."""
    kernels = [5] * ((window - 1) // 4) + [1] + [3] * ((window - 1) % 4 // 2)
    path = tmp_path / "net.pt"
    torch.save(standins.blind_cnn(kernels, 16), path)
    assert width_of(networks.read(path, size=window + 4)) == window


def scale_error(denoiser) -> float:
    """|D(c y) - c D(y)| / |c D(y)| about black, which is -1 in our pixels."""
    y = seeds.normal(range(2), denoiser.shape, dtype=torch.float64)
    once, thrice = denoiser(y - 1, 0.5) + 1, denoiser(3 * y - 1, 1.5) + 1
    return float((thrice - 3 * once).norm() / (3 * once).norm())


@pytest.mark.parametrize("name", ["celeba40-blind-cnn", "celeba160-blind-cnn-window13"])
def test_bias_free_networks_have_no_scale(weights, name):
    assert scale_error(networks.load(name, root=weights, size=20)) < 1e-12


def test_other_networks_have_a_scale(weights):
    assert scale_error(networks.load("mnist-cnn", root=weights)) > 0.01


def shifted_error(denoiser) -> tuple[float, float]:
    y = seeds.normal(range(2), denoiser.shape, dtype=torch.float64)
    errors = equivariance_error(Jacobian(denoiser, y, 1.0), ((1, 0), (2, -1)))
    return errors[:, 0].tolist(), errors[:, 1].tolist()


def test_convolutions_with_zeros_commute_with_translations_inside(weights):
    """As far as the border is out of sight: exactly; at the border they do not."""
    inside, border = shifted_error(
        networks.load("celeba160-blind-cnn-window9", root=weights, size=32)
    )
    assert max(inside) < 1e-12
    assert min(border) > 1e-3


def test_a_stand_in_commutes_too_and_a_network_that_knows_its_place_does_not(tmp_path):
    torch.save(standins.blind_cnn(), tmp_path / "a.pt")
    assert max(shifted_error(networks.read(tmp_path / "a.pt", size=32))[0]) < 1e-12
    torch.save(standins.time_cnn(size=(16, 16)), tmp_path / "b.pt")
    denoiser = networks.read(tmp_path / "b.pt")
    assert min(shifted_error(denoiser)[0]) > 0.01


def errors(weights, data, name, sigma, n=600, judged=16):
    """Squared error per pixel of the network on images the Wiener filter has not seen, the
    filter's own, and the ideal denoiser's of a set that holds them: the least a denoiser that knows
    every image could have.
    """
    images = networks.images(name, root=data, n=n + judged)
    x = images.images[n:]
    train = ImageSet.from_array(images.images[:n])
    y = x + sigma * seeds.normal(range(judged), images.shape)
    denoiser = networks.load(name, root=weights, conditional=False)
    three = denoiser, FAMILIES["linear"]().fit(train), FAMILIES["ideal"]().fit(images)
    with torch.no_grad():
        return [float((f(y, sigma) - x).square().mean()) for f in three]


@pytest.mark.parametrize(
    ("name", "data", "sigmas"),
    [
        ("mnist-cnn", "mnist.npz", (0.1, 0.5, 1.5)),
        ("mnist-transformer", "mnist.npz", (0.3, 1.0, 3.0)),
        ("mnist-unet", "mnist.npz", (0.1, 0.5, 1.5)),
        ("celeba40-blind-cnn", "celeba", (0.1, 0.7)),
    ],
)
def test_denoising_error_lies_between_the_ideal_and_the_wiener_filter(
    weights, real_data, name, data, sigmas
):
    """Which it does only if the definition, the scaling and the level told are the authors'."""
    for sigma in sigmas:
        network, wiener, ideal = errors(weights, real_data / data, name, sigma)
        assert ideal < network < 0.9 * wiener, sigma


def test_the_unet_is_worse_than_the_wiener_filter_at_high_noise(weights, real_data):
    for sigma in (5.0, 20.0):
        network, wiener, _ = errors(weights, real_data / "mnist.npz", "mnist-unet", sigma)
        assert network > 1.2 * wiener


def test_levels_are_those_of_the_files(weights):
    def of(name):
        return networks.load(name, root=weights).levels

    assert of("mnist-cnn") == pytest.approx((0.0297, 316.4), rel=1e-2)
    assert of("mnist-unet") == pytest.approx((0.01, 157.4), rel=1e-2)
    assert of("celeba40-blind-cnn") == (0.0, 2.0)
    assert blind_cnn.build in {e.build for e in networks.entries().values()}
