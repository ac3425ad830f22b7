"""Figures of crossed designs: image sets x networks x theories (`archbias.study.crossed`).

rows_of       the rows of a store, with their image set and network
wall          one seed a row: the network, the network retrained, what each theory predicts
leaderboard   how far each theory goes from the Wiener filter to the ceiling
one_step      distance of theory and network along the noise
error_maps    where in the image each theory errs
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullLocator

from ..store.open import variable
from .grid import family_grid
from .noise import against_noise
from .styles import new_figure, plain

RETRAINED = {"replicate": "retrained"}
WORST = -0.5  # where the axis of the leaderboard ends


def rows_of(tree: xr.DataTree) -> Iterator[tuple[str, str, str]]:
    """(row, set, network) of every network that was compared."""
    if "agreement" not in tree.children:
        return
    for row in map(str, variable(tree, "agreement/family").values):
        known, network = row.split(" ", 1)
        yield row, known, network


def suffix(row: str, place: int) -> str:
    """What the file of a row's figure is named by: nothing for the first row of a store."""
    return f"-{row.replace(', ', '-').replace(' ', '-')}" if place else ""


def predictions_of(tree: xr.DataTree, known: str, network: str) -> dict[str, xr.DataArray]:
    """What was predicted of a row, by predictor: its own predictions, then those of its set."""
    found: dict[str, xr.DataArray] = {}
    for group in ("predictions", "references"):
        if group not in tree[known].children:
            continue
        values = variable(tree, f"{known}/{group}/prediction")
        if "family" in values.dims:
            if network not in values["family"].values:
                continue
            values = values.sel(family=network)
        for name in map(str, values["predictor"].values):
            one = values.sel(predictor=name)
            if np.isfinite(one.isel(seed=0).values).any():
                found[name] = one
    return found


def wall(
    tree: xr.DataTree,
    known: str,
    network: str,
    predictors: Sequence[str] | None = None,
    *,
    seeds: int = 8,
    copies: bool = True,
) -> Figure:
    """The row's samples beside predictions of them, one seed per row.

    Args:
        predictors: those shown, as far as they were made, in this order; all without it.
        copies: end with the nearest training image of each sample, which not every set allows to
            publish.
    """
    predicted = predictions_of(tree, known, network)
    chosen = [p for p in predictors if p in predicted] if predictors else list(predicted)
    columns = {network: tree[known]["samples"]["sample"].sel(family=network)}
    columns |= {RETRAINED.get(p, p): predicted[p] for p in chosen}
    if copies:
        nearest = tree[known]["novelty"]["nearest_image"].sel(family=network)
        columns["nearest training image"] = nearest
    together = xr.concat(
        [v.reset_coords(drop=True).expand_dims(family=[name]) for name, v in columns.items()],
        "family",
        join="outer",
    )
    samples = xr.DataTree.from_dict({"samples": together.to_dataset(name="sample")})
    return family_grid(samples, seeds=seeds)


def leaderboard(ds: xr.Dataset) -> Figure:
    """A panel per network, a line per theory, best first: the way it goes, with its interval.

    What lies left of `WORST` is drawn at that edge as an arrow.

    Args:
        ds: share, low, high (family, theory): the way gone from the Wiener filter (0) to the
            ceiling (1), NaN where a theory did not answer; optionally told (theory,), shown by
            colour.
    """
    import seaborn

    best = ds["share"].clip(min=WORST).mean("family").fillna(WORST)
    ds = ds.sortby(best, ascending=False)
    rows, theories = (list(map(str, ds[k].values)) for k in ("family", "theory"))
    told = list(map(str, ds["told"].values)) if "told" in ds else [""] * len(theories)
    # least told first
    kinds = sorted({*told}, key=lambda t: (t.count(",") + t.count(" and "), t != "nothing", t))
    colors = dict(zip(kinds, seaborn.color_palette("viridis_r", len(kinds)), strict=True))
    lines, columns = grid_shape(len(rows))
    figure = new_figure(inches=lines * (0.5 + 0.13 * len(theories)) + 0.6)
    grid = figure.subplots(lines, columns, squeeze=False, sharex=True, sharey=True)
    at = np.arange(len(theories))
    for axes, row in zip(grid.flat, rows, strict=False):
        one = ds.sel(family=row)
        for x, style in ((0, ":"), (1, "-")):
            axes.axvline(x, color="0.5", linewidth=0.8, linestyle=style, zorder=0)
        for kind in kinds:
            own = at[[t == kind for t in told]]
            share, low, high = (one[v].values[own] for v in ("share", "low", "high"))
            axes.hlines(own, low.clip(WORST), high.clip(WORST), color=colors[kind], linewidth=2)
            out = share < WORST
            for marker, here in (("o", ~out), ("<", out)):
                axes.plot(
                    share[here].clip(WORST),
                    own[here],
                    marker,
                    color=colors[kind],
                    markeredgecolor="black",
                    markeredgewidth=0.4,
                    markersize=4.5,
                )
        axes.set_title(textwrap.fill(plain(row), 60 // columns), fontsize="small", loc="left")
        axes.tick_params(labelsize="small")
        axes.grid(axis="y", color="0.92", linewidth=0.6)
        axes.set_axisbelow(True)
    grid[0, 0].set_yticks(at, [plain(t) for t in theories])
    grid[0, 0].set_xticks([WORST, 0, 0.5, 1], [f"{WORST:g}", "0", "0.5", "1"])
    grid[0, 0].set(xlim=(WORST - 0.05, 1.1), ylim=(len(theories) - 0.5, -0.5))
    hide_unused(grid, len(rows))
    names = {kind: f"told {kind}" for kind in kinds if kind}
    marks = [
        Line2D([], [], color=colors[kind], marker="o", linewidth=2, label=name)
        for kind, name in names.items()
    ]
    wanted = "share of the way from the Wiener filter (0) to the network retrained (1)"
    most = _columns(list(names.values()))
    figure.legend(handles=marks, title=wanted, loc="outside lower center", ncols=most)
    return figure


def grid_shape(panels: int, most: int = 4) -> tuple[int, int]:
    """Lines and columns of so many panels, lines alike in length."""
    lines = -(-panels // most)
    return lines, -(-panels // lines)


def hide_unused(grid: np.ndarray, panels: int) -> None:
    """Hide what is left of a grid of axes that share x; those above it get their numbers back."""
    for axes in grid.flat[panels:]:
        axes.set_visible(False)
    for axes in grid.flat[max(0, panels - grid.shape[1]) : panels]:
        axes.tick_params(labelbottom=True)


def one_step(share: xr.DataArray, title: str = "") -> Figure:
    """One panel per kind of state: the squared distance of theory and network against noise.

    Args:
        share: (predictor, kind, sigma), 0 the network itself, 1 the Wiener filter.
    """
    kinds = list(map(str, share["kind"].values))
    figure = new_figure(0.5)
    panels = figure.subplots(1, len(kinds), sharey=True, squeeze=False)[0]
    for axes, kind in zip(panels, kinds, strict=True):
        against_noise(share.sel(kind=kind, drop=True).rename(predictor="family"), axes)
        axes.axhline(1, color="0.6", linewidth=0.8, linestyle=":", zorder=0)
        axes.set(title=kind, xlabel="noise level sigma", ylabel="")
        axes.get_legend().remove()
    panels[0].set_yscale("log")
    panels[0].yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    panels[0].yaxis.set_major_formatter("{x:g}")
    panels[0].yaxis.set_minor_locator(NullLocator())
    panels[0].set_ylabel("squared distance from network,\nWiener filter = 1")
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=_columns(names))
    if title:
        figure.suptitle(title, x=0.01, ha="left")
    return figure


def nearest(share: xr.DataArray) -> str:
    """Which theory is nearest the network, by noise level, on the kind of state that is hardest to
    copy: unseen images, else the last kind that was measured.

    Args:
        share: (predictor, kind, sigma), 0 the network itself, 1 the Wiener filter.
    """
    share = share.dropna("kind", how="all")
    kinds = list(map(str, share["kind"].values))
    if not kinds:
        return ""
    kind = "unseen" if "unseen" in kinds else kinds[-1]
    values = share.sel(kind=kind).dropna("predictor", how="all").dropna("sigma", how="all")
    values = values.fillna(np.inf).transpose("predictor", "sigma")
    first = values["predictor"].values[values.values.argmin(0)]
    names, counts = np.unique(first, return_counts=True)
    best, near = counts.argmax(), int((values.min("predictor") < 1).sum())
    where = {"training": "noisy training images", "unseen": "noisy unseen images"}
    return (
        f"On {where.get(kind, 'its own trajectory')} a theory is nearer the network than the "
        f"Wiener filter at {near} of {len(first)} noise levels, most often {names[best]} (nearest "
        f"at {counts[best]})."
    )


def error_maps(tree: xr.DataTree, rows: Sequence[str], predictors: Sequence[str]) -> Figure:
    """Root mean squared difference of prediction and network, pixel by pixel, one row of maps per
    network; one colour scale a row, from the samples' own spread.
    """
    width = mpl.rcParams["figure.figsize"][0]
    figure = new_figure(inches=0.5 + len(rows) * width / max(3, len(predictors)))
    grid = figure.subplots(len(rows), len(predictors), squeeze=False)
    for line, row in zip(grid, rows, strict=True):
        known, network = row.split(" ", 1)
        x = tree[known]["samples"]["sample"].sel(family=network)
        spread = float(x.std("seed").max())
        predicted = predictions_of(tree, known, network)
        for axes, name in zip(line, predictors, strict=True):
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
            if name not in predicted:
                continue
            square = (predicted[name].reset_coords(drop=True) - x.reset_coords(drop=True)) ** 2
            error = square.mean(("seed", "channel")) ** 0.5
            axes.imshow(error.transpose("row", "column").values, vmin=0, vmax=spread, cmap="magma")
            axes.set_xlabel(f"{float((square.mean()) ** 0.5):.2f}", fontsize="small")
        line[0].set_ylabel(textwrap.fill(plain(row), 16), fontsize="small")
    for axes, name in zip(grid[0], predictors, strict=True):
        title = textwrap.fill(plain(RETRAINED.get(name, name)), 11)
        axes.set_title(title, fontsize="small")
    return figure


def _columns(names: Sequence[str]) -> int:
    """How many columns of a legend the page is wide for."""
    letters = mpl.rcParams["figure.figsize"][0] * 72 / (0.55 * mpl.rcParams["font.size"])
    return max(1, min(5, int(letters / (8 + max(map(len, names), default=1)))))
