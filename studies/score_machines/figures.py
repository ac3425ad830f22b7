"""Figures and the table of the study of score machines, from its store."""

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib import rcParams
from matplotlib.figure import Figure

from archbias import plots
from archbias.metrics.intervals import Interval, bootstrap
from archbias.plots import crossed
from archbias.plots.intervals import band
from archbias.plots.styles import new_figure
from archbias.posteriors.windows import SCHEDULES
from archbias.report import words
from archbias.study.crossed import numbered, publication

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
DASH = "–"
KINDS = {0: "T-shirts", 1: "trousers", 6: "shirts"}
# of a garment: two legs, or two sleeves and a body
USUAL = {"parts": {0: 1, 1: 1, 6: 1}, "strands": {0: 3, 1: 2, 6: 3}}
CAPTIONS = {
    "wall": (
        "One seed per row: the network, the same network retrained, the machines, the "
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
    "number": "r of the networks' samples with every prediction, by the number of training images.",
    "attention": (
        "r of the network's samples with bbELS inside and outside the object, without and "
        "with attention."
    ),
}
# columns of a paper's page that a figure takes
PAPER = {"machines": 2, "wall": 2, "agreement": 1}


def figures(tree: xr.DataTree) -> dict:
    """Those whose cells are in the store."""
    made: dict[str, Figure] = {}
    for place, (row, known, network) in enumerate(crossed.rows_of(tree)):
        suffix = crossed.suffix(row, place)
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
    if by_number(tree):
        made["number"] = number(tree)
    return made | {
        f"attention-{known}": attention(tree, known, plain, other)
        for known, plain, other in attending(tree)
    }


def wall(tree: xr.DataTree, known: str, network: str, copies: bool = True) -> Figure:
    """The row's samples beside every prediction of them, one seed per row.

    copies: also the machines that return training images, and the nearest of these; not every set
        allows to publish them.
    """
    machines = ("replicate", "bbels", "els", "ls")
    others = ("es", "ideal", "wiener") if copies else ("wiener",)
    return crossed.wall(tree, known, network, machines + others, copies=copies)


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
    known_rows = tree["calibration"]["family"].values
    rows = [found for found in crossed.rows_of(tree) if found[0] in known_rows]
    panels = {}
    for row, known, network in rows:
        machine = str(tree["rows"]["machine"].sel(family=row).values)
        panels[f"{title(known, network)}\n{machine}"] = windows(tree, row, known, network, machine)
    return plots.scales(panels)


def windows(tree: xr.DataTree, row: str, known: str, network: str, machine: str) -> xr.Dataset:
    """The windows of a row's machine by protocol: each seed's choice, and what is used."""
    calibration = tree["calibration"].to_dataset().sel(family=row, machine=machine, drop=True)
    calibration = calibration.rename(protocol="family")
    lines = calibration["choice"]
    lines = lines.isel(sigma=np.isfinite(lines.values).any((0, 2)))
    parts = [lines]
    if "held_out" in tree.children and machine in tree["held_out"]["machine"].values:
        held = tree["held_out"]["choice"].sel(machine=machine, drop=True)
        if known in held["set"].values and np.isfinite(held.sel(set=known).values).any():
            parts.append(held.sel(set=known, drop=True).expand_dims(family=["held-out images"]))
    if (name := publication(numbered(known)[0], network)) in SCHEDULES:
        values = [float(SCHEDULES[name](s)) for s in lines["sigma"].values]
        published = xr.DataArray(values, {"sigma": lines["sigma"]}, "sigma")
        published = published.broadcast_like(lines.isel(family=0, drop=True))
        parts.append(published.expand_dims(family=["published"]))
    together = xr.concat(parts, "family", join="outer", coords="minimal")
    side = {"side": float(tree["rows"]["side"].sel(family=row))}
    used = calibration["scale"].reindex(family=together["family"], sigma=together["sigma"])
    return xr.Dataset({"scale": together, "used": used}, attrs=side)


def title(known: str, network: str) -> str:
    base, n = numbered(known)
    of = f", N = {n}" if n else ""
    return f"{SETS.get(base, base)} {NETWORKS.get(network, network)}{of}"


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


def parts(tree: xr.DataTree) -> Figure:
    """Per kind of garment: the pictures with the most parts of each maker, and the share that has
    more than it should.
    """
    counted = tree["parts"].to_dataset()
    row = str(counted["family"].values[0])
    known, network = row.split(" ", 1)
    pictures = tree[known]["parts"]["image"].sel(family=network)
    return plots.excess_parts(counted.sel(family=row), pictures, KINDS, USUAL)


def by_number(tree: xr.DataTree) -> dict[str, dict[int, str]]:
    """Networks that were trained on several numbers of images of a set: name -> {N: row}."""
    found: dict[str, dict[int, str]] = {}
    for row, known, network in crossed.rows_of(tree):
        n = int(tree["rows"]["n"].sel(family=row))
        found.setdefault(title(numbered(known)[0], network), {})[n] = row
    return {name: dict(sorted(ways.items())) for name, ways in found.items() if len(ways) > 1}


def number(tree: xr.DataTree) -> Figure:
    """Median r of a network's samples with every prediction against the number of its images, a
    panel a network.
    """
    names = {"machine": "its machine", "ls": "LS", "wiener": "Wiener", "ideal": "IS"}
    names |= {"replicate": "retrained"}
    colors = plots.palette("bbels" if p == "machine" else p for p in names)
    found, r = by_number(tree), tree["agreement"]["r"]
    figure = new_figure(inches=2.4)
    panels = figure.subplots(1, len(found), squeeze=False, sharey=True)[0]
    for axes, (name, ways) in zip(panels, found.items(), strict=True):
        for predictor, label in names.items():
            values = []
            for row in ways.values():
                machine = str(tree["rows"]["machine"].sel(family=row).values)
                of = machine if predictor == "machine" else predictor
                values.append(r.sel(family=row, predictor=of).values)
            color = colors["bbels" if predictor == "machine" else predictor]
            band(axes, list(ways), values, color=color, label=label)
        axes.set(xscale="log", xlabel="training images")
        axes.set_title(name, fontsize="small")
        axes.set_xticks(list(ways), [str(n) for n in ways], fontsize="small")
        axes.xaxis.set_minor_formatter("")
    panels[0].set_ylabel("median r")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, fontsize="x-small", ncols=len(names), loc="outside lower center")
    return figure


def attending(tree: xr.DataTree) -> Iterator[tuple[str, str, str]]:
    """(set, network, the same with attention) where both were compared."""
    rows = {row for row, _, _ in crossed.rows_of(tree)}
    for known in dict.fromkeys(known for _, known, _ in crossed.rows_of(tree)):
        if {f"{known} unet", f"{known} unet, attention"} <= rows and "regions" in tree.children:
            yield known, "unet", "unet, attention"


def attention(tree: xr.DataTree, known: str, plain: str, other: str) -> Figure:
    """Agreement with bbELS by region, plain network and with attention; samples, their foreground,
    what bbELS predicts.
    """
    r = tree["regions"]["region_r"].sel(predictor="bbels")
    r = r.sel(family=[f"{known} {network}" for network in (plain, other)])
    panels = {
        NETWORKS[network]: (
            tree[known]["samples"]["sample"].sel(family=network),
            tree[known]["regions"]["foreground"].sel(family=network),
            tree[known]["predictions"]["prediction"].sel(family=network, predictor="bbels"),
        )
        for network in (plain, other)
    }
    return plots.by_region(r.assign_coords(family=list(panels)), panels, "bbELS")


def says(tree: xr.DataTree) -> dict[str, str]:
    """What each figure shows, in a sentence; `agreement` says its own."""
    said = {}
    for place, (row, _, _) in enumerate(crossed.rows_of(tree)):
        suffix = crossed.suffix(row, place)
        said[f"wall{suffix}"] = said[f"machines{suffix}"] = words.predicted(tree, row)
        if "mosaic" in tree and row in tree["mosaic"]["family"].values:
            said[f"mosaic{suffix}"] = patchwork(tree, row)
    found: dict[str, tuple[str, Callable[[xr.DataTree], str]]] = {
        "scale": ("calibration", shrinking),
        "collapse": ("collapse", collapsing),
        "parts": ("parts", counting),
    }
    said |= {name: say(tree) for name, (group, say) in found.items() if group in tree.children}
    if by_number(tree):
        said["number"] = grown_briefly(tree)
    for known, plain, other in attending(tree):
        said[f"attention-{known}"] = attended(tree, known, plain, other)
    return said


def patchwork(tree: xr.DataTree, row: str) -> str:
    """How much of the machine's and of the network's samples equals its source."""
    exact = tree["mosaic"]["consistent"].sel(family=row).median("seed")
    machine = str(tree["rows"]["machine"].sel(family=row).values)
    own = {m: float(exact.sel(maker=m)) for m in (machine, "network")}
    return (
        f"{own[machine]:.0%} of the pixels that {machine} draws equal the training pixel they come "
        f"from, {own['network']:.0%} of those that the network draws."
    )


def shrinking(tree: xr.DataTree) -> str:
    """How far windows shrink as the noise falls, over the rows shown."""
    ends, calibration = [], tree["calibration"].to_dataset()
    for row, _, _ in crossed.rows_of(tree):
        if row not in calibration["family"].values:
            continue
        machine = str(tree["rows"]["machine"].sel(family=row).values)
        one = calibration["choice"].sel(family=row, machine=machine).isel(protocol=0)
        one = one.median("fit_seed").dropna("sigma").sortby("sigma")
        ends.append((float(one[-1]), float(one[0])))
    wide, narrow = (words.span([e[k] for e in ends], ".0f") for k in (0, 1))
    return (
        f"As the noise falls, the window that fits best shrinks to {narrow} pixels (from {wide}) "
        f"in {len(ends)} rows."
    )


def collapsing(tree: xr.DataTree) -> str:
    """From how many images a sample is drawn, by window."""
    ds = tree["collapse"].to_dataset()
    count = ds["images"].isel(family=0).mean("seed").dropna("window").to_series()
    return f"Training images in a sample: {'; '.join(f'{w}, {n:.0f}' for w, n in count.items())}."


def counting(tree: xr.DataTree) -> str:
    """How many garments have more parts than they should, by maker, over all kinds."""
    parts, shares = tree["parts"]["parts"].isel(family=0), {}
    for maker in map(str, parts["maker"].values):
        more = known = 0
        for kind in map(int, parts["kind"].values):
            values = parts.sel(maker=maker, kind=kind).values
            values = values[np.isfinite(values)]
            more += int((values > USUAL["parts"].get(kind, 1)).sum())
            known += len(values)
        if known:
            shares[maker] = f"{more / known:.0%} of {maker}"
    return f"More parts than a garment has: {', '.join(shares.values())}."


def attended(tree: xr.DataTree, known: str, plain: str, other: str) -> str:
    """What attention changes of the agreement with bbELS inside of objects, seed by seed."""
    r = tree["regions"]["region_r"].sel(predictor="bbels")
    without, with_it = (
        r.sel(family=f"{known} {network}", region="foreground").values for network in (plain, other)
    )
    change = bootstrap(with_it - without)
    verb = "raises" if change.low > 0 else "lowers" if change.high < 0 else "does not change"
    return (
        f"Attention {verb} agreement with bbELS (foreground): r {np.nanmedian(without):.2f} "
        f"without, {np.nanmedian(with_it):.2f} with it (difference {change:.3f})."
    )


def findings(tree: xr.DataTree) -> list[str]:
    """The machine of the border against the other theories, row by row, then each row in words."""
    rows = [row for row, _, _ in crossed.rows_of(tree)]
    first = 0
    for row in rows:
        machine = str(tree["rows"]["machine"].sel(family=row).values)
        ranked = words.standing(tree, row)
        first += bool(ranked) and ranked[0][0] == machine
    head = (
        f"The score machine of the network's border (ELS for circular padding, bbELS for zeros) "
        f"predicts best in {first} of {len(rows)} rows."
    )
    return [
        *words.toy(tree),
        head,
        *(words.predicted(tree, row) for row in rows),
        *(grown(tree, name, ways) for name, ways in by_number(tree).items()),
    ]


def grown_briefly(tree: xr.DataTree) -> str:
    """How r with the machine and with the Wiener filter changes with the number of images: the
    median over seeds of each network, from the least to the most of them.
    """
    alike: dict[tuple[int, int], dict[str, dict[int, str]]] = {}
    for name, ways in by_number(tree).items():
        alike.setdefault((min(ways), max(ways)), {})[name] = ways
    said = []
    for (few, many), networks in alike.items():
        trained = networks.values()
        own = words.span([_growth(tree, w, _machine(tree, w)).value for w in trained])
        filtered = words.span([_growth(tree, w, "wiener").value for w in trained])
        machines = "/".join(dict.fromkeys(_machine(tree, w) for w in trained))
        who = f"{len(networks)} networks" if len(networks) > 1 else next(iter(networks))
        said.append(
            f"From N = {few} to {many} r changes by {own} with {machines} and by {filtered} "
            f"with Wiener ({who})."
        )
    return " ".join(said)


def grown(tree: xr.DataTree, name: str, ways: dict[int, str]) -> str:
    """How agreement with the machine changes with the number of images, seed by seed."""
    few, many, machine = min(ways), max(ways), _machine(tree, ways)
    r = tree["agreement"]["r"]
    (first, last), tops = (
        [bootstrap(r.sel(family=ways[n], predictor=p).values) for n in (few, many)]
        for p in (machine, "replicate")
    )
    change = _growth(tree, ways, machine)
    verb = "rises" if change.low > 0 else "falls" if change.high < 0 else "is not told apart"
    return (
        f"{name}: from N = {few} to {many} agreement with {machine} {verb}, r {first:.2f} and "
        f"{last:.2f} (difference seed by seed {change:.2f}), where retrained networks have "
        f"{tops[0].value:.2f} and {tops[1].value:.2f}."
    )


def _growth(tree: xr.DataTree, ways: dict[int, str], predictor: str) -> Interval:
    """r on the most images less r on the fewest, over the seeds."""
    few, many = (
        tree["agreement"]["r"].sel(family=ways[n], predictor=predictor).values
        for n in (min(ways), max(ways))
    )
    return bootstrap(many - few)


def _machine(tree: xr.DataTree, ways: dict[int, str]) -> str:
    """The score machine of a network's border."""
    return str(tree["rows"]["machine"].sel(family=ways[min(ways)]).values)


def summary(tree: xr.DataTree) -> pd.DataFrame:
    """Their rows, theirs and ours side by side: medians over seeds, a dash for what was not run.

    Ours: r with its 95 % interval / r squared / 1 - SSE/SST / amplitude ratio, each a median over
        the judged seeds.
    """
    ran = {(known, network): row for row, known, network in crossed.rows_of(tree)}
    wanted = [
        (known, network)
        for network in NETWORKS
        for known in SETS
        if (known, network) in THEIRS.keys() | ran.keys()
    ]
    wanted += [pair for pair in ran if pair not in wanted]
    rows = []
    for known, network in wanted:
        base = numbered(known)[0]
        theirs = THEIRS.get((base, network), ("", "", ""))
        about = {"set": SETS.get(base, base), "network": NETWORKS.get(network, network)}
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
    predictors = {"ELS": machine, "LS": "ls", "IS": "ideal", "Wiener": "wiener"}
    predictors |= {"mean image": "mean image", "trained again": "replicate"}
    for name, predictor in predictors.items():
        found[f"ours {name}" if name in ("ELS", "LS", "IS") else name] = four(tree, row, predictor)
    about = {"N": "n", "training steps": "training_steps", "epochs": "epochs"}
    about |= {"sampler steps": "network_steps", "seeds": ""}
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
