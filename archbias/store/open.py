"""A study's numbers, read lazily as an `xarray.DataTree`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr

from ..errors import InputError


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
