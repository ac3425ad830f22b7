"""The published numbers of the studies still open, and tables and figures are made from them."""

from pathlib import Path

import numpy as np
import pytest

import archbias
from archbias import study
from archbias.metrics.intervals import bootstrap
from archbias.study import replay, shipped

ROOT = Path(__file__).parents[2]
STUDIES = ROOT / "studies"


def test_score_machines():
    tree = archbias.open_study(STUDIES / "score_machines" / "results.nc")
    made = study.figures(STUDIES / "score_machines")
    for figure in (made.agreement(tree), made.scales(tree)):
        figure.canvas.draw()
    table = made.summary(tree).set_index(["set", "network"])
    r = tree["agreement"]["r"].sel(family="cifar10 unet", predictor="bbels").values
    shown = table.loc["CIFAR10", "UNet, zeros"]["ours ELS"]
    assert shown.startswith(f"{bootstrap(r).value:.2f}")
    said = made.findings(tree)
    assert len(said) == 1 + tree.sizes.get("family", tree["agreement"].sizes["family"])
    best = [line for line in said if "cifar10 unet best" in line]
    assert len(best) == 1
    assert best[0].startswith("bbels predicts")
    assert f"median r {bootstrap(r):.2f}" in best[0]


def test_the_tables_of_score_machines_are_those_of_the_readme():
    folder = STUDIES / "score_machines"
    tree, made = archbias.open_study(folder / "results.nc"), study.figures(folder)
    agreement, about = tree["agreement"].to_dataset(), tree["rows"].to_dataset()
    lines = (folder / "README.md").read_text(encoding="utf-8").splitlines()
    which = (ROOT / "docs" / "theories.md").read_text(encoding="utf-8")
    assert agreement.sizes["family"] == len(made.THEIRS)
    assert agreement.sizes["seed"] == 64
    for (known, network), theirs in made.THEIRS.items():
        one, row = (ds.sel(family=f"{known} {network}") for ds in (agreement, about))
        start = f"| {made.SETS[known]} | {made.NETWORKS[network]} |"
        machine = str(row["machine"].values)

        def r(of, one=one):
            return _short(bootstrap(one["r"].sel(predictor=of).values))

        def median(k, of, one=one):
            return _dotted(np.median(one[k].sel(predictor=of)))

        def three(of):
            return ", ".join(median(k, of) for k in ("r_squared", "explained", "amplitude_ratio"))

        rest = " | ".join(r(of) for of in ("ls", "wiener", "mean image", "replicate"))
        assert f"{start} **{r(machine)}** | {rest} | {_dotted(theirs[0])} |" in lines
        trained = f"{int(row['n'])} | {int(row['training_steps'])} ({float(row['epochs']):.0f})"
        measures = f"{three(machine)} | {three('ls')} | {r('ideal')} | "
        measures += f"{median('explained', 'replicate')} | {' '.join(map(_dotted, theirs))}"
        assert f"{start} {measures} | {trained} |" in lines
        ends = (bootstrap(one["r"].sel(predictor=p).values).value for p in ("replicate", "wiener"))
        short = " | ".join(map(_dotted, ends))
        assert f"| {r(machine)} | {short} | [score machines]" in which


def test_the_table_of_more_images_is_that_of_its_results():
    folder = STUDIES / "score_machines"
    made, text = study.figures(folder), (folder / "README.md").read_text(encoding="utf-8")
    section = text.partition("## More images")[2].partition("## Figures")[0]
    lines = [" ".join(line.split()) for line in section.splitlines()]
    predictors = ("bbels", "bbels, published", "ls", "wiener", "ideal", "replicate")
    tree = archbias.open_study(folder / "number.nc")
    told, found, above = tree["rows"].to_dataset(), {}, ""
    which = (ROOT / "docs" / "theories.md").read_text(encoding="utf-8")
    order = {row: (row.split(" ", 1)[1], -n) for row, n in told["n"].to_series().items()}
    for row in sorted(order, key=order.__getitem__):
        r, one = tree["agreement"]["r"].sel(family=row), told.sel(family=row)
        assert (r.sizes["seed"], int(one["training_steps"])) == (64, 15_000)
        n, network = int(one["n"]), row.split(" ", 1)[1]
        found[n, network] = r
        many = f"{n:,}".replace(",", " ") if n > 9999 else str(n)
        shown = [
            _short(bootstrap(r.sel(predictor=p).values))
            if p in r["predictor"].values and not r.sel(predictor=p).isnull().all()
            else ""
            for p in predictors
        ]
        name, above = "" if network == above else made.NETWORKS[network], network
        start = f"| {name} | {many} | {float(one['epochs']):.0f}"
        line = f"{start} | {' | '.join(shown)} |"
        assert " ".join(line.split()) in lines, line
        ends = (bootstrap(r.sel(predictor=p).values).value for p in ("replicate", "wiener"))
        images = "photographs, 15 000 steps" if n == 1000 else f"{many} photographs, 15 000 steps"
        numbers = f"{shown[0]} | {' | '.join(map(_dotted, ends))}"
        assert f"| {images} | bbELS | {numbers} | [score machines]" in which
    flat = " ".join(section.split())

    def more(first, second, of="bbels", than="bbels"):
        return _less(found[first].sel(predictor=of), found[second].sel(predictor=than))

    few, some, many = 1000, 5000, 20_000
    plain, other, deep = "unet", "unet, attention", "resnet"

    def ahead(n, network):
        return more((n, network), (n, network), than="wiener")

    def over_all(network, of):
        return more((many, network), (few, network), of, of)

    def halves(network):
        steps = (more((b, network), (a, network)) for a, b in ((few, some), (some, many)))
        return ", then ".join(steps)

    (each,) = {over_all(network, "ls") for network in (plain, other, deep)}
    for said in (
        f"seed by seed, {over_all(plain, 'bbels')} better than at 1000",
        f"with attention {over_all(other, 'bbels')}, the ResNet {over_all(deep, 'bbels')}; "
        f"LS {each} in each",
        f"(the UNet: {halves(plain)}; with attention {halves(other)}; the ResNet: {halves(deep)})",
        f"up**: by {over_all(plain, 'wiener')}, with attention {over_all(other, 'wiener')}, "
        f"on the ResNet {over_all(deep, 'wiener')}.",
        f"On the UNet bbELS is {ahead(few, plain)} better at N = 1000",
        f"label, {ahead(some, plain)} at 5000 and {ahead(many, plain)} at 20 000, with attention "
        f"{ahead(few, other)}, {ahead(some, other)} and {ahead(many, other)}.",
        f"and is {ahead(few, deep)} ahead of the Wiener filter at N = 1000, "
        f"{ahead(some, deep)} at 5000 and {ahead(many, deep)} at 20 000: the gap narrows",
        f"at every N: {more((many, other), (many, plain))}, paired, at 20 000, "
        f"{more((some, other), (some, plain))} at 5000, "
        f"{more((few, other), (few, plain))} at 1000",
    ):
        assert said in flat, said
    assert len(found) == 9
    retrained = {
        f"{float(found[n, deep].sel(predictor='replicate').median()):.3f}"
        for n in (few, some, many)
    }
    assert retrained == {"0.995"}
    assert "the ResNet to .995 at every N" in flat
    assert not tree["novelty"]["copy"].any()
    assert made.says(tree)["number"].endswith("with Wiener (3 networks).")


def test_the_differences_that_the_page_of_score_machines_tells_are_those_of_its_results():
    folder = STUDIES / "score_machines"
    r = archbias.open_study(folder / "results.nc")["agreement"]["r"]
    trained_longer = archbias.open_study(folder / "number.nc")["agreement"]["r"]
    text = " ".join((folder / "README.md").read_text(encoding="utf-8").split())

    def less(first, second, of=r):
        return _less(*(of.sel(family=f, predictor=p) for f, p in (first, second)))

    plain, attending = "cifar10 unet", "cifar10 unet, attention"
    before, after = "cifar10-1000 unet", "cifar10-1000 unet, attention"
    machine, filtered, placed = (("celeba unet", p) for p in ("bbels", "wiener", "ls"))
    for said in (
        f"bbELS {less(machine, filtered)} more",
        f"(difference seed by seed {less(machine, placed)})",
        f"(difference in r {less((attending, 'bbels'), (plain, 'bbels'))}, paired)",
        f"difference {less((after, 'bbels'), (before, 'bbels'), trained_longer)} (both retrained",
    ):
        assert said in text, said
    for row, start in (("celeba resnet", "border: "), ("fashion_mnist resnet", "on CelebA, ")):
        assert f"{start}{_short(bootstrap(r.sel(family=row, predictor='els').values))}" in text
    es = r.sel(predictor="es").median("seed").values
    assert f"ES lies between {_dotted(es.min())} (" in text
    assert f" and {_dotted(es.max())} (" in text


def _less(first, second) -> str:
    """The median of first - second over the seeds, with its interval."""
    return _short(bootstrap(first.values - second.values))


def _dotted(value: float) -> str:
    """As the READMEs write it: .95, −.06, 1.02."""
    return f"{value:.2f}".replace("-0.", "−.").replace("-", "−").removeprefix("0")


def _short(found) -> str:
    """As the README writes it: .95 [.94, .96]."""
    return "{} [{}, {}]".format(*map(_dotted, (found.value, found.low, found.high)))


def test_what_is_shipped_is_whole_and_is_what_the_rows_were_trained_on():
    folder = STUDIES / "score_machines"
    networks, tree = shipped.Shipped(folder), archbias.open_study(folder / "results.nc")
    hashes = tree["rows"]["images_hash"].to_series().to_dict()
    twice = {f"{row}{again}": h for row, h in hashes.items() for again in ("", " replicate")}
    assert {e["name"]: e["images"]["hash"] for e in networks.entries} == twice
    assert networks.problems() == []
    trained = tree["rows"]["parameters"].to_series().to_dict()
    assert all(
        e["parameters"] == trained[e["name"].removesuffix(" replicate")] for e in networks.entries
    )
    wanted = {"MIT, Zalando SE 2017"}
    assert {e["images"]["terms"] for e in networks.entries if "fashion" in e["name"]} == wanted
    rows = ["fashion_mnist resnet", "fashion_mnist unet"]
    found = {r.file.name: r for r in replay.replays("score_machines", rows=rows)}
    assert sorted(found["results.nc"].rows) == rows


def test_unet_variants():
    folder = STUDIES / "unet_variants"
    tree, made = archbias.open_study(folder / "results.nc"), study.figures(folder)
    for draw in (made.plane, made.loss, made.agreement, made.theory):
        draw(tree).canvas.draw()
    table = made.summary(tree).set_index("network")
    between = tree["pairs"]["between"].sel(variant="base", other="base")
    assert len(table) == 12
    assert table.loc["base", "r, replicate"].startswith(f"{float(np.median(between)):.2f}")
    lines = (folder / "README.md").read_text(encoding="utf-8").splitlines()
    for variant in map(str, np.unique(tree["variants"]["variant"])):
        one, again = table.loc[variant], table.loc[f"{variant}, training 2"]
        parameters = f"{one['parameters']:,}".replace(",", " ")
        shown = f"{parameters} | {one['receptive field']:.0f}"
        shown += f" | {one['error, training']} / {one['error, held out']} | {one['novelty']}"
        shown += f" | {float(one['Frechet']):.0f}, {float(again['Frechet']):.0f}"
        for predictor in ("base", "replicate", "wiener law"):
            shown += f" | {one[f'r, {predictor}']}"
        own = [line for line in lines if line.startswith((f"| {variant} |", f"| {variant}: "))]
        dotted = shown.replace("0.", ".").replace("|  |", "| |")
        assert any(line.endswith(f"| {dotted} |") for line in own), dotted


def test_the_table_of_both_protocols_is_that_of_its_results():
    folder = STUDIES / "unet_variants"
    tree, made = archbias.open_study(folder / "as_published.nc"), study.figures(folder)
    for draw in (made.changes, made.plane, made.loss, made.agreement, made.theory):
        draw(tree).canvas.draw()
    readme = (folder / "README.md").read_text(encoding="utf-8")
    lines = readme.splitlines()
    error, frechet = made.losses(tree).sel(images="held out"), tree["realism"]["frechet"]
    r = tree["agreement"]["r"]
    for protocol, variants in made.by_protocol(tree).items():
        moved = made.beyond_retraining(tree, list(variants.values()))
        for (name, label), beyond in zip(variants.items(), moved, strict=True):
            both = [label, f"{label}, training 2"]
            shown = [", ".join(f"{v:.3f}"[1:] for v in error.sel(family=both).values)]
            shown += [", ".join(f"{v:.0f}" for v in frechet.sel(family=both).values)]
            known = [r.sel(family=label, predictor=p).values for p in ("base", "replicate")]
            for values in (*known, beyond):
                shown += ["" if np.isnan(values).all() else _short(bootstrap(values))]
            line = " ".join(f"| {name} | {protocol} | {' | '.join(shown)} |".split())
            assert line in lines, line
    said, text = made.findings(tree), " ".join(readme.split())
    assert sum("11 of 11 changes move the images" in s for s in said) == 2
    assert "All eleven move the images" in text
    assert sum("24 of 24 networks are less realistic" in s for s in said) == 2
    assert any("r 0.89 to 0.97; 0 of 12 are the more realistic" in s for s in said)
    assert "protocols at r .89 to .97, median .96" in text
    assert sum("0 of 1536 samples are copies" in s for s in said) == 2


def test_the_table_at_64x64_is_that_of_its_results():
    folder = STUDIES / "unet_variants"
    tree, made = archbias.open_study(folder / "as_published_64.nc"), study.figures(folder)
    lines = (folder / "README.md").read_text(encoding="utf-8").splitlines()
    assert tree["variants"]["parameters"].sel(family="as published") == 10 * 120_720
    error, frechet = made.losses(tree).sel(images="held out"), tree["realism"]["frechet"]
    r = tree["agreement"]["r"]
    for protocol, label in (("this study's", "base"), ("as published", "as published")):
        both = [label, f"{label}, training 2"]
        shown = [", ".join(f"{v:.3f}"[1:] for v in error.sel(family=both).values)]
        shown += [", ".join(f"{v:.0f}" for v in frechet.sel(family=both).values)]
        for predictor in ("replicate", "other protocol", "wiener law", "mean image"):
            shown += [_short(bootstrap(r.sel(family=label, predictor=predictor).values))]
        assert f"| {protocol} | {' | '.join(shown)} |" in lines
    said = made.findings(tree)
    assert sum("2 of 2 networks are less realistic" in s for s in said) == 2
    assert sum("0 of 128 samples are copies" in s for s in said) == 2
    assert any("halves of the held-out images have 3.67 to 11.4" in s for s in said)
    apart = [frechet.sel(family=[k, f"{k}, training 2"]).values for k in ("base", "as published")]
    spans = " and ".join(f"{v.min():.0f} to {v.max():.0f}" for v in apart)
    assert f"distance {spans}, where halves of the held-out faces are at 4 to 11" in " ".join(
        " ".join(lines).split()
    )


@pytest.mark.parametrize("file", ["results.nc", "faces.nc"])
def test_the_tables_from_plane_to_faces_are_those_of_their_results(file):
    folder = STUDIES / "from_plane_to_faces"
    tree, made = archbias.open_study(folder / file), study.figures(folder)
    words = {"Gaussian": "Gaussian", "FlowLaw": "flow law", "none known": "none known"}
    readme = (folder / "README.md").read_text(encoding="utf-8")
    # the first table is of garments, the second of faces
    lines = readme.partition("### On faces")[2 * (file == "faces.nc")].splitlines()
    families = made.families_of(tree)
    assert len(families) == 10
    for family in families:
        shown = [words[made.law_of(tree, "images", family)]]
        for predictor in ("own law", "Wiener", "mean image"):
            r = made.agreed(tree, "images", family, predictor)
            shown.append("" if not r.n else "1.00" if r.low >= 0.995 else _short(r))
        share, total = made.copies(tree, "images", family), tree["images"]["novelty"].sizes["seed"]
        copies = _short(share).replace(".00", "0")
        name = family.replace("rank k", "rank 20")
        line = f"| {name} | {' | '.join(shown)} | {total - share.n} of {total} | {copies} |"
        assert " ".join(line.split()) in lines, line
    few = [made.copies(tree, "few images", f"MLP {k}") for k in (50, 200, 1000)]
    text = " ".join(readme.split())
    assert "{}, {} and {} of 64".format(*(_short(v).replace(".00", "0") for v in few)) in text
    made.capacity(tree).canvas.draw()


def test_every_network_of_unet_variants_is_shipped():
    folder = STUDIES / "unet_variants"
    networks, tree = shipped.Shipped(folder), archbias.open_study(folder / "results.nc")
    counted = tree["variants"]["parameters"].to_series().to_dict()
    assert {e["name"]: e["parameters"] for e in networks.entries} == counted
    assert networks.problems() == []


def test_the_table_of_strangers_networks_is_that_of_the_readme():
    folder = STUDIES / "published_networks"
    tree = archbias.open_study(folder / "results.nc")
    made, readme = study.figures(folder), (folder / "README.md").read_text(encoding="utf-8")
    networks = ("mnist-cnn", "mnist-transformer", "mnist-unet", "celeba40-blind-cnn")
    rows = {
        "`patch composites`, 1000 images": ["patch composites 1000"] * 4,
        "`bbels`, 1000": ["bbels 1000"] * 4,
        "`ls`, 6000; faces 4000": ["ls 6000"] * 3 + ["ls 4000"],
        "`jacobian`, 6000; faces 4000": ["jacobian 6000"] * 3 + ["jacobian 4000"],
        "`wiener masks, calibrated`, 1000": ["wiener masks, calibrated 1000"] * 4,
        "`ideal`, all 60 000; faces 4000": ["ideal 60000"] * 3 + ["ideal 4000"],
        "mean image": ["mean image"] * 4,
    }
    lines = readme.replace("**", "").splitlines()
    for name, predictors in rows.items():
        (line,) = (one for one in lines if one.startswith(f"| {name} | "))
        shown = []
        for network, predictor in zip(networks, predictors, strict=True):
            r, share = (
                bootstrap(made.values(tree, network, predictor, of)) for of in ("r", "explained")
            )
            rest = "" if network == "mnist-unet" else f" ({share.value:.2f})".replace("0.", ".")
            shown.append(_short(r) + rest)
            assert share.value < -13 or network != "mnist-unet"
        assert line == f"| {name} | {' | '.join(shown)} |"


DASH = "–"  # where a share is below 0
NETWORKS = {
    "fashion_mnist unet": "UNet, garments",
    "mnist unet": "UNet, digits",
    "celeba unet": "UNet, faces",
    "cifar10 unet": "UNet, photographs",
    "cifar10 unet, attention": "UNet with attention, photographs",
    "fashion_mnist resnet": "ResNet, garments",
    "mnist resnet": "ResNet, digits",
    "celeba resnet": "ResNet, faces",
    "cifar10 resnet": "ResNet, photographs",
    "mnist resnet, circular": "ResNet with circular padding, digits",
    "cifar10 resnet, circular": "ResNet with circular padding, photographs",
}


@pytest.fixture(scope="module")
def arena():
    folder = STUDIES / "arena"
    readme = (folder / "README.md").read_text(encoding="utf-8").replace("**", "")
    tree = archbias.open_study(folder / "results.nc")
    return tree, study.figures(folder), readme.splitlines()


def test_every_line_of_the_arenas_tables_is_that_of_its_results(arena):
    tree, made, lines = arena
    agreement, shown = tree["agreement"].to_dataset(), set()
    assert set(NETWORKS) == {str(f) for f in agreement["family"].values}
    names = {theory: f"`{theory}`" for theory in made.theories_of(tree)}
    names |= {"replicate": "retrained", "mean image": "mean image"}
    names["wiener masks"] += " as published"
    for kind in ("UNet", "ResNet"):
        for theory, name in names.items():
            cells = []
            for row in (row for row, title in NETWORKS.items() if title.startswith(kind)):
                one = agreement.sel(family=row, predictor=theory)
                if one["r"].isnull().all():  # the machine of another border
                    cells.append("")
                    continue
                r, share = (bootstrap(one[k].values) for k in ("r", "explained"))
                cell = f"{_short(r)} / {_dotted(share.value)}"
                if theory not in ("wiener", "replicate", "mean image"):
                    way = made.scaled(tree, row, theory).share["wiener"].value
                    cell += f" / {_dotted(way) if way > 0 else DASH}"
                cells.append(cell)
            told = made.told(tree, theory).replace("its ", "").replace(" and ", ", ")
            told = told.replace("a scale", "scale")
            if any(cells):
                line = " ".join(f"| {name} | {told} | {' | '.join(cells)} |".split())
                assert line in lines, line
                shown.add(line)
    cells = [s for s in lines if s.startswith("| ") and " / " in s]
    assert set(cells) == shown


def test_what_the_blend_promised_and_kept_is_what_its_readme_says(arena):
    tree, made, lines = arena
    tests = made.tests(tree).set_index(["row", "theory"])
    for row, title in NETWORKS.items():
        machine = str(tree["rows"]["machine"].sel(family=row).values)
        gained = bootstrap(made.difference(tree, row, "stacked", machine))
        left = made.scaled(tree, row, "stacked", floor=machine).share[machine]
        p = tests.loc[(row, "stacked"), "p, Holm over rows"]
        of = _short(left) if title.startswith("UNet") else ""
        line = " ".join(f"| {title} | {_thousandths(gained)} | {p} | {of} |".split())
        assert line in lines, line
    which = (ROOT / "docs" / "theories.md").read_text(encoding="utf-8").splitlines()
    told = [s for s in which if "(../studies/arena/README.md) |" in s]
    for row in (row for row, title in NETWORKS.items() if title.startswith("UNet")):
        one = tree["agreement"]["r"].sel(family=row)
        r, ceiling, floor = (
            bootstrap(one.sel(predictor=p).values) for p in ("stacked", "replicate", "wiener")
        )
        shown = f"| {_short(r)} | {_dotted(ceiling.value)} | {_dotted(floor.value)} | "
        assert sum(shown in s for s in told) == 1, (row, shown)
    promised = made.promised(tree, "stacked")
    assert "in 5 of 5 UNet rows" in promised
    assert "to the ceiling in 2," in promised
    assert "in 6 of 6 ResNet rows" in promised
    made.weights(tree).canvas.draw()
    made.crossed.leaderboard(made.standing(tree)).canvas.draw()


def _thousandths(found) -> str:
    """As the README writes it: .022 [.016, .027]."""
    one, low, high = (
        f"{v:.3f}".replace("-0.", "−.").removeprefix("0")
        for v in (found.value, found.low, found.high)
    )
    return f"{one} [{low}, {high}]"
