"""Figures and summary of the study of bias cards, from its store."""

import pandas as pd
import torch
import xarray as xr

from archbias import plots
from archbias.metrics import compare
from archbias.metrics.paired import holm, paired

CARDS = ("card 50%", "card 90%", "card 99%")
# columns of a paper's page that a figure takes
PAPER = {"samples": 2, "agreement": 1, "receptive_fields": 1}


def figures(tree: xr.DataTree) -> dict:
    cards = tree["cards"].to_dataset()
    middle = cards["sigma"].values[len(cards["sigma"]) // 2]
    traits = cards.drop_vars(["receptive", "radius"]).sel(sigma=middle)
    return {
        "agreement": plots.agreement(tree["agreement"].to_dataset()).figure,
        "cards": plots.bias_cards(traits),
        "receptive_fields": plots.receptive_fields(
            cards["receptive"].isel(sigma=slice(None, None, -(-len(cards["sigma"]) // 5)))
        ),
        "samples": plots.family_grid(tree),
    }


def says(tree: xr.DataTree) -> dict[str, str]:
    """What each figure shows, in a sentence; `agreement` says its own."""
    found = plots.cards.reach(tree["cards"]["receptive"])
    wide = found.max("sigma").to_series()
    far, near = wide.idxmax(), wide.idxmin()
    return {
        "receptive_fields": plots.cards.looking(tree["cards"]["receptive"]),
        "cards": f"{far} looks farthest (half of what moves a pixel within {wide[far]:.1f} "
        f"pixels), {near} least far ({wide[near]:.1f}).",
    }


def summary(tree: xr.DataTree) -> pd.DataFrame:
    """One row per network and prediction: r, and its share of the way from the mean image to the
    replicate, with intervals.
    """
    r, rows = tree["agreement"]["r"], []
    machine = tree["proposals"]["machine"]
    for family in map(str, r["family"].values):

        def values(predictor, family=family):
            return torch.from_numpy(r.sel(family=family, predictor=predictor).values)

        ceiling, floors = values("replicate"), {"mean image": values("mean image")}
        against = values("calibrated")
        for predictor in (*CARDS, "calibrated", "ideal", "wiener"):
            found = compare.scale(values(predictor), ceiling=ceiling, floors=floors)
            rows.append(
                {
                    "network": family,
                    "machine": str(machine.sel(family=family).values[1]),
                    "predictor": predictor,
                    "r": str(found.value),
                    "ceiling": str(found.ceiling),
                    "floor": str(found.floors["mean image"]),
                    "share of ceiling": str(found.share["mean image"]),
                    "p, against calibrated": paired(values(predictor), against).p
                    if predictor != "calibrated"
                    else float("nan"),
                }
            )
    table = pd.DataFrame(rows)
    table["p, against calibrated"] = holm(table["p, against calibrated"])
    return table
