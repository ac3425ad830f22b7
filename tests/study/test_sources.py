"""Where pixels come from: what the theorem says of an image that a machine leaves alone."""

import torch

from archbias import noise, sample, seeds
from archbias.data import ImageSet
from archbias.posteriors.score_machines import BBELS
from archbias.study import sources


def random(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_pixels_a_machine_leaves_alone_are_those_equal_to_their_source():
    """Theorem 4.1: at vanishing noise a call puts the centre of the nearest training window at
    every pixel.
    """
    images = ImageSet.from_array(random(6, 1, 8, 8))
    machine = BBELS(window=3).fit(images)
    x = sample.ddim(machine, seeds.normal(range(3), images.shape), noise.cosine(20))
    found = machine.mosaic(x)
    moved = (machine(x, 1e-3) - x).abs().amax(1).double()
    clear = found.margin > 0.05  # no second window nearly as near
    assert clear.float().mean() > 0.8
    torch.testing.assert_close(moved[clear], found.difference[clear], atol=1e-5, rtol=0)
    assert 0.3 < found.consistent.mean() < 1
    torch.testing.assert_close(sources.settled(machine, images.images, None), images.images)
    assert (machine.mosaic(images.images).consistent == 1).all()
