"""How figures look and how they are written.

    with style("paper", "neurips"):
        figure = family_grid(tree)
        save(figure, "figures/grid", ("pdf", "png"), tree.attrs)

Widths and fonts of the venues are those of tueplots (Krämer et al.). Nothing outlives the `with`
block, and figures are `matplotlib.figure.Figure` objects unknown to pyplot.
"""

from __future__ import annotations

import contextlib
import io
import json
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import matplotlib as mpl
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from tueplots import bundles

from ..errors import InputError, nearest
from ..store import replacing, without_places

VENUES = {
    "neurips": lambda column: bundles.neurips2024(usetex=False),
    "icml": lambda column: bundles.icml2024(usetex=False, column=column),
    "iclr": lambda column: bundles.iclr2024(usetex=False),
    "cvpr": lambda column: bundles.cvpr2024(usetex=False, column=column),
}
NARROW = 4.5  # inches: a page less wide is a column of a paper
TWO_COLUMNS = ("icml", "cvpr")  # venues whose pages have two
COMMON = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.titleweight": "normal",
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "legend.frameon": False,
    "lines.linewidth": 1.3,
    "lines.markersize": 4.5,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "image.interpolation": "nearest",
}
VECTOR = {"pdf.fonttype": 42, "ps.fonttype": 42, "svg.fonttype": "none", "svg.hashsalt": "archbias"}
FORMATS = ("pdf", "png", "svg")
STYLES = ("paper", "slides", "notebook")
# in a file's metadata
SHOWN = ("study", "question", "archbias", "commit", "created", "images", "families", "settings")


@contextlib.contextmanager
def style(name: str = "notebook", venue: str | None = None, columns: int = 1) -> Iterator[None]:
    """Matplotlib settings for the time of a `with` block: this look, whatever matplotlibrc says.

    Args:
        name: "paper" (a venue's text width and font, NeurIPS by default), "slides" (16:9, large
            sans-serif) or "notebook".
        venue: "neurips", "icml", "iclr" or "cvpr"; for paper only.
        columns: 2 for a figure across both columns of a page of icml or cvpr.
    """
    if name not in STYLES:
        raise InputError(f"unknown style {name!r}; {nearest(name, STYLES)}")
    if venue is not None and (venue not in VENUES or name != "paper"):
        remedy = nearest(venue, VENUES) if venue not in VENUES else "use style 'paper' with it"
        raise InputError(
            f"a venue belongs to style 'paper' and is one of {', '.join(VENUES)}, got {venue!r} "
            f"with {name!r}; {remedy}"
        )
    if columns not in (1, 2) or (columns == 2 and venue not in TWO_COLUMNS):
        raise InputError(
            f"wanted 1 column, or 2 of {' or '.join(TWO_COLUMNS)}, got {columns} of "
            f"{venue or name}; leave columns out, or name such a venue"
        )
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(cast(Any, _settings(name, venue, columns)))
        yield


def _settings(name: str, venue: str | None, columns: int) -> dict[str, object]:
    if name == "paper":
        chosen = dict(VENUES[venue or "neurips"]("full" if columns == 2 else "half"))
        # shipped with matplotlib, Times-like
        chosen["font.serif"] = [*chosen["font.serif"], "STIXGeneral"]
        return COMMON | VECTOR | {"savefig.dpi": 300} | chosen
    sans = {
        "font.family": "sans-serif",
        "font.sans-serif": ["Helvetica", "Arial", "Liberation Sans", "DejaVu Sans"],
    }
    if name == "slides":
        size = {k: 15 for k in ("font.size", "axes.labelsize", "axes.titlesize")}
        size |= {k: 13 for k in ("legend.fontsize", "xtick.labelsize", "ytick.labelsize")}
        return (
            COMMON
            | VECTOR
            | sans
            | size
            | {"figure.figsize": (10.0, 5.0), "savefig.dpi": 200, "lines.linewidth": 2.2}
        )
    return (
        COMMON | VECTOR | sans | {"figure.figsize": (7.0, 4.2), "font.size": 9, "savefig.dpi": 160}
    )


def axes_or_new(axes: Axes | None, *, height: float | None = None) -> Axes:
    """The given Axes, or the only one of a new figure: as wide as the style says, `height` of its
    width tall.
    """
    if axes is not None:
        return axes
    return new_figure(height).subplots()


def page_width(share: float = 1.0) -> float:
    """Inches of a figure: a share of the style's width, but never beyond a paper's page."""
    width = mpl.rcParams["figure.figsize"][0]
    return width if width < 7 else share * width


def new_figure(height: float | None = None, *, inches: float | None = None) -> Figure:
    """A figure as wide as the style says; height as a share of the width (2.2 inches at least) or
    in inches.
    """
    w, h = mpl.rcParams["figure.figsize"]
    h = inches if inches is not None else (h if height is None else max(height * w, 2.2))
    return Page(figsize=(w, h), layout="constrained")


def whole(figure: Figure | Axes) -> Figure:
    """The figure that axes lie on."""
    return cast(Figure, figure.get_figure(root=True)) if isinstance(figure, Axes) else figure


def key(axes: Axes, handles: Sequence[Any], title: str | None = None) -> None:
    """The legend: right of the axes, or below them where the page is a column of a paper."""
    figure = whole(axes)
    alone = len(figure.axes) == 1
    width, height = figure.get_size_inches()
    line = 1.6 * mpl.rcParams["font.size"] / 72
    if alone and width < NARROW:
        widest = 5 + max(len(str(handle.get_label())) for handle in handles)  # with its mark
        room = _characters(mpl.rcParams["legend.fontsize"], width)
        columns = max(1, min(3, len(handles), room // widest))
        rows = -(-len(handles) // columns)
        figure.set_size_inches(width, height + line * (rows + bool(title)))
        figure.legend(handles=handles, title=title, loc="outside lower center", ncols=columns)
        return
    if alone:  # a legend taller than the page leaves no room for what it explains
        figure.set_size_inches(width, max(height, line * (len(handles) + bool(title) + 1)))
    place: dict[str, Any] = {
        "loc": "center left",
        "bbox_to_anchor": (1.0, 0.5),
        "alignment": "left",
    }
    axes.legend(handles=handles, title=title, **place)


def _characters(size: str | float, inches: float) -> int:
    """How many characters of a font's size fit on a line."""
    points = FontProperties(size=size).get_size_in_points()
    return int(72 * inches / (0.55 * points))


def headline(figure: Figure, *sentences: str) -> None:
    """Sentences above a figure, in place of what stood there; lines fit the page, which grows."""
    size = mpl.rcParams["axes.titlesize"]
    points = FontProperties(size=size).get_size_in_points()
    room = _characters(size, figure.get_size_inches()[0])
    wrapped = (textwrap.wrap(plain(s), room, break_on_hyphens=False) for s in sentences)
    lines = [line for text in wrapped for line in text]
    more = len(lines) - len(figure.get_suptitle().splitlines())
    figure.suptitle("\n".join(lines), x=0.01, ha="left", fontsize=size)
    width, height = figure.get_size_inches()
    figure.set_size_inches(width, height + 1.3 * points / 72 * more)


def heading(figure: Figure | Axes) -> list[str]:
    """The lines above a figure, as they were written."""
    return whole(figure).get_suptitle().replace(r"\$", "$").splitlines()


class Page(Figure):
    """A figure that a notebook shows without pyplot."""

    def _repr_png_(self) -> bytes:
        return render(self, "png")


def label_of(values: xr.DataArray, otherwise: str) -> str:
    """An axis label from the long_name and units of a variable."""
    name, units = values.attrs.get("long_name", otherwise), values.attrs.get("units", "")
    return plain(f"{name} ({units})" if units not in ("", "1") else name)


def plain(text: str) -> str:
    """Text that matplotlib shows as it is; a pair of dollar signs would be read as a formula."""
    return str(text).replace("$", r"\$")


def save(
    figure: Figure | Axes,
    stem: str | Path,
    formats: Sequence[str] = FORMATS,
    metadata: Mapping[str, object] | None = None,
) -> list[Path]:
    """Write a figure as STEM.pdf, STEM.png, STEM.svg, each whole or not at all; returns the paths.

    Args:
        metadata: a store's attributes; commit, study, families and settings, without the folders
            of this machine, are kept in each file; a PNG's `Description` is what stands above the
            figure. The same figure and metadata give the same bytes on one machine.
    """
    stem = Path(stem)
    for kind in formats:
        if kind not in FORMATS:
            raise InputError(f"unknown figure format {kind!r}; {nearest(kind, FORMATS)}")
    paths = []
    for kind in formats:
        path = stem.with_name(f"{stem.name}.{kind}")
        with replacing(path) as part:
            part.write_bytes(render(figure, kind, metadata, name=stem.name))
        paths.append(path)
    return paths


def render(
    figure: Figure | Axes,
    kind: str,
    metadata: Mapping[str, object] | None = None,
    *,
    name: str = "figure",
) -> bytes:
    """The bytes of a figure file of kind pdf, png or svg."""
    given = metadata or {}
    known = {k: str(given[k]) for k in SHOWN if k in given}
    if "settings" in known:  # a figure is passed on; metadata of others may hold no JSON
        with contextlib.suppress(ValueError):
            known["settings"] = without_places(known["settings"])
    title = f"{known.get('study', 'archbias')}: {name}"
    words = json.dumps(known, ensure_ascii=True, sort_keys=True)
    fields = {
        "pdf": {
            "Title": title,
            "Subject": known.get("question", ""),
            "Keywords": words,
            "Creator": "archbias",
            "CreationDate": None,
        },
        "png": {"Title": title, "Software": "archbias"}
        | {"Description": " ".join(heading(figure))}
        | {k.capitalize(): v for k, v in known.items()},
        "svg": {"Title": title, "Description": words, "Creator": "archbias", "Date": None},
    }[kind]
    buffer = io.BytesIO()
    with mpl.rc_context(cast(Any, VECTOR)):
        whole(figure).savefig(buffer, format=kind, metadata=fields)
    return buffer.getvalue()
