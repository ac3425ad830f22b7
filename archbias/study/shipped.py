"""Networks that lie beside published numbers, so that these are made again without training.

    write(run, folder)             RUN/models -> FOLDER/networks/*.safetensors, FOLDER/networks.json
    shipped = Shipped(folder)      the networks of a folder, by what they were trained with
    shipped.problems()             files that are missing, or not the bytes the index tells
    shipped.trained(spec, images)  the network of that training: `archbias.denoise.Runtime.trained`

The index tells of each network its file with the sha256, the settings it was trained with, and of
the images their name, number, sha256 and terms. An image is never shipped.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from .. import data, families, store
from ..data import ImageSet
from ..denoise import Denoiser, Spec, from_json, to_json
from ..errors import InputError
from ..store.names import file_name
from ..store.verify import Problem
from .study import model_path, sha256_of

INDEX, FILES = "networks.json", "networks"
MOST = 15_000_000  # bytes of all networks of a folder
TOLD = ("archbias", "torch", "threads")  # of the cell that trained it


def write(run: Path, folder: Path) -> str:
    """Ship the networks of a run; those of the same training that are there already are replaced.

    Args:
        run: the run folder.
        folder: a study's folder.

    Returns:
        What was written, in one sentence.

    Raises:
        InputError: the run keeps no network that can be shipped, one is damaged, or all of them
            take more than `MOST` bytes.
        OSError: they cannot be written.
    """
    entries = [_ship(*found, folder) for found in _trainings(run)]
    if not entries:
        raise InputError(
            f"wanted networks in {run} that this archbias trained, found none; run the study, or "
            "run it again"
        )
    own = [_training(e) for e in entries]
    others = [e for e in Shipped(folder).entries if _training(e) not in own]
    total = sum(e["bytes"] for e in (*others, *entries))
    if total > MOST:
        raise InputError(
            f"networks of a folder take {MOST / 1e6:g} MB at most, got {total / 1e6:.1f} MB; ship "
            "fewer rows"
        )
    all_ = sorted(others + entries, key=lambda e: e["name"])
    told = {"bytes": total, "networks": all_}
    store.write_text(folder / INDEX, json.dumps(told, indent=1) + "\n")
    _sweep(folder, all_)
    text = f"wrote {len(entries)} networks to {folder / FILES}, {total / 1e6:.1f} MB"
    return text + (f" of {MOST / 1e6:g} in all" if others else "")


def _trainings(run: Path) -> Iterator[tuple[str, Denoiser, dict[str, Any], dict[str, Any]]]:
    """(name, network, images, attributes of the cell) of every network the cells keep."""
    for path in sorted((run / "cells").glob("*.nc")):
        try:
            attrs = store.read_cell(path).attrs
        except store.CorruptCell as error:
            raise InputError(f"{error}; give the run's command again (archbias run)") from error
        models = json.loads(attrs.get("models", "{}"))
        for name, images in json.loads(attrs.get("trained_on", "{}")).items():
            file = model_path(run, name)
            if not file.is_file() or sha256_of(file) != models.get(name):
                raise InputError(
                    f"{file} is not what its cell kept; give the run's command again (archbias run)"
                )
            denoiser = families.load(file)
            if denoiser.spec.trained:
                yield name, denoiser, images, attrs


def _ship(name: str, denoiser: Denoiser, images: dict, attrs: dict, folder: Path) -> dict[str, Any]:
    """Write one network; its entry of the index."""
    part = folder / FILES / f".{file_name(name)}.safetensors"
    families.save(denoiser, part)
    sha256 = sha256_of(part)
    path = part.with_name(f"{file_name(name)}-{sha256[:8]}.safetensors")
    part.replace(path)
    return {
        "name": name,
        "file": f"{FILES}/{path.name}",
        "sha256": sha256,
        "bytes": path.stat().st_size,
        "parameters": parameters(denoiser),
        "family": families.name_of(denoiser.spec),
        "settings": to_json(denoiser.spec),
        "images": images | {"terms": terms(images["name"])},
        **{k: _plain(attrs[k]) for k in TOLD if k in attrs},
    }


def parameters(denoiser: Any) -> int:
    """Trained numbers of a network, over all noise levels."""
    spec = denoiser.spec
    return len(spec.sigmas()) * int(spec.parameters(denoiser.shape, len(denoiser.classes)))


def terms(name: str) -> str:
    """The terms of an image set."""
    known = data.catalogue.SOURCES
    return known[name].licence if name in known else "those of whoever gave the images"


def _plain(value: Any) -> Any:
    return value if isinstance(value, str) else int(value)


def _training(entry: dict[str, Any]) -> tuple[str, str]:
    """What makes two entries the same training."""
    return json.dumps(entry["settings"], sort_keys=True), entry["images"]["hash"]


def _sweep(folder: Path, entries: list[dict[str, Any]]) -> None:
    """Remove the files of networks that others replaced."""
    known = {Path(e["file"]).name for e in entries}
    for path in (folder / FILES).glob("*.safetensors"):
        if path.name not in known:
            path.unlink()


class Shipped:
    """The networks of a study's folder; none where there is no index.

    Raises:
        InputError: the index cannot be read.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.entries: list[dict[str, Any]] = []
        index = folder / INDEX
        if index.is_file():
            try:
                self.entries = json.loads(index.read_text(encoding="utf-8"))["networks"]
                self.specs  # noqa: B018 (read now, so that what is wrong is said here)
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise InputError(
                    f"wanted an index of networks, {index} cannot be read ({error}); export them "
                    "again (archbias export RUN --networks)"
                ) from error

    @cached_property
    def specs(self) -> list[Spec]:
        """The settings of every entry."""
        return [from_json(families.family(e["family"]), e["settings"]) for e in self.entries]

    def find(self, spec: Spec, images: str) -> dict[str, Any] | None:
        """The entry of a training.

        Args:
            spec: its settings; precision "auto" is answered by whatever it chose.
            images: sha256 of the images.
        """
        for entry, own in zip(self.entries, self.specs, strict=True):
            if entry["images"]["hash"] == images and alike(own, spec):
                return entry
        return None

    def problems(self) -> list[Problem]:
        """What is the matter with the files."""
        found = []
        for entry in self.entries:
            path = self.folder / entry["file"]
            if not path.is_file():
                found.append(Problem(path, "it is missing", REMEDY))
            elif sha256_of(path) != entry["sha256"]:
                found.append(Problem(path, f"it does not match its checksum in {INDEX}", REMEDY))
        return found

    def trained(self, spec: Spec, images: ImageSet) -> Denoiser:
        """The network of a training.

        Raises:
            InputError: it is not shipped, or its file is damaged.
        """
        entry = self.find(spec, images.hash)
        if entry is None:
            raise InputError(
                f"wanted a network of {type(spec).__name__} trained on {images.name} in "
                f"{self.folder / INDEX}, found none of these settings and images; train it "
                "(archbias run)"
            )
        return families.load(self.folder / entry["file"])


REMEDY = "take the file from where the study was published"


def alike(own: Any, asked: Any) -> bool:
    """Whether a network of these settings is what training the asked ones gives."""
    if type(own) is type(asked) and asked.train.precision == "auto":
        own = replace(own, train=replace(own.train, precision="auto"))
    return own == asked
