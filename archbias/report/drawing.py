"""What a study draws, every figure under a sentence that says what it shows.

The sentences are computed from the store: those of `says(tree)` in the study's `figures.py` by the
figure's name, else the usual ones below. A figure that heads itself (`plots.agreement`) keeps its
words. Where the sizes of a run mean nothing every figure says so.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from .. import plots  # first of all that draws: it finds matplotlib a place for its files
from ..plots.styles import heading, headline
from ..store.open import variable
from . import words

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST = 3  # families a sentence names one by one


def drawn(module: Any, tree: xr.DataTree) -> dict[str, Figure]:
    """The figures of a study by name; the standard ones without a `figures.py`, or where a group
    it reads is missing (yet).
    """
    if module is None:
        return headed(plots.standard(tree), sentences(tree), tree)
    try:
        found = module.figures(tree)
    except KeyError as error:
        warnings.warn(
            f"the study's own figures want what this store lacks ({error.args[0]}); drawn are the "
            "standard ones",
            stacklevel=2,
        )
        return headed(plots.standard(tree), sentences(tree), tree)
    return headed(found, sentences(tree, module), tree)


def headed(
    figures: dict[str, Figure], said: Mapping[str, str], tree: xr.DataTree
) -> dict[str, Figure]:
    """The figures, each with its sentence above it, then its own words, then a warning where the
    run's sizes mean nothing.
    """
    small = words.toy(tree)
    for name, figure in figures.items():
        own = heading(figure)
        first = [said[name]] if name in said else []
        if first or small:
            headline(figure, *first, *own, *small)
    return figures


def sentences(tree: xr.DataTree, module: Any = None) -> dict[str, str]:
    """The sentence of each figure by its name: the usual ones, over them those of the study."""
    found = {name: said for name, say in USUAL.items() if (said := say(tree))}
    own: Mapping[str, str] = {}
    with contextlib.suppress(KeyError):  # a group it reads is not there yet
        own = getattr(module, "says", lambda tree: {})(tree)
    return found | {str(k): str(v) for k, v in own.items()}


def copied(tree: xr.DataTree) -> str:
    """Which families copy, and how much of what the others draw is copied."""
    if "novelty" not in tree.children or "copy" not in tree["novelty"]:
        return ""
    flags = variable(tree, "novelty/copy").transpose("family", "seed")
    known, copies = (v.sum("seed").to_series().astype(int) for v in (flags.notnull(), flags == 1))
    rest, guilty = known[copies == 0].sum(), copies[copies > 0]
    if guilty.empty:
        return f"None of {rest} samples is a copy."
    named = zip(guilty.index, guilty, known[guilty.index], strict=True)
    said = ", ".join([f"{n} of {of} of {family}" for family, n, of in named][:MOST])
    if len(guilty) > MOST:
        said += f" and of {len(guilty) - MOST} more families"
    return f"Copies: {said}" + (f"; none of {rest} of the others." if rest else ".")


def _covariance(tree: xr.DataTree) -> str:
    """The samples' whole variance over their law's."""
    if not {"distributions", "samples"} <= set(tree.children):
        return ""
    if "eigenvalue" not in tree["distributions"] or "sample" not in tree["samples"]:
        return ""
    law, samples = variable(tree, "distributions/eigenvalue"), variable(tree, "samples/sample")
    shares = []
    for family in (str(f) for f in law["law"].values if f in samples["family"].values):
        whole = float(np.nansum(law.sel(law=family)))
        own = samples.sel(family=family).dropna("seed").var("seed", ddof=1)
        if whole > 0 and np.isfinite(own).all():
            shares.append(float(own.sum()) / whole)
    if not shares:
        return ""
    return f"Variance of the samples over that of their law: {words.span(shares)}."


def _training(tree: xr.DataTree) -> str:
    """What the losses fell to: the median of their last tenth, over that of the first."""
    if "training" not in tree.children or "loss" not in tree["training"]:
        return ""
    ends = []
    for values in variable(tree, "training/loss").transpose("family", "step").values:
        known = values[np.isfinite(values)]
        tenth = max(1, len(known) // 10)
        if len(known):
            ends.append(float(np.median(known[-tenth:]) / np.median(known[:tenth])))
    return f"The loss ends at {words.span(ends)} of where it began." if ends else ""


USUAL = {"samples": copied, "wall": copied, "covariance": _covariance, "training": _training}
