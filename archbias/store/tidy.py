"""Numbers of a store as a table for seaborn, pandas and R: one row per place, one column per value.

    frame = archbias.tidy("runs/quickstart", "agreement")
    seaborn.stripplot(frame, x="predictor", y="Pearson correlation over pixels and channels", ...)

The labels come first, each in a column (seed, family, predictor); then the group's variables. A
place that no cell has filled has no row.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import xarray as xr

from ..errors import InputError, nearest
from .open import open_study

PIXELS = {"row", "column", "channel"}
FIRST = ("seed", "family", "predictor")


def tidy(store: xr.DataTree | str | Path, group: str, *, readable: bool = True) -> pd.DataFrame:
    """One row per seed, family and predictor of a group, whatever its labels are.

    Args:
        store: of `open_study`, or the path it would open.
        group: "agreement", "novelty", ...
        readable: columns are called by long_name and units ("training loss (weighted squared pixel
            value)"); otherwise by the variable ("loss").

    Returns:
        The table; its labels are ordinary columns. Variables that know fewer labels than others are
        repeated along those they lack. Pictures beside numbers are left out.

    Raises:
        InputError: there is no such group, it holds nothing but pictures, or a dimension has no
            labels.

    Example:
        >>> import archbias
        >>> table = archbias.tidy("studies/score_machines/results.nc", "agreement", readable=False)
        >>> set(table.columns) >= {"family", "predictor", "seed", "r"}
        True
    """
    tree = store if isinstance(store, xr.DataTree) else open_study(store)
    groups = {node.path.strip("/"): node for node in tree.subtree if node.data_vars}
    if group.strip("/") not in groups:
        remedy = nearest(group, groups) if groups else "the store is empty: finish the run first"
        raise InputError(f"wanted a group of the store, got {group!r}; {remedy}")
    ds = groups[group.strip("/")].to_dataset()
    pictures = [str(k) for k, v in ds.data_vars.items() if PIXELS & set(v.dims)]
    if len(pictures) == len(ds.data_vars):
        raise InputError(
            f"wanted a group of numbers, {group!r} holds pictures ({', '.join(pictures)}); draw "
            f"them with archbias.plots or take archbias.open_study(...)[{group!r}]"
        )
    ds = ds.drop_vars(pictures)
    ds = ds.drop_dims(PIXELS & set(ds.dims))  # labels of pictures alone
    bare = [str(d) for d in ds.dims if d not in ds.coords]
    if bare:
        raise InputError(
            f"wanted labels for every dimension of {group!r}, got none for {', '.join(bare)}; set "
            "them with assign_coords"
        )
    order = [d for d in FIRST if d in ds.dims] + [str(d) for d in ds.dims if d not in FIRST]
    if not order:
        frame = pd.DataFrame({str(k): [v.values[()]] for k, v in ds.data_vars.items()})
    else:
        frame = ds.to_dataframe(dim_order=order).reset_index()
    names = [str(k) for k in ds.data_vars]
    # text is empty and numbers are NaN where no cell has a value
    empty = frame[names].isna() | (frame[names] == "")
    frame = frame[~empty.all(axis=1)].reset_index(drop=True)
    frame = frame[[*(c for c in frame.columns if c not in names), *names]]
    return frame.rename(columns=_titles(ds)) if readable else frame


def _titles(ds: xr.Dataset) -> dict[str, str]:
    """What the variables are called and measured in, where that tells them apart."""
    titles = {}
    for name, var in ds.data_vars.items():
        title, units = str(var.attrs.get("long_name", name)), str(var.attrs.get("units", ""))
        titles[str(name)] = f"{title} ({units})" if units not in ("", "1") else title
    taken = [*titles.values(), *map(str, ds.coords)]
    return {k: v if taken.count(v) == 1 else k for k, v in titles.items()}
