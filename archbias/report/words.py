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
from ..store.open import variable

SEEDS, IMAGES, SIDE, STEPS = 8, 100, 16, 100  # below these a number means nothing
ALPHA = 0.05  # of signed ranks over seeds: above it two predictions are not told apart
RUNS = "these numbers show that the program runs, no more"


def small(
    seeds: int | None, images: int | None = None, side: int | None = None, steps: int | None = None
) -> str:
    """Why numbers mean nothing, from the sizes of a run; empty where they may."""
    sizes = (
        (seeds, SEEDS, "seeds"),
        (images, IMAGES, "training images"),
        (steps, STEPS, "training steps"),
    )
    found = [f"{n} {what}" for n, least, what in sizes if n is not None and n < least]
    if side is not None and 1 < side < SIDE:  # a point of the plane is one pixel
        found.append(f"{side} pixels a side")
    return ", ".join(found)


def toy(tree: xr.DataTree) -> list[str]:
    """One sentence for a run whose sizes mean nothing, by its seeds, images and training; else
    none.
    """
    images = json.loads(str(tree.attrs.get("images", "{}")))
    n, side, steps = images.get("n"), (images.get("shape") or [None])[-1], None
    if "rows" in tree.children and "n" in tree["rows"]:
        rows = tree["rows"].to_dataset()
        n = int(rows["n"].min())
        side = int(rows["side"].min()) if "side" in rows else None
        if "training_steps" in rows:
            steps = int(np.nanmin(rows["training_steps"].values.astype(float)))
    found = small(_seeds(tree), n, side, steps)
    return [f"{found}: {RUNS}."] if found else []


def _seeds(tree: xr.DataTree) -> int | None:
    """How many seeds are judged; None where nothing is drawn."""
    counts = [node.sizes["seed"] for node in tree.children.values() if "seed" in node.sizes]
    if "agreement" in tree.children:
        return tree["agreement"].sizes["seed"]
    return max(counts, default=None)


def usual(tree: xr.DataTree) -> list[str]:
    """What the numbers of any study say: who predicts each family best, or how many of its samples
    are copies.
    """
    if "agreement" in tree.children:
        families = [str(f) for f in variable(tree, "agreement/family").values]
        own = {f: [f, f"{f} law"] for f in families}  # no prediction of itself
        return toy(tree) + [predicted(tree, f, own[f]) for f in families]
    if "novelty" in tree.children and "copy" in tree["novelty"]:
        families = [str(f) for f in variable(tree, "novelty/family").values]
        return toy(tree) + [f"Of {f}{copies(tree, f).replace(';', ',', 1)}." for f in families]
    return toy(tree)


def standing(
    tree: xr.DataTree, family: str, leave_out: Sequence[str] = ()
) -> list[tuple[str, Interval]]:
    """Every prediction of a family with its median r over seeds, best first; without ceilings,
    floors and those left out.
    """
    r = variable(tree, "agreement/r").sel(family=family)
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
    r = variable(tree, "agreement/r").sel(family=family)
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


def winners(names: Sequence[str], values: Sequence[float]) -> str:
    """Who is first in how many rows, and with which values: the first of each row."""
    by: dict[str, list[float]] = {}
    for name, value in zip(names, values, strict=True):
        by.setdefault(str(name), []).append(value)
    order = sorted(by, key=lambda name: (-len(by[name]), name))
    rows = {name: f" in {len(by[name])} of {len(names)}" if len(names) > 1 else "" for name in by}
    return "; ".join(f"{name}{rows[name]} ({span(by[name])})" for name in order)


def span(values: Sequence[float], digits: str = ".2f") -> str:
    """The least and the most of some numbers; one where they read alike."""
    low, high = (f"{v:{digits}}" for v in (min(values), max(values)))
    return low if low == high else f"{low} to {high}"


def copies(tree: xr.DataTree, family: str) -> str:
    """How many of its samples are copies, as the end of a sentence."""
    if "novelty" not in tree.children or "copy" not in tree["novelty"]:
        return ""
    flags = variable(tree, "novelty/copy").sel(family=family).values.astype(float)
    known = flags[np.isfinite(flags)]
    return f"; {int(known.sum())} of {len(known)} samples are copies"
