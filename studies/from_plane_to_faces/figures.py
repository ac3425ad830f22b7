"""Figures, findings and summary of the study from plane to faces, from its store."""

import json

import matplotlib as mpl
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec

from archbias import plots
from archbias.metrics import intervals
from archbias.report import words

LAW, DREW = "0.7", "#0072b2"
SHOWN = 5  # pictures of a strip
# columns of a paper's page that a figure takes
PAPER = {"page": 2, "capacity": 2}
SETS = {"plane": "s", "images": "o", "few images": "^"}


def figures(tree: xr.DataTree) -> dict:
    """page: the whole argument; capacity: who copies as a network's width meets the number of
    images.
    """
    return {"page": page(tree), "capacity": capacity(tree)}


def families_of(tree: xr.DataTree, name: str = "images") -> list[str]:
    return [str(f) for f in tree[name]["bound"]["family"].values]


def law_of(tree: xr.DataTree, name: str, family: str) -> str:
    """The law in words."""
    return str(tree[name]["bound"]["law"].sel(family=family).values)


def page(tree: xr.DataTree, first: int = 0) -> Figure:
    """One row per architecture: the plane, then what it was bound to draw and what it drew from the
    same noise.

    first: the seed that pictures begin with.
    """
    families, width = families_of(tree), plots.page_width(1.25)
    figure = Figure(figsize=(width, 0.085 * width * len(families) + 0.6), layout="constrained")
    grid = GridSpec(len(families), 3, figure, width_ratios=(1.15, SHOWN, SHOWN))
    titles = ("plane", "bound to draw (law)", "drew")
    for i, family in enumerate(families):
        axes = [figure.add_subplot(grid[i, j]) for j in range(3)]
        _plane(axes[0], tree, family)
        pushed = _pushed(tree, family)
        _strip(axes[1], None if pushed is None else pushed[first:])
        _strip(axes[2], tree["images"]["samples"]["sample"].sel(family=family).values[first:])
        axes[0].set_ylabel(
            plots.styles.plain(family).replace(", ", ",\n"),
            rotation=0,
            ha="right",
            va="center",
            color=plots.readable(plots.color(family)),
        )
        if i == 0:
            for ax, title in zip(axes, titles, strict=True):
                ax.set_title(title)
    figure.supxlabel(
        "black: training points; grey: the law, known before sampling; blue: samples\n"
        "a column of pictures, one noise; where a picture is blank the sample has left",
        fontsize="small",
    )
    return figure


def _plane(ax: Axes, tree: xr.DataTree, family: str) -> None:
    """Training points, the law and the samples of an architecture; nothing if it has none there."""
    ax.set(xlim=(-1.4, 1.4), ylim=(-1.4, 1.4), xticks=[], yticks=[], aspect="equal")
    if family not in families_of(tree, "plane"):
        ax.spines[:].set_visible(False)
        return
    if family in tree["plane"]["law"]["family"].values:
        law = tree["plane"]["law"]["point"].sel(family=family).values
        ax.plot(*law.T, ".", color=LAW, markersize=0.5, zorder=1)
    else:
        ax.text(0, -1.3, "no law known", fontsize="xx-small", ha="center", color="0.4")
    ax.plot(*tree["plane"]["training"]["point"].values.T, ".", color="black", markersize=0.6)
    samples = tree["plane"]["samples"]["sample"].sel(family=family).values[:, :, 0, 0]
    ax.plot(*samples.T, ".", color=DREW, markersize=1.4, zorder=3)


def _pushed(tree: xr.DataTree, family: str) -> np.ndarray | None:
    known = tree["images"]["predictions"]["prediction"]
    return known.sel(predictor=family).values if family in known["predictor"].values else None


def _strip(ax: Axes, images: np.ndarray | None) -> None:
    """The pictures of the first seeds, or the words that none are known."""
    ax.set_axis_off()
    if images is None:
        ax.text(0.5, 0.5, "no law known", ha="center", va="center", color="0.4")
        return
    gap = np.full((*images.shape[1:3], max(1, images.shape[3] // 14)), 1.0)
    parts = [part for image in images[:SHOWN] for part in (image, gap)][:-1]
    ax.imshow(plots.picture(np.concatenate(parts, 2)), interpolation="nearest")


def capacity(tree: xr.DataTree) -> Figure:
    """Share of copies of a fully connected network against its width, for each training set."""
    width = mpl.rcParams["figure.figsize"][0]
    figure = Figure(figsize=(width, 0.5 * width), layout="constrained")
    axes = figure.subplots()
    for name, marker in SETS.items():
        networks = [f for f in families_of(tree, name) if f.startswith("MLP")]
        found = [copies(tree, name, family) for family in networks]
        middle = np.array([v.value for v in found])
        spread = np.abs(np.array([[v.low, v.high] for v in found]).T - middle)
        units = [int(family.split()[1]) for family in networks]
        axes.errorbar(units, middle, spread, marker=marker, capsize=3, label=named(tree, name))
    axes.set(xscale="log", ylim=(-0.03, 1.03), ylabel="share of copies")
    axes.set_xlabel("units of each hidden layer")
    axes.set_xticks(units, [str(u) for u in units])
    axes.minorticks_off()
    axes.legend()
    return figure


def named(tree: xr.DataTree, name: str) -> str:
    """A training set with its size."""
    settings = json.loads(tree.attrs["settings"])
    sizes = {"plane": settings["n"], "images": settings["data"]["n"], "few images": settings["few"]}
    return f"{sizes[name]} {'points' if name == 'plane' else 'images'}"


def copies(tree: xr.DataTree, name: str, family: str) -> intervals.Interval:
    """The share of samples that are copies, among those that stayed."""
    one = tree[name]["novelty"].sel(family=family)
    stayed = np.isfinite(one["distance"].values)
    return intervals.binomial(int(one["copy"].values[stayed].sum()), int(stayed.sum()))


def agreed(tree: xr.DataTree, name: str, family: str, predictor: str) -> intervals.Interval:
    """Median r with a prediction; in the plane the root mean square distance from it."""
    one = tree[name]["agreement"].sel(family=family, predictor=predictor)
    values = np.sqrt(one["mse"].values) if name == "plane" else one["r"].values
    return intervals.bootstrap(values)


def says(tree: xr.DataTree) -> dict[str, str]:
    """What each figure shows, in a sentence."""
    families = families_of(tree)
    bound = {f: agreed(tree, "images", f, "own law") for f in families}
    bound = {f: v.value for f, v in bound.items() if v.n}
    count = {}
    for name in SETS:
        networks = [f for f in families_of(tree, name) if f.startswith("MLP")]
        shares = [copies(tree, name, f).value for f in networks]
        count[name] = f"{words.span(shares)} from {named(tree, name)}"
    own = f"from the same noise they draw it to r {words.span(list(bound.values()), '.4f')}"
    return {
        "page": f"{len(bound)} of {len(families)} architectures have a law, known before sampling"
        + (f": {own}." if bound else "."),
        "capacity": f"Share of copies by width: {'; '.join(count.values())}.",
    }


def findings(tree: xr.DataTree) -> list[str]:
    """By architecture on images: its law, whether it kept it, what else predicts it, its copies."""
    few = words.small(tree["images"]["novelty"].sizes["seed"])
    said = [f"{few}: {words.RUNS}."] if few else []
    for family in families_of(tree):
        own, law = agreed(tree, "images", family, "own law"), law_of(tree, "images", family)
        rest = {p: agreed(tree, "images", family, p) for p in ("Wiener", "ideal", "mean image")}
        best = max(rest, key=lambda p: np.nan_to_num(rest[p].value, nan=-1.0))
        kept = f"its law ({law}) at r {own:.2f}" if own.n else "no law known"
        share = copies(tree, "images", family)
        said.append(
            f"{family}: {kept}; of the others {best} predicts it best, r {rest[best]:.2f}; "
            f"{round(share.value * share.n) if share.n else 0} of {share.n} samples are copies."
        )
    return said


def summary(tree: xr.DataTree) -> pd.DataFrame:
    """One row per training set and architecture."""
    rows = []
    for name in SETS:
        for family in families_of(tree, name):
            share, total = copies(tree, name, family), tree[name]["novelty"].sizes["seed"]
            row = {
                "fitted to": named(tree, name),
                "architecture": family,
                "law": law_of(tree, name, family),
                "left": f"{total - share.n} of {total}",
                "copies": f"{share:.2f}",
            }
            what = "distance from" if name == "plane" else "r with"
            for predictor in ("own law", "Wiener", "ideal", "mean image"):
                v = agreed(tree, name, family, predictor)
                row[f"{what} {predictor}"] = f"{v:.2f}" if v.n else ""
            rows.append(row)
    return pd.DataFrame(rows)
