"""Figures and tables of the arena, from its store."""

import numpy as np
import pandas as pd
import torch
import xarray as xr
from matplotlib.figure import Figure

from archbias import plots
from archbias.metrics import compare
from archbias.metrics.compare import CEILINGS
from archbias.metrics.intervals import Interval, bootstrap
from archbias.metrics.paired import Paired, holm, paired
from archbias.plots import crossed
from archbias.plots.styles import new_figure
from archbias.report import words
from archbias.study.steps import share

FLOORS = ("mean image", "another seed")
MACHINES = ("bbels", "els")  # the machine of a network's border, which others are tested against
OURS = ("sighted", "sighted, calibrated", "stacked")
ALPHA, HALF, NEAR = 0.05, 0.5, 0.01  # what our theories promise, said before they were judged
CAPTIONS = {
    "leaderboard": (
        "How far each theory goes from the Wiener filter (0) to the network retrained (1), "
        "median of r over seeds with 95 % interval."
    ),
    "one_step": (
        "One step of the denoiser: squared distance of theory and network, where the Wiener "
        "filter is 1."
    ),
    "wall": "One seed per row: the network, the network retrained, every theory.",
    "weights": "How much of each theory the network is: weights of the blend nearest to its "
    "trajectories of other seeds.",
    "where": "Root mean squared difference of theory and network, pixel by pixel.",
}
# columns of a paper's page that a figure takes
PAPER = {"wall": 2, "leaderboard": 2, "one_step": 2, "weights": 2}


def figures(tree: xr.DataTree) -> dict:
    """Those whose cells are in the store."""
    made = {}
    rows = list(crossed.rows_of(tree))
    if rows:
        made["leaderboard"] = crossed.leaderboard(standing(tree))
        shown = ["replicate", *theories_of(tree)]
        made["where"] = crossed.error_maps(tree, [row for row, _, _ in rows], shown)
        if "weights" in tree.children:
            made["weights"] = weights(tree)
    for number, (row, known, network) in enumerate(rows):
        suffix = crossed.suffix(row, number)
        shown = ["replicate", *theories_of(tree), "mean image"]
        made[f"wall{suffix}"] = crossed.wall(tree, known, network, shown)
        if "steps" in tree.children and row in tree["steps"]["family"].values:
            made[f"one_step{suffix}"] = crossed.one_step(along(tree, row), row)
    return made


def theories_of(tree: xr.DataTree) -> list[str]:
    """Every prediction that is neither a ceiling nor a floor."""
    names = map(str, tree["agreement"]["predictor"].values)
    return [n for n in names if n not in (*CEILINGS, *FLOORS) and not n.startswith("replicate")]


def along(tree: xr.DataTree, row: str) -> xr.DataArray:
    """The one-step distances of a row, without theories that did not answer it."""
    values = share(tree["steps"].to_dataset().sel(family=row, drop=True))
    return values.dropna("predictor", how="all").drop_sel(predictor="wiener")


def scaled(
    tree: xr.DataTree, row: str, theory: str, metric: str = "r", floor: str = "wiener"
) -> compare.Comparison | None:
    """A theory between a floor and the ceiling; None where it did not answer the row."""
    values = tree["agreement"][metric].sel(family=row)

    def of(predictor: str) -> torch.Tensor:
        return torch.from_numpy(values.sel(predictor=predictor).values)

    if not np.isfinite(values.sel(predictor=theory)).any():
        return None
    return compare.scale(
        of(theory), ceiling=of("replicate"), floors={floor: of(floor)}, metric=metric
    )


def standing(tree: xr.DataTree) -> xr.Dataset:
    """The leaderboard's numbers: share, low, high (family, theory), and what was told."""
    rows = [row for row, _, _ in crossed.rows_of(tree)]
    theories = [t for t in theories_of(tree) if t != "wiener"]
    none = Interval(np.nan, np.nan, np.nan, 0.95, 0)
    found = [
        [one.share["wiener"] if (one := scaled(tree, row, t)) else none for t in theories]
        for row in rows
    ]
    columns = {"share": "value", "low": "low", "high": "high"}
    variables = {
        name: (("family", "theory"), [[getattr(v, field) for v in line] for line in found])
        for name, field in columns.items()
    }
    if "theories" in tree.children:
        variables["told"] = (("theory",), [told(tree, t) for t in theories])
    return xr.Dataset(variables, {"family": rows, "theory": theories})


def told(tree: xr.DataTree, theory: str, row: str | None = None) -> str:
    """What of the network a theory was told."""
    if "theories" not in tree.children or theory not in tree["theories"]["predictor"].values:
        return ""
    words = tree["theories"]["told"].sel(predictor=theory)
    words = words.sel(family=[row]) if row else words
    return next((w for w in map(str, words.values) if w and w != "nan"), "")


def weights(tree: xr.DataTree) -> Figure:
    """The weights of the stacked theory by noise level, a panel a row."""
    found = tree["weights"]["weight"].isel(theory=0, drop=True)
    rows = [row for row, _, _ in crossed.rows_of(tree) if row in found["family"].values]
    parts = [str(p) for p in found["part"].values]
    colors = plots.palette(parts)
    lines, columns = crossed.grid_shape(len(rows))
    figure = new_figure(inches=1.7 * lines + 0.7)
    panels = figure.subplots(lines, columns, squeeze=False, sharex=True, sharey=True)
    for axes, row in zip(panels.flat, rows, strict=False):
        one = found.sel(family=row).dropna("sigma", how="all").sortby("sigma")
        for part in parts:
            values = one.sel(part=part)
            if np.isfinite(values).any():
                axes.plot(one["sigma"], values, "o-", markersize=3, color=colors[part], label=part)
        axes.set(xscale="log", ylim=(-0.05, 1.05))
        axes.set_title(row, fontsize="small")
        axes.set_xlabel("noise level sigma")
    crossed.hide_unused(panels, len(rows))
    for axes in panels[:, 0]:
        axes.set_ylabel("weight")
    shown = {
        text: handle
        for axes in panels.flat
        for handle, text in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(shown.values(), shown.keys(), loc="outside lower center", ncols=len(shown))
    return figure


def says(tree: xr.DataTree) -> dict[str, str]:
    """What each figure shows, in a sentence."""
    rows = [row for row, _, _ in crossed.rows_of(tree)]
    if not rows:
        return {}
    gone = standing(tree)["share"].dropna("family", how="all")
    rms = tree["agreement"]["mse"].sel(predictor=theories_of(tree)).mean("seed") ** 0.5
    farthest = gone.idxmax("theory").values, gone.max("theory").values
    least = rms.idxmin("predictor").values, rms.min("predictor").values
    said = {
        "leaderboard": "Farthest from the Wiener filter (0) to the network retrained (1): "
        f"{words.winners(*farthest)}.",
        "where": f"Least root mean squared difference from the network: {words.winners(*least)}.",
    }
    if "weights" in tree.children:
        said["weights"] = heaviest(tree)
    for number, row in enumerate(rows):
        suffix = crossed.suffix(row, number)
        said[f"wall{suffix}"] = words.predicted(tree, row)
        if "steps" in tree.children and row in tree["steps"]["family"].values:
            said[f"one_step{suffix}"] = crossed.nearest(along(tree, row))
    return said


def heaviest(tree: xr.DataTree) -> str:
    """Which part of the stacked theory weighs most, by noise level."""
    found = tree["weights"]["weight"].isel(theory=0, drop=True)
    levels = found.stack(level=("family", "sigma")).dropna("level", how="all").fillna(-np.inf)
    first = levels["part"].values[levels.argmax("part").values]
    names, counts = np.unique(first, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    parts = [f"{names[i]} at {counts[i]}" for i in order]
    return f"Of {len(first)} noise levels the largest weight is that of {'; '.join(parts)}."


def findings(tree: xr.DataTree) -> list[str]:
    """What our theories promised and what came of it, then each row in words."""
    rows = [row for row, _, _ in crossed.rows_of(tree)]
    lines = [said for theory in OURS if (said := promised(tree, theory))]
    lines += [words.predicted(tree, row) for row in rows]
    lines += [said for row in rows if (said := copying(tree, row))]
    return [*words.toy(tree), *lines, *subsets(tree)]


def promised(tree: xr.DataTree, theory: str) -> str:
    """A theory of ours against the machine of each row's border: ahead of it on UNets, at least
    half of what is left to the ceiling; on ResNets no more than NEAR behind. Empty where it
    answered no row.
    """
    if theory not in tree["agreement"]["predictor"].values:
        return ""
    tested = _tested(tree)
    ahead, half, near = [], [], []
    for row, _, network in crossed.rows_of(tree):
        if (row, theory) not in tested:
            continue
        machine = str(tree["rows"]["machine"].sel(family=row).values)
        found = scaled(tree, row, theory, floor=machine)
        assert found is not None  # it was tested
        gained = bootstrap(difference(tree, row, theory, machine))
        if network.startswith("unet"):
            ahead.append(tested[row, theory][1] < ALPHA and gained.value > 0)
            half.append(found.share[machine].value >= HALF)
        else:
            near.append(gained.value >= -NEAR)
    said = []
    if ahead:
        said += [
            f"is ahead of the machine of the border in {sum(ahead)} of {len(ahead)} UNet rows "
            "(signed ranks over seeds, Holm over rows)",
            f"goes at least half of what that leaves to the ceiling in {sum(half)}",
        ]
    if near:
        said.append(
            f"is at most {NEAR} behind it in {sum(near)} of {len(near)} ResNet "
            f"{'row' if len(near) == 1 else 'rows'}"
        )
    return f"Our theory {theory} {', '.join(said)}." if said else ""


def difference(tree: xr.DataTree, row: str, theory: str, other: str) -> np.ndarray:
    """r of a theory less that of another, seed by seed."""
    r = tree["agreement"]["r"].sel(family=row)
    return r.sel(predictor=theory).values - r.sel(predictor=other).values


def copying(tree: xr.DataTree, row: str) -> str:
    """Where a network is nearer the ideal denoiser than the Wiener filter, on noisy training
    images.
    """
    if "steps" not in tree.children or row not in tree["steps"]["family"].values:
        return ""
    values = along(tree, row)
    if "ideal" not in values["predictor"].values:
        return ""
    values = values.sel(predictor="ideal", kind="training").dropna("sigma").sortby("sigma")
    near = values["sigma"].values[values.values < 1]
    where = f"at sigma {', '.join(f'{s:.2g}' for s in near)}" if len(near) else "at no noise level"
    return (
        f"On noisy training images {row} is nearer the ideal denoiser than the Wiener filter "
        f"{where}."
    )


def subsets(tree: xr.DataTree) -> list[str]:
    """What a scan over a subset of the images loses against all of them, on noisy unseen images."""
    if "subset" not in tree.children:
        return []
    error, said = tree["subset"]["subset_error"].sel(kind="unseen"), []
    for theory in map(str, error["predictor"].values):
        for row in map(str, error["family"].values):
            one = error.sel(predictor=theory, family=row).median("point").dropna("sigma")
            values = one.sortby("sigma").to_series()
            said.append(
                f"{theory} on {row}, against the full scan of the ideal denoiser: off by "
                f"{values.iloc[0]:.2g} of a pixel value at sigma {values.index[0]:.2g} and by at "
                f"most {values.max():.2g}, at sigma {values.idxmax():.2g}."
            )
    return said


def summary(tree: xr.DataTree) -> pd.DataFrame:
    """One line per row and theory: what it was told, how near it comes, what it costs."""
    lines = []
    for row, _, _ in crossed.rows_of(tree):
        ds = tree["agreement"].to_dataset().sel(family=row)
        ceiling = bootstrap(ds["r"].sel(predictor="replicate").values)
        for theory in theories_of(tree):
            found = scaled(tree, row, theory)
            if found is None:
                continue
            medians = {
                k: bootstrap(ds[k].sel(predictor=theory).values).value
                for k in ("explained", "amplitude_ratio")
            }
            lines.append(
                {
                    "row": row,
                    "theory": theory,
                    "told": told(tree, theory, row),
                    "r": str(found.value),
                    "1 - SSE/SST": f"{medians['explained']:.2f}",
                    "amplitude": f"{medians['amplitude_ratio']:.2f}",
                    "retrained": f"{ceiling.value:.2f}",
                    "share of the way": str(found.share["wiener"]) if theory != "wiener" else "",
                    "seconds a sample": cost(tree, row, theory),
                }
            )
    table = pd.DataFrame(lines)
    return table.merge(tests(tree), how="left", on=["row", "theory"]).fillna("")


def cost(tree: xr.DataTree, row: str, theory: str) -> str:
    """Time of one sample on the machine that ran it."""
    if "theories" not in tree.children or theory not in tree["theories"]["predictor"].values:
        return ""
    one = tree["theories"]["score_seconds"].sel(family=row, predictor=theory)
    steps = float(tree["rows"]["machine_steps"].sel(family=row))
    return f"{float(one) * steps:.2g}"


def tests(tree: xr.DataTree) -> pd.DataFrame:
    """Each theory against the machine of the network's border, paired over seeds, Holm-corrected
    over rows.
    """
    lines = [
        {
            "row": row,
            "theory": theory,
            "r less the border machine's": str(result.difference),
            "p, Holm over rows": f"{p:.2g}",
        }
        for (row, theory), (result, p) in _tested(tree).items()
    ]
    columns = ["row", "theory", "r less the border machine's", "p, Holm over rows"]
    return pd.DataFrame(lines, columns=columns)


def _tested(tree: xr.DataTree) -> dict[tuple[str, str], tuple[Paired, float]]:
    """(row, theory) -> the paired test, and its p corrected over rows."""
    r, found = tree["agreement"]["r"], {}
    for theory in theories_of(tree):
        own = []
        for row, _, _ in crossed.rows_of(tree):
            machine = str(tree["rows"]["machine"].sel(family=row).values)
            if theory in MACHINES or machine not in r["predictor"].values:
                continue
            a, b = (r.sel(family=row, predictor=p).values for p in (theory, machine))
            if np.isfinite(a).any() and np.isfinite(b).any():
                own.append((row, paired(torch.from_numpy(a), torch.from_numpy(b))))
        if own:
            adjusted = holm([result.p for _, result in own])
            for (row, result), p in zip(own, adjusted, strict=True):
                found[row, theory] = result, float(p)
    return found
