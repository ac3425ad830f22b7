"""A hook for anybody's training loop: what the network draws, copies and knows, as it learns.

    watch = archbias.watch(images, "runs/mine", held_out=held_out, denoiser=adapt)
    for step in range(1, steps + 1):
        ...                      # any loop, any library
        watch(step, network)     # looks at steps 1, 2, 4, 8, ...; nothing otherwise
    watch(steps, network, last=True)

A look samples from fixed seeds and measures, seed by seed: the nearest training image and whether
the sample copies it, the error on noisy training and held-out images (equal noise; their ratio is
what the network remembers), and the agreement with what theories draw from the same noise, which
are asked once. Each look is one file, written whole or not at all; the last one, or `hook.open()`,
joins them into RUN/store.zarr, which `archbias.open_study` reads. The same call goes on where a
killed training stopped.

The cost is bounded: looks take at most `share` of the time since the hook was made, and at most
`seconds` in all. A look that would take more, judged by the one before, waits until it is
affordable. The first look cannot be judged and is always taken; the theories come on top, once. The
network's modes (training, evaluation) and torch's random numbers are left as they were.
"""

from __future__ import annotations

import contextlib
import json
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor, nn

from . import __version__, adapters, noise, sample, seeds, store
from .data import ImageSet
from .denoise import Denoiser, Spec, to_json
from .errors import InputError
from .metrics import agreement, novelty
from .posteriors.ideal import Ideal
from .posteriors.score_machines import LS
from .regressions.linear import Linear
from .store import about

THEORIES: dict[str, Spec] = {"ideal": Ideal(), "wiener": Linear(), "local": LS(window=7)}
LEVELS = (0.2, 0.5, 1.0, 2.0)  # where errors are measured
JUDGED = 64  # images errors are measured on
STREAM = 340  # of their noise
DIMS = ("step", "seed", "channel", "row", "column")


def watch(
    images: ImageSet,
    folder: str | Path,
    *,
    held_out: ImageSet | None = None,
    denoiser: Callable[[Any], Denoiser] | None = None,
    seeds: int = 8,
    steps: int = 20,
    theories: Mapping[str, Spec] | None = None,
    levels: Iterable[float] = LEVELS,
    times: Callable[[int], bool] | None = None,
    share: float = 0.1,
    seconds: float = float("inf"),
    device: str = "cpu",
    clock: Callable[[], float] = time.perf_counter,
) -> Watch:
    """A hook, called as hook(step, network) in a training loop.

    Args:
        images: the training images. held_out: others of the same source, for what is remembered.
        folder: where the looks go.
        denoiser: from what the hook is called with to a denoiser, for example
            `lambda net: archbias.adapters.from_module(net, images.shape, predicts="noise",
            input="vp")`; without it the hook is called with a Denoiser or a function
            D(y, sigma) of images in [-1, 1].
        seeds: seeds 0..seeds-1 are drawn. steps: of the sampler, on the cosine schedule.
        theories: name -> spec; ideal, wiener and local (a local score machine) without it.
        levels: noise levels at which errors are measured.
        times: whether a step is due; 1, 2, 4, 8, ... without it.
        share: of the time since now that looks may take. seconds: that they may take in all.
        device: where samples are drawn.
        clock: seconds that pass.

    Raises:
        InputError: settings that cannot be, or a folder of other images or settings.
    """
    if not 0 < share <= 1 or not seconds > 0:
        raise InputError(
            f"wanted a share in (0, 1] and positive seconds, got {share} and {seconds}; 0.1 is "
            "usual"
        )
    if seeds < 1:
        raise InputError(f"wanted at least one seed, got {seeds}; 8 is usual")
    if held_out is not None and held_out.shape != images.shape:
        raise InputError(
            f"held-out images must have the training images' shape {images.shape}, got "
            f"{held_out.shape}; resize with ImageSet.resize"
        )
    asked = {
        "images": images.hash,
        "held_out": None if held_out is None else held_out.hash,
        "seeds": seeds,
        "steps": steps,
        "levels": [float(level) for level in levels],
        "theories": {
            k: to_json(v) for k, v in (THEORIES if theories is None else theories).items()
        },
    }
    return Watch(
        images,
        held_out,
        Path(folder).expanduser(),
        denoiser,
        THEORIES if theories is None else dict(theories),
        asked,
        times or _doubling,
        (share, seconds),
        device,
        clock,
    )


def _doubling(step: int) -> bool:
    return step > 0 and step & (step - 1) == 0


class Watch:
    """The hook; see `watch`.

    spent: seconds that looks took. theories_took: seconds the theories took, NaN before.
    """

    def __init__(
        self,
        images: ImageSet,
        held_out: ImageSet | None,
        folder: Path,
        adapt: Callable[..., Denoiser] | None,
        theories: Mapping[str, Spec],
        asked: dict[str, Any],
        times: Callable[[int], bool],
        budget: tuple[float, float],
        device: str,
        clock: Callable[[], float],
    ):
        self.images, self.held_out, self.folder = images, held_out, folder
        self._adapt, self._theories, self._asked = adapt, theories, asked
        self._times, (self._share, self._most) = times, budget
        self._device, self._clock = device, clock
        self._began, self._due, self._aside = clock(), False, 0.0
        self.spent, self._last, self.theories_took = 0.0, 0.0, float("nan")
        record = folder / "watch.json"
        if record.is_file():
            before = json.loads(record.read_text(encoding="utf-8"))
            for key, value in asked.items():
                if before.get(key) != value:
                    raise InputError(
                        f"wanted the looks of {folder} to go on, got other {key} than they were "
                        "taken with; give the same, or another folder"
                    )
        else:
            store.write_text(record, json.dumps(asked, indent=1))

    @property
    def looks(self) -> list[int]:
        """The steps that were looked at."""
        return sorted(int(p.stem.split("-")[1]) for p in (self.folder / "cells").glob("step-*.nc"))

    def __call__(self, step: int, network: Any, *, last: bool = False) -> bool:
        """Look, if a look is due and affordable; says whether one was taken.

        Args:
            step: the number of training steps taken. last: look whatever the times and the budget.
        """
        self._due |= self._times(step)
        known = self._path(step).is_file()
        if known:
            self._due = False
        if not (last or (self._due and self._affordable())):
            return False
        self._due = False
        start, self._aside = self._clock(), 0.0
        try:
            with _untouched(network):
                if not known:
                    self._look(step, network)
            if last:
                self.join()
        except Exception as error:
            # the first failure is a mistake in the set-up; later ones must not end a long training
            if not self.looks:
                raise
            warnings.warn(f"the look at step {step} failed: {error}", stacklevel=2)
            return False
        self._last = self._clock() - start - self._aside
        self._began += self._aside  # the theories' time is neither the looks' nor the training's
        self.spent += self._last
        return not known

    def open(self) -> xr.DataTree:
        """All looks so far, joined into RUN/store.zarr, as an `xarray.DataTree`."""
        self.join()
        return store.open_study(self.folder)

    def join(self) -> None:
        """Join the looks into RUN/store.zarr; the last look does it by itself."""
        cells = sorted((self.folder / "cells").glob("*.nc"))
        store.collect(cells, self.folder / "store.zarr", self._attributes())

    def _affordable(self) -> bool:
        after = self.spent + self._last
        return after <= self._most and (
            not self._last or after <= self._share * (self._clock() - self._began)
        )

    def _path(self, step: int) -> Path:
        return self.folder / "cells" / f"step-{step:09d}.nc"

    def _look(self, step: int, network: Any) -> None:
        start = self._clock()
        denoiser = self._denoiser(network)
        predictions = self._predictions(denoiser)
        x = self._draw(denoiser)
        groups = {"samples": _dataset("sample", DIMS, x.numpy()[None], step, None)}
        groups |= {"novelty": self._novelty(x, step), "errors": self._errors(denoiser, step)}
        if predictions:
            groups["agreement"] = self._agreement(x, predictions, step)
        took = self._clock() - start - self._aside
        words = about("time this look took", "s")
        groups["cost"] = _dataset("look_seconds", ("step",), np.array([took]), step, words)
        store.write_cell(self._path(step), groups, self._attributes())

    def _denoiser(self, network: Any) -> Denoiser:
        if self._adapt is not None:
            return self._adapt(network)
        if isinstance(network, Denoiser):
            return network
        return adapters.from_callable(network, self.images.shape)

    def _draw(self, denoiser: Denoiser) -> Tensor:
        start = seeds.normal(range(self._asked["seeds"]), self.images.shape, device=self._device)
        levels = getattr(denoiser, "levels", None)
        sigmas = noise.within(noise.cosine(self._asked["steps"]), levels)
        return sample.ddim(denoiser, start, sigmas).cpu()

    def _predictions(self, denoiser: Denoiser) -> dict[str, Tensor]:
        """What every theory draws from the same noise at the same levels, asked once."""
        path = self.folder / "cells" / "theories.nc"
        if not path.is_file() and self._theories:
            start, made = self._clock(), {}
            for name, spec in self._theories.items():
                theory = spec.fit(self.images)
                theory.levels = getattr(denoiser, "levels", None)
                made[name] = self._draw(theory)
            self.theories_took = self._aside = self._clock() - start
            values = torch.stack(list(made.values())).numpy()
            variables: dict[str, tuple] = {"prediction": (("predictor", *DIMS[1:]), values)}
            took = about("time all theories took", "s")
            variables["theories_seconds"] = ((), self.theories_took, took)
            ds = xr.Dataset(
                variables, {"predictor": list(made), "seed": np.arange(values.shape[1])}
            )
            store.write_cell(path, {"predictions": ds}, self._attributes())
        if not path.is_file():
            return {}
        held = store.read_cell(path)["predictions"]["prediction"]
        return {
            str(p): torch.from_numpy(held.sel(predictor=p).values) for p in held["predictor"].values
        }

    def _novelty(self, x: Tensor, step: int) -> xr.Dataset:
        near = novelty.nearest(x, self.images.images)
        dims = ("step", "seed")
        ids = [self.images.ids[i] if i >= 0 else "" for i in near.index.tolist()]
        pixels = x.double().flatten(1)
        variables = {
            "distance": (dims, near.distance.numpy()[None]),
            "distance_ratio": (dims, near.ratio.numpy()[None]),
            "copy": (dims, near.copy.numpy()[None]),
            "nearest_id": (dims, np.array([ids])),
            "brightness": (
                dims,
                pixels.mean(1).numpy()[None],
                about("mean of the pixels of a sample", "pixel value"),
            ),
        }
        return xr.Dataset(variables, {"step": [step], "seed": np.arange(len(x))})

    def _errors(self, denoiser: Denoiser, step: int) -> xr.Dataset:
        low, high = getattr(denoiser, "levels", None) or (0.0, float("inf"))
        kinds = {"training": self.images, "held-out": self.held_out}
        kinds = {k: v for k, v in kinds.items() if v is not None}
        count = min(JUDGED, *(len(v) for v in kinds.values()))
        n = seeds.normal(range(count), self.images.shape, stream=STREAM)
        error = np.full((len(kinds), len(self._asked["levels"])), np.nan)
        for i, images in enumerate(kinds.values()):
            x = images.images[:count]
            for j, level in enumerate(self._asked["levels"]):
                if low <= level <= high:
                    with torch.no_grad():
                        out = denoiser((x + level * n).to(self._device), level).cpu()
                    error[i, j] = float((out - x).double().square().mean())
        words = about("mean squared error per pixel on noisy images", "squared pixel value")
        dims = ("step", "images", "sigma")
        coordinates = {"step": [step], "images": list(kinds), "sigma": self._asked["levels"]}
        return xr.Dataset({"error": (dims, error[None], words)}, coordinates)

    def _agreement(self, x: Tensor, predictions: dict[str, Tensor], step: int) -> xr.Dataset:
        dims = ("step", "predictor", "seed")
        variables = {
            name: (dims, np.array([[m(x, p).numpy() for p in predictions.values()]]))
            for name, m in (("r", agreement.pearson_r), ("explained", agreement.explained))
        }
        coordinates = {"step": [step], "predictor": list(predictions), "seed": np.arange(len(x))}
        return xr.Dataset(variables, coordinates)

    def _attributes(self) -> dict[str, str | int]:
        about_run: dict[str, str | int] = {
            "study": "watch",
            "question": "What does a network draw as it learns?",
        }
        return about_run | {"version": __version__, "settings": json.dumps(self._asked)}


def _dataset(
    name: str, dims: tuple, values: np.ndarray, step: int, words: dict | None
) -> xr.Dataset:
    coordinates = {"step": [step]} | (
        {"seed": np.arange(values.shape[1])} if "seed" in dims else {}
    )
    return xr.Dataset({name: (dims, values, words)}, coordinates)


@contextlib.contextmanager
def _untouched(network: Any) -> Iterator[None]:
    """Evaluation mode within, every module's own mode and torch's random numbers after."""
    modules = list(network.modules()) if isinstance(network, nn.Module) else []
    modes = [m.training for m in modules]
    with torch.random.fork_rng():
        try:
            if modules:
                network.eval()
            yield
        finally:
            for module, mode in zip(modules, modes, strict=True):
                module.training = mode
