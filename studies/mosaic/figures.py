"""Figures and summary of the study of mosaics, from its store."""

import numpy as np
import pandas as pd
import xarray as xr

from archbias import plots
from archbias.report import words

FALLING = ("ls falling", "els falling", "bbels falling", "es", "ideal")
# columns of a paper's page that a figure takes
PAPER = {
    "entropy-window": 1,
    "entropy-machine": 1,
    "mosaic-bbels-falling": 1,
}


def figures(tree: xr.DataTree) -> dict:
    """One mosaic for each machine, entropy against noise for fixed and for falling scales."""
    samples, mosaic, beliefs = (
        tree[name].to_dataset() for name in ("samples", "mosaic", "beliefs")
    )
    made = {}
    for family in map(str, mosaic["family"].values):
        one = xr.merge(
            [
                samples["sample"].sel(family=family),
                mosaic[["source", "consistent"]].sel(family=family),
            ],
            compat="override",
        )
        made[f"mosaic-{family.replace(' ', '-')}"] = plots.mosaic(one)
    entropy = beliefs["entropy"].mean(("row", "column"), keep_attrs=True)
    entropy.attrs["long_name"] = "mean entropy of a pixel's belief"
    fixed = [f for f in map(str, beliefs["family"].values) if f.startswith("bbels")]
    falling = [f for f in FALLING if f in beliefs["family"].values]
    made["entropy-window"] = plots.against_noise(entropy.sel(family=fixed)).figure
    made["entropy-machine"] = plots.against_noise(entropy.sel(family=falling)).figure
    return made


def says(tree: xr.DataTree) -> dict[str, str]:
    """What each figure shows, in a sentence."""
    said = {
        f"mosaic-{row['machine'].replace(' ', '-')}": (
            f"A sample of {row['machine']} is made of {row['images in a sample']} training images; "
            f"{row['copies']} samples are copies."
        )
        for _, row in summary(tree).iterrows()
    }
    entropy = tree["beliefs"]["entropy"].mean(("row", "column", "seed"))
    shown = {"window": [f for f in map(str, entropy["family"].values) if f.startswith("bbels")]}
    shown["machine"] = [f for f in FALLING if f in entropy["family"].values]
    last = entropy.sel(sigma=entropy["sigma"].min())
    for name, families in shown.items():
        counts = {f: float(np.exp(last.sel(family=f))) for f in families}
        sources = ", ".join(f"{f} {n:.{1 if n < 10 else 0}f}" for f, n in counts.items())
        said[f"entropy-{name}"] = (
            f"Sources that a pixel still weighs at sigma {float(last['sigma']):.2g}, "
            f"exp(entropy): {sources}."
        )
    return said


def findings(tree: xr.DataTree) -> list[str]:
    """How many images a sample is made of, machine by machine."""
    return words.toy(tree) + [
        f"A sample of {row['machine']} is made of {row['images in a sample']} training images, the "
        f"largest share {row['largest share']}; {row['copies']} samples are copies."
        for _, row in summary(tree).iterrows()
    ]


def summary(tree: xr.DataTree) -> pd.DataFrame:
    """One row per machine: copies, how many images a sample is made of, how exactly, and how unsure
    a pixel is on the way.
    """
    rows = []
    mosaic, novelty, beliefs = tree["mosaic"], tree["novelty"], tree["beliefs"]
    for family in map(str, mosaic["family"].values):
        sources = mosaic["source"].sel(family=family).values.reshape(mosaic.sizes["seed"], -1)
        largest = [np.bincount(s).max() / len(s) for s in sources]
        copies = novelty["copy"].sel(family=family)
        entropy = beliefs["entropy"].sel(family=family)
        middle = float(entropy["sigma"][np.abs(np.log(entropy["sigma"].values)).argmin()])
        rows.append(
            {
                "machine": family,
                "copies": f"{int(copies.sum())} of {copies.sizes['seed']}",
                "images in a sample": f"{np.median([len(np.unique(s)) for s in sources]):.0f}",
                "largest share": f"{np.median(largest):.0%}",
                "pixels equal to their source": (
                    f"{float(mosaic['consistent'].sel(family=family).median()):.0%}"
                ),
                f"effective sources at sigma {middle:.2g}": (
                    f"{float(np.exp(entropy.sel(sigma=middle).mean())):.3g}"
                ),
            }
        )
    return pd.DataFrame(rows)
