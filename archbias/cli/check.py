"""archbias doctor: what this machine offers."""

from __future__ import annotations

import argparse
import os
from importlib.metadata import PackageNotFoundError, version

from .. import __version__
from .shared import Command, out, path


def add(command: Command) -> None:
    """The commands of this file."""
    p = command("doctor", _doctor, "versions, device, threads, precision, data at hand")
    p.add_argument("--root", type=path, help="a data folder to look into")
    p.add_argument(
        "--time", action="store_true", help="time a few training steps to compare precisions"
    )


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
    out.print(_precision(timed=a.time))
    for name in data.sources():
        out.print(f"  {name:<14}{data.at_hand(name, a.root)}", markup=False)
    return 0


def _precision(*, timed: bool) -> str:
    """Which precision trains faster here, if that was timed before or is to be timed now."""
    import torch

    from ..nets import timing
    from ..nets.resnet import ResNet

    device = "cuda" if torch.cuda.is_available() else "cpu"
    spec, shape = ResNet(), (3, 32, 32)
    if not timed and not timing.is_timed(spec, shape, device=device):
        return "precision: not timed on this machine yet; `archbias doctor --time` takes seconds"
    faster, seconds = timing.faster_precision(spec, shape, device=device)
    each = ", ".join(f"{p} {1000 * s:.3g} ms" for p, s in seconds.items())
    return f"precision: {faster} trains faster here (a step of ResNet() on 3x32x32: {each})"
