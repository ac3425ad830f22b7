"""A study's numbers, read lazily as an `xarray.DataTree`.

What is read is what was written: every chunk is compared with its checksum, and a lost or damaged
one is named in a sentence with the remedy.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ..errors import InputError
from . import attributes, checksums, heaps, versions
from .files import unbroken

DECODING: dict[str, Any] = {"decode_timedelta": xr.coders.CFTimedeltaCoder(decode_via_units=False)}


def open_study(path: str | Path) -> xr.DataTree:
    """A study's store as an `xarray.DataTree`, lazily read.

    Args:
        path: the run folder (runs/quickstart), the store in it, or a file that `publish` wrote.

    Raises:
        InputError: there is no store, the file cannot be read, is damaged, or a newer archbias
            wrote it. Reading values later raises it too, where a chunk is lost or damaged, or the
            store was written again meanwhile.

    Example:
        >>> import archbias
        >>> tree = archbias.open_study("studies/score_machines/results.nc")
        >>> r = tree["agreement"]["r"].sel(family="celeba resnet", predictor="bbels")
        >>> round(float(r.median()), 2)
        0.97
    """
    path = Path(path).expanduser()
    tree = _file(path) if path.suffix == ".nc" and not path.is_dir() else _store(path)
    return tree.map_over_datasets(_plain)


def loaded(node: xr.DataTree | xr.Dataset, where: object) -> None:
    """Read all values of a node at once.

    Raises:
        InputError: they cannot be decoded, which their checksums do not tell when a stranger wrote
            both.
    """
    try:
        node.load()
    except (InputError, MemoryError):
        raise
    except Exception as error:  # zarr's codecs raise whatever the damage leads them to
        raise InputError(
            f"the values of {where} cannot be read ({type(error).__name__}: {error}); "
            f"{checksums.REMEDY}"
        ) from error


def variable(tree: xr.DataTree, path: str) -> xr.DataArray:
    """A variable of a tree, by its path: `agreement/r`.

    Raises:
        KeyError: there is no such variable.
    """
    found = tree[path]
    if isinstance(found, xr.DataArray):
        return found
    raise KeyError(f"{path} is a group of the tree, no variable")


def _file(path: Path) -> xr.DataTree:
    wanted = "wanted numbers that `archbias export` wrote"
    if not path.exists():
        raise InputError(f"{wanted}, {path} does not exist; write them: archbias export RUN {path}")
    try:
        if unbroken(path) is False:
            raise InputError(
                f"{wanted}, {path} does not match its checksum; export them again"
            ) from None
        heaps.check(path)
        tree = xr.open_datatree(path, engine="h5netcdf", **DECODING)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{wanted}, cannot read {path} ({error}); export them again") from error
    versions.readable(tree.attrs.get(versions.KEY), str(path))
    if not tree.children:
        raise InputError(f"{wanted}, {path} has no group of them; export them again")
    return tree


def _store(path: Path) -> xr.DataTree:
    store = path if path.suffix == ".zarr" else path / "store.zarr"
    if not (store / "zarr.json").is_file() and not (store / checksums.LIST).is_file():
        raise InputError(
            f"wanted a study's store at {store}, found none; run the study first: archbias run "
            f"STUDY --out {path}"
        )
    version = _version(store)
    if version == 1:
        return _opened(store, store, consolidated=False)
    lost = checksums.missing(store, checksums.read(store))
    if lost:
        file, what = lost[0]
        raise InputError(
            f"{file} cannot be read: {what} ({len(lost)} such files); {checksums.REMEDY}"
        )
    return _opened(store, checksums.Checked(store), consolidated=True)


def _version(store: Path) -> int:
    """The format of a store; InputErrors name a damaged or newer one."""
    listed = (store / checksums.LIST).is_file()
    try:
        root = json.loads((store / "zarr.json").read_text(encoding="utf-8"))
        found = root["attributes"].get(versions.KEY)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{store / 'zarr.json'} cannot be read ({type(error).__name__}: {error}); "
            f"{checksums.REMEDY}"
        ) from error
    version = versions.readable(found, str(store))
    return max(version, 2) if listed else version


def _opened(store: Path, source: Any, *, consolidated: bool) -> xr.DataTree:
    try:
        return xr.open_datatree(source, engine="zarr", consolidated=consolidated, **DECODING)
    except InputError:
        raise
    except Exception as error:  # zarr raises whatever damaged metadata lead it to
        raise InputError(
            f"{store} cannot be read ({type(error).__name__}: {error}); {checksums.REMEDY}"
        ) from error


def _plain(ds: xr.Dataset) -> xr.Dataset:
    """Text as NumPy unicode, which pandas, seaborn and `sel` all take (Zarr hands out
    variable-length strings), and attributes as they were given.
    """
    text = {k: v for k, v in ds.variables.items() if v.dtype.kind in "TO"}
    ds = ds.assign(
        {
            k: (v.dims, np.array(v.values.tolist(), dtype=str).reshape(v.shape), v.attrs)
            for k, v in text.items()
        }
    )
    for var in [ds, *(ds[name] for name in ds.variables)]:
        var.attrs = attributes.decode(var.attrs)
    return ds
