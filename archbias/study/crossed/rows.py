"""A row of a crossed design: one network on one image set, and what follows from the two.

A row names the cells and groups of everything made for it, so that every study and every figure
finds them:

                      several image sets             one image set (set = "")
    the network       "celeba resnet"                "resnet"
    its cells         "celeba resnet replicate"      "replicate-resnet"
    its groups        "celeba/predictions"           "predictions"
    a prediction      family resnet, predictor ls    predictor "resnet: ls"

Its network is whatever gives a denoiser for the images: a spec that is trained, or an object of
two lines that reads a file.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol, cast

import torch
import xarray as xr
from torch import Tensor

from ... import noise, sample, seeds
from ...data import ImageSet
from ...denoise import Denoiser, Runtime, Spec
from ...store.open import variable
from .. import Images, Work, cells


class Maker(Protocol):
    """What gives a denoiser for an image set: every `Spec`, and whatever reads one from a file.

    trained: the denoiser is kept in the run folder, where later cells read it; otherwise it is
        made again.
    """

    @property
    def trained(self) -> bool: ...

    def fit(self, images: ImageSet, *, runtime: Runtime = Runtime()) -> Denoiser: ...


@dataclass(frozen=True, kw_only=True)
class Row:
    """One network on one image set, judged on seeds 0, 1, ...

    set: label of the image set, "cifar10", or with another number of its images "cifar10-5000"; ""
        where the study has one only. network: its label.
    maker: what gives the network.
    images_of: the training images, of network and theories alike.
    labelled: network and theories are told the label; seed s has the label number s mod (number of
        labels).
    seeds: how many are judged. steps: of the theories' sampler; network_steps: of the network's.
    schedule: the noise levels of both. levels: the least and the largest the network was trained
        at, where samplers start and end; None for all.
    """

    set: str = ""
    network: str
    maker: Maker
    images_of: Images
    labelled: bool = False
    seeds: int = 16
    steps: int = 20
    network_steps: int = 20
    schedule: str = "cosine"
    levels: tuple[float, float] | None = None

    def __str__(self) -> str:
        return f"{self.set} {self.network}" if self.set else self.network

    @property
    def base(self) -> str:
        """Its image set, whatever the number of images."""
        return numbered(self.set)[0]

    def cell(self, what: str) -> str:
        """The name of a cell of this row."""
        return f"{self} {what}" if self.set else f"{what}-{self.network}"

    def group(self, name: str) -> str:
        """A group of pictures of this image set; sets differ in shape and are not joined."""
        return f"{self.set}/{name}" if self.set else name

    @property
    def images(self) -> ImageSet:
        return self.images_of.load()

    @property
    def sigmas(self) -> Tensor:
        """Noise levels of the theories' sampler."""
        return self.within(noise.schedule(self.schedule, self.steps))

    def within(self, sigmas: Tensor) -> Tensor:
        """A schedule as far as the network was trained at its levels."""
        return noise.within(sigmas, self.levels)

    def labels(self, which: Iterable[int]) -> Tensor | None:
        """The label of each seed, round and round; None where none is told."""
        return labels_of(self.images, which) if self.labelled else None

    def samples(self, work: Work) -> Tensor:
        """The network's samples (seeds, C, H, W), from its finished cell."""
        return torch.from_numpy(
            variable(work.read(str(self)), self.group("samples/sample")).values[0]
        )

    def denoiser(self, work: Work) -> Denoiser:
        """The network, from its finished cell."""
        return cells.denoiser_of(work, str(self), cast(Spec, self.maker), self.images)

    def draw(
        self,
        denoiser: Denoiser | ByLabel,
        work: Work,
        note: str,
        *,
        steps: int,
        which: Iterable[int] | None = None,
        labels: Tensor | None = None,
    ) -> Tensor:
        """DDIM samples of the judged (or the given) seeds with their labels, on the CPU."""
        images, which = self.images, range(self.seeds) if which is None else which
        return sample.ddim(
            cast(Denoiser, denoiser),  # called as one
            seeds.normal(which, images.shape, device=work.runtime.device),
            self.within(noise.schedule(self.schedule, steps)),
            labels=self.labels(which) if labels is None else labels,
            batch=64,
            progress=lambda i, n: work.runtime.progress(i, n, note),
        ).cpu()

    def prediction(self, name: str, x: Tensor) -> dict[str, xr.Dataset]:
        """Predicted samples as a group."""
        if not self.set:
            one = cells.dataset("prediction", x, predictor=f"{self.network}: {name}")
        else:
            one = cells.dataset("prediction", x, family=self.network, predictor=name)
        return {self.group("predictions"): one}


def numbered(label: str) -> tuple[str, int | None]:
    """(set, number of images) of an image set's label: "cifar10-5000" tells both, "cifar10" has no
    number.
    """
    base, _, n = label.rpartition("-")
    return (base, int(n)) if base and n.isdecimal() else (label, None)


def labels_of(images: ImageSet, which: Iterable[int]) -> Tensor:
    """The label of each seed: seed s has the label number s mod (number of labels)."""
    return torch.tensor([images.classes[s % len(images.classes)] for s in which])


class ByLabel:
    """A theory that takes no label, told it nevertheless: fitted to each label's images apart.

    Called as every denoiser is, with labels.
    """

    def __init__(self, spec: Maker, images: ImageSet):
        self.spec, self.images = spec, images
        self.classes = images.classes
        self.fitted: dict[int, Denoiser] = {}

    def __call__(self, y: Tensor, sigma: float | Tensor, labels: Tensor) -> Tensor:
        out = torch.empty_like(y)
        for label in labels.unique().tolist():
            if label not in self.fitted:
                self.fitted[label] = self.spec.fit(with_label(self.images, label))
            rows = labels == label
            level = sigma[rows] if isinstance(sigma, Tensor) and sigma.ndim else sigma
            out[rows] = self.fitted[label](y[rows], level)
        return out


def with_label(images: ImageSet, label: int) -> ImageSet:
    """The images of one label."""
    assert images.labels is not None  # asked for only where there are some
    kept = zip(images.ids, images.labels.tolist(), strict=True)
    return images.subset(ids=[name for name, own in kept if own == label])


def theory_of(spec: Maker, images: ImageSet, labelled: bool) -> Denoiser | ByLabel:
    """A theory fitted to the images, told the labels if the network is."""
    denoiser = spec.fit(images)
    return ByLabel(spec, images) if labelled and not denoiser.classes else denoiser
