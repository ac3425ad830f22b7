"""Rows that were computed apart, as one file of numbers: on several machines, or night by night.

    combined([RUN, "other.nc"], "all.nc")        what one run of all their rows would have written

Only a study whose settings name its `rows` can be taken apart so. What joins is checked: the study,
every other setting, the number of threads, and the images of each set. What differs of the machines
and versions is told in full.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .. import store
from ..errors import InputError

SAME = ("study", "version", "threads")


def combined(sources: Sequence[Path], path: Path) -> None:
    """Write the numbers of several runs of one study, which computed different rows of it.

    Args:
        sources: run folders, stores, or files that `archbias export` wrote; rows keep their order.
        path: the .nc file.

    Raises:
        InputError: they are not rows of one study with the same settings, threads and images, or a
            row is in two of them.
        OSError: it cannot be written.
    """
    trees = [store.open_study(source) for source in sources]
    attrs = trees[0].attrs
    for source, tree in zip(sources[1:], trees[1:], strict=True):
        attrs = _both(attrs, tree.attrs, f"{sources[0]} and {source}")
    with tempfile.TemporaryDirectory() as folder:
        parts = [Path(folder) / f"{i}.nc" for i in range(len(trees))]
        for part, tree in zip(parts, trees, strict=True):
            store.publish(tree, part)
        left = store.collect(parts, Path(folder) / "store.zarr", attrs)
        if left:
            part, why = next(iter(left.items()))
            raise InputError(f"{sources[parts.index(part)]} does not join the others: {why}")
        store.publish(store.open_study(Path(folder) / "store.zarr"), path)


def _both(one: Mapping[str, Any], other: Mapping[str, Any], names: str) -> dict[str, Any]:
    """The attributes of both, where they are rows of one study."""
    for key in SAME:
        if one.get(key) != other.get(key):
            raise InputError(
                f"{names} differ in {key}, {one.get(key)!r} and {other.get(key)!r}; join what was "
                "computed alike"
            )
    asked = [json.loads(store.without_places(told["settings"])) for told in (one, other)]
    rows = [settings.pop("rows", None) for settings in asked]
    if None in rows:
        raise InputError(f"{names} have no rows to join; their study is computed as a whole")
    if asked[0] != asked[1]:
        key = next(k for k in asked[0] | asked[1] if asked[0].get(k) != asked[1].get(k))
        raise InputError(f"{names} differ in the setting {key}; join what was computed alike")
    if twice := [row for row in rows[1] if row in rows[0]]:
        raise InputError(f"{names} both hold {twice[0]!r}; export one of them alone")
    images = [json.loads(told.get("sets", "{}")) for told in (one, other)]
    for label in images[0].keys() & images[1].keys():
        if images[0][label] != images[1][label]:
            raise InputError(f"{names} have other images of {label}; join what saw the same")
    told = {k: _told(one.get(k), other.get(k)) for k in {**one, **other}}
    told["settings"] = json.dumps(json.loads(one["settings"]) | {"rows": rows[0] + rows[1]})
    return told | ({"sets": json.dumps(images[0] | images[1])} if any(images) else {})


def _told(one: Any, other: Any) -> Any:
    """What both say of where they were made: once, or one after the other."""
    known = [value for value in (one, other) if value is not None]
    if len(known) == 2 and isinstance(one, str) and other not in one.split("; "):
        return f"{one}; {other}"
    return known[0]
