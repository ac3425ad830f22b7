"""Figures and the table of the study of score machines, from its store."""

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib import rcParams
from matplotlib.figure import Figure

from archbias import plots
from archbias.metrics.intervals import binomial, bootstrap
from archbias.plots.colors import NEUTRAL
from archbias.plots.grid import picture
from archbias.plots.styles import new_figure
from archbias.posteriors.windows import SCHEDULES

SETS = {"mnist": "MNIST", "cifar10": "CIFAR10", "fashion_mnist": "FashionMNIST", "celeba": "CelebA"}
NETWORKS = {
    "unet": "UNet, zeros",
    "resnet": "ResNet, zeros",
    "unet, circular": "UNet, circular",
    "resnet, circular": "ResNet, circular",
    "unet, attention": "UNet + attention",
}
# Medians of r published by Kamb & Ganguli, arXiv 2412.20292 (their networks: 150 steps, theory 20):
# (ELS, LS, IS), where ELS is the machine of the network's border.
THEIRS = {
    ("mnist", "unet"): (0.89, 0.88, 0.70),
    ("cifar10", "unet"): (0.90, 0.87, 0.41),
    ("fashion_mnist", "unet"): (0.93, 0.93, 0.80),
    ("celeba", "unet"): (0.85, 0.90, 0.55),
    ("mnist", "resnet"): (0.94, 0.82, 0.61),
    ("cifar10", "resnet"): (0.95, 0.90, 0.42),
    ("fashion_mnist", "resnet"): (0.94, 0.88, 0.68),
    ("celeba", "resnet"): (0.96, 0.90, 0.47),
    ("cifar10", "unet, attention"): (0.77, 0.77, 0.48),
    ("mnist", "resnet, circular"): (0.77, 0.36, 0.15),
    ("cifar10", "resnet, circular"): (0.94, 0.83, 0.35),
}
PROTOCOLS = {
    "cosine": "#0072B2",
    "monotone": "#D55E00",
    "held-out images": "#007A55",
    "published": "#222222",
}
DASH = "–"
KINDS = {0: "T-shirts", 1: "trousers", 6: "shirts"}
# of a garment: two legs, or two sleeves and a body
USUAL = {"parts": {0: 1, 1: 1, 6: 1}, "strands": {0: 3, 1: 2, 6: 3}}
CAPTIONS = {
    "wall": (
        "One seed per row: the network, the same network trained again, the machines, the "
        "Wiener filter, the nearest training image."
    ),
    "agreement": (
        "r of the networks' samples with every prediction; grey: the same network trained "
        "again; hatched: the mean image."
    ),
    "scale": (
        "The window each protocol chooses, against noise; the middle half of the fitted "
        "seeds is shaded."
    ),
    "collapse": "A window held fixed while the noise falls makes beliefs certain early.",
    "parts": "Garments by how many separate parts they have.",
    "attention": (
        "r of the network's samples with bbELS inside and outside the object, without and "
        "with attention."
    ),
}


def figures(tree: xr.DataTree) -> dict:
    """Those whose cells are in the store."""
    made: dict[str, Figure] = {}
    for number, (row, known, network) in enumerate(rows_of(tree)):
        suffix = f"-{row.replace(', ', '-').replace(' ', '-')}" if number else ""
        made[f"wall{suffix}"] = wall(tree, known, network)
        made[f"machines{suffix}"] = wall(tree, known, network, copies=False)
        if "mosaic" in tree and row in tree["mosaic"]["family"].values:
            made[f"mosaic{suffix}"] = mosaics(tree, row, known, network)
    drawn: dict[str, tuple[str, Callable[[xr.DataTree], Figure]]] = {
        "agreement": ("agreement", agreement),
        "scale": ("calibration", scales),
        "collapse": ("collapse", collapse),
        "parts": ("parts", parts),
    }
    made |= {name: draw(tree) for name, (group, draw) in drawn.items() if group in tree.children}
    return made | {
        f"attention-{known}": attention(tree, known, plain, other)
        for known, plain, other in attending(tree)
    }


def rows_of(tree: xr.DataTree) -> Iterator[tuple[str, str, str]]:
    """(row, set, network) of every network that was compared."""
    if "agreement" not in tree.children:
        return
    for row in map(str, tree["agreement"]["family"].values):
        yield row, *row.split(" ", 1)


def wall(
    tree: xr.DataTree, known: str, network: str, seeds: int = 8, copies: bool = True
) -> Figure:
    """The row's samples beside every prediction of them, one seed per row.

    copies: also the machines that return training images, and the nearest of these; not every set
        allows to publish them.
    """
    one = tree[known]
    columns = {network: one["samples"]["sample"].sel(family=network)}
    for group, names in (
        ("predictions", ("replicate", "bbels", "els", "ls")),
        ("references", ("es", "ideal", "wiener") if copies else ("wiener",)),
    ):
        values = one[group]["prediction"]
        values = values.sel(family=network) if "family" in values.dims else values
        columns |= {n: values.sel(predictor=n) for n in names if n in values["predictor"].values}
    columns = {n: v for n, v in columns.items() if np.isfinite(v.isel(seed=0).values).any()}
    if copies:
        columns["nearest training image"] = one["novelty"]["nearest_image"].sel(family=network)
    named = {"replicate": "trained again"}
    together = xr.concat(
        [
            v.reset_coords(drop=True).expand_dims(family=[named.get(n, n)])
            for n, v in columns.items()
        ],
        "family",
        join="outer",
    )
    return plots.family_grid(
        xr.DataTree.from_dict({"samples": together.to_dataset(name="sample")}), seeds=seeds
    )


def agreement(tree: xr.DataTree) -> Figure:
    """Every row's predictions at the first scale, with ceiling and floor."""
    ds = tree["agreement"].to_dataset()
    shown = [
        p
        for p in map(str, ds["predictor"].values)
        if ", " not in p and not p.startswith("replicate ") and p != "another seed"
    ]
    order = ["bbels", "els", "ls", "es", "ideal", "wiener", "replicate", "mean image"]
    return plots.agreement(
        ds.sel(predictor=sorted(shown, key=order.index)), floor=("mean image",)
    ).figure


def scales(tree: xr.DataTree) -> Figure:
    """One panel per row: the window of the row's machine by every protocol, with the published ones
    where there are any.
    """
    calibration = tree["calibration"].to_dataset()
    rows = [(r, k, n) for r, k, n in rows_of(tree) if r in calibration["family"].values]
    across = min(3, len(rows))
    down = -(-len(rows) // across)
    figure = new_figure(inches=0.3 + 2.3 * down)
    grid = figure.subplots(down, across, squeeze=False, sharey=True)
    for axes in grid.flat[len(rows) :]:
        axes.remove()
    for axes, (row, known, network) in zip(grid.flat, rows, strict=False):
        machine = str(tree["rows"]["machine"].sel(family=row).values)
        lines = (
            calibration["choice"]
            .sel(family=row, machine=machine, drop=True)
            .rename(protocol="family")
        )
        lines = lines.isel(sigma=np.isfinite(lines.values).any((0, 2)))
        middle = [lines]
        if "held_out" in tree.children and machine in tree["held_out"]["machine"].values:
            held = tree["held_out"]["choice"].sel(machine=machine, drop=True)
            if known in held["set"].values and np.isfinite(held.sel(set=known).values).any():
                middle.append(
                    held.sel(set=known, drop=True).expand_dims(family=["held-out images"])
                )
        name = f"{known}-{network}"
        if name in SCHEDULES:
            windows = xr.DataArray(
                [float(SCHEDULES[name](s)) for s in lines["sigma"].values],
                {"sigma": lines["sigma"]},
                "sigma",
            )
            middle.append(
                windows.broadcast_like(lines.isel(family=0, drop=True)).expand_dims(
                    family=["published"]
                )
            )
        together = xr.concat(middle, "family", join="outer", coords="minimal").to_dataset(
            name="scale"
        )
        together.attrs["side"] = float(tree["rows"]["side"].sel(family=row))
        plots.locality_scale(together, axes)
        axes.set_title(f"{title(known, network)}\n{machine}", fontsize="small")
        axes.set_xlabel("")
        # the lines of protocols come first
        for line, shade in zip(axes.lines, axes.collections, strict=False):
            name = line.get_label()
            line.set_color(PROTOCOLS[name])
            shade.set_facecolor(PROTOCOLS[name])
            # a window that is used, where the median of the seeds lies between two
            if name in calibration["protocol"].values:
                used = calibration["scale"].sel(family=row, machine=machine, protocol=name)
                line.set_ydata(used.sel(sigma=line.get_xdata()).values)
        axes.get_legend().remove()
    handles, names = max(
        (axes.get_legend_handles_labels() for axes in grid.flat[: len(rows)]),
        key=lambda pair: len(pair[0]),
    )
    figure.legend(handles, names, loc="outside lower center", ncols=len(names))
    grid[0, 0].set_ylim(
        0,
        1.05
        * max(
            np.nanmax(line.get_ydata()) for axes in grid.flat[: len(rows)] for line in axes.lines
        ),
    )
    for axes in grid.flat[: len(rows)]:
        axes.set_xlabel("noise level sigma")
    for axes in grid[:, 1:].flat:
        axes.set_ylabel("")
    return figure


def title(known: str, network: str) -> str:
    return f"{SETS.get(known, known)} {NETWORKS.get(network, network)}"


def collapse(tree: xr.DataTree) -> Figure:
    """The first row with such a cell: effective sources of a pixel against noise, and what is drawn
    in the end.
    """
    ds = tree["collapse"].to_dataset()
    row = str(ds["family"].values[0])
    known, network = row.split(" ", 1)
    ds = ds.sel(family=row, drop=True)
    windows = [str(w) for w in ds["window"].values]
    ds = ds.sel(
        window=[w for w in windows if np.isfinite(ds["images"].sel(window=w)).all()]
    ).rename(window="family")
    drawn = (
        tree[known]["collapse"]
        .to_dataset()
        .sel(family=network, drop=True)
        .rename(window="family")
        .sel(family=ds["family"])
    )
    figure = new_figure(inches=6.2)
    above, below = figure.subfigures(2, 1, height_ratios=(1.2, 1))
    axes = above.subplots()
    plots.against_noise(ds["effective"], axes)
    axes.set_yscale("log")
    axes.set_ylabel("effective sources of a pixel")
    axes.set_title(f"{title(known, network)}: a window that does not shrink is sure too early")
    pictures = xr.DataTree.from_dict(
        {
            "samples": drawn[["sample"]],
            "novelty": xr.merge([drawn[["nearest_image"]], ds[["copy"]].astype(float)]),
        }
    )
    plots.family_grid(pictures, figure=below)
    count = ds["images"].mean("seed")
    names = [
        f"{f}\nimages: {float(count.sel(family=f)):.0f} in a sample"
        for f in map(str, ds["family"].values)
    ]
    below.axes[0].set_xticks(below.axes[0].get_xticks(), names, fontsize="small")
    return figure


def mosaics(tree: xr.DataTree, row: str, known: str, network: str) -> Figure:
    """The machine's samples and the network's, each pixel coloured by the training image it comes
    from.
    """
    sources, equal = (
        tree[known]["mosaic"]["source"].sel(family=network),
        tree["mosaic"]["consistent"].sel(family=row),
    )
    machine = str(tree["rows"]["machine"].sel(family=row).values)
    drawn = {
        machine: tree[known]["predictions"]["prediction"].sel(family=network, predictor=machine),
        "network": tree[known]["samples"]["sample"].sel(family=network),
    }
    figure = new_figure(inches=rcParams["figure.figsize"][0] * 0.95)
    for part, (maker, sample) in zip(figure.subfigures(2, 1), drawn.items(), strict=True):
        variables = {
            "sample": sample,
            "source": sources.sel(maker=maker),
            "consistent": equal.sel(maker=maker),
        }
        ds = xr.Dataset({k: v.reset_coords(drop=True) for k, v in variables.items()}).sel(
            seed=equal["seed"]
        )
        ds["source"] = ds["source"].fillna(-1).astype(int)
        plots.mosaic(ds.dropna("channel", how="all", subset=["sample"]), figure=part)
        rest = equal.sel(maker=f"{machine}, settled") if maker == machine else None
        note = (
            f"; after further calls at vanishing noise {float(rest.median()):.0%} exact"
            if rest is not None
            else ""
        )
        part.suptitle(
            f"{title(known, network)}: "
            f"{'its own samples' if maker == 'network' else machine}{note}",
            x=0.01,
            ha="left",
        )
    return figure


def parts(tree: xr.DataTree, shown: int = 7) -> Figure:
    """Per kind of garment: the pictures with the most parts of each maker, and the share that has
    more than it should.
    """
    counted = tree["parts"].to_dataset()
    row = str(counted["family"].values[0])
    known, network = row.split(" ", 1)
    counted = counted.sel(family=row)
    pictures = tree[known]["parts"]["image"].sel(family=network)
    makers = [
        str(m) for m in counted["maker"].values if np.isfinite(counted["parts"].sel(maker=m)).any()
    ]
    kinds = [int(k) for k in counted["kind"].values]
    figure = new_figure(inches=0.6 + 1.75 * len(kinds))
    left, right = figure.subfigures(1, 2, width_ratios=(1.55, 1))
    grid = left.subplots(len(kinds), 1, squeeze=False)[:, 0]
    bars = right.subplots(len(kinds), 1, squeeze=False, sharex=True)[:, 0]
    colors = plots.palette(makers) | {"training": NEUTRAL}
    for axes, bar, kind in zip(grid, bars, kinds, strict=True):
        lines = []
        for maker in makers:
            images = pictures.sel(maker=maker, kind=kind)
            number = counted["parts"].sel(maker=maker, kind=kind).values[: images.sizes["picture"]]
            known_ = np.flatnonzero(np.isfinite(images.isel(channel=0, row=0, column=0).values))
            worst = sorted(known_, key=lambda i, number=number: -number[i])[:shown]
            values = [
                picture(images.isel(picture=i).transpose("channel", "row", "column").values[:1])
                for i in worst
            ]
            values += [np.ones_like(values[0])] * (shown - len(values))
            lines.append(
                np.concatenate(
                    [np.pad(v, ((1, 1), (1, 1), (0, 0)), constant_values=1) for v in values], 1
                )
            )
        axes.imshow(np.concatenate(lines), interpolation="nearest")
        height = lines[0].shape[0]
        axes.set_yticks([(i + 0.5) * height for i in range(len(makers))], makers)
        axes.set(xticks=[], title=f"{KINDS.get(kind, kind)}: most parts first")
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        for i, maker in enumerate(makers):
            for statistic, offset in (("parts", -0.18), ("strands", 0.18)):
                usual = USUAL[statistic].get(kind, 1)
                values = counted[statistic].sel(maker=maker, kind=kind).values
                values = values[np.isfinite(values)]
                share = binomial(int((values > usual).sum()), len(values))
                solid = (
                    {"color": colors[maker]}
                    if statistic == "parts"
                    else {"color": colors[maker], "alpha": 0.45}
                )
                bar.barh(i + offset, share.value, 0.34, **solid)
                bar.plot([share.low, share.high], [i + offset] * 2, color="black", linewidth=0.9)
        bar.set_yticks(range(len(makers)), makers)
        bar.set_ylim(len(makers) - 0.5, -0.5)
        bar.set_xlim(0, 1)
        bar.tick_params(axis="y", length=0)
    bars[0].set_title("share with excess parts (dark), strands (pale)", fontsize="small")
    bars[-1].set_xlabel("share of pictures, 95 % interval")
    return figure


def attending(tree: xr.DataTree) -> Iterator[tuple[str, str, str]]:
    """(set, network, the same with attention) where both were compared."""
    rows = {row for row, _, _ in rows_of(tree)}
    for known in SETS:
        if {f"{known} unet", f"{known} unet, attention"} <= rows and "regions" in tree.children:
            yield known, "unet", "unet, attention"


def attention(tree: xr.DataTree, known: str, plain: str, other: str, shown: int = 5) -> Figure:
    """r inside and outside, plain network and with attention; samples, their foreground, what bbELS
    foretells.
    """
    values = tree["regions"]["region_r"]
    figure = new_figure(inches=3.6)
    left, right = figure.subfigures(1, 2, width_ratios=(1, 1.3))
    axes = left.subplots()
    regions = [str(r) for r in values["region"].values]
    for k, network in enumerate((plain, other)):
        for i, region in enumerate(regions):
            v = bootstrap(
                values.sel(family=f"{known} {network}", predictor="bbels", region=region).values
            )
            y, color = i + (k - 0.5) * 0.28, plots.palette((plain, other))[network]
            axes.plot([v.low, v.high], [y, y], color=color, linewidth=2, alpha=0.7)
            mark = {"markeredgecolor": color, "markerfacecolor": color if k == 0 else "white"}
            axes.plot(
                [v.value],
                [y],
                "o",
                markersize=6,
                **mark,
                label=NETWORKS[network] if i == 0 else None,
            )
    axes.set_yticks(range(len(regions)), regions)
    axes.set_ylim(len(regions) - 0.4, -0.6)
    axes.set_xlabel("r with bbELS, by region")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, 1.2), ncols=1)
    grid = right.subplots(1, 2)
    for axes, network in zip(grid, (plain, other), strict=True):
        samples = tree[known]["samples"]["sample"].sel(family=network)
        theory = tree[known]["predictions"]["prediction"].sel(family=network, predictor="bbels")
        inside = tree[known]["regions"]["foreground"].sel(family=network)
        lines = []
        for seed in samples["seed"].values[:shown]:
            drawn, foretold = (
                v.sel(seed=seed).transpose("channel", "row", "column").values
                for v in (samples, theory)
            )
            own = np.isfinite(drawn).all((1, 2))
            mask = inside.sel(seed=seed).values.astype(bool)[..., None]
            trio = (
                picture(drawn[own]),
                np.where(mask, picture(drawn[own]), 1 - 0.15 * (1 - picture(drawn[own]))),
                picture(foretold[own]),
            )
            lines.append(
                np.concatenate(
                    [np.pad(v, ((1, 1), (1, 1), (0, 0)), constant_values=1) for v in trio], 1
                )
            )
        axes.imshow(np.concatenate(lines), interpolation="nearest")
        axes.set(xticks=[], yticks=[], title=NETWORKS[network])
        axes.set_xlabel("network, its foreground, bbELS", fontsize="small")
        axes.spines[:].set_visible(False)
    return figure


def summary(tree: xr.DataTree) -> pd.DataFrame:
    """Their rows, theirs and ours side by side: medians over seeds, a dash for what was not run.

    Ours: r with its 95 % interval / r squared / 1 - SSE/SST / amplitude ratio, each a median over
        the judged seeds.
    """
    ran = {(known, network): row for row, known, network in rows_of(tree)}
    wanted = [
        (known, network)
        for network in NETWORKS
        for known in SETS
        if (known, network) in THEIRS.keys() | ran.keys()
    ]
    wanted += [pair for pair in ran if pair not in wanted]
    rows = []
    for known, network in wanted:
        theirs = THEIRS.get((known, network), ("", "", ""))
        about = {"set": SETS.get(known, known), "network": NETWORKS.get(network, network)}
        about |= {
            f"theirs {m}": f"{r:.2f}" if r else DASH
            for m, r in zip(("ELS", "LS", "IS"), theirs, strict=True)
        }
        rows.append(about | ours(tree, ran.get((known, network))))
    return pd.DataFrame(rows)


def ours(tree: xr.DataTree, row: str | None) -> dict[str, str]:
    """The columns of our own numbers, dashes where there are none."""
    machine = str(tree["rows"]["machine"].sel(family=row).values) if row else ""
    found = {}
    predictors = {
        "ELS": machine,
        "LS": "ls",
        "IS": "ideal",
        "Wiener": "wiener",
        "mean image": "mean image",
        "trained again": "replicate",
    }
    for name, predictor in predictors.items():
        found[f"ours {name}" if name in ("ELS", "LS", "IS") else name] = four(tree, row, predictor)
    about = {
        "N": "n",
        "training steps": "training_steps",
        "epochs": "epochs",
        "sampler steps": "network_steps",
        "seeds": "",
    }
    for name, variable in about.items():
        value = DASH
        if row and variable:
            value = f"{float(tree['rows'][variable].sel(family=row)):.0f}"
        elif row:
            r = tree["agreement"]["r"].sel(family=row, predictor=machine)
            value = f"{int(np.isfinite(r).sum())}"
        found[name] = value
    return found


def four(tree: xr.DataTree, row: str | None, predictor: str) -> str:
    """r with its interval / r squared / 1 - SSE/SST / amplitude ratio."""
    if row is None or predictor not in tree["agreement"]["predictor"].values:
        return DASH
    one = tree["agreement"].to_dataset().sel(family=row, predictor=predictor)
    if not np.isfinite(one["explained"]).any():
        return DASH
    r, rest = (
        bootstrap(one["r"].values),
        [bootstrap(one[k].values).value for k in ("r_squared", "explained", "amplitude_ratio")],
    )
    first = f"{r.value:.2f} [{r.low:.2f}, {r.high:.2f}]" if np.isfinite(r.value) else DASH
    return " / ".join([first, *(f"{v:.2f}" if np.isfinite(v) else DASH for v in rest)])
