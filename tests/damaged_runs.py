"""Damage to the files of a run folder, and settings that nobody would write.

    for case in damaged_files.cases(seed=0, count=300, kinds=KINDS):
        fault = damaged_files.attempt(case, folder, KINDS)

The files of a finished run are damaged one at a time; then the run is verified, its status asked,
and the file is read by its own door. Kinds that are "sealed" carry checksums of their own, so that
what lies behind a checksum is tried too. HDF5 and Zarr parse those in C: `ABRUPT` kinds belong in a
process that may die.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from functools import cache, partial
from hashlib import sha256
from pathlib import Path

import numpy as np
from damaged_files import Kind
from made_up_runs import ran

from archbias import data, families, store
from archbias.cli.shared import changes_of
from archbias.data import Manifest
from archbias.errors import InputError
from archbias.nets import checkpoints
from archbias.report import tables
from archbias.store import checksums
from archbias.store.files import SEAL
from archbias.study import Images, load, status
from archbias.study.folder import intended
from archbias.study.verify import verify


@cache
def finished() -> Path:
    """A finished run, made once, with a checkpoint and exported numbers in it."""
    folder = Path(tempfile.mkdtemp(prefix="archbias-damaged-")) / "run"
    ran(folder, seeds=2)
    store.publish(store.open_study(folder), folder / "numbers.nc")
    model = next((folder / "models").glob("mlp*"))
    kept = folder / "checkpoints" / "sampled mlp" / "mlp0-0123456789ab.safetensors"
    kept.parent.mkdir(parents=True)
    shutil.copy(model, kept)
    return folder


def _first(folder: Path, pattern: str) -> Path:
    return sorted(p for p in folder.glob(pattern) if p.is_file())[0]


def _run(pattern: str, load: Callable[[Path], object], mend: Callable = lambda file: None) -> Kind:
    """A file of the run that is found by its pattern, with the door that reads it."""

    def make(folder: Path) -> Path:
        shutil.copytree(finished(), folder / "run")
        return _first(folder / "run", pattern)

    def read(folder: Path) -> None:
        run = folder / "run"
        verify(run)  # a verdict, whatever it finds
        load(run)

    return Kind(make, read, mend)


def _status(run: Path) -> None:
    status(run)
    study = _study()
    intended(study, study.settings, run, study.plan(study.settings))


def _store(run: Path) -> None:
    tree = store.open_study(run)
    store.loaded(tree, run)
    tables.render(tree, "csv")


def _cell(run: Path, pattern: str) -> None:
    with tempfile.TemporaryDirectory() as place:
        store.collect(sorted((run / "cells").glob("*.nc")), Path(place) / "s.zarr", {})
    try:
        store.read_cell(_first(run, pattern))
    except store.CorruptCell:
        return  # the run computes it again


def _sealed(file: Path) -> None:
    """The seal of what the file holds now."""
    body = file.read_bytes()
    body = body[: body.rfind(SEAL)] if SEAL in body else body
    file.write_bytes(body + SEAL + sha256(body).hexdigest().encode())


def _listed(file: Path) -> None:
    """The store's list of checksums as its files are now."""
    top = next(p for p in file.parents if p.name == "store.zarr")
    shutil.rmtree(top / "checksums")
    checksums.write(top)


def _record(file: Path) -> None:
    """A record with a checksum of its own, where it still is one."""
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        return
    if isinstance(record, dict) and record.pop("sha256", None):
        text = json.dumps(record, sort_keys=True)
        record["sha256"] = sha256(text.encode("utf-8")).hexdigest()
        file.write_text(json.dumps(record), encoding="utf-8")


def _model(run: Path) -> None:
    families.load(_first(run, "models/mlp*"))


def _checkpoint(run: Path) -> None:
    checkpoints.check(_first(run, "checkpoints/*/*"))


def _numbers(run: Path) -> None:
    store.loaded(store.open_study(run / "numbers.nc"), run)


KINDS = {
    "record": _run("run.json", _status),
    "record sealed": _run("run.json", _status, _record),
    "manifest of a run": _run("manifest.json", lambda run: Manifest.read(run / "manifest.json")),
    "cell": _run("cells/*.nc", partial(_cell, pattern="cells/*.nc")),
    "numbers": _run("numbers.nc", _numbers),
    "store chunk": _run("store.zarr/agreement/*/c/**/*", _store),
    "store group": _run("store.zarr/agreement/zarr.json", _store),
    "store root": _run("store.zarr/zarr.json", _store),
    "store list": _run("store.zarr/checksums/zarr.json", _store),
    "model": _run("models/mlp*", _model),
    "checkpoint": _run("checkpoints/*/*", _checkpoint),
}
ABRUPT = {
    "cell sealed": _run("cells/*.nc", partial(_cell, pattern="cells/*.nc"), _sealed),
    "numbers sealed": _run("numbers.nc", _numbers, _sealed),
    "store chunk listed": _run("store.zarr/agreement/*/c/**/*", _store, _listed),
    "store group listed": _run("store.zarr/agreement/zarr.json", _store, _listed),
    "store root listed": _run("store.zarr/zarr.json", _store, _listed),
}


# ---- settings on the command line

WORDS = (
    "data", "data.n", "data.root", "data.size", "data.seed", "data.crop", "seeds", "steps",
    "families", "families.linear", "families.a/b", "families.unet.train", "families.linear.rank",
    "families.unet.train.steps", "families.unet.train.precision", "families.els", "x", "", ".",
    "data..n", "__class__", "families.__init__", "data.load",
)  # fmt: skip
PIECES = (
    "1", "0", "-1", "1e3", "1e999", "nan", "inf", "9" * 40, "9" * 5000, "0x10", "1_000", "007",
    "true", "None", "none", "[]", "{}", "()", "(1,)", "[1, 'a']", "{'a': 1}", "'", '"', "linear",
    "els(window=7)", "els(window=)", "linear(rank=10**9)", "linear(rank=1000000000)", "unet(", "(",
    "(" * 3000, "[" * 3000, "-" * 3000, "lambda: 0", "__import__('os')", "els(**{})", "els(1)",
    "~", "~nobody", "C:\\x", "\\\\server\\share", "/", "..", "a\0b", "\udcff", "é", "e\u0301", "=",
    ",", " ", "\n", "\x1b[2J", "mnist", "digits", "celeba", "auto", "fp16", "5", "6.5", "1+1",
)  # fmt: skip


@cache
def _study() -> object:
    return load("families")


def setting(seed: int) -> str:
    """KEY=VALUE from pieces that mean something, and from some that mean nothing."""
    rng = np.random.default_rng(seed)
    key = WORDS[rng.integers(len(WORDS))]
    value = "".join(PIECES[k] for k in rng.integers(len(PIECES), size=rng.integers(0, 4)))
    return key + value if rng.random() < 0.05 else f"{key}={value}"


def configured(text: str) -> str | None:
    """What is wrong with a study that is told this by `--set`, or None."""
    study = _study()
    try:
        settings = study.configure("toy", changes_of([text]))
        study.plan(settings)
        if isinstance(settings.data, Images) and settings.data.name == "digits":
            data.describe(settings.data.name, settings.data.root)
    except InputError as error:
        return None if "; " in str(error) else f"{text[:60]!r}: no remedy: {error}"
    except Exception as error:
        return f"{text[:60]!r}: {type(error).__name__}: {str(error)[:200]}"
    return None
