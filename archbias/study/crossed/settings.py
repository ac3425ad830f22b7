"""Settings of a crossed study, and the rows they name."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, fields, replace

from ...denoise import changed
from ...errors import InputError
from .. import Images, cells
from .rows import Row, numbered
from .scales import Fit

SETS = ("celeba", "fashion_mnist", "mnist", "cifar10")


@dataclass(frozen=True, kw_only=True)
class Settings(cells.Settings):
    """A row is an image set and a network, "celeba resnet": trained, calibrated, predicted,
    compared. "celeba-5000 resnet" is the same with 5000 images of that set.

    sets: those at hand; rows of others are left out.
    celeba, cifar10, mnist, fashion_mnist: the training images of each (`--set celeba.root=FOLDER`);
        `data` is not used. FashionMNIST leaves `held_out` of the bundled thousand to the protocol
        held-out.
    conditional: sets whose networks and machines are told the label; seed s has the label number s
        mod (number of labels).
    rows: what is run, as far as its set is at hand.
    families: the networks by label. Circular padding is answered by ELS, every other padding by
        bbELS.
    seeds: seeds 0..seeds-1 are judged.
    network_steps: of the network's sampler; `steps` are the theories'.
    replicates: training seeds of the noise ceiling.
    windows, scale_steps: candidates of the calibration, and its number of noise levels.
    fit_seeds: how many other seeds it is fitted on. held_out: images after the training ones, for
        the protocol held-out.
    """

    data: Images | None = None  # type: ignore[assignment]  # every set has its own
    sets: tuple[str, ...] = SETS
    celeba: Images = Images(name="celeba", n=1000, size=32)
    cifar10: Images = Images(name="cifar10", n=1000)
    mnist: Images = Images(name="mnist", n=1000)
    fashion_mnist: Images = Images(name="fashion_mnist", n=992)
    conditional: tuple[str, ...] = ("fashion_mnist", "cifar10")
    rows: tuple[str, ...] = ()
    seeds: int = 16
    network_steps: int = 150
    replicates: tuple[int, ...] = (1,)
    windows: tuple[int, ...] = Fit.windows
    scale_steps: int = 10
    fit_seeds: int = 4
    held_out: int = 8

    def chosen(self) -> list[Row]:
        """The rows whose set is at hand.

        Raises:
            InputError: `data` was given, or a row or a set is not known.
        """
        known = {f.name for f in fields(self) if isinstance(getattr(self, f.name), Images)}
        if self.data is not None:
            raise InputError(
                "every set of this study has its own settings, got data; use for example "
                "sets=mnist and mnist.n=500"
            )
        if not set(self.sets) <= known:
            raise InputError(
                f"sets are of {', '.join(sorted(known))}, got {self.sets}; choose of those"
            )
        rows = [self.row(name) for name in self.rows]
        return [row for row in rows if row.base in self.sets]

    def row(self, name: str) -> Row:
        """The row of a name, "SET NETWORK" or "SET-N NETWORK"."""
        label, network = name.partition(" ")[::2]
        known, n = numbered(label)
        images = getattr(self, known, None)
        if not isinstance(images, Images) or network not in self.families:
            raise InputError(
                "a row is SET NETWORK or SET-N NETWORK with a network of `families` "
                f"({', '.join(self.families)}), got {name!r}; for example rows='celeba resnet'"
            )
        labelled, maker = known in self.conditional, self.families[network]
        if maker.trained:
            maker = changed(maker, class_labels=labelled)
        return Row(
            set=label,
            network=network,
            maker=maker,
            images_of=images if n is None else replace(images, n=n),
            labelled=labelled,
            seeds=self.seeds,
            steps=self.steps,
            network_steps=self.network_steps,
            schedule=self.schedule,
        )

    def hashes(self) -> dict[str, str]:
        """sha256 of the images of every set at hand, by label: a run that goes on checks them."""
        found = {}
        for row in {row.set: row for row in self.chosen()}.values():
            with suppress(InputError):  # the cells of a set that is not at hand say so
                found[row.set] = row.images_of.load().hash
        return found

    @property
    def fit(self) -> Fit:
        """How scales are found."""
        return Fit(
            seeds=self.fit_seeds,
            windows=self.windows,
            steps=self.scale_steps,
            held_out=self.held_out,
        )
