"""Figures, findings and the table of a judgement, from its store."""

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

from archbias import plots
from archbias.judging import findings as sentences
from archbias.judging import verdict
from archbias.judging.findings import MEAN, OTHER_SEED, REPLICATE, standing
from archbias.metrics.intervals import bootstrap
from archbias.plots import crossed
from archbias.plots.styles import new_figure
from archbias.report import words
from archbias.study.steps import share

CAPTIONS = {
    "health": "Error of the network over the Wiener filter's by noise level; above 1 it is worse.",
    "agreement": "r of every theory's samples with the network's, seed by seed.",
    "wall": "One seed a row: the network, every theory, the nearest training image.",
    "one_step": "Squared distance of theory and network on one noisy image; Wiener filter: 1.",
    "card": "Where the network looks, by noise level.",
}
# columns of a paper's page that a figure takes
PAPER = {"wall": 2, "agreement": 1}


def figures(tree: xr.DataTree) -> dict[str, Figure]:
    """Those whose cells are in the store."""
    made = {}
    if "health" in tree.children:
        made["health"] = health(tree)
    for row, known, network in crossed.rows_of(tree):
        made["agreement"] = plots.agreement(
            tree["agreement"].to_dataset(), ceiling=(REPLICATE,)
        ).figure
        made["wall"] = crossed.wall(tree, known, network)
        if "steps" in tree.children:
            one = share(tree["steps"].to_dataset().sel(family=row, drop=True))
            kinds = one.dropna("kind", how="all").dropna("predictor", how="all")
            made["one_step"] = crossed.one_step(kinds.drop_sel(predictor="wiener"), row)
    if "cards" in tree.children:
        made["card"] = plots.receptive_fields(tree["cards"]["receptive"])
    return made


def says(tree: xr.DataTree) -> dict[str, str]:
    """What each figure shows, in a sentence; `agreement` says its own."""
    said = {}
    if "health" in tree.children:
        said["health"] = sentences(tree)[0]
    for row, _, _ in crossed.rows_of(tree):
        said["wall"] = words.predicted(tree, row)
        if "steps" in tree.children:
            one = share(tree["steps"].to_dataset().sel(family=row, drop=True))
            said["one_step"] = crossed.nearest(one.drop_sel(predictor="wiener"))
    if "cards" in tree.children:
        said["card"] = plots.cards.looking(tree["cards"]["receptive"])
    return said


def findings(tree: xr.DataTree) -> list[str]:
    """What the numbers say, health first."""
    return sentences(tree)


def health(tree: xr.DataTree) -> Figure:
    """Error over the Wiener filter's, and the ideal denoiser's, against noise."""
    error = tree["health"]["error"].isel(family=0).mean("image").sortby("sigma")
    figure = new_figure(0.55)
    axes = figure.subplots()
    for kind, look in zip(map(str, error["kind"].values), ("-", "--"), strict=False):
        one = error.sel(kind=kind)
        for name, mark, color in (("network", "o", "C0"), ("ideal", "s", "0.5")):
            values = one.sel(denoiser=name) / one.sel(denoiser="wiener")
            label = f"{name}, {kind} images"
            axes.plot(one["sigma"], values, mark + look, color=color, markersize=3.5, label=label)
    axes.axhline(1, color="0.5", linewidth=0.8)
    axes.set(xscale="log", yscale="log", xlabel="noise level sigma (pixel value)")
    axes.set_ylabel("error over the Wiener filter's")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter("")
    axes.legend(loc="best", fontsize="small")
    return figure


def summary(tree: xr.DataTree) -> pd.DataFrame:
    """One row per theory, best first: what it was told, its r, the health of the network."""
    lines = []
    r = tree["agreement"].to_dataset().isel(family=0)
    told = tree["theories"]["told"].isel(family=0) if "theories" in tree.children else None
    rest = [(n, bootstrap(r["r"].sel(predictor=n).values)) for n in (MEAN, OTHER_SEED, REPLICATE)
            if n in r["predictor"].values]  # fmt: skip
    for name, found in [*standing(tree), *rest]:
        if not found.n:
            continue
        known = told is not None and name in told["predictor"].values
        explained = r["explained"].sel(predictor=name).values
        lines.append(
            {
                "prediction": name,
                "told": str(told.sel(predictor=name).values) if known else "",
                "r": str(found),
                "1 - SSE/SST": f"{np.nanmedian(explained):.2f}",
                "health": verdict(tree),
            }
        )
    return pd.DataFrame(lines)
