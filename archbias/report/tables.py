"""Tables of a store: for a page (Markdown), a paper (LaTeX, booktabs) or a program (CSV).

A table is first a tidy data frame, one row per number:

    family, column, value, low, high, n, best, p, missing

value is the median over seeds or the share of seeds, [low, high] its 95 % interval (bootstrap for
medians, Wilson for shares), n the seeds it rests on, missing those left out because they have no
value: a sample that diverged, an image that is constant. In tables of agreement best marks the
closest prediction of a family and all that cannot be told apart from it: p, of Wilcoxon's signed
ranks over seeds against the closest, Holm-corrected within the family, is 0.05 or more (with too
few seeds to ever get below, the closest alone). Ceilings do not compete. `layout` turns a table
into words, one row per family.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pandas as pd
import xarray as xr

from ..errors import InputError, nearest
from ..metrics.compare import CEILINGS
from ..metrics.finite import words
from ..metrics.intervals import Interval, binomial, bootstrap
from ..metrics.paired import holm, paired

MEASURES = {  # title, and how good a value is
    "r": ("Pearson r", lambda v: v),
    "r_squared": ("squared Pearson r", lambda v: v),
    "explained": ("explained share 1 - SSE/SST", lambda v: v),
    "amplitude_ratio": (
        "amplitude ratio, prediction over sample",
        lambda v: -np.abs(np.log(np.maximum(v, 1e-300))),
    ),
    "mse": ("mean squared difference", lambda v: -v),
    "cosine": ("cosine similarity", lambda v: v),
}
COLUMNS = ["family", "column", "value", "low", "high", "n", "best", "p", "missing"]
ALPHA = 0.05


def agreement(tree: xr.DataTree, measure: str = "r") -> pd.DataFrame:
    """Median agreement of each family's samples with each prediction, seed by seed."""
    ds = tree["agreement"].to_dataset()
    known = [m for m in MEASURES if m in ds]
    if measure not in known:
        raise InputError(
            f"the store has no agreement measure {measure!r}; {nearest(measure, known)}"
        )
    rows, good = [], MEASURES[measure][1]
    for family in ds["family"].values:
        values = ds[measure].sel(family=family)
        found = {str(p): bootstrap(values.sel(predictor=p).values) for p in ds["predictor"].values}
        found = {p: v for p, v in found.items() if v.n}
        competing = [p for p in found if p not in CEILINGS]
        best = max(competing, key=lambda p: good(found[p].value), default="")
        others = [p for p in competing if p != best]
        if len(others) * 2.0 ** (1 - found[best].n if others else 0) > ALPHA:
            others = []  # so few seeds that no outcome of the test could tell two predictions apart
        tests = [
            paired(good(values.sel(predictor=best).values), good(values.sel(predictor=p).values)).p
            for p in others
        ]
        against = dict(zip(others, holm(tests), strict=True)) if others else {}
        rows += [
            _row(family, p, v, p == best or against.get(p, 0.0) >= ALPHA, against.get(p, np.nan))
            for p, v in found.items()
        ]
    return pd.DataFrame(rows, columns=COLUMNS)


def novelty(tree: xr.DataTree) -> pd.DataFrame:
    """Share of copied samples, median distance to the nearest training image, and its ratio to the
    second nearest.
    """
    ds = tree["novelty"].to_dataset()
    rows = []
    for family in ds["family"].values:
        one = ds.sel(family=family)
        flags = one["copy"].values.astype(float) if "copy" in one else np.array([])
        known = np.isfinite(flags)
        if "copy" in one and "distance" in one:  # a diverged sample is no picture to copy
            known &= np.isfinite(one["distance"].values)
        if known.any():
            copied = binomial(int(flags[known].sum()), int(known.sum()))
            rows.append(_row(family, "copied", replace(copied, missing=int((~known).sum()))))
        for name, title in (
            ("distance", "distance to nearest"),
            ("distance_ratio", "nearest / second nearest"),
        ):
            if name in one and np.isfinite(one[name].values).any():
                rows.append(_row(family, title, bootstrap(one[name].values)))
    return pd.DataFrame(rows, columns=COLUMNS)


def tables(tree: xr.DataTree) -> dict[str, pd.DataFrame]:
    """Every table the store has numbers for, by title."""
    found = {}
    if "novelty" in tree.children:
        found["Novelty"] = novelty(tree)
    if "agreement" in tree.children:
        for measure, (title, _) in MEASURES.items():
            if measure in tree["agreement"]:
                found[f"Agreement: {title}"] = agreement(tree, measure)
    return {title: frame for title, frame in found.items() if len(frame)}


def render(tree: xr.DataTree, format: str = "markdown") -> str:
    """All tables of a store as one text."""
    if format not in FORMATS:
        raise InputError(f"unknown table format {format!r}; {nearest(format, FORMATS)}")
    return FORMATS[format](tables(tree))


def layout(frame: pd.DataFrame) -> tuple[list[str], list[tuple[str, list[tuple[str, bool]]]], str]:
    """A tidy frame as words: column titles, one (family, [(cell, bold), ...]) per row, and a note
    on n and intervals.

    The usual n stands in the note; a cell with another n, or with seeds left out, says so itself.
    """
    columns = list(dict.fromkeys(frame["column"]))
    usual = int(frame["n"].mode().iloc[0])
    rows = []
    for family in dict.fromkeys(frame["family"]):
        own = frame[frame["family"] == family].set_index("column")
        cells = []
        for column in columns:
            if column not in own.index:
                cells.append(("", False))
                continue
            v = own.loc[column]
            other = f" (n = {v['n']})" if v["n"] != usual else ""
            if v["missing"]:
                other = f" ({words(v['missing'], v['n'] + v['missing'])})"
            cells.append(
                (
                    f"{number(v['value'])} [{number(v['low'])}, {number(v['high'])}]{other}",
                    bool(v["best"]),
                )
            )
        rows.append((str(family), cells))
    bold = "; bold: closest, and what is not told apart from it" if frame["best"].any() else ""
    return columns, rows, f"median or share, 95 % interval, n = {usual} seeds{bold}"


def number(value: float) -> str:
    """Two decimals, more for small numbers, fewer for large ones; never an exponent between 0.001
    and 99999.
    """
    if not np.isfinite(value):
        return "–"
    if value == 0 or 0.095 <= abs(value) < 100:
        return f"{value:.2f}"
    return f"{value:.0f}" if 100 <= abs(value) < 1e5 else f"{value:.2g}"


def markdown(found: dict[str, pd.DataFrame]) -> str:
    """GitHub-flavoured Markdown; the best of a row in bold."""
    parts = []
    for title, frame in found.items():
        columns, rows, note = layout(frame)
        lines = [
            f"**{title}** ({note})",
            "",
            _pipes(["family", *map(_markdown, columns)]),
            _pipes(["---"] * (len(columns) + 1)),
        ]
        lines += [
            _pipes(
                [_markdown(f), *(f"**{_markdown(c)}**" if b else _markdown(c) for c, b in cells)]
            )
            for f, cells in rows
        ]
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def latex(found: dict[str, pd.DataFrame]) -> str:
    r"""One `tabular` per table for LaTeX with the package booktabs; names are escaped, the best of
    a row in \textbf.
    """
    parts = []
    for title, frame in found.items():
        columns, rows, note = layout(frame)
        lines = [
            f"% {title} ({note})".replace("\n", " "),
            rf"\begin{{tabular}}{{l{'c' * len(columns)}}}",
            r"\toprule",
        ]
        lines.append(_ampersands(["family", *map(_latex, columns)]))
        lines.append(r"\midrule")
        lines += [
            _ampersands(
                [_latex(f), *(rf"\textbf{{{_latex(c)}}}" if b else _latex(c) for c, b in cells)]
            )
            for f, cells in rows
        ]
        lines += [r"\bottomrule", r"\end{tabular}"]
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def csv_text(found: dict[str, pd.DataFrame]) -> str:
    """One tidy CSV of all tables at full precision, with the table's title as first column."""
    text = io.StringIO()
    # names may hold anything
    writer = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    writer.writerow(["table", *COLUMNS])
    for title, frame in found.items():
        for row in frame.itertuples(index=False):
            writer.writerow([title, *("" if v != v else v for v in row)])
    return text.getvalue()


FORMATS: dict[str, Callable[[dict[str, pd.DataFrame]], str]] = {
    "markdown": markdown,
    "latex": latex,
    "csv": csv_text,
}


def _row(family: object, column: str, v: Interval, best: bool = False, p: float = np.nan) -> tuple:
    return (
        str(family),
        column,
        float(v.value),
        float(v.low),
        float(v.high),
        int(v.n),
        bool(best),
        float(p),
        int(v.missing),
    )


def _pipes(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _ampersands(cells: list[str]) -> str:
    return " & ".join(cells) + r" \\"


def _markdown(text: str) -> str:
    return "".join(_escaped(text, {c: f"\\{c}" for c in "\\|*`<>"} | {"\n": " ", "\r": " "}))


def _latex(text: str) -> str:
    table = {c: f"\\{c}" for c in "&%$#_{}"}
    table |= {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "–": "--",
        "−": "$-$",
    }
    table |= {"<": "$<$", ">": "$>$", "[": "{[}", "]": "{]}", "\n": " ", "\r": " "}
    return "".join(_escaped(text, table))


def _escaped(text: str, table: dict[str, str]) -> Iterator[str]:
    return (table.get(c, c) for c in str(text))
