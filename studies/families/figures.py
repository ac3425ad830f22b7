"""Figures and summary of the study of families, from its store."""

import pandas as pd
import xarray as xr

from archbias import plots
from archbias.metrics import intervals
from archbias.report import words

# columns of a paper's page that a figure takes
PAPER = {"samples": 2, "agreement": 1, "variance": 1}


def figures(tree: xr.DataTree) -> dict:
    return {
        "samples": plots.family_grid(tree),
        "agreement": plots.agreement(tree["agreement"].to_dataset()).figure,
        "variance": plots.mode_variance(tree["spectrum"].to_dataset()).figure,
    }


def findings(tree: xr.DataTree) -> list[str]:
    """Who predicts each family best; a family's own law is no prediction of it."""
    families = [str(f) for f in tree["novelty"]["family"].values]
    own = {f: [p for p in (f, f"{f} law") if p in tree["agreement"]["predictor"].values]
           for f in families}  # fmt: skip
    return words.toy(tree) + [words.predicted(tree, f, own[f]) for f in families]


def summary(tree: xr.DataTree) -> pd.DataFrame:
    """One row per family: copies, novelty, and the median agreement with each prediction."""
    rows = []
    agreement, novelty = tree["agreement"], tree["novelty"]
    for family in map(str, novelty["family"].values):
        near = novelty.sel(family=family)
        row = {
            "family": family,
            "copies": f"{int(near['copy'].sum())} of {near.sizes['seed']}",
            "distance to nearest": float(near["distance"].median()),
        }
        for predictor in map(str, agreement["predictor"].values):
            r = agreement["r"].sel(family=family, predictor=predictor).values
            row[f"r with {predictor}"] = f"{intervals.bootstrap(r):.2f}"
        rows.append(row)
    return pd.DataFrame(rows)
