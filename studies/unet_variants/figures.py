"""Figures and summary of the study of UNet variants, from its store."""

from collections.abc import Callable

import matplotlib as mpl
import numpy as np
import pandas as pd
import torch
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import LogLocator, NullLocator
from scipy.stats import spearmanr

from archbias import plots
from archbias.metrics import between
from archbias.metrics.intervals import Interval, binomial, bootstrap
from archbias.metrics.realism import Calibrated
from archbias.report import words

# variants a figure has room for; of a crossed grid those with at most one change are shown
MOST = 14
CEILING = "#D55E00"
LOOKS = {
    "": ("#000000", "o"),
    "pooling": ("#0072B2", "s"),
    "levels": ("#007A55", "^"),
    "channels": ("#A0388A", "D"),
    "skips": ("#B8860B", "v"),
    "conditioning": ("#7A1F1F", "p"),
}
# columns of a paper's page that a figure takes
PAPER = {"wall": 2, "samples": 2, "plane": 2, "loss": 2, "theory": 1, "agreement": 2, "changes": 2}
KINDS = {"this study's": "#0072B2", "as published": CEILING}


def figures(tree: xr.DataTree) -> dict:
    """wall: samples beside training images; samples: without these; plane: how new, how real; loss:
    does the loss tell; agreement: which seeds; theory: what predicts them; protocols: the same
    noise and the same variants under both; changes: what each of them does under both.
    """
    made = {
        "wall": wall(tree),
        "samples": wall(tree, neighbours=False),
        "plane": plane(tree),
        "loss": loss(tree),
        "theory": theory(tree),
    }
    both = by_protocol(tree)
    if len(both) > 1:
        single = max(map(len, both.values())) == 1
        made["protocols"] = side_by_side(tree) if single else protocols(tree)
        if min(map(len, both.values())) > 1:
            made["changes"] = changes(tree)
    return made | ({"agreement": agreement(tree)} if tree["pairs"].sizes["variant"] > 1 else {})


def by_protocol(tree: xr.DataTree) -> dict[str, dict[str, str]]:
    """Protocol -> architecture -> variant, the base first; a store without protocols has one."""
    known = tree["variants"].to_dataset()
    known = known.sel(family=known["training"] == 1)
    known = known.isel(family=np.argsort(known["changes"].values, kind="stable"))
    names = [str(v) for v in known["variant"].values]
    kinds = known["protocol"].values if "protocol" in known else ["this study's"] * len(names)
    own = known["architecture"].values if "architecture" in known else names
    found: dict[str, dict[str, str]] = {}
    for kind, architecture, name in zip(kinds, own, names, strict=True):
        found.setdefault(str(kind), {})[str(architecture)] = name
    # the study's own protocol names its base "base"
    return dict(sorted(found.items(), key=lambda item: item[1].get("base") != "base"))


def protocols(tree: xr.DataTree) -> Figure:
    """One row per seed, one column per variant: the study's protocol above the published one."""
    found = by_protocol(tree)
    samples = _first(tree)
    widest = max(4, *map(len, found.values()))
    figure = _page(len(found) * (0.12 + 0.9 * samples.sizes["seed"] / widest))
    every = figure.subplots(len(found), 1, squeeze=False)[:, 0]
    for axes, (kind, variants) in zip(every, found.items(), strict=True):
        _by_seed(samples, variants, axes)
        axes.set_xlabel(f"{kind} protocol" if kind != "as published" else kind)
    return figure


def side_by_side(tree: xr.DataTree) -> Figure:
    """Where each protocol has a single architecture: one row per seed, one column per training."""
    known, samples = tree["variants"]["variant"].to_series(), _first(tree)
    columns: dict[str, str] = {}
    for kind, variants in by_protocol(tree).items():
        first, *others = known.index[known.isin(list(variants.values()))]
        columns |= {kind: first} | {f"{kind}\nretrained": name for name in others}
    figure = _page(0.08 + 0.6 * samples.sizes["seed"] / len(columns))
    _by_seed(samples, columns, figure.subplots())
    return figure


def _first(tree: xr.DataTree, seeds: int = 6) -> xr.DataArray:
    return tree["samples"]["sample"].isel(seed=slice(seeds))


def _by_seed(samples: xr.DataArray, columns: dict[str, str], axes: Axes) -> None:
    """A table of samples: a row per seed, a column per entry (label -> family)."""
    chosen = samples.sel(family=list(columns.values()))
    images = chosen.transpose("seed", "family", "channel", "row", "column").values
    plots.image_table(images, [str(s) for s in samples["seed"].values], list(columns), axes)
    axes.set_ylabel("seed of the noise")


def changes(tree: xr.DataTree) -> Figure:
    """Under both protocols, how far each change moves the images beyond training again, and how
    real the images are.
    """
    found, held = by_protocol(tree), tree["held_out"]["frechet"]
    names = list(next(iter(found.values())))
    figure = _page(0.16 + 0.042 * len(names))
    left, right = figure.subplots(1, 2, sharey=True)
    table = [
        (value, name, kind)
        for kind, variants in found.items()
        for name, r in zip(variants, beyond_retraining(tree, list(variants.values())), strict=True)
        for value in r
    ]
    moved = pd.DataFrame(table, columns=["r", "change", "protocol"])
    colors = {kind: KINDS[kind] for kind in found}
    left.axvline(0, color="0.6", linestyle=":", linewidth=1, zorder=0)
    plots.intervals.intervals(
        moved, "r", "change", "protocol", left, colors, rows=names, spread=0.5
    )
    right.axvspan(float(held.min()), float(held.max()), color="0.87", linewidth=0, zorder=0)
    for place, (kind, variants) in enumerate(found.items()):
        for architecture, name in variants.items():
            row = names.index(architecture)
            own = tree["variants"]["variant"] == name
            frechet = tree["realism"]["frechet"].where(own, drop=True).values
            look = {"marker": plots.marker(kind), "markeredgecolor": "black"}
            look |= {"markeredgewidth": 0.4, "markersize": 5, "color": colors[kind]}
            right.plot(frechet, [row + 0.25 * (2 * place - 1)] * len(frechet), **look)
    _frechet_ticks(right.xaxis, right.set_xscale)
    right.invert_xaxis()
    left.set(xlabel="r with the base less r retrained\n←  moved by the change", ylabel="")
    right.set_xlabel("Frechet distance, both trainings\nmore real  →")
    middle = {"ha": "center", "va": "center", "color": "0.4", "fontstyle": "italic"}
    center = (float(held.min() * held.max()) ** 0.5, (len(names) - 1) / 2)
    right.annotate("held-out images", center, rotation=90, **middle)
    handles = [plots.intervals.dot(kind, color) for kind, color in colors.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=2)
    return figure


def beyond_retraining(tree: xr.DataTree, names: list[str]) -> np.ndarray:
    """How much further each variant is from the first than either from itself retrained: r less r,
    (variant, seed); below 0 where the change moves the images. NaN for the first.
    """
    r = torch.from_numpy(tree["pairs"]["between"].sel(variant=names, other=names).values)
    found = torch.stack([between.apart(r, k, 0) for k in range(len(names))])
    found[0] = torch.nan
    return found.numpy()


def moved_by(tree: xr.DataTree, names: list[str]) -> dict[str, float]:
    """The variants that the change moves, by the median of it."""
    found = zip(names[1:], beyond_retraining(tree, names)[1:], strict=True)
    known = {name: bootstrap(values) for name, values in found}
    return {name: v.value for name, v in known.items() if v.high < 0}


def says(tree: xr.DataTree) -> dict[str, str]:
    """What each figure shows, in a sentence; `theory` says its own."""
    labels = labels_of(tree)
    novelty = novelty_of(tree).median("seed").sel(family=list(labels))
    frechet, held = tree["realism"]["frechet"].sel(family=list(labels)), tree["held_out"]["frechet"]
    unreal = int((frechet > float(held.max())).sum())
    known = tree["novelty"]["copy"].sel(family=list(labels)).values
    copies = f"{int((known == 1).sum())} of {known.size} samples are copies"
    error = losses(tree).sel(images="held out", family=list(labels))
    rank = float(spearmanr(error.values, frechet.values).statistic)
    said = {
        "wall": f"One noise a row, {len(labels)} networks: {copies}.",
        "samples": f"One noise a row, {len(labels)} networks: {copies}.",
        "plane": f"{unreal} of {len(labels)} networks draw less real images than held-out ones; "
        f"their distance to training images is {words.span(novelty.values)} of a held-out one's.",
        "loss": "Held-out error and unlikeness to faces: rank correlation "
        f"{rank:.2f} over {len(labels)} networks.",
    }
    names = list(labels_of(tree, all_trainings=False))
    r = tree["pairs"]["between"].sel(variant=names, other=names).median("seed").values
    if len(names) > 1 and np.isfinite(r.diagonal()).all():
        apart = r[~np.eye(len(r), dtype=bool)]
        said["agreement"] = (
            f"Two variants agree to r {words.span(apart)} from the same noise, one retrained to "
            f"{words.span(r.diagonal())}."
        )
    protocols = by_protocol(tree)
    if len(protocols) == 2:
        ours, theirs = protocols.values()
        met = tree["pairs"]["between"].median("seed")
        shared = {v: theirs[a] for a, v in ours.items() if a in theirs}
        between = [float(met.sel(variant=v, other=w)) for v, w in shared.items()]
        said["protocols"] = (
            f"The same noise and architecture under two protocols: r {words.span(between)}."
        )
        if len(ours) > 1 and np.isfinite(np.diagonal(met.values)).all():
            first, second = (
                f"{len(moved_by(tree, list(v.values())))} of {len(v) - 1}"
                for v in protocols.values()
            )
            said["changes"] = (
                f"Beyond what training again does, {first} changes move the images by this study's "
                f"protocol, {second} as published."
            )
    return said


def findings(tree: xr.DataTree) -> list[str]:
    """What of "small changes give different and often unrealistic images" stands, by protocol."""
    found = by_protocol(tree)
    lines = [f"{k}: {said}." for k, v in found.items() for said in _stands(tree, list(v.values()))]
    if len(found) == 2:
        ours, theirs = found.values()
        r, frechet = tree["pairs"]["between"].median("seed"), tree["realism"]["frechet"]
        shared = {v: theirs[a] for a, v in ours.items() if a in theirs}
        met = [float(r.sel(variant=v, other=w)) for v, w in shared.items()]
        real = [frechet.sel(family=w) < frechet.sel(family=v) for v, w in shared.items()]
        lines.append(
            f"Between the protocols one architecture agrees to r {words.span(met)}; "
            f"{int(sum(real))} of {len(real)} are the more realistic as published."
        )
    return lines


def _stands(tree: xr.DataTree, names: list[str]) -> list[str]:
    """Sentences about the variants of one protocol, its base first."""
    known, pairs = tree["variants"].to_dataset(), tree["pairs"]["between"]
    middle, said = np.median(pairs.sel(variant=names, other=names).values, 2), []
    ceilings = middle.diagonal().copy()
    if len(names) > 1 and np.isfinite(ceilings).all():
        moved = moved_by(tree, names)
        np.fill_diagonal(middle, np.inf)
        i, j = divmod(int(middle.argmin()), len(names))
        said = [
            f"{len(moved)} of {len(names) - 1} changes move the images further than training again "
            f"does{': ' * bool(moved)}{'; '.join(f'{n} (r {by:+.2f})' for n, by in moved.items())}",
            f"{names[i]!r} and {names[j]!r} are least alike, r {middle[i, j]:.2f}, where a variant "
            f"trained again has {words.span(ceilings)}",
        ]
    own = known["family"].values[np.isin(known["variant"].values, names)]
    frechet, held = tree["realism"]["frechet"].sel(family=own), tree["held_out"]["frechet"].values
    copies = tree["novelty"]["copy"].sel(family=own).values == 1
    drawn, halves = (words.span(v, ".3g") for v in (frechet.values, held))
    return [
        *said,
        f"{int((frechet > held.max()).sum())} of {len(own)} networks are less realistic than "
        f"held-out images: Frechet distance {drawn}, where halves of the held-out images have "
        f"{halves}",
        f"{int(copies.sum())} of {copies.size} samples are copies",
    ]


def labels_of(tree: xr.DataTree, all_trainings: bool = True) -> dict[str, str]:
    """Label -> variant of the networks shown, first trainings first."""
    known = tree["variants"].to_dataset()
    known = known.isel(family=np.argsort(known["training"].values, kind="stable"))
    if int((known["training"] == 1).sum()) > MOST:
        known = known.sel(family=known["changes"] <= 1)
    if not all_trainings:
        known = known.sel(family=known["training"] == 1)
    return known["variant"].to_series().to_dict()


def look_of(tree: xr.DataTree, names: list[str]) -> dict[str, tuple[str, str]]:
    """Colour and marker of each variant shown: a hue and a shape for what was changed, a shade for
    its value.
    """
    known, found = tree["variants"].to_dataset(), {}
    changed = dict(zip(*(known[k].values.tolist() for k in ("variant", "changed")), strict=True))
    for name in names:
        alike = [n for n in names if changed[n] == changed[name]]
        color, marker = LOOKS.get(changed[name], LOOKS[""])
        rgb = np.array(mpl.colors.to_rgb(color))
        share = 0.55 * alike.index(name) / max(1, len(alike) - 1)
        found[name] = mpl.colors.to_hex((1 - share) * rgb + share), marker
    return found


def novelty_of(tree: xr.DataTree) -> xr.DataArray:
    """Distance of every sample (family, seed) to its nearest training image, over the median of it
    for held-out images.
    """
    return tree["novelty"]["distance"] / tree["held_out"]["training_distance"].median()


def losses(tree: xr.DataTree) -> xr.DataArray:
    """Loss (family, images): the denoising error, mean over the sampler's noise levels."""
    return tree["errors"]["error"].mean("sigma")


def wall(tree: xr.DataTree, seeds: int = 7, neighbours: bool = True) -> Figure:
    """One row per seed, one column per variant, the base trained a second time beside the base.

    neighbours: beside each sample its nearest training image, which not every set allows to
        publish.
    """
    labels, firsts = labels_of(tree), list(labels_of(tree, all_trainings=False))
    again = [label for label, variant in labels.items() if label != variant == "base"]
    chosen = [firsts[0], *again[:1], *firsts[1:]]
    parts = {name: tree[name].to_dataset().sel(family=chosen) for name in ("samples", "novelty")}
    if not neighbours:
        parts["novelty"] = parts["novelty"].drop_vars("nearest_image")
    figure = plots.family_grid(xr.DataTree.from_dict(parts), seeds=seeds)
    looks = look_of(tree, firsts)
    for tick in (t for axes in figure.axes for t in axes.get_xticklabels()):
        tick.set_color(plots.readable(looks[labels[tick.get_text().replace("\n", " ")]][0]))
    return figure


def plane(tree: xr.DataTree) -> Figure:
    """How new against how real, one mark per network; held-out images, set against each other, are
    the goal.
    """
    novelty, frechet, labels = novelty_of(tree), tree["realism"]["frechet"], labels_of(tree)
    held = tree["held_out"].to_dataset()
    looks = look_of(tree, list(dict.fromkeys(labels.values())))
    figure = _page(0.55)
    axes = figure.subplots()
    low, high = np.quantile(held["frechet"], [0, 1])
    new = held["training_distance"] / held["training_distance"].median()
    quartiles = np.quantile(new, [0.25, 0.75])
    corner, grey = (low, quartiles[0]), {"color": "0.87", "linewidth": 0, "zorder": 0}
    axes.add_patch(Rectangle(corner, high - low, np.ptp(quartiles), **grey))
    middle = {"ha": "center", "va": "center"}
    axes.annotate(
        "held-out\nimages", (np.sqrt(low * high), 1), color="0.4", fontstyle="italic", **middle
    )
    for label, variant in labels.items():
        color, marker = looks[variant]
        v, x = bootstrap(novelty.sel(family=label).values), float(frechet.sel(family=label))
        first = label == variant
        axes.plot([x, x], [v.low, v.high], color=color, linewidth=1.5)
        name = plots.styles.plain(variant)
        fill = (
            {"markeredgecolor": "white", "label": name} if first else {"markerfacecolor": "white"}
        )
        axes.plot(x, v.value, marker, color=color, markersize=9 if first else 7, zorder=4, **fill)
    _frechet_ticks(axes.xaxis, axes.set_xscale)
    axes.margins(0.08)
    axes.invert_xaxis()
    axes.set_xlabel("more real  →\nFrechet distance to held-out images, convolutional features")
    axes.set_ylabel("distance to nearest training image\n(median held-out image = 1)   newer  →")
    handles = axes.get_legend_handles_labels()[0]
    handles += [_hollow("retrained")] if len(labels) > len(looks) else []
    axes.legend(handles=handles, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def loss(tree: xr.DataTree) -> Figure:
    """Does the error say what is drawn? Novelty and unlikeness against the denoising error on
    training and held-out images.
    """
    novelty, error = novelty_of(tree), losses(tree)
    frechet, held = tree["realism"]["frechet"], tree["held_out"]["frechet"]
    labels = labels_of(tree)
    looks = look_of(tree, list(dict.fromkeys(labels.values())))
    figure = _page(0.5)
    left, right = figure.subplots(1, 2)
    left.axhline(1, color="0.6", linestyle=":", linewidth=1, zorder=0)
    right.axhspan(float(held.min()), float(held.max()), color="0.87", linewidth=0, zorder=0)
    for label, variant in labels.items():
        color, marker = looks[variant]
        seen, unseen = (float(error.sel(family=label, images=k)) for k in ("training", "held out"))
        v, apart = bootstrap(novelty.sel(family=label).values), float(frechet.sel(family=label))
        name = plots.styles.plain(variant) if label == variant else None
        left.plot([seen] * 2, [v.low, v.high], color=color, linewidth=1.2)
        for axes, height in ((left, v.value), (right, apart)):
            axes.plot([seen, unseen], [height] * 2, color=color, linewidth=1.2)
            look = {"marker": marker, "color": color, "zorder": 3}
            axes.plot(seen, height, markersize=6.5, markeredgecolor="white", label=name, **look)
            axes.plot(unseen, height, markersize=5, markerfacecolor="white", **look)
    left.set(title="how new (held-out image = 1)", ylabel="distance to nearest training image")
    right.set_title("how unreal (grey: held-out images)")
    right.set_ylabel("Frechet distance to held-out images")
    _frechet_ticks(right.yaxis, right.set_yscale)
    for axes in (left, right):
        axes.set_xlabel("denoising error (squared pixel value)")
        axes.locator_params(axis="x", nbins=4)
    handles = left.get_legend_handles_labels()[0]
    handles += [_hollow("error on training", "0.3"), _hollow("error on held-out")]
    figure.legend(handles=handles, loc="outside right center")
    return figure


def _frechet_ticks(axis: Axis, scale: Callable[[str], None]) -> None:
    scale("log")
    axis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_locator(NullLocator())


def _hollow(name: str, fill: str = "white") -> Line2D:
    return Line2D(
        [], [], marker="o", color="0.3", markerfacecolor=fill, linestyle="none", label=name
    )


def agreement(tree: xr.DataTree) -> Figure:
    """Left: median r between variants, the ceiling on the diagonal. Right: the same seed by seed,
    sorted.
    """
    names = list(labels_of(tree, all_trainings=False))
    colors = {name: color for name, (color, _) in look_of(tree, names).items()}
    return plots.between(tree["pairs"]["between"].sel(variant=names, other=names), colors)


def theory(tree: xr.DataTree) -> Figure:
    """What predicts each variant's samples: the linear law, the base, and as bands the same
    variant retrained and the mean.
    """
    firsts = list(labels_of(tree, all_trainings=False))
    ds = tree["agreement"].to_dataset().sel(family=firsts)
    return plots.agreement(ds, height=0.16 + 0.065 * len(firsts)).figure


def _page(height: float) -> Figure:
    width = mpl.rcParams["figure.figsize"][0]
    return Figure(figsize=(width, height * width), layout="constrained")


def summary(tree: xr.DataTree) -> pd.DataFrame:
    """One row per network: what it is, its error, how new and how real its samples are, and whom
    they agree with.
    """
    known, r = tree["variants"].to_dataset(), tree["agreement"]["r"]
    novelty, error = novelty_of(tree), losses(tree)
    ratio, frechet = tree["novelty"]["distance_ratio"], tree["realism"]["frechet"]
    windows, likely = percentile(tree, "patch_distance"), percentile(tree, "log_likelihood")
    rows = []
    for family in map(str, known["family"].values):
        one = known.sel(family=family)
        copies = tree["novelty"]["copy"].sel(family=family).values.astype(bool)
        share = binomial(int(copies.sum()), len(copies))
        row = {
            "network": family,
            "parameters": int(one["parameters"]),
            "receptive field": float(one["receptive_field"]),
            "error, training": f"{float(error.sel(family=family, images='training')):.4f}",
            "error, held out": f"{float(error.sel(family=family, images='held out')):.4f}",
            "novelty": _interval(bootstrap(novelty.sel(family=family).values)),
            "nearest / second": f"{float(ratio.sel(family=family).median()):.2f}",
            "copies": f"{copies.sum()} of {len(copies)}, {_interval(share)}",
            "Frechet": f"{float(frechet.sel(family=family)):.3g}",
            "windows, percentile": f"{float(windows.sel(family=family).median()):.2f}",
            "likelihood, percentile": f"{float(likely.sel(family=family).median()):.2f}",
        }
        for predictor in ("base", "replicate", "other protocol", "wiener law", "mean image"):
            if predictor in r["predictor"].values:
                found = bootstrap(r.sel(family=family, predictor=predictor).values)
                row[f"r, {predictor}"] = _interval(found)
        rows.append(row)
    return pd.DataFrame(rows)


def percentile(tree: xr.DataTree, measure: str) -> xr.DataArray:
    """Percentile (family, seed) of a measure of each sample among the held-out images'; 0.5 is like
    those.
    """
    value, reference = tree["realism"][measure], torch.from_numpy(tree["held_out"][measure].values)
    found = Calibrated(torch.from_numpy(value.values.ravel()), reference).percentile
    return xr.DataArray(found.numpy().reshape(value.shape), value.coords, value.dims)


def _interval(v: Interval) -> str:
    return f"{v:.2f}" if v.n else ""
