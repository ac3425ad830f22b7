"""What a cell of a crossed design takes on two cores: estimates, for the plan and the time left.

    training   images x multiplications of one evaluation x rate
    a score    of a machine with window and shifts: pairs of pixels of image and training set
               of any other closed form: pixels of the training set

The rate of a training is timed on this machine, in a few steps of a small network of the same kind
(`archbias.nets.timing`). Those of closed forms were measured on two Xeon cores; on other processors
only their ratios hold. Nothing here loads an image.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ... import families
from ...nets import timing
from ...nets.resnet import ResNet
from ...nets.train import Train
from ...nets.unet import UNet
from .. import Images

# seconds of a bbELS score per pair of pixels, and more for each channel
PAIR = (4.0e-10, 0.9e-10)
# all shifts instead of those that keep the border
PAIRWISE = {"bbels": 1.0, "els": 1.5}
# seconds of a score per pixel of the training set
PLACE = {
    "ls": 3e-8,
    "graded": 7.5e-7,  # of its default radius, 25 moves
    "es": 1.5e-7,
    "ideal": 1e-9,
    "linear": 1e-10,
    "golden": 1e-9,
}
UNKNOWN = 3e-8
# seconds of a masked score per pair of pixels and image, masks shared by the channels or not
MASKED = {True: 5e-11, False: 3.3e-10}
MOVES = 10  # sources a masked theory with moves looks at, on average over a sampler's levels
PULL = 2e-3  # seconds of a network's backward pass for one output pixel
CORES = 1.8  # what two cores give of one
CLASSES = 10  # labels of a set that is told them
SIDE, BATCH = 32, 16  # of the images whose training is timed


def shape_of(images: Images) -> tuple[int, int, int]:
    """(C, H, W) of a named set's images."""
    grey = any(word in images.name for word in ("mnist", "digits"))
    side = images.size or (28 if grey else 32)
    return (1 if grey else 3), side, side


def score_seconds(spec: Any, images: Images, labelled: bool = False) -> float:
    """Estimated time of denoising one image by a closed form."""
    name = next((n for n, cls in families.FAMILIES.items() if type(spec) is cls), "")
    if name == "blend":
        return sum(score_seconds(part, images, labelled) for part in spec.parts)
    colours, height, width = shape_of(images)
    pixels, n = height * width, images.n / (CLASSES if labelled else 1)
    if name in PAIRWISE:
        return n * pixels**2 * (PAIR[0] + PAIR[1] * colours) * PAIRWISE[name] / CORES
    if name == "patch_composite":
        return n * pixels**2 * MASKED[True] / CORES
    if name == "masked":
        moves = 1 if spec.rho == 0 else MOVES
        return n * pixels**2 * MASKED[spec.shared] * moves / CORES
    return n * pixels * PLACE.get(name, UNKNOWN) / CORES


def training_seconds(spec: Any, images: Images, labelled: bool = False, draws: int = 0) -> float:
    """Estimated time of a network's training, and of `draws` evaluations more."""
    shape, classes = shape_of(images), CLASSES * labelled
    kind, small = representative(spec, shape)
    per_image = timing.step_seconds(kind, small) / kind.train.batch
    one = per_image * multiplications(spec, shape, classes) / multiplications(kind, small)
    return len(spec.sigmas()) * one * (spec.train.steps * spec.train.batch + draws)


def share_of_training(spec: Any, draws: int) -> float:
    """How much of `training_seconds` is training; the rest is `draws` evaluations."""
    steps = spec.train.steps * spec.train.batch
    return steps / (steps + draws)


def representative(spec: Any, shape: tuple[int, int, int]) -> tuple[Any, tuple[int, int, int]]:
    """A network of the same kind and the images it is timed on: one for all that differ in what
    the count of multiplications tells.
    """
    precision = "float32" if spec.train.precision == "auto" else spec.train.precision
    train = Train(batch=BATCH, precision=precision)
    if isinstance(spec, UNet):
        kind = UNet(channels=spec.channels, normalisation=spec.normalisation, train=train)
    elif isinstance(spec, ResNet):
        kind = ResNet(depth=min(spec.depth, 6), width=spec.width, kernel=spec.kernel, train=train)
    else:
        return replace(spec, class_labels=False, train=train), shape
    return kind, (shape[0], SIDE, SIDE)


def multiplications(spec: Any, shape: tuple[int, int, int], classes: int = 0) -> float:
    """Multiplications of one evaluation of one image: exact for the convolutions of UNet and
    ResNet, where attention and the modulation by the noise level are left out; as many as there
    are trained numbers for any other network.
    """
    colours, height, width = shape
    if isinstance(spec, ResNet):
        layers = spec.width * (2 * colours + (spec.depth - 2) * spec.width)
        return height * width * spec.kernel**2 * layers
    if not isinstance(spec, UNet):
        return spec.parameters(shape, classes)
    widths = [spec.channels * spec.multiplier**level for level in range(spec.levels + 1)]
    shrink = 1 if spec.pooling == "none" else 4
    areas = [height * width / shrink**level for level in range(spec.levels + 1)]
    further = 2 * spec.blocks - 1  # convolutions of a level after its first
    pooled = {"stride": lambda c: c * c, "blur": lambda c: 9 * c / 4}.get(spec.pooling, lambda c: 0)
    total = 9 * areas[0] * widths[0] * (colours - widths[0])  # the last convolution ends in colours
    for area, before, c in zip(areas, [colours, *widths], widths, strict=False):
        total += 9 * area * (before * c + further * c * c)
    for area, c, deeper in zip(areas, widths, widths[1:], strict=False):
        total += area * (9 * ((1 + spec.skips) + further) * c * c + c * deeper + pooled(c))
    return total
