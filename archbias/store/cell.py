"""The labelled store: one file per finished cell, one Zarr per study, provenance beside every
array.

    RUN/run.json          what this folder is: study, settings, version
    RUN/cells/NAME.nc     one finished cell (NetCDF with groups); it exists only when it is whole
    RUN/store.zarr        all cells joined along their labels: an `xarray.DataTree`

A cell is written under a temporary name, flushed, and renamed, so a killed run leaves no half file.
Its root carries the sha256 of its contents, so a damaged file is found when it is read. Joining
streams: no variable above `LARGE` bytes is held in memory, whatever the number of cells.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import h5py
import numpy as np
import torch
import xarray as xr
import zarr

from .. import __version__
from ..errors import InputError

LARGE = 64 * 2**20  # bytes; a joined variable above this is filled cell by cell

# name: (long_name, units). Every variable of a store is described here or carries both attributes
# itself.
VARIABLES = {
    "sample": ("sample from the denoiser", "pixel value in [-1, 1]"),
    "prediction": ("predicted sample from the same noise", "pixel value in [-1, 1]"),
    "mean": ("mean of the generated law", "pixel value in [-1, 1]"),
    "eigenvalue": ("covariance eigenvalue of the generated law", "squared pixel value"),
    "mode_variance": (
        "variance of the samples along a principal direction of the data",
        "squared pixel value",
    ),
    "law_variance": (
        "variance of the generated law along a principal direction of the data",
        "squared pixel value",
    ),
    "data_variance": (
        "variance of the training images along their principal direction",
        "squared pixel value",
    ),
    "n_variance": ("number of samples whose variance was taken", "1"),
    "r": ("Pearson correlation over pixels and channels", "1"),
    "r_squared": ("square of the Pearson correlation", "1"),
    "explained": ("explained share 1 - SSE/SST", "1"),
    "amplitude_ratio": ("standard deviation of the prediction over that of the sample", "1"),
    "mse": ("mean squared difference", "squared pixel value"),
    "cosine": ("cosine similarity", "1"),
    "distance": ("Euclidean distance to the nearest training image", "pixel value"),
    "distance_ratio": (
        "distance to the nearest over distance to the second nearest training image",
        "1",
    ),
    "nearest_id": ("id of the nearest training image", ""),
    "nearest_image": ("nearest training image", "pixel value in [-1, 1]"),
    "copy": ("copy of a training image: distance ratio below 1/3", ""),
    "loss": ("training loss", "weighted squared pixel value"),
    "seconds": ("wall time", "s"),
}
COORDINATES = {
    "family": ("denoiser family", ""),
    "predictor": ("prediction compared with", ""),
    "law": ("generated law", ""),
    "seed": ("seed of the starting noise", ""),
    "sigma": ("noise level", "pixel value"),
    "step": ("training step", "step"),
    "mode": ("principal direction, largest variance first", ""),
}


class CorruptCell(Exception):
    """A cell file that cannot be trusted; the run computes it again."""


def about(long_name: str, units: str = "1") -> dict[str, str]:
    """The attributes that say what a variable is."""
    return {"long_name": long_name, "units": units}


def describe(group: xr.Dataset) -> xr.Dataset:
    """The data set with long_name and units on every variable; an InputError names one that has
    neither.
    """
    group = group.copy()
    for name, index in group.indexes.items():
        if not index.is_unique:
            again = index[index.duplicated()][0]
            raise InputError(
                f"the labels of a dimension must differ, got {name} = {again!r} twice; rename one"
            )
    for name in group.variables:
        known = VARIABLES.get(name) or COORDINATES.get(name)
        if known:
            group[name].attrs = about(*known) | group[name].attrs
        elif name in group.data_vars and not {"long_name", "units"} <= group[name].attrs.keys():
            raise InputError(
                f"every stored variable needs long_name and units, got {name!r} without; "
                "set its attrs or name it as in archbias.store.VARIABLES"
            )
    return group


@cache
def commit() -> str:
    """The git commit of the package's checkout, with `+` when files differ from it; empty outside a
    checkout.
    """
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return ""

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", "-C", root, *words], capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain") else "")
    except (OSError, subprocess.SubprocessError):
        return ""


def provenance() -> dict[str, str | int]:
    """Where numbers came from: versions, commit, host, threads, time."""
    return {
        "archbias": __version__,
        "commit": commit(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "host": socket.gethostname(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "torch": str(torch.__version__),  # a subclass of str, which HDF5 does not take
        "numpy": np.__version__,
        "threads": torch.get_num_threads(),
    }


def digest(tree: xr.DataTree) -> str:
    """sha256 over names, dimensions, types and values of all groups; attributes and storage do not
    count.
    """
    sha = hashlib.sha256()
    for node in sorted(tree.subtree, key=lambda n: n.path):
        for name, var in sorted(node.to_dataset(inherit=False).variables.items()):
            values = np.asarray(var.values)
            if values.dtype.kind in "OUT":
                values = np.array(json.dumps(values.astype(str).tolist()).encode())
            sha.update(f"{node.path}/{name}{var.dims}{var.shape}{values.dtype.kind}".encode())
            sha.update(np.ascontiguousarray(values).tobytes())
    return sha.hexdigest()


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary sibling of `path` that takes its place when the block ends well and vanishes
    otherwise.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    os.close(handle)
    part = Path(name)
    try:
        yield part
        with part.open("rb+") as f:
            os.fsync(f.fileno())
        part.chmod(0o644)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Delete what a run that was killed while writing left in its folder."""
    for pattern in (
        "cells/.*.part",
        "models/.*.part",
        "checkpoints/*/.*.part",
        ".run.json.*.part",
        ".store.zarr.*",
    ):
        for path in folder.glob(pattern):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def write_text(path: Path, text: str) -> None:
    """Write a small file whole or not at all."""
    with replacing(path) as part:
        part.write_text(text)


def write_cell(
    path: Path, groups: dict[str, xr.Dataset], attrs: dict[str, str | int | float]
) -> None:
    """Write one finished cell: data sets by group, attributes on the root."""
    tree = xr.DataTree.from_dict(
        {name: describe(ds).drop_encoding() for name, ds in groups.items()}
    )
    tree.attrs = dict(attrs)
    tree = xr.DataTree.from_dict(
        {n.path: _plain(n.to_dataset(inherit=False)) for n in tree.subtree}
    )
    tree.attrs["sha256"] = digest(tree)
    with replacing(path) as part:
        tree.to_netcdf(part, engine="h5netcdf")


def _plain(ds: xr.Dataset) -> xr.Dataset:
    """Text as objects, which NetCDF has a word for; missing text (None, NaN) is empty."""
    return ds.assign(
        {k: v.astype(object).fillna("") for k, v in ds.variables.items() if v.dtype.kind in "OUT"}
    )


def read_cell(path: Path) -> xr.DataTree:
    """A finished cell, loaded and checked.

    Raises:
        CorruptCell: the file is damaged or was not written by `write_cell`.
    """
    try:
        with h5py.File(path) as file:
            groups = {name: xr.Dataset(_variables(group)) for name, group in _groups(file)}
            tree = xr.DataTree.from_dict(groups)
            tree.attrs = _attributes(file)
        whole = digest(tree) == tree.attrs.get("sha256")
    except Exception as error:  # h5py raises whatever the damage leads it to
        raise CorruptCell(f"{path.name} cannot be read ({type(error).__name__})") from error
    if not whole:
        raise CorruptCell(f"{path.name} does not match its checksum")
    return tree


# Cells are ordinary NetCDF, but a sweep reads thousands of them: h5py alone takes a tenth of the
# time of a lazy tree.
_NETCDF = {
    "CLASS",
    "NAME",
    "REFERENCE_LIST",
    "DIMENSION_LIST",
    "_Netcdf4Dimid",
    "_Netcdf4Coordinates",
    "_FillValue",
    "_NCProperties",
}


def _attributes(holder: h5py.HLObject) -> dict[str, object]:
    names = [n for n in holder.attrs if n not in _NETCDF]
    return {n: v.item() if isinstance(v := holder.attrs[n], np.generic) else v for n in names}


def _groups(file: h5py.File) -> list[tuple[str, h5py.Group]]:
    """The groups that hold variables, the root as an empty name."""
    found: list[tuple[str, h5py.Group]] = []
    file.visititems(
        lambda name, item: found.append((name, item)) if isinstance(item, h5py.Group) else None
    )
    return [
        (name, g)
        for name, g in [("", file), *found]
        if any(isinstance(v, h5py.Dataset) for v in g.values())
    ]


def _variables(group: h5py.Group, values: bool = True) -> dict[str, xr.Variable]:
    """The variables of one group; without `values`, data variables of more than one dimension stay
    unread (zeros of no size).
    """
    read = {}
    for name, item in group.items():
        if not isinstance(
            item, h5py.Dataset
        ) or b"dimension but not a netCDF variable" in np.bytes_(item.attrs.get("NAME", b"")):
            continue
        scale = "REFERENCE_LIST" in item.attrs or item.attrs.get("CLASS") == b"DIMENSION_SCALE"
        dims = (name,) if scale else tuple(d[0].name.rsplit("/", 1)[-1] for d in item.dims)
        attrs = _attributes(item)
        kind = attrs.pop("dtype", None)
        text = h5py.check_string_dtype(item.dtype) is not None
        if values or scale:
            array = np.asarray(item.asstr()[()] if text else item[()])
            array = (
                np.array(array.tolist(), dtype=str).reshape(array.shape)
                if text
                else array.astype(bool)
                if kind == "bool"
                else array
            )
        else:
            dtype = np.dtype(str) if text else np.dtype(bool) if kind == "bool" else item.dtype
            array = np.broadcast_to(np.zeros((), dtype), item.shape)
        read[name] = xr.Variable(dims, array, attrs)
    return read


def collect(
    cells: Sequence[Path],
    store: Path,
    attrs: dict[str, str | int],
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Join cells along their labels into one Zarr store, replacing the old one when the new one is
    whole.

    Labels appear in the order of first appearance. Where no cell has a value, floats are NaN and
    text is empty; integers and booleans with such holes become floats.
    """
    progress = progress or (lambda done, total: None)
    plan: dict[str, _Group] = {}
    for i, path in enumerate(cells):
        with h5py.File(path) as file:
            for name, group in _groups(file):
                plan.setdefault(name, _Group()).meet(_variables(group, values=False), i)
        progress(i + 1, 2 * len(cells))
    part = Path(tempfile.mkdtemp(prefix=f".{store.name}.", suffix=".part", dir=store.parent))
    try:
        root = zarr.create_group(part, zarr_format=3, overwrite=True, attributes=dict(attrs))
        for name, group in plan.items():
            group.create(root.require_group(name))
        for i, path in enumerate(cells):
            with h5py.File(path) as file:
                for name, group in _groups(file):
                    plan[name].put(_variables(group))
            progress(len(cells) + i + 1, 2 * len(cells))
        for group in plan.values():
            group.flush()
        if store.exists():
            old = Path(tempfile.mkdtemp(prefix=f".{store.name}.", suffix=".old", dir=store.parent))
            store.replace(old / "store")
            part.replace(store)
            shutil.rmtree(old)
        else:
            part.replace(store)
    finally:
        shutil.rmtree(part, ignore_errors=True)


class _Group:
    """One group of the store while it is joined."""

    def __init__(self) -> None:
        self.labels: dict[str, dict] = {}  # dimension -> label -> position
        self.sizes: dict[str, int] = {}  # dimensions without labels
        self.variables: dict[str, tuple[tuple[str, ...], np.dtype, dict]] = {}
        # integers and booleans: block of labels -> how many values it holds
        self.filled: dict[str, dict[tuple, int]] = {}
        self.arrays: dict[str, zarr.Array] = {}
        self.held: dict[str, np.ndarray] = {}
        self.coordinate_attrs: dict[str, dict] = {}

    def meet(self, variables: dict[str, xr.Variable], number: int) -> None:
        for name, var in variables.items():
            if var.dims == (name,):
                known = self.labels.setdefault(name, {})
                for label in var.values.tolist():
                    known.setdefault(label, len(known))
                self.coordinate_attrs.setdefault(name, dict(var.attrs))
        for name, var in variables.items():
            if var.dims == (name,):
                continue
            for dim, size in zip(var.dims, var.shape, strict=True):
                if dim not in variables:
                    self.sizes[dim] = max(size, self.sizes.get(dim, 0))
            dims, dtype, attrs = self.variables.get(name, (var.dims, var.dtype, dict(var.attrs)))
            if dims != var.dims:
                raise InputError(
                    f"variable {name!r} has dimensions {dims} in one cell and {var.dims} in cell "
                    f"{number}; use one order"
                )
            kind = (
                np.dtype(object)
                if dtype.kind in "OU" or var.dtype.kind in "OU"
                else np.promote_types(dtype, var.dtype)
            )
            self.variables[name] = (dims, kind, attrs)
            if var.dtype.kind in "biu":
                block = tuple(
                    tuple(variables[d].values.tolist()) if d in variables else n
                    for d, n in var.sizes.items()
                )
                self.filled.setdefault(name, {})[block] = var.size

    def _shape(self, dims: tuple[str, ...]) -> tuple[int, ...]:
        return tuple(len(self.labels[d]) if d in self.labels else self.sizes[d] for d in dims)

    def create(self, group: zarr.Group) -> None:
        for dim, labels in self.labels.items():
            _array(group, dim, np.array(list(labels)), (dim,), self.coordinate_attrs[dim])
        for name, (dims, dtype, attrs) in self.variables.items():
            shape = self._shape(dims)
            if dtype.kind in "biu" and sum(self.filled[name].values()) < int(np.prod(shape)):
                dtype = np.dtype(float)  # holes are NaN
            attrs = {k: v for k, v in attrs.items() if k != "dtype"}
            text = dtype.kind in "OUT"
            if text or int(np.prod(shape)) * dtype.itemsize <= LARGE:
                start = "" if text else np.nan if dtype.kind == "f" else 0
                self.held[name] = np.full(shape, start, dtype=object if text else dtype)
            chunks = (
                shape
                if name in self.held
                else tuple(1 if d in self.labels else s for d, s in zip(dims, shape, strict=True))
            )
            self.arrays[name] = group.create_array(
                name,
                shape=shape,
                dtype=str if text else dtype,
                chunks=tuple(max(1, c) for c in chunks) if shape else "auto",
                dimension_names=dims,
                attributes=attrs,
                fill_value="" if text else float("nan") if dtype.kind == "f" else dtype.type(0),
            )

    def put(self, variables: dict[str, xr.Variable]) -> None:
        for name, var in variables.items():
            if name not in self.arrays:
                continue
            where = [
                np.array([self.labels[d][v] for v in variables[d].values.tolist()], dtype=int)
                if d in variables
                else np.arange(n)
                for d, n in zip(var.dims, var.shape, strict=True)
            ]
            if name in self.held:
                self.held[name][np.ix_(*where) if where else ()] = var.values
            else:
                self.arrays[name].oindex[tuple(where)] = var.values

    def flush(self) -> None:
        for name, values in self.held.items():
            self.arrays[name][...] = values.astype(str) if values.dtype == object else values


def _array(
    group: zarr.Group, name: str, values: np.ndarray, dims: tuple[str, ...], attrs: dict
) -> None:
    text = values.dtype.kind in "OU"
    array = group.create_array(
        name,
        shape=values.shape,
        dtype=str if text else values.dtype,
        chunks=tuple(max(1, n) for n in values.shape),
        dimension_names=dims,
        attributes={k: v for k, v in attrs.items() if k != "dtype"},
    )
    array[...] = values


def publish(tree: xr.DataTree, path: Path) -> None:
    """Write the numbers of a store to one NetCDF file, small enough to lie beside a study and free
    of training images.

    Left out is every variable with a row and a column (pictures, and maps of them), the name of the
    machine and where its images lay. `open_study` reads the file, which is written whole or not at
    all.

    Args:
        tree: of `open_study`. path: the .nc file; its folder is made.

    Raises:
        OSError: it cannot be written.
    """
    groups = {}
    for node in tree.subtree:
        ds = node.to_dataset(inherit=False)
        ds = ds.drop_vars([k for k, v in ds.data_vars.items() if {"row", "column"} <= set(v.dims)])
        used = {d for v in ds.data_vars.values() for d in v.dims}
        ds = ds.drop_vars([k for k, v in ds.coords.items() if not set(v.dims) <= used])
        if ds.data_vars or node.path == "/":
            groups[node.path] = _plain(ds.load().drop_encoding())
    numbers = xr.DataTree.from_dict(groups)
    numbers.attrs = {k: v for k, v in tree.attrs.items() if k != "host"}
    if "settings" in tree.attrs:
        numbers.attrs["settings"] = json.dumps(_without_roots(json.loads(tree.attrs["settings"])))
    with replacing(path) as part:
        numbers.to_netcdf(part, engine="h5netcdf")


def _without_roots(settings):
    """Settings without the folders of images."""
    if isinstance(settings, dict):
        return {k: None if k == "root" else _without_roots(v) for k, v in settings.items()}
    return [_without_roots(v) for v in settings] if isinstance(settings, list) else settings


def open_study(path: str | Path) -> xr.DataTree:
    """A study's store as an `xarray.DataTree`, lazily read.

    Args:
        path: the run folder (runs/quickstart), the store in it, or a file that `publish` wrote.

    Raises:
        InputError: there is no store, or the file cannot be read.
    """
    path = Path(path)
    if path.suffix == ".nc" and not path.is_dir():
        if not path.exists():
            raise InputError(
                f"wanted numbers that `archbias export` wrote, {path} does not exist; write them: "
                f"archbias export RUN {path}"
            )
        try:
            tree = xr.open_datatree(path, engine="h5netcdf").map_over_datasets(_unicode)
        except (OSError, ValueError) as error:
            raise InputError(
                f"wanted numbers that `archbias export` wrote, cannot read {path} ({error}); "
                "export them again"
            ) from error
        if not tree.children:
            raise InputError(
                f"wanted numbers that `archbias export` wrote, {path} has no group of them; export "
                "them again"
            )
        return tree
    store = path if path.suffix == ".zarr" else path / "store.zarr"
    if not (store / "zarr.json").is_file():
        raise InputError(
            f"wanted a study's store at {store}, found none; run the study first: archbias run "
            f"STUDY --out {path}"
        )
    tree = xr.open_datatree(store, engine="zarr", consolidated=False)
    return tree.map_over_datasets(_unicode)


def _unicode(ds: xr.Dataset) -> xr.Dataset:
    """Text as NumPy unicode, which pandas, seaborn and `sel` all take (Zarr hands out
    variable-length strings).
    """
    return ds.assign(
        {
            k: (v.dims, np.array(v.values.tolist(), dtype=str).reshape(v.shape), v.attrs)
            for k, v in ds.variables.items()
            if v.dtype.kind in "TO"
        }
    )
