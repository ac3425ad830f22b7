"""Tables: the numbers of the store with interval and n, the best in bold, names that cannot break
the format.
"""

import csv
import io
import re
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_store import FAMILIES, SEEDS, tree
from scipy.stats import norm, wilcoxon

from archbias.errors import InputError
from archbias.report import tables


@pytest.fixture(scope="module")
def store():
    return tree()


def with_agreement(store, **measures):
    dims = ("family", "predictor", "seed")
    return xr.DataTree.from_dict(
        {
            "agreement": store["agreement"]
            .to_dataset()
            .assign({k: (dims, v) for k, v in measures.items()})
        }
    )


def test_agreement_is_the_median_with_an_interval_around_it(store):
    frame = tables.agreement(store, "r")
    assert len(frame) == len(FAMILIES) * 4
    for row in frame.itertuples():
        values = store["agreement"]["r"].sel(family=row.family, predictor=row.column).values
        assert row.value == np.median(values)
        assert values.min() <= row.low <= row.value <= row.high <= values.max()
        assert row.n == SEEDS


@pytest.mark.parametrize(("measure", "best"), [("r", "linear"), ("mse", "linear")])
def test_best_is_the_closest_prediction_and_never_the_ceiling(store, measure, best):
    frame = tables.agreement(store, measure)
    assert frame[frame["best"]]["column"].tolist() == [best] * len(FAMILIES)


def test_the_best_amplitude_is_the_one_nearest_to_one(store):
    ratio = np.array([4.0, 0.5, 2.1, 1.0])[None, :, None] * np.ones((len(FAMILIES), 4, SEEDS))
    changed = with_agreement(store, amplitude_ratio=ratio)
    frame = tables.agreement(changed, "amplitude_ratio")
    # 0.5 is nearer than 2.1; the ceiling's 1.0 does not count
    assert set(frame[frame["best"]]["column"]) == {"linear"}


def test_predictions_that_cannot_be_told_apart_are_both_bold(store):
    rng = np.random.default_rng(0)
    base = rng.normal(0.8, 0.05, (len(FAMILIES), SEEDS))
    r = np.stack(
        [
            base,
            base + rng.normal(0, 0.01, base.shape),
            base - 0.1 - 0.01 * rng.random(base.shape),
            base + 0.1,
        ],
        axis=1,
    )
    frame = tables.agreement(with_agreement(store, r=r))
    for _, own in frame.groupby("family"):
        own = own.set_index("column")
        better, worse = sorted(("ideal", "linear"), key=lambda p: -own.loc[p, "value"])
        d = np.subtract(
            *(
                r[FAMILIES.index(own["family"].iloc[0]), ["ideal", "linear"].index(p)]
                for p in (better, worse)
            )
        )
        alone = wilcoxon(d, method="exact").pvalue
        # all signs agree; the smaller of two tests
        assert own.loc["mean image", "p"] == pytest.approx(2 * 2 / 2**SEEDS)
        assert own.loc[worse, "p"] == pytest.approx(alone)
        assert own.loc[worse, "best"] == (alone >= 0.05)
        assert own["best"].to_dict()["mean image"] is False
        assert not own.loc["ceiling", "best"]


def test_with_too_few_seeds_to_test_only_the_closest_is_bold(store):
    few = xr.DataTree.from_dict({"agreement": store["agreement"].to_dataset().isel(seed=slice(5))})
    frame = tables.agreement(few)
    assert (frame.groupby("family")["best"].sum() == 1).all()
    assert frame["p"].isna().all()


def test_undefined_seeds_are_left_out_and_said(store):
    r = store["agreement"]["r"].values.copy()
    r[0, 0, :5] = np.nan
    r[1, 1] = np.nan
    frame = tables.agreement(with_agreement(store, r=r)).set_index(["family", "column"])
    assert frame.loc[("ideal", "ideal"), "n"] == SEEDS - 5
    assert ("linear", "linear") not in frame.index
    columns, rows, note = tables.layout(frame.reset_index())
    assert f"n = {SEEDS} seeds" in note
    assert rows[0][1][columns.index("ideal")][0].endswith(f"(5 of {SEEDS} left out)")
    assert rows[1][1][columns.index("linear")] == ("", False)


def test_copies_carry_wilson_intervals(store):
    frame = tables.novelty(store).set_index(["family", "column"])
    assert frame.loc[("ideal", "copied"), "value"] == 1
    assert frame.loc[("unet", "copied"), "value"] == 0
    z2 = norm.ppf(0.975) ** 2  # Wilson's limits at 0 of n: [0, z^2 / (n + z^2)]
    assert frame.loc[("unet", "copied"), "high"] == pytest.approx(z2 / (SEEDS + z2))
    assert frame.loc[("unet", "distance to nearest"), "value"] == np.median(
        store["novelty"]["distance"].sel(family="unet")
    )


def test_markdown_has_one_line_per_family_and_bold_best(store):
    text = tables.render(store, "markdown")
    section = text.split("**Agreement: Pearson r**")[1].split("**Agreement")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    assert [line.split("|")[1].strip() for line in lines[2:]] == list(FAMILIES)
    assert all(line.count("|") == 6 and line.count("**") == 2 for line in lines[2:])
    median = np.median(store["agreement"]["r"].sel(family="unet", predictor="linear"))
    assert f"**{median:.2f} \\[" in lines[-1] or f"**{median:.2f} [" in lines[-1]


def test_latex_is_booktabs_with_balanced_braces(store):
    text = tables.render(store, "latex")
    assert (
        text.count(r"\toprule")
        == text.count(r"\midrule")
        == text.count(r"\bottomrule")
        == text.count(r"\begin{tabular}")
        == 5
    )
    assert text.count(r"\textbf{") == 4 * len(FAMILIES)
    assert text.count("{") == text.count("}")
    # a bare percent sign starts the comment lines only
    assert not re.search(r"(?<!\\)%(?! )", text)


@pytest.mark.skipif(
    shutil.which("pdflatex") is None,
    reason="wants pdflatex with booktabs (Debian: texlive-latex-recommended)",
)
def test_latex_compiles_whatever_the_names(tmp_path):
    hostile = tree(families=("a|b", "50% & $x_1$ {\\} #~^", "<script>", 'q"u,o\nte'))
    body = "\n\n".join(tables.render(s, "latex") for s in (tree(), hostile))
    page = (
        "\\documentclass{article}\\usepackage{booktabs}\\begin{document}\n"
        + body
        + "\n\\end{document}\n"
    )
    (tmp_path / "page.tex").write_text(page)
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "page.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout[-1500:]
    assert (tmp_path / "page.pdf").stat().st_size > 5000


def test_csv_keeps_full_precision(store):
    rows = list(csv.DictReader(io.StringIO(tables.render(store, "csv"))))
    r = [row for row in rows if row["table"] == "Agreement: Pearson r"]
    frame = tables.agreement(store, "r")
    assert [float(row["value"]) for row in r] == frame["value"].tolist()
    assert [row["best"] for row in r] == [str(b) for b in frame["best"]]
    assert pd.read_csv(io.StringIO(tables.render(store, "csv"))).shape == (len(rows), 10)


def test_hostile_names_stay_in_their_cell():
    names = ("a|b", "50% & $x_1$ {\\} #~^", "<script>alert(1)</script>", 'q"u,o\nte')
    store = tree(families=names)
    text = tables.render(store, "markdown")
    lines = [line for line in text.splitlines() if line.startswith("|")]
    unescaped = [len(re.findall(r"(?<!\\)\|", line)) for line in lines]
    assert set(unescaped) == {5, 6}
    assert "<script>" not in text
    body = tables.render(store, "latex")
    assert r"50\% \& \$x\_1\$ \{\textbackslash{}\} \#\textasciitilde{}\textasciicircum{}" in body
    parsed = list(csv.reader(io.StringIO(tables.render(store, "csv"))))
    assert {row[1] for row in parsed[1:]} == set(names)
    assert {len(row) for row in parsed} == {10}


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
        min_size=1,
        max_size=3,
        unique=True,
    )
)
def test_any_name_survives_every_format(names):
    frame = pd.DataFrame(
        [(name, name, 0.5, 0.4, 0.6, 9, True, np.nan, 0) for name in names],
        columns=tables.COLUMNS,
    )
    rows = list(csv.reader(io.StringIO(tables.csv_text({"t": frame}), newline="")))
    assert [row[1] for row in rows[1:]] == names
    lines = [
        line for line in re.split("\r|\n", tables.markdown({"t": frame})) if line.startswith("|")
    ]
    assert len(lines) == len(names) + 2
    assert {len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) for line in lines} == {len(names) + 2}
    plain = re.sub(r"\\[&%$#_{}]", "", tables.latex({"t": frame}).split("\n", 1)[1])
    assert plain.count("{") == plain.count("}")
    assert plain.count("&") == len(names) * (len(names) + 1)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.934, "0.93"),
        (0, "0.00"),
        (0.0123, "0.012"),
        (1e-7, "1e-07"),
        (1234.5, "1234"),
        (np.nan, "–"),
        (-0.5, "-0.50"),
    ],
)
def test_numbers_read_well(value, text):
    assert tables.number(value) == text


def test_unknown_words_are_refused_with_a_remedy(store):
    with pytest.raises(InputError, match="markdown"):
        tables.render(store, "markdwon")
    with pytest.raises(InputError, match=r"cosine|r_squared"):
        tables.agreement(store, "rsquared")
