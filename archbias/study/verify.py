"""Is what lies on the disk what was written? Every file against its checksum; nothing is changed.

    verdict = verify("runs/quickstart")     a run folder
    verify("runs/quickstart/store.zarr")    a store, exported numbers (.nc), a saved denoiser, a
                                            manifest, or a study's folder with its numbers

    run.json       the checksum it carries             RUN/cells     the seal of each file
    manifest.json  the checksum in run.json            RUN/models    the checksums in their cells
    store.zarr     the list of its files, `checksums`  checkpoints   the checksum each carries

Nothing of a run folder is executed. A file of an older archbias bears no checksum: it is read, and
said to bear none.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py

from .. import families, store
from ..data import Manifest
from ..errors import InputError
from ..nets import checkpoints
from ..store import attributes, checksums, netcdf
from ..store.files import unbroken
from ..store.verify import Problem
from .folder import check_links, status
from .shipped import INDEX, Shipped
from .study import cell_path, error_path, model_path, sha256_of


@dataclass
class Verdict:
    """What was looked at, and what is the matter.

    path: as given. problems: one for each file that cannot be trusted. counted: what was found, in
    words ("12 cells"). unsealed: files that bear no checksum, in words.
    """

    path: Path
    problems: list[Problem] = field(default_factory=list)
    counted: list[str] = field(default_factory=list)
    unsealed: list[str] = field(default_factory=list)

    @property
    def whole(self) -> bool:
        return not self.problems

    def sentence(self) -> str:
        """The verdict in one sentence."""
        if not self.whole:
            return f"{self.path} is not whole: {_count(len(self.problems), 'problem')}"
        text = f"{self.path} is whole: {', '.join(self.counted) or 'nothing in it yet'}"
        if self.unsealed:
            text += f"; no checksum vouches for {', '.join(self.unsealed)} (of an older archbias)"
        return text

    def bad(self, path: Path, what: str, remedy: str) -> None:
        self.problems.append(Problem(path, what, remedy))

    def refused(self, path: Path, error: InputError) -> None:
        """A problem from a sentence that ends in its remedy."""
        what, _, remedy = str(error).rpartition("; ")
        self.bad(path, what or str(error), remedy)

    def count(self, number: int, noun: str) -> None:
        if number:
            self.counted.append(_count(number, noun))

    def no_seal(self, number: int, noun: str) -> None:
        if number:
            self.unsealed.append(_count(number, noun))


def verify(path: str | Path) -> Verdict:
    """Check a run folder, a store, a file or a study's folder; see the module.

    Raises:
        InputError: there is nothing that archbias writes.
    """
    path = Path(path).expanduser()
    verdict = Verdict(path)
    if path.is_file():
        _file(path, verdict)
    elif path.suffix == ".zarr" and path.is_dir():
        _store(path, verdict)
    elif (path / "study.py").is_file():
        numbers = sorted(path.glob("*.nc"))
        for file in numbers:
            _export(file, verdict)
        verdict.count(len(numbers), "file of numbers")
        _shipped(path, verdict)
    elif any((path / part).exists() for part in ("run.json", "cells", "store.zarr")):
        _run(path, verdict)
    else:
        raise InputError(
            f"wanted a run folder, a store, a file of archbias or a study's folder, found none at "
            f"{path}; give for example runs/quickstart"
        )
    return verdict


def _file(path: Path, verdict: Verdict) -> None:
    if path.suffix == ".nc":
        cell = path.parent.name == "cells"
        (_cell if cell else _export)(path, verdict)
        verdict.count(1, "cell" if cell else "file of numbers")
    elif path.suffix == ".safetensors":
        if path.parent.parent.name == "checkpoints":
            _checkpoint(path, verdict)
        else:
            _model(path, verdict, "fit it again")
        verdict.count(1, "file of tensors")
    elif path.suffix == ".json" and path.name != "run.json":
        try:
            verdict.count(len(Manifest.read(path).images), "image in the manifest")
        except InputError as error:
            verdict.refused(path, error)
    else:
        raise InputError(
            f"wanted .nc, .safetensors or a manifest as .json, got {path}; give the run folder to "
            "check all of it"
        )


def _run(folder: Path, verdict: Verdict) -> None:
    try:
        check_links(folder)
    except InputError as error:
        verdict.refused(folder, error)
        return
    try:
        record = status(folder)[0]
    except InputError as error:
        verdict.refused(folder / "run.json", error)
        record = {}
    again = _command(folder, record)
    told = _cells(folder, record, again, verdict)
    _models(folder, told, again, verdict)
    _manifest(folder, record, told.values(), again, verdict)
    found = sorted(folder.glob("checkpoints/*/*.safetensors"))
    for path in found:
        _checkpoint(path, verdict)
    verdict.count(len(found), "checkpoint")
    if (folder / "store.zarr").is_dir():
        _store(folder / "store.zarr", verdict)
    elif told:
        verdict.bad(folder / "store.zarr", "it is missing", f"{again} joins the cells")


def _command(folder: Path, record: dict[str, Any]) -> str:
    study = record.get("study", "STUDY")
    return f"archbias run {study} --out {folder}, with the settings of this run,"


def _cells(
    folder: Path, record: dict[str, Any], again: str, verdict: Verdict
) -> dict[Path, dict[str, Any]]:
    """Check the cells; returns the attributes of those that are whole."""
    told, unsealed = {}, 0
    there = sorted((folder / "cells").glob("*.nc"))
    for path in there:
        found = _cell(path, verdict, f"{again} computes it anew")
        if found is not None:
            told[path] = found
            unsealed += not unbroken(path) and "sha256" not in found
    verdict.count(len(there), "cell")
    verdict.no_seal(unsealed, "cell")
    wanted = {cell_path(folder, name): name for name in record.get("cells", ())}
    for path in (p for p in wanted if p not in there):
        log = error_path(folder, wanted[path])
        what = f"it raised, see {log}" if log.is_file() else "not computed, or lost"
        verdict.bad(path, what, f"{again} computes it")
    for path, attrs in told.items():
        if record and path not in wanted:
            verdict.bad(path, "the run has no such cell", "delete it; no number rests on it")
        elif record and (other := _other(attrs, record)):
            verdict.bad(
                path, f"it is of a run with another {other}", f"delete it; {again} computes it"
            )
    return told


def _cell(path: Path, verdict: Verdict, remedy: str = "") -> dict[str, Any] | None:
    """The attributes of a cell that is whole; otherwise a problem."""
    remedy = remedy or "give the run's command again (archbias run), which computes it anew"
    try:
        store.read_cell(path)
        with h5py.File(path) as file:
            return attributes.decode(netcdf.attributes(file))
    except store.CorruptCell as error:
        verdict.bad(path, str(error), remedy)
    except InputError as error:
        verdict.refused(path, error)
    return None


def _other(attrs: dict[str, Any], record: dict[str, Any]) -> str:
    """What of its run a cell tells otherwise than the record; "" if nothing."""
    if attrs.get("study") != record["study"]:
        return "study"
    images = record.get("images")
    for key, wanted in (("settings", record["settings"]), ("images", images)):
        told = _json(attrs.get(key))
        if key == "images":
            told, wanted = ({"hash": d.get("hash")} if d else None for d in (told, wanted))
        if told is not None and wanted is not None and _differs(told, wanted):
            return key
    return ""


def _json(text: object) -> Any:
    try:
        return json.loads(str(text)) if text is not None else None
    except ValueError:
        return None


def _differs(one: Any, other: Any) -> bool:
    """Whether two settings differ in what both have: an older archbias had fewer."""
    if isinstance(one, dict) and isinstance(other, dict):
        return any(_differs(v, other[k]) for k, v in one.items() if k in other)
    return one != other


def _models(folder: Path, told: dict[Path, dict[str, Any]], again: str, verdict: Verdict) -> None:
    """The denoisers the cells keep, and those no cell tells of."""
    kept: dict[Path, str] = {}
    for path, attrs in told.items():
        models = _json(attrs.get("models", "{}"))
        if not isinstance(models, dict):
            verdict.bad(path, "its record of models cannot be read", f"{again} computes it anew")
            continue
        kept |= {model_path(folder, name): sha for name, sha in models.items()}
    remedy = f"{again} fits it again"
    for path, wanted in kept.items():
        if not path.is_file():
            verdict.bad(path, "it is missing", remedy)
        elif sha256_of(path) != wanted:
            verdict.bad(path, "it does not match its checksum", remedy)
    there = sorted((folder / "models").glob("*.safetensors"))
    unsealed = 0
    for path in (p for p in there if p not in kept):
        unsealed += not _model(path, verdict, f"delete it and its cell; {remedy}")
    verdict.count(len(kept.keys() | set(there)), "model")
    verdict.no_seal(unsealed, "model")


def _model(path: Path, verdict: Verdict, remedy: str) -> bool:
    """Whether a saved denoiser bears a checksum; a problem if it is damaged."""
    try:
        return families.check(path)
    except InputError as error:
        verdict.bad(path, str(error).rpartition("; ")[0] or str(error), remedy)
        return True


def _manifest(
    folder: Path,
    record: dict[str, Any],
    told: Iterable[dict[str, Any]],
    again: str,
    verdict: Verdict,
) -> None:
    path, images = folder / "manifest.json", record.get("images")
    if not isinstance(images, dict):
        told_of = [d for attrs in told if isinstance(d := _json(attrs.get("images")), dict)]
        images = told_of[0] if told_of else {}
    if not path.is_file():
        if images:
            verdict.bad(path, "it is missing", f"{again} writes it")
        return
    remedy = f"delete it; {again} writes it"
    try:
        manifest = Manifest.read(path)
    except InputError as error:
        verdict.bad(path, str(error).rpartition("; ")[0], remedy)
        return
    if images.get("manifest") not in (None, sha256_of(path)):
        verdict.bad(path, "it does not match its checksum", remedy)
    elif images.get("hash") not in (None, manifest.sha256):
        verdict.bad(path, "it is of other images than the run", remedy)
    verdict.counted.append(f"a manifest of {_count(len(manifest.images), 'image')}")
    if images.get("manifest") is None:
        verdict.unsealed.append("the manifest")


def _checkpoint(path: Path, verdict: Verdict) -> None:
    try:
        checkpoints.check(path)
    except InputError as error:
        verdict.refused(path, error)


def _store(path: Path, verdict: Verdict) -> None:
    verdict.problems += store.store_problems(path)
    if (path / checksums.LIST).is_file():
        try:
            chunks = sum(not name.endswith("zarr.json") for name in checksums.read(path))
        except InputError:  # among the problems
            return
        verdict.counted.append(f"a store of {_count(chunks, 'chunk')}")
    else:
        verdict.counted.append("a store")
        verdict.unsealed.append("the store")


def _export(path: Path, verdict: Verdict) -> None:
    problems = store.export_problems(path)
    verdict.problems += problems
    if not problems and unbroken(path) is None:
        verdict.unsealed.append(path.name)


def _shipped(folder: Path, verdict: Verdict) -> None:
    try:
        networks = Shipped(folder)
    except InputError as error:
        verdict.refused(folder / INDEX, error)
        return
    verdict.problems += networks.problems()
    verdict.count(len(networks.entries), "network")


def _count(number: int, noun: str) -> str:
    first, _, rest = noun.partition(" ")
    plural = " ".join([f"{first}s", *rest.split()])
    return f"{number} {noun if number == 1 else plural}"
