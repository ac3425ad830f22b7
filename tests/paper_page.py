"""Figures of a study as they stand in a paper of two columns: what the tests of studies check."""

from __future__ import annotations

import re

import pytest
from matplotlib.text import Text

from archbias import plots, report
from archbias.report import words

COLUMN, PAGE, HEIGHT = 3.25, 6.75, 9.0  # inches, ICML 2024
SMALLEST = 4.8  # points
SENTENCE = re.compile(r"\S.*\d.*\.")  # with a number in it, and an end


def check(module, tree, folder):
    """Every figure says in a sentence what it shows. At least two of the study are PDFs exactly
    one or two columns wide, no taller than the page; no text in them is too small to read and no
    label leaves the page.
    """
    wanted, written = plots.widths(module, "icml"), {}
    for columns in (1, 2):
        with plots.style("paper", "icml", columns):
            for name, figure in report.drawn(module, tree).items():
                _says_what_it_shows(figure, name, tree)
                if wanted.get(name) != columns:
                    continue
                (path,) = plots.save(figure, folder / name, ["pdf"])
                written[name] = size(path)
                assert written[name][0] == pytest.approx((COLUMN, PAGE)[columns - 1], abs=0.01)
                assert written[name][1] <= HEIGHT, name
                texts = [t for t in figure.findobj(Text) if t.get_visible() and t.get_text()]
                small = {t.get_text(): t.get_fontsize() for t in texts}
                assert min(small.values()) >= SMALLEST, (name, min(small, key=small.get))
                figure.draw_without_rendering()
                cut = [text for text in map(cut_off, labels(figure)) if text]
                assert not cut, (name, cut)
    assert len(written) >= 2, f"wanted two figures for a paper, got {list(written)} of {wanted}"


def _says_what_it_shows(figure, name, tree):
    """A sentence with a number, beside the warning of a run whose sizes mean nothing."""
    title = " ".join(figure.get_suptitle().split())
    for warning in words.toy(tree):
        assert warning in title, (name, title)
        title = title.replace(warning, "").strip()
    assert SENTENCE.match(title), (name, title)


def size(path):
    """Width and height in inches, from the PDF itself."""
    box = re.search(rb"/MediaBox \[ ?0 0 ([\d.]+) ([\d.]+) ?\]", path.read_bytes())
    return tuple(float(v) / 72 for v in box.groups())


def labels(figure):
    """Labels and titles, of axes and page."""
    for axes in figure.axes:
        if axes.axison:
            yield from (axes.xaxis.label, axes.yaxis.label)
        yield from (axes.title, axes._left_title)
    if figure._suptitle:
        yield figure._suptitle


def cut_off(label):
    """Its text where part of it lies more than two points beyond the page, else nothing."""
    figure = label.get_figure(root=True)
    if not label.get_text() or not label.get_visible():
        return ""
    box, room = label.get_window_extent(), 2 * figure.dpi / 72
    inside = box.x0 >= -room and box.y0 >= -room
    inside &= box.x1 <= figure.bbox.x1 + room and box.y1 <= figure.bbox.y1 + room
    return "" if inside else label.get_text()
