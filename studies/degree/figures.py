"""Figures and summary of the degree study, from its store."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

from archbias import plots
from archbias.metrics import intervals
from archbias.report import words

SETS = {
    "line": "6 points on the line",
    "plane": "a ring of points",
    "images": "images, 3 coordinates",
}
SHADES = dict(zip(SETS, ("#0072b2", "#009e73", "#d55e00"), strict=True))
SHOWN = 3  # seeds whose pictures are drawn
MARKS = dict(zip(SETS, "osD", strict=True))
# columns of a paper's page that a figure takes
PAPER = {"dial": 2, "curves": 2}


def figures(tree: xr.DataTree) -> dict:
    return {"dial": dial(tree), "curves": curves(tree)}


def _families(tree: xr.DataTree) -> list[str]:
    labels = [str(f) for f in tree["line"]["family"].values]
    return sorted(labels, key=lambda f: (f == "ideal", int(f.split()[-1]) if f != "ideal" else 0))


def dial(tree: xr.DataTree) -> Figure:
    """Columns are degrees: the law on the line, samples in the plane, the first seeds' pictures."""
    families = _families(tree)
    width = plots.page_width(1.2)
    figure = Figure(
        figsize=(width, (2.2 + SHOWN) * width / max(5, len(families))), layout="constrained"
    )
    axes = figure.subplots(2 + SHOWN, len(families), squeeze=False)
    line, points = tree["line"].to_dataset(), tree["data/line"]["point"].values[:, 0]
    for j, family in enumerate(families):
        top, middle = axes[:2, j]
        one = line.sel(family=family)
        bins = np.linspace(-1.3, 1.3, 66)
        top.hist(one["sample"].values[:, 0], bins, density=True, color="#9cc3dd")
        if "density" in one and np.isfinite(one["density"]).any():
            top.plot(one["x"], one["density"], color="#0072b2", linewidth=1)
        top.plot(points, np.zeros_like(points), "|", color="black", markersize=8, clip_on=False)
        top.set(
            xlim=(-1.3, 1.3),
            ylim=(0, 4),
            title=family.replace("degree 1", "degree 1\nGaussian").replace(
                "ideal", "ideal\ncopies"
            ),
        )
        samples = tree["plane"]["sample"].sel(family=family).values[:600]
        middle.plot(*samples.T, ".", color="#009e73", markersize=1.5, alpha=0.6)
        middle.plot(*tree["data/plane"]["point"].values.T, "x", color="black", markersize=4)
        middle.set(xlim=(-1.6, 1.6), ylim=(-1.6, 1.6), aspect="equal")
        pictures = (
            tree["pictures"]["picture"]
            .sel(family=family)
            .transpose("seed", "channel", "row", "column")
            .values
        )
        for ax, picture in zip(axes[2:, j], pictures, strict=False):
            ax.imshow(plots.picture(np.nan_to_num(picture)), interpolation="nearest")
        for ax in axes[:, j]:
            ax.set(xticks=[], yticks=[])
    for ax, text in zip(
        axes[:, 0], ("density", "samples", *(f"seed {k}" for k in range(SHOWN))), strict=True
    ):
        ax.set_ylabel(text)
    figure.supxlabel(
        "curve: law; bars and dots: samples from the same seeds; ticks and crosses: training points"
    )
    return figure


def curves(tree: xr.DataTree) -> Figure:
    """Against the degree: share of copies, distance from the ideal's sample, share that escapes,
    distance from the law.
    """
    families = [f for f in _families(tree) if f != "ideal"]
    degrees = [int(f.split()[-1]) for f in families]
    width = mpl.rcParams["figure.figsize"][0]
    figure = Figure(figsize=(width, 0.36 * width), layout="constrained")
    copied, apart, escaped = figure.subplots(1, 3, sharex=True)
    for name, title in SETS.items():
        ds = tree[name].to_dataset()
        spacing = float(tree[f"data/{name}"]["spacing"])
        style = {"color": SHADES[name], "marker": MARKS[name], "label": title, "capsize": 2}
        found = [_kept(ds["copied"].sel(family=f)) for f in families]
        _errors(copied, degrees, [intervals.binomial(int(v.sum()), v.size) for v in found], style)
        _errors(
            apart,
            degrees,
            [
                intervals.bootstrap(_kept(ds["from_ideal"].sel(family=f)) / spacing)
                for f in families
            ],
            style,
        )
        share = ds["escape"].sel(family=families).values
        escaped.plot(degrees, np.maximum(share, 1e-7), color=SHADES[name], marker=MARKS[name])
    copied.set(ylim=(-0.03, 1.03), ylabel="share of copies", xticks=degrees)
    apart.set(
        ylabel="distance from the ideal's sample\n(in point spacings)",
        ylim=(0, None),
        xlabel="degree",
    )
    escaped.set(yscale="log", ylabel="share that escapes\n(1e-7: less)", ylim=(5e-8, 1))
    figure.legend(*copied.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def _kept(values: xr.DataArray) -> np.ndarray:
    return values.values[np.isfinite(values.values)]


def _errors(ax, x: list[int], found: list, style: dict) -> None:
    middle = np.array([v.value for v in found])
    ax.errorbar(x, middle, np.abs(np.array([[v.low, v.high] for v in found]).T - middle), **style)


def says(tree: xr.DataTree) -> dict[str, str]:
    """What each figure shows, in a sentence."""
    table, shares = summary(tree), []
    for name, rows in table[table["denoiser"] != "ideal"].groupby("set", sort=False):
        first, last = rows.iloc[0], rows.iloc[-1]
        shares.append(f"{name}: {first['copies']} at {first['denoiser']}, {last['copies']} at "
                      f"{last['denoiser']}")  # fmt: skip
    left = max(float(tree[name]["escape"].max()) for name in SETS)
    return {
        "dial": f"Copies as the degree rises: {'; '.join(shares)}.",
        "curves": f"Copies as the degree rises: {'; '.join(shares)}; at most {left:.1g} escape.",
    }


def findings(tree: xr.DataTree) -> list[str]:
    """How many samples are copies at the lowest and at the highest degree, by set."""
    said = []
    for name, rows in summary(tree).groupby("set", sort=False):
        first, last = rows.iloc[0], rows.iloc[-1]
        said.append(
            f"{name}: {first['copies']} samples of {first['denoiser']} are copies, "
            f"{last['copies']} of {last['denoiser']}."
        )
    return words.toy(tree) + said


def summary(tree: xr.DataTree) -> pd.DataFrame:
    """One row per set and degree; distances in spacings of the training points."""
    rows = []
    for name, title in SETS.items():
        ds, spacing = tree[name].to_dataset(), float(tree[f"data/{name}"]["spacing"])
        for family in _families(tree):
            one = ds.sel(family=family)
            rows.append(
                {
                    "set": title,
                    "denoiser": family,
                    "copies": f"{int(_kept(one['copied']).sum())} of {one.sizes['seed']}",
                    "distance to nearest": str(
                        intervals.bootstrap(_kept(one["distance"]) / spacing)
                    ),
                    "from the ideal's sample": str(
                        intervals.bootstrap(_kept(one["from_ideal"]) / spacing)
                    ),
                    "escape": f"{float(one['escape']):.2g}",
                    "samples that left": int(np.isnan(one["distance"].values).sum()),
                    "largest distance from the law": f"{np.nanmax(one['from_law'].values):.1g}",
                }
            )
    return pd.DataFrame(rows)
