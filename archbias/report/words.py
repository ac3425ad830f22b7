"""What studies say of their numbers in sentences: who predicts whom, and when a number means
nothing.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import xarray as xr

from ..metrics.compare import CEILINGS, FLOORS
from ..metrics.intervals import Interval, bootstrap
from ..metrics.paired import paired

SEEDS, IMAGES, SIDE = 8, 100, 16  # below these a number means nothing
ALPHA = 0.05  # of signed ranks over seeds: above it two predictions are not told apart
RUNS = "these numbers show that the program runs, no more"


def small(seeds: int, images: int | None = None, side: int | None = None) -> str:
    """Why numbers mean nothing, from the sizes of a run; empty where they may."""
    sizes = ((seeds, SEEDS, "seeds"), (images, IMAGES, "training images"))
    found = [f"{n} {what}" for n, least, what in sizes if n is not None and n < least]
    if side is not None and side < SIDE:
        found.append(f"{side} pixels a side")
    return ", ".join(found)


def toy(tree: xr.DataTree) -> list[str]:
    """One sentence for a run whose sizes mean nothing, by its seeds and images; else none."""
    images = json.loads(str(tree.attrs.get("images", "{}")))
    shape = images.get("shape") or [None, None, None]
    found = small(tree["agreement"].sizes["seed"], images.get("n"), shape[-1])
    if "rows" in tree.children and "n" in tree["rows"]:
        rows = tree["rows"].to_dataset()
        side = int(rows["side"].min()) if "side" in rows else None
        found = small(tree["agreement"].sizes["seed"], int(rows["n"].min()), side)
    return [f"{found}: {RUNS}."] if found else []


def standing(
    tree: xr.DataTree, family: str, leave_out: Sequence[str] = ()
) -> list[tuple[str, Interval]]:
    """Every prediction of a family with its median r over seeds, best first; without ceilings,
    floors and those left out.
    """
    r = tree["agreement"]["r"].sel(family=family)
    names = [str(p) for p in r["predictor"].values]
    names = [n for n in names if n not in (*CEILINGS, *FLOORS, *leave_out)]
    found = [(n, bootstrap(r.sel(predictor=n).values)) for n in names]
    return sorted((f for f in found if f[1].n), key=lambda f: -f[1].value)


def predicted(tree: xr.DataTree, family: str, leave_out: Sequence[str] = ()) -> str:
    """Which prediction says best what a family draws, beside its ceiling and its copies."""
    ranked = standing(tree, family, leave_out)
    if not ranked:
        return f"{family} has no prediction."
    name, found = ranked[0]
    r = tree["agreement"]["r"].sel(family=family)
    said = f"{name} predicts {family} best: median r {found:.2f}{beside(r, ranked)}"
    ceilings = [c for c in CEILINGS if c in r["predictor"].values]
    if ceilings and np.isfinite(top := bootstrap(r.sel(predictor=ceilings[0]).values).value):
        said += f" of a ceiling of {top:.2f}"
    return f"{said}{copies(tree, family)}."


def beside(r: xr.DataArray, ranked: Sequence[tuple[str, Interval]]) -> str:
    """The second best, where signed ranks over seeds do not tell it apart from the best."""
    if len(ranked) < 2:
        return ""
    (best, found), (second, _) = ranked[:2]
    if 2.0 ** (1 - found.n) > ALPHA:  # no outcome of the test could tell them apart
        return f" (too few seeds to tell it from {second})"
    p = paired(r.sel(predictor=best).values, r.sel(predictor=second).values).p
    return "" if p < ALPHA else f" (not told apart from {second})"


def copies(tree: xr.DataTree, family: str) -> str:
    """How many of its samples are copies, as the end of a sentence."""
    if "novelty" not in tree.children or "copy" not in tree["novelty"]:
        return ""
    flags = tree["novelty"]["copy"].sel(family=family).values.astype(float)
    known = flags[np.isfinite(flags)]
    return f"; {int(known.sum())} of {len(known)} samples are copies"
