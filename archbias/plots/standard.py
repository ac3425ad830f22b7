"""The figures every store can have."""

from __future__ import annotations

from typing import Any

import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .grid import family_grid
from .predictors import agreement
from .spectra import covariance_spectra
from .styles import TWO_COLUMNS, whole
from .training import training_curves
from .variance import mode_variance


def standard(tree: xr.DataTree) -> dict[str, Figure]:
    """Samples, agreement, variances, covariance and training curves, as far as the store has their
    groups.
    """

    def has(group: str, *variables: str) -> bool:
        return group in tree.children and all(v in tree[group] for v in variables)

    found: dict[str, Figure | Axes] = {}
    if has("samples", "sample"):
        found["samples"] = family_grid(tree)
    if has("agreement", "r"):
        found["agreement"] = agreement(tree["agreement"].to_dataset())
    if has("spectrum", "mode_variance", "data_variance"):
        found["variance"] = mode_variance(tree["spectrum"].to_dataset())
    if has("distributions", "eigenvalue") and has("samples", "sample"):
        found["covariance"] = covariance_spectra(tree)
    if has("training", "loss"):
        found["training"] = training_curves(tree["training"].to_dataset())
    return {name: whole(f) for name, f in found.items()}


def widths(module: Any, venue: str | None) -> dict[str, int]:
    """How many columns a study's figures take on a page of this venue: what its `PAPER` says where
    the page has two; 1 for every figure that is not named.
    """
    return dict(getattr(module, "PAPER", {})) if venue in TWO_COLUMNS else {}
