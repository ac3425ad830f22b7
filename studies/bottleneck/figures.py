"""Figures and summary of the bottleneck study, from its store."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from archbias import plots
from archbias.metrics import intervals
from archbias.report import words

TITLES = {
    "linear": "linear decoder",
    "mixture": "mixture in the plane",
    "confined": "any decoder into the plane",
    "unrestricted": "any decoder",
    "mlp": "trained network",
}
FLOOR = "mean image"
HALF = 0.5  # of the samples: from there a decoder is said to copy
SHADES = dict(
    zip(
        (*TITLES, FLOOR),
        ("#0072b2", "#009e73", "#e69f00", "#d55e00", "#000000", "0.6"),
        strict=True,
    )
)
MARKS = dict(zip((*TITLES, FLOOR), "osD^X_", strict=True))
# columns of a paper's page that a figure takes
PAPER = {"copying": 2, "samples": 1}


def figures(tree: xr.DataTree) -> dict:
    return {"samples": pictures(tree), "copying": copying(tree)}


def _kinds(ds: xr.Dataset) -> list[str]:
    return [k for k in TITLES if k in ds["kind"].values]


def pictures(tree: xr.DataTree, seed: int = 0) -> Figure:
    """What one noise becomes: rows are decoders, columns the numbers that pass."""
    samples, ds = tree["samples"]["sample"], tree["waist"].to_dataset()
    kinds, widths = _kinds(ds), np.sort(ds["width"].values)
    inches = mpl.rcParams["figure.figsize"][0]
    figure = Figure(
        figsize=(inches, inches * 0.82 * len(kinds) / (len(widths) + 1.6)), layout="constrained"
    )
    axes = figure.subplots(len(kinds), len(widths), squeeze=False)
    for i, kind in enumerate(kinds):
        for j, width in enumerate(widths):
            one = (
                samples.sel(family=f"{kind} {width}")
                .isel(seed=seed)
                .transpose("channel", "row", "column")
            )
            axes[i, j].imshow(plots.picture(one.values), interpolation="nearest")
            axes[i, j].set(xticks=[], yticks=[])
            if bool(ds["copied"].sel(kind=kind, width=width).isel(seed=seed)):
                axes[i, j].spines[:].set(visible=True, color="#d55e00", linewidth=2)
            else:
                axes[i, j].spines[:].set_visible(False)
            if i == 0:
                axes[i, j].set_title(str(width))
        axes[i, 0].set_ylabel(
            TITLES[kind]
            .replace(" decoder", "\ndecoder")
            .replace(" in ", "\nin ")
            .replace(" network", "\nnetwork"),
            rotation=0,
            ha="right",
            va="center",
        )
    figure.supxlabel("numbers that pass; one noise everywhere, copies framed", fontsize="medium")
    return figure


def copying(tree: xr.DataTree) -> Figure:
    """Share of copies with Wilson intervals, distance to the nearest image, and who predicts the
    network.
    """
    ds, told = tree["waist"].to_dataset(), tree["foretold"].to_dataset()
    inches = mpl.rcParams["figure.figsize"][0]
    figure = Figure(figsize=(inches, 0.48 * inches), layout="constrained")
    left, middle, right = figure.subplots(1, 3, sharex=True)
    for kind in _kinds(ds):
        _line(
            left,
            kind,
            ds["copied"].sel(kind=kind),
            lambda v: intervals.binomial(int(v.sum()), v.size),
        )
        _line(middle, kind, ds["relative_distance"].sel(kind=kind), intervals.bootstrap)
        if kind != "mlp":
            _line(right, kind, told["r"].sel(kind=kind), intervals.bootstrap)
    _line(right, FLOOR, told["r"].sel(kind=FLOOR), intervals.bootstrap)
    left.set(xscale="log", ylim=(-0.03, 1.03), ylabel="share of copies")
    middle.set(ylim=(0, None), xlabel="numbers that pass", ylabel="distance to the nearest image")
    right.set(ylim=(min(0, right.get_ylim()[0]), 1.03), ylabel="Pearson r with the network")
    left.xaxis.set_major_locator(FixedLocator(np.sort(ds["width"].values)))
    left.xaxis.set_minor_locator(NullLocator())
    left.xaxis.set_major_formatter("{x:g}")
    handles, labels = left.get_legend_handles_labels()
    handles.append(right.get_legend_handles_labels()[0][-1])
    figure.legend(handles, [*labels, FLOOR], loc="outside lower center", ncols=3)
    return figure


def _line(axes, kind: str, values: xr.DataArray, interval) -> None:
    values = values.sortby("width")
    found = [interval(v.values[np.isfinite(v.values)]) for v in values.transpose("width", "seed")]
    middle = np.array([v.value for v in found])
    bars = np.abs(np.array([[v.low, v.high] for v in found]).T - middle)
    axes.errorbar(
        values["width"],
        middle,
        bars,
        marker=MARKS[kind],
        color=SHADES[kind],
        capsize=2,
        label=TITLES.get(kind, kind),
    )


def says(tree: xr.DataTree) -> dict[str, str]:
    """What each figure shows, in a sentence."""
    ds, told = tree["waist"].to_dataset(), tree["foretold"].to_dataset()
    widths, copies = np.sort(ds["width"].values), {}
    for kind in _kinds(ds):
        share = ds["copied"].sel(kind=kind, width=widths).mean("seed").values
        copies[kind] = widths[share >= HALF]
    never = [TITLES[k] for k, found in copies.items() if not len(found)]
    some = [f"{TITLES[k]} from {w[0]} numbers" for k, w in copies.items() if len(w)]
    r = told["r"].median("seed")
    rest = [k for k in r["kind"].values if np.isfinite(r.sel(kind=k)).any() and k != FLOOR]
    best = max(rest, key=lambda k: float(r.sel(kind=k).max()))
    value = f"{float(r.sel(kind=best).max()):.2f}"
    first = ds["copied"].isel(seed=0).sel(kind=_kinds(ds))
    return {
        "samples": f"Of this noise {int(first.sum())} of {first.size} decoders make a copy "
        "(framed).",
        "copying": "Half of the samples are copies with "
        + "; ".join([*(some or ["no decoder"]), *(f"{n} at no width" for n in never)])
        + f". The trained network is predicted best by {TITLES[best]}: r up to {value}.",
    }


def findings(tree: xr.DataTree) -> list[str]:
    """How many samples are copies at the narrowest and at the widest waist, by decoder."""
    said = []
    for decoder, rows in summary(tree).groupby("decoder", sort=False):
        first, last = rows.iloc[0], rows.iloc[-1]
        said.append(
            f"With decoder {decoder}, {first['copies']} samples are copies at a waist of "
            f"{first['width']}, {last['copies']} at {last['width']}."
        )
    return words.toy(tree) + said


def summary(tree: xr.DataTree) -> pd.DataFrame:
    """One row per decoder and width."""
    ds, told = tree["waist"].to_dataset(), tree["foretold"].to_dataset()
    rows = []
    for kind in _kinds(ds):
        for width in np.sort(ds["width"].values):
            one = ds.sel(kind=kind, width=width)
            row = {
                "decoder": kind,
                "width": int(width),
                "copies": f"{int(one['copied'].sum())} of {one.sizes['seed']}",
            }
            row["relative distance"] = str(intervals.bootstrap(one["relative_distance"].values))
            if kind != "mlp":
                row["r with network"] = str(
                    intervals.bootstrap(told["r"].sel(kind=kind, width=width).values)
                )
            else:
                row["r with network"] = (
                    f"{intervals.bootstrap(told['r'].sel(kind=FLOOR, width=width).values)} (mean "
                    "image)"
                )
            rows.append(row)
    return pd.DataFrame(rows)
