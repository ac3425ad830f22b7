"""archbias doctor: what this machine offers."""

from __future__ import annotations

import argparse
import os
from importlib.metadata import PackageNotFoundError, version

from .. import __version__
from .shared import out, path


def add(command) -> None:
    """The commands of this file."""
    p = command("doctor", _doctor, "versions, device, threads, precision, data at hand")
    p.add_argument("--root", type=path, help="a data folder to look into")


def _doctor(a: argparse.Namespace) -> int:
    import platform

    import torch

    from .. import data, store

    out.print(f"archbias {__version__} {store.commit()[:12]}")
    out.print(f"python {platform.python_version()} on {platform.platform()}")
    for name in (
        "torch",
        "numpy",
        "numba",
        "scikit-learn",
        "xarray",
        "zarr",
        "seaborn",
        "dask",
        "diffusers",
        "jupyterlab",
    ):
        try:
            out.print(f"  {name:<14}{version(name)}")
        except PackageNotFoundError:
            out.print(f"  {name:<14}not installed")
    gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "none"
    out.print(f"threads {torch.get_num_threads()} of {os.cpu_count()} cores, GPU {gpu}")
    for name in data.sources():
        out.print(f"  {name:<14}{data.describe(name, a.root)['at_hand']}", markup=False)
    return 0
