"""Figures and summary of the plane study, from its store."""

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

from archbias import plots
from archbias.metrics import intervals
from archbias.report import words

TITLES = {
    "linear": "linear\nan ellipse",
    "cubic": "cubic\nit bends",
    "degree 7": "degree 7\nit follows",
    "one number, linear": "one number,\nlinear: a line",
    "one number, trained": "one number,\ntrained: a curve",
    "ideal": "ideal\nit copies",
}
SHADES = dict(
    zip(TITLES, ("#0072b2", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#d55e00"), strict=True)
)
LAW = ("#eef1f5", "#d9dfe8", "#bfc9d8", "#a3b1c6")
SHARES = (0.95, 0.8, 0.6, 0.35)  # of the law's mass, enclosed by the levels drawn
DOTS = 400
# columns of a paper's page that a figure takes
PAPER = {"plane": 2, "fields": 2}


def figures(tree: xr.DataTree) -> dict:
    return {"plane": panels(tree), "fields": fields(tree)}


def _order(labels) -> list[str]:
    known = list(TITLES)
    return sorted(map(str, labels), key=lambda f: known.index(f) if f in known else len(known))


def _canvas(tree: xr.DataTree) -> tuple[Figure, np.ndarray, list[str], list[str]]:
    targets = [str(t) for t in tree["data"]["target"].values]
    families = _order(tree["points"]["family"].values)
    width = plots.page_width(1.35)
    side = width / (len(families) + 1)
    figure = Figure(figsize=(width, side * len(targets) + 0.5), layout="constrained")
    axes = figure.subplots(len(targets), len(families) + 1, squeeze=False)
    for i, name in enumerate(targets):
        axes[i, 0].set_ylabel(name)
        axes[i, 0].plot(
            *tree["data"]["point"].sel(target=name).values.T, ".", color="black", markersize=1.6
        )
        for ax in axes[i]:
            ax.set(xlim=(-1.3, 1.3), ylim=(-1.3, 1.3), xticks=[], yticks=[], aspect="equal")
            ax.spines[:].set(visible=True, color="0.85")
    axes[0, 0].set_title("training set", fontweight="bold")
    for j, family in enumerate(families):
        axes[0, 1 + j].set_title(TITLES.get(family, family), color=SHADES.get(family, "black"))
    return figure, axes, targets, families


def panels(tree: xr.DataTree) -> Figure:
    """Samples as dots, the law that predicted them in grey: a row per set, a column per
    architecture.
    """
    figure, axes, targets, families = _canvas(tree)
    for i, name in enumerate(targets):
        for j, family in enumerate(families):
            ax, one = axes[i, 1 + j], {"target": name, "family": family}
            _shade(ax, tree["densities"]["density"].sel(one))
            points = tree["points"]["sample"].sel(one).values[:DOTS]
            ax.plot(
                *points.T,
                ".",
                color=SHADES.get(family, "black"),
                markersize=1.6,
                alpha=0.8,
                zorder=3,
            )
    figure.supxlabel(
        "dots: samples, from the same noise in every column; grey: the law that predicts them, no "
        "training needed"
    )
    return figure


def _shade(ax, density: xr.DataArray) -> None:
    values = density.transpose("y", "x").values
    if not np.isfinite(values).any():
        return
    levels = plots.laws.enclosing(values, SHARES)
    ax.contourf(
        density["x"],
        density["y"],
        values,
        levels=levels,
        colors=LAW[-len(levels) :],
        extend="max",
        zorder=1,
    )


def fields(tree: xr.DataTree) -> Figure:
    """The score each architecture can represent: arrows over the training points."""
    figure, axes, targets, families = _canvas(tree)
    for i, name in enumerate(targets):
        data = tree["data"]["point"].sel(target=name).values
        for j, family in enumerate(families):
            ax, arrows = (
                axes[i, 1 + j],
                tree["fields"]["field"].sel(target=name, family=family).transpose("v", "u", "axis"),
            )
            ax.plot(*data.T, ".", color="0.8", markersize=1.2)
            ax.quiver(
                arrows["u"],
                arrows["v"],
                arrows.sel(axis="x"),
                arrows.sel(axis="y"),
                color=SHADES.get(family, "black"),
                width=0.008,
            )
    return figure


def says(tree: xr.DataTree) -> dict[str, str]:
    """What both figures show, in a sentence."""
    table = summary(tree)
    table["distance"] = [float(v.split()[0]) for v in table["distance / spacing"]]
    middle = table.groupby("family")["distance"].median().sort_values()
    sentence = (
        "Samples lie from the nearest training point, in spacings (median over sets): "
        f"{', '.join(f'{family} {v:.1f}' for family, v in middle.items())}."
    )
    return {"plane": sentence, "fields": sentence}


def findings(tree: xr.DataTree) -> list[str]:
    """Which architecture stays nearest to the points of each set, and which goes farthest."""
    said = []
    for name, rows in summary(tree).groupby("set", sort=False):
        far = rows["distance / spacing"].str.split().str[0].astype(float)
        near, away = rows.loc[far.idxmin()], rows.loc[far.idxmax()]
        said.append(
            f"{name}: samples of {near['family']} lie nearest to the points, "
            f"{near['distance / spacing']} of their spacing away, those of {away['family']} "
            f"farthest, {away['distance / spacing']}."
        )
    small = words.small(tree["points"].sizes["seed"], tree["data"].sizes["image"])
    return ([f"{small}: {words.RUNS}."] if small else []) + said


def summary(tree: xr.DataTree) -> pd.DataFrame:
    """One row per set and architecture: distance to the nearest training point over the set's own
    spacing, and escapes.
    """
    rows = []
    for name in map(str, tree["data"]["target"].values):
        data = tree["data"]["point"].sel(target=name).values
        gaps = np.linalg.norm(data[:, None] - data[None], axis=2)
        np.fill_diagonal(gaps, np.inf)
        spacing = np.median(gaps.min(1))
        for family in _order(tree["points"]["family"].values):
            one = tree["points"].to_dataset().sel(target=name, family=family)
            distance = one["distance"].values
            kept = distance[np.isfinite(distance)]
            escape = float(one["escape"])
            rows.append(
                {
                    "set": name,
                    "family": family,
                    "distance / spacing": str(intervals.bootstrap(kept / spacing)),
                    "samples that left": f"{len(distance) - len(kept)} of {len(distance)}",
                    "escape by law": "unknown" if np.isnan(escape) else f"{escape:.2g}",
                }
            )
    return pd.DataFrame(rows)
