"""Figures, findings and the table of the study of other people's networks, from its store."""

import re

import numpy as np
import pandas as pd
import torch
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from archbias import plots
from archbias.metrics import compare
from archbias.metrics.health import Errors
from archbias.metrics.intervals import bootstrap
from archbias.plots.intervals import band
from archbias.plots.styles import new_figure

FLOOR, ANOTHER, OTHER = "mean image", "another seed", "another network"
SHOWN, DRAWN = 5, 6  # seeds and theories of a wall
CAPTIONS = {
    "health": "Error of each network over the Wiener filter's: above 1 it is not worth asking.",
    "agreement": "r with every theory, told its most images; grey: the other network of the set "
    "that it agrees with most.",
    "counts": "Median r of a theory against how many training images it is told.",
    "wall": "One noise a row: the network, its nearest training image, what theories make of it.",
    "drawn": "One noise a row: the network, other networks of the set, what theories make of it.",
    "masks": "How far the centre pixel looks, by noise level.",
}
# columns of a paper's page that a figure takes
PAPER = {"agreement": 1, "counts": 1}


def figures(tree: xr.DataTree) -> dict[str, Figure]:
    """Those whose cells are in the store."""
    made = {"agreement": plots.agreement(_with_other(tree), ceiling=(OTHER,)).figure}
    made["counts"], made["health"] = counts(tree), health(tree)
    for name in networks(tree):
        made[f"wall-{name.replace(' ', '-')}"] = wall(tree, name)
        made[f"drawn-{name.replace(' ', '-')}"] = wall(tree, name, copies=False)
    for known in sets(tree):
        if "masks" in tree[known]:
            made[f"masks-{known}"] = plots.receptive_fields(_shares(tree[known]["masks"]["energy"]))
    return made


def networks(tree: xr.DataTree) -> list[str]:
    """Those that were compared."""
    return [str(f) for f in tree["agreement"]["family"].values]


def sets(tree: xr.DataTree) -> list[str]:
    """Training sets of the store."""
    return [name for name in tree.children if "samples" in tree[name].children]


def set_of(tree: xr.DataTree, name: str) -> str:
    """The training set of a network."""
    return next(s for s in sets(tree) if name in tree[s]["samples"]["family"].values)


def told(predictor: str) -> tuple[str, int | None]:
    """A predictor's theory and how many images it was told: "ls 1000" -> ("ls", 1000)."""
    found = re.fullmatch(r"(.+) (\d+)", predictor)
    return (found[1], int(found[2])) if found else (predictor, None)


def values(tree: xr.DataTree, name: str, predictor: str, measure: str = "r") -> np.ndarray:
    """One value per seed."""
    return tree["agreement"][measure].sel(family=name, predictor=predictor).values


def predictors(tree: xr.DataTree, name: str) -> list[str]:
    """What a network was compared with, best first."""
    r = tree["agreement"]["r"].sel(family=name)
    kept = [str(p) for p in r["predictor"].values if np.isfinite(r.sel(predictor=p)).any()]
    return sorted(kept, key=lambda p: -np.nanmedian(values(tree, name, p)))


def other(tree: xr.DataTree, name: str) -> str | None:
    """The other network of the set it agrees with most: the ceiling, where there is one."""
    others = [p for p in predictors(tree, name) if p in networks(tree)]
    return others[0] if others else None


def _with_other(tree: xr.DataTree) -> xr.Dataset:
    """Agreement with each theory at its most images, and with one other network."""
    r = tree["agreement"]["r"]
    rows = []
    for name in networks(tree):
        most: dict[str, tuple[int, str]] = {}
        for predictor in predictors(tree, name):
            theory, n = told(predictor)
            if predictor not in networks(tree):
                most[theory] = max(most.get(theory, (0, "")), (n or 0, predictor))
        shown = {theory: predictor for theory, (_, predictor) in most.items()}
        if ceiling := other(tree, name):
            shown[OTHER] = ceiling
        row = r.sel(family=name, predictor=list(shown.values()))
        rows.append(row.assign_coords(predictor=list(shown)))
    families = pd.Index(networks(tree), name="family")
    joined = xr.concat(rows, families, coords="minimal", compat="override", join="outer")
    order = dict.fromkeys(told(str(p))[0] for p in r["predictor"].values)
    order = [p for p in (*order, OTHER) if p in joined["predictor"].values]
    return joined.sel(predictor=order).to_dataset(name="r")


def _shares(energy: xr.DataArray) -> xr.DataArray:
    """Energy as shares of each map, few levels, high noise first."""
    shares = energy / energy.sum(("row", "column"))
    few = shares.isel(sigma=slice(None, None, max(1, shares.sizes["sigma"] // 5)))
    return few.sortby("sigma", ascending=False)


def ratio(tree: xr.DataTree, name: str) -> xr.DataArray:
    """Error of a network over the Wiener filter's, by level."""
    error = tree[set_of(tree, name)]["health"]["error"].sel(family=name).mean("image")
    return error.sel(denoiser="network") / error.sel(denoiser="wiener")


def health(tree: xr.DataTree) -> Figure:
    """Error against noise, over the Wiener filter's."""
    figure = new_figure(0.55)
    axes = figure.subplots()
    colors = plots.palette(networks(tree))
    for name in networks(tree):
        found = ratio(tree, name).sortby("sigma")
        axes.plot(found["sigma"], found, "o-", markersize=3.5, color=colors[name], label=name)
    axes.axhline(1, color="0.5", linewidth=0.8)
    axes.set(xscale="log", yscale="log", xlabel="noise level sigma (pixel value)")
    axes.set_ylabel("error over the Wiener filter's")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter("")
    axes.yaxis.set_minor_formatter("")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.legend(loc="best", fontsize="small")
    return figure


def counts(tree: xr.DataTree) -> Figure:
    """Median r of the theories that are told more and more images, a panel a network."""
    names = networks(tree)
    every = {(t, n) for name in names for p in predictors(tree, name) for t, n in [told(p)] if n}
    theories = sorted({t for t, _ in every if len({n for u, n in every if u == t}) > 1})
    colors = plots.palette(theories)
    columns, lines = 2, -(-len(theories) // 3)
    figure = new_figure(inches=2.0 * -(-len(names) // columns) + 0.2 * lines + 0.4)
    shape = -(-len(names) // columns), columns
    panels = list(figure.subplots(*shape, squeeze=False, sharey=True).flat)
    for axes, name in zip(panels, names, strict=False):
        for theory in theories:
            found = sorted(
                (n, p) for p in predictors(tree, name) for t, n in [told(p)] if t == theory
            )
            heights = [values(tree, name, p) for _, p in found]
            band(axes, [n for n, _ in found], heights, color=colors[theory])
        if ceiling := other(tree, name):
            middle = float(np.nanmedian(values(tree, name, ceiling)))
            axes.axhline(middle, color="0.5", linestyle="--", linewidth=0.8)
        axes.set(xscale="log", title=name, xlabel="training images told")
        axes.xaxis.set_minor_formatter("")
    for axes in panels[len(names) :]:
        axes.set_visible(False)
    for axes in panels[::columns]:
        axes.set_ylabel("median r")
    dots = [Line2D([], [], marker="o", markersize=3, color=colors[t], label=t) for t in theories]
    dots.append(Line2D([], [], color="0.5", linestyle="--", linewidth=0.8, label=OTHER))
    figure.legend(handles=dots, fontsize="x-small", ncols=3, loc="outside lower center")
    return figure


def wall(tree: xr.DataTree, name: str, copies: bool = True) -> Figure:
    """Samples of a network beside what the best theories make of the same noise.

    copies: with the nearest training images and the ideal denoiser, which not every set allows to
        be published; without them the other networks of the set.
    """
    known = set_of(tree, name)
    samples = tree[known]["samples"]["sample"]
    columns = {name: samples.sel(family=name, drop=True)}
    if not copies:
        others = [f for f in map(str, samples["family"].values) if f != name]
        columns |= {other: samples.sel(family=other, drop=True) for other in others}
    drawn = len(columns)
    for predictor in predictors(tree, name):
        theory, n = told(predictor)
        if n is None or any(told(c)[0] == theory for c in list(columns)[drawn:]):
            continue
        if theory == "ideal" and not copies:
            continue
        if len(columns) - drawn < DRAWN:
            columns[predictor] = _predicted(tree, known, name, predictor)
    made = xr.concat(list(columns.values()), pd.Index(list(columns), name="family"))
    groups = {"samples": made.to_dataset(name="sample")}
    if not copies:
        return plots.family_grid(xr.DataTree.from_dict(groups), seeds=SHOWN)
    near = tree[known]["novelty"]["nearest_image"].sel(family=[name])
    copies = tree["novelty"]["copy"].sel(family=[name]).astype(float)
    groups["novelty"] = xr.merge([near, copies])
    return plots.family_grid(xr.DataTree.from_dict(groups), seeds=SHOWN)


def _predicted(tree: xr.DataTree, known: str, name: str, predictor: str) -> xr.DataArray:
    references = tree[known]["references"]["prediction"]
    if predictor in references["predictor"].values:
        return references.sel(predictor=predictor, drop=True)
    return tree[known]["predictions"]["prediction"].sel(family=name, predictor=predictor, drop=True)


def worse(tree: xr.DataTree, name: str) -> list[float]:
    """Noise levels at which a network is worse than the Wiener filter, interval and all."""
    error = tree[set_of(tree, name)]["health"]["error"].sel(family=name)
    error = error.sortby("sigma").transpose("denoiser", "sigma", "image")
    makers = map(str, error["denoiser"].values)
    by_maker = {k: torch.tensor(error.sel(denoiser=k).values) for k in makers}
    found = Errors(sigmas=torch.tensor(error["sigma"].values.tolist()), **by_maker)
    return found.sigmas[found.worse_than_wiener()].tolist()


def faded(tree: xr.DataTree, name: str) -> str:
    """What the brightness of its samples says, in words; empty where it is that of images."""
    looks = tree["looks"].sel(family=name)
    mean, spread = looks["brightness_of_images"].values
    own = looks["brightness"].values
    off, wide = abs(np.mean(own) - mean) / spread, np.std(own) / spread
    if off < 1 and wide < 1.5:
        return ""
    return (
        f"the brightness of its samples is {np.mean(own):.2f} +- {np.std(own):.2f}, that of its "
        f"training images {mean:.2f} +- {spread:.2f}"
    )


def verdict(tree: xr.DataTree, name: str) -> str:
    """Whether a network is worth asking, and where it is not a good denoiser."""
    levels = ", ".join(f"{level:.2g}" for level in worse(tree, name))
    said = f"worse than the Wiener filter at sigma {levels}" if levels else ""
    if faded(tree, name):
        return "; ".join(["unsound", *filter(None, (said, faded(tree, name)))])
    return "sound" + (f", though {said}, which its samples do not show" if said else "")


def says(tree: xr.DataTree) -> dict[str, str]:
    """What each figure shows, in a sentence."""
    names, grown = networks(tree), {}
    bad = [n for n in names if not verdict(tree, n).startswith("sound")]
    said = {
        "health": f"{len(names) - len(bad)} of {len(names)} networks are sound denoisers"
        + (f"; {' and '.join(bad)} {'is' if len(bad) == 1 else 'are'} not." if bad else ".")
    }
    for name in names:
        theory, few, many = gained(tree, name)
        if few < many:
            ends = [np.nanmedian(values(tree, name, f"{theory} {n}")) for n in (few, many)]
            grown[name] = f"{name} from {ends[0]:.2f} to {ends[1]:.2f} ({theory})"
        best = [p for p in predictors(tree, name) if told(p)[1]]
        said[f"wall-{name.replace(' ', '-')}"] = said[f"drawn-{name.replace(' ', '-')}"] = (
            f"{name} is predicted best by {best[0]}: median r "
            f"{np.nanmedian(values(tree, name, best[0])):.2f}."
            if best
            else f"No theory answered {name}."
        )
    some = "; ".join(grown.values())
    said["counts"] = f"What more images add to r: {some}." if some else "One number of images each."
    for known in sets(tree):
        if "masks" in tree[known]:
            said[f"masks-{known}"] = plots.cards.looking(_shares(tree[known]["masks"]["energy"]))
    return said


def gained(tree: xr.DataTree, name: str) -> tuple[str, int, int]:
    """The best theory of a network of those told several numbers of images; fewest and most."""
    counts: dict[str, list[int]] = {}
    for theory, n in map(told, predictors(tree, name)):
        if n:
            counts.setdefault(theory, []).append(n)
    several = ((theory, found) for theory, found in counts.items() if len(found) > 1)
    theory, found = next(several, ("", [0]))
    return theory, min(found), max(found)


def findings(tree: xr.DataTree) -> list[str]:
    """What the numbers say: health first, then windows, then which theory predicts whom."""
    order = sorted(networks(tree), key=lambda n: verdict(tree, n).startswith("sound"))
    lines = [f"{n}: {verdict(tree, n)}." for n in order]
    windows = tree["windows"].to_dataset()
    windows = windows.sel(network=np.isfinite(windows["built"].values))
    right = (windows["window"] == windows["built"]).values
    named = [str(n) for n in windows["network"].values]
    lines.append(
        f"The card finds the window that was built in {int(right.sum())} of {len(named)} networks"
        + (
            f"; not in {', '.join(n for n, r in zip(named, right, strict=True) if not r)}."
            if not right.all()
            else "."
        )
    )
    for name in networks(tree):
        theories = [p for p in predictors(tree, name) if told(p)[1]]
        best = bootstrap(values(tree, name, theories[0]))
        ceiling = other(tree, name)
        said = f"{name} is predicted best by {theories[0]}: r {best}"
        if ceiling:
            said += f", where {ceiling} agrees with it to {bootstrap(values(tree, name, ceiling))}"
        lines.append(said + ".")
    return lines


def summary(tree: xr.DataTree) -> pd.DataFrame:
    """One row per network and prediction, best first, with floor, ceiling and health."""
    rows = []
    for name in networks(tree):
        ceiling = other(tree, name)
        top = None if ceiling is None else torch.from_numpy(values(tree, name, ceiling))
        floors = {FLOOR: torch.from_numpy(values(tree, name, FLOOR))}
        for predictor in predictors(tree, name):
            found = compare.scale(
                torch.from_numpy(values(tree, name, predictor)), ceiling=top, floors=floors
            )
            rows.append(
                {
                    "network": name,
                    "predictor": predictor,
                    "r": str(found.value),
                    "explained": str(bootstrap(values(tree, name, predictor, "explained"))),
                    "share of ceiling": str(found.share.get(FLOOR, "no other network")),
                    "health": verdict(tree, name),
                }
            )
    return pd.DataFrame(rows)
