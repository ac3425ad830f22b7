"""Figures and summary of the linear study, from its store."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

from archbias import plots
from archbias.metrics import intervals

# columns of a paper's page that a figure takes
PAPER = {"samples": 2, "agreement": 1, "power": 2, "variance": 1}


def figures(tree: xr.DataTree) -> dict:
    return {
        "samples": plots.family_grid(tree, seeds=6),
        "agreement": agreement(tree["agreement"].to_dataset()),
        "power": power(tree["power"].to_dataset()),
        "variance": plots.mode_variance(tree["spectrum"].to_dataset()).figure,
    }


def agreement(ds: xr.Dataset) -> Figure:
    """`plots.agreement` with room for one network and many predictions."""
    return plots.agreement(ds, height=0.52).figure


def power(ds: xr.Dataset) -> Figure:
    """One panel per restriction: power relative to the data's; the law (line), its samples (dots),
    the network (dashes).
    """
    families = [str(f) for f in ds["family"].values]
    networks = [f for f in families if f.startswith("unet")]
    shown = [f for f in families if f not in networks]
    frequency, data = ds["frequency"].values, ds["data_power"].mean("image").values

    def decibel(values: xr.DataArray) -> np.ndarray:
        return 10 * np.log10(np.maximum(values.values / data, 1e-12))

    rows = -(-len(shown) // 3)
    inches = mpl.rcParams["figure.figsize"][0]
    figure = Figure(figsize=(inches, 0.3 * rows * inches + 0.4), layout="constrained")
    for k, axes in enumerate(
        figure.subplots(rows, 3, sharex=True, sharey=True, squeeze=False).flat
    ):
        if k >= len(shown):
            axes.set_axis_off()
            continue
        axes.axhline(0, color="0.6", linewidth=0.8, label="training images")
        for name in networks:
            axes.plot(
                frequency,
                decibel(ds["power"].sel(family=name).mean("seed")),
                "--",
                color="0.5",
                label=name,
            )
        color = plots.color(shown[k])
        if shown[k] in ds["law"].values:
            axes.plot(
                frequency,
                decibel(ds["law_power"].sel(law=shown[k])),
                color="black",
                linewidth=1,
                label="law",
            )
        found = decibel(ds["power"].sel(family=shown[k]).mean("seed"))
        axes.plot(
            frequency,
            found,
            "o",
            color=color,
            markersize=3.5,
            markeredgecolor="black",
            markeredgewidth=0.3,
            label="samples",
        )
        axes.set_title(shown[k])
        axes.set_ylim(-14, 8)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4)
    for axes in figure.axes[-3:]:
        axes.set_xlabel("cycles per image side")
    figure.supylabel("power relative to the data (dB)", fontsize="medium")
    return figure


def says(tree: xr.DataTree) -> dict[str, str]:
    """What the figure of power shows, in a sentence."""
    ds = tree["power"].to_dataset()
    mean, data = ds["power"].mean("seed"), ds["data_power"].mean("image")
    off = 10 * np.log10(mean.sel(family=ds["law"].values) / ds["law_power"].rename(law="family"))
    networks = [str(f) for f in ds["family"].values if str(f).startswith("unet")]
    lost = 10 * np.log10(mean.sel(family=networks) / data)
    away = [f"{n}'s by up to {float(abs(lost.sel(family=n)).max()):.1f} dB" for n in networks]
    return {
        "power": "Power of the samples against that of their law: off by "
        f"{float(abs(off).median()):.1f} dB in the median, {float(abs(off).max()):.1f} at most."
        + (f" From the data's differs {', '.join(away)}." if away else "")
    }


def summary(tree: xr.DataTree) -> pd.DataFrame:
    """One row per prediction: how well it predicts the network, seed by seed."""
    rows = []
    agreement = tree["agreement"].to_dataset()
    for family in agreement["family"].values:
        for predictor in agreement["predictor"].values:
            values = agreement.sel(family=family, predictor=predictor)
            row = {"network": str(family), "prediction": str(predictor)}
            for name in ("r", "explained", "amplitude_ratio"):
                row[name] = f"{intervals.bootstrap(values[name].values):.2f}"
            rows.append(row)
    return pd.DataFrame(rows)
