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
from .difference import changes

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
    asked, wanted = _asked(one), _asked(other)
    rows, more = (told["settings"].pop("rows", None) for told in (asked, wanted))
    if rows is None or more is None:
        raise InputError(f"{names} have no rows to join; their study is computed as a whole")
    sets = asked["sets"] | wanted["sets"]  # each may know sets that the other never read
    asked["sets"], wanted["sets"] = (sets | told["sets"] for told in (asked, wanted))
    if found := changes("run", asked, wanted):
        raise InputError(f"{names} differ, {found[0]}; join what was computed alike")
    if twice := [row for row in more if row in rows]:
        raise InputError(f"{names} both hold {twice[0]!r}; export one of them alone")
    told = {k: _told(one.get(k), other.get(k)) for k in {**one, **other}}
    told["settings"] = json.dumps(json.loads(one["settings"]) | {"rows": rows + more})
    return told | ({"sets": json.dumps(sets)} if sets else {})


def _asked(attrs: Mapping[str, Any]) -> dict[str, Any]:
    """What was asked of which images, without the folders of this machine."""
    told = {k: attrs.get(k) for k in SAME}
    told["settings"] = json.loads(store.without_places(attrs["settings"]))
    return told | {"sets": json.loads(attrs.get("sets", "{}"))}


def _told(one: Any, other: Any) -> Any:
    """What both say of where they were made: once, or one after the other."""
    known = [value for value in (one, other) if value is not None]
    if len(known) == 2 and isinstance(one, str) and other not in one.split("; "):
        return f"{one}; {other}"
    return known[0]
