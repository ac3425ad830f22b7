"""The networks the catalogue starts with: small diffusion denoisers, as their authors committed
them, each under the MIT licence.

The weight files are not part of this package; what is said of them here is their origin, their
sha256, what they saw and what goes in and comes out.
"""

from __future__ import annotations

from collections.abc import Callable

from ..data import ImageSet
from . import blind_cnn, flow_transformer, prepare, step_unet, time_cnn
from .entry import MIT, Entry, github

FACES = (
    "CelebA, the aligned 218x178: rows 29 to -29, columns 9 to -9, mean of the colours, in [0, 1]"
)
LOCAL_MODELS = "LabForComputationalVision/local-probability-models-of-images"
DENOISERS = "denoisers/{}/celebA_160x160_gray/noise_range_0to255_RF_{}/model.pt"

_MNIST_CNN = Entry(
    name="mnist-cnn",
    summary="MNIST, plain CNN told the time, window 27",
    file="mnist-cnn-window27.pth",
    sha256="ce47bd2d6d5ea30bd84bee894826267a445acf71f1090c5f624b08975b57fb88",
    bytes=1183786,
    build=time_cnn.build,
    scale=0.5,
    trained_on="MNIST, 60000 training images, pixels minus 0.5",
    images=prepare.mnist,
    known=(
        "convolutions see 27x27",
        "norms over the whole image give every pixel two numbers of all others, and weights of "
        "their own to every place",
        "predicts the noise; 1000 steps",
    ),
    licence="MIT",
    notice=MIT.format(copyright="Copyright (c) [2024] [Yichi Zhang]"),
    **github(
        "Yichizz/hot_vs_cold_diffusion",
        "9f4633381468918872a4ff73184ad22e3791b4a1",
        "model/ddpm_mnist_starter.pth",
    ),
)

_MNIST_TRANSFORMER = Entry(
    name="mnist-transformer",
    summary="MNIST, transformer, flow matching, ten classes",
    file="mnist-transformer.pth",
    sha256="2fd387f3a0c7bbd74cb209e4a7db43f18418a974e63b3d4b493fa2ab2f34f90c",
    bytes=853933,
    build=flow_transformer.build,
    scale=0.5,
    shift=0.5,
    trained_on="MNIST, 60000 training images, pixels in [0, 1]",
    images=prepare.mnist,
    known=(
        "every pixel sees all",
        "predicts the clean image; told t = 1 / (1 + sigma / 2)",
        "class-conditional, with a label for none",
    ),
    licence="MIT",
    notice=MIT.format(copyright="Copyright (c) 2025 Sofia Dominguez"),
    **github(
        "sofia-dominguezc/MNIST-diffusion",
        "88bc05803c987e40be4eacb48cf4bb14d7c58c5e",
        "parameters/MNIST/DiffusionViT.pth",
    ),
)

_MNIST_UNET = Entry(
    name="mnist-unet",
    summary="MNIST, UNet told its step by a table",
    file="mnist-unet.pt",
    sha256="384f86fd83b97f05d5c4d1c84e3470497164ea88c051e862bdfdd4bf7776546a",
    bytes=2484903,
    build=step_unet.build,
    trained_on="MNIST, 60000 training images, pixels in [-1, 1]",
    images=prepare.mnist,
    known=(
        "its first norm takes the amplitude away: above sigma 3 its error is larger than the "
        "Wiener filter's, and its samples lose their brightness",
        "predicts the noise; 1000 steps, beta linear from 1e-4 to 0.02",
    ),
    licence="MIT",
    notice=MIT.format(copyright="Copyright (c) 2022 Peutlefaire"),
    **github(
        "BrianPulfer/PapersReimplementations",
        "9ebf59af99219b8888695ba0133c299d8251dc7f",
        "ddpm/ddpm_mnist.pt",
    ),
)


def _face(
    name: str,
    summary: str,
    file: str,
    digest: str,
    length: int,
    folder: str,
    field: str,
    side: int,
    images: Callable[..., ImageSet],
) -> Entry:
    return Entry(
        name=name,
        summary=summary,
        file=file,
        sha256=digest,
        bytes=length,
        build=blind_cnn.build,
        scale=0.5,
        shift=0.5,
        trained_on=FACES + (", averages of 4x4 blocks" if side == 40 else ""),
        images=images,
        levels=(0.0, 2.0),
        size=(side, side),
        known=(
            "noise-blind and without any bias: D(c y) = c D(y) about black",
            "commutes with translations away from the zeros at the border",
            "predicts the noise; noise of standard deviation 0 to 1 of [0, 1]",
        ),
        licence="MIT",
        notice=MIT.format(copyright="Copyright (c) 2023 LCV"),
        **github(LOCAL_MODELS, "5e6a25a", DENOISERS.format(folder, field)),
    )


_FACES40 = _face(
    "celeba40-blind-cnn",
    "CelebA 40x40 grey, noise-blind CNN, window 41",
    "celeba40-blind-cnn-window41.pt",
    "117575245c85ab00ee0edf1476a002f8428ee82e97dcab0e17c8127378da1c52",
    2688771,
    "multi_scale",
    "40x40_low",
    40,
    prepare.faces40,
)

_WINDOWS = {
    5: ("6c6cff6a4ecbf827ff41cba5d7326056b48669cd5d756a8f32f721f0cbd032b3", 347474),
    9: ("0a0a85098fba8f842ed5bc1aab9fe0f54f745c525d6efd1ff155de0fd8aa48c7", 604730),
    13: ("2510ac57ef3156448cb3515efe631335c393a71c0c73747c718d1ce23b2f8022", 871762),
    23: ("4c0c2fbb02d4ac30ab76e5c81d0d7a4fd00cd307a7c60226f9f9b40fb55c5aa3", 1527122),
    43: ("1ab38b3e3ef3237547491964574386604971cddbe76b281f51003324a51a0f68", 2837842),
}

PUBLISHED = (
    _MNIST_CNN,
    _MNIST_TRANSFORMER,
    _MNIST_UNET,
    _FACES40,
    *(
        _face(
            f"celeba160-blind-cnn-window{window}",
            f"CelebA 160x160 grey, noise-blind CNN, window {window}",
            f"celeba160-blind-cnn-window{window}.pt",
            digest,
            length,
            "flat",
            f"{window}x{window}",
            160,
            prepare.faces160,
        )
        for window, (digest, length) in _WINDOWS.items()
    ),
)
