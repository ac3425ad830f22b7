"""Finished cells joined along their labels into one Zarr store.

Joining streams: no variable above `LARGE` bytes is held in memory, whatever the number of cells.
A cell that does not fit the others is left out and named; the others are joined.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import zarr

from ..errors import InputError
from . import attributes, checksums, netcdf, versions
from .files import unbroken
from .group import Group

LARGE = 64 * 2**20  # bytes; a joined variable above this is filled cell by cell


def collect(
    cells: Sequence[Path],
    store: Path,
    attrs: Mapping[str, Any],
    progress: Callable[[int, int], None] | None = None,
) -> dict[Path, str]:
    """Join cells along their labels into one Zarr store, replacing the old one when the new one is
    whole.

    Labels appear in the order of first appearance. Where no cell has a value, floats are NaN, times
    NaT, and text is empty; integers and booleans with such holes become floats.

    Returns:
        The cells that were left out, each with the reason: its file is damaged, or a variable has
        other dimensions or another kind of values than in the cells before.

    Raises:
        InputError: no cell could be joined.
        OSError: the store cannot be written; the old one stays.
    """
    progress = progress or (lambda done, total: None)
    plan: dict[str, Group] = {}
    left: dict[Path, str] = {}
    for i, path in enumerate(cells):
        try:
            _meet(path, plan)
        except InputError as error:
            left[path] = str(error)
        progress(i + 1, 2 * len(cells))
    fit = [path for path in cells if path not in left]
    if cells and not fit:
        path, why = next(iter(left.items()))
        raise InputError(f"none of {len(cells)} cells can be joined: {path.name}: {why}")
    root_attrs = attributes.encode(attributes.checked(attrs, "the store"))
    root_attrs[versions.KEY] = versions.FORMAT
    with _replacing(store) as part:
        root = zarr.create_group(part, zarr_format=3, overwrite=True, attributes=root_attrs)
        for name, group in plan.items():
            group.create(root.require_group(name) if name else root, LARGE)
        for i, path in enumerate(fit):
            with netcdf.opened(path) as file:
                for name, group in netcdf.groups(file):
                    if name in plan:
                        plan[name].put(netcdf.variables(group))
            progress(len(cells) + len(left) + i + 1, 2 * len(cells))
        for group in plan.values():
            group.flush()
        with warnings.catch_warnings():
            # readers look for it first and warn when it is not there
            warnings.filterwarnings("ignore", message="Consolidated metadata")
            zarr.consolidate_metadata(part)
        checksums.write(part)
    return left


def _meet(path: Path, plan: dict[str, Group]) -> None:
    """Enter a cell's labels and variables into the plan, all of them or none."""
    try:
        if unbroken(path) is False:
            raise InputError("its file does not match its checksum; run again to compute it anew")
        with netcdf.opened(path) as file:
            versions.readable(netcdf.attributes(file).get(versions.KEY), path.name)
            found = {
                name: (netcdf.variables(group, values=False), netcdf.attributes(group))
                for name, group in netcdf.groups(file)
            }
    except InputError:
        raise
    except Exception as error:  # h5py raises whatever the damage leads it to
        raise InputError(
            f"its file cannot be read ({type(error).__name__}: {error}); run again to compute it "
            "anew"
        ) from error
    found = {name: (variables, attrs) for name, (variables, attrs) in found.items() if variables}
    for name, (variables, _) in found.items():
        with contextlib.suppress(KeyError):
            plan[name].check(variables, name)
    for name, (variables, attrs) in found.items():
        # the root's attributes are the cell's own: its name, its time
        named = attrs if name else {k: v for k, v in attrs.items() if k == "coordinates"}
        plan.setdefault(name, Group()).meet(variables, named)


@contextlib.contextmanager
def _replacing(store: Path) -> Iterator[Path]:
    """A temporary folder that takes the place of the store when the block ends well."""
    part = Path(tempfile.mkdtemp(prefix=f".{store.name}.", suffix=".part", dir=store.parent))
    try:
        yield part
        if store.exists():
            old = Path(tempfile.mkdtemp(prefix=f".{store.name}.", suffix=".old", dir=store.parent))
            store.replace(old / "store")
            part.replace(store)
            shutil.rmtree(old)
        else:
            part.replace(store)
    finally:
        shutil.rmtree(part, ignore_errors=True)
