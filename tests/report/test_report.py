"""The report: one page with everything on it, safe against names, and working in a real browser."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from made_up_store import FAMILIES, SEEDS, tree

from archbias import report, study
from archbias.errors import InputError
from archbias.report.command import flags
from archbias.report.page import _families

HOSTILE = "<script>window.broken = 1</script>"


@pytest.fixture(scope="module")
def store():
    return tree()


@pytest.fixture(scope="module")
def page(store):
    return report.page(store)


class Text(HTMLParser):
    """The words of a page, and its tags."""

    def __init__(self, page):
        super().__init__()
        self.words, self.tags, self.inside = [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.inside.append(tag)

    def handle_endtag(self, tag):
        while self.inside and self.inside.pop() != tag:
            pass

    def handle_data(self, data):
        if not {"script", "style"} & set(self.inside):
            self.words.append(data)


def test_page_has_question_data_families_numbers_and_provenance(store, page):
    words = " ".join(Text(page).words)
    for piece in (
        store.attrs["question"],
        "ab" * 32,
        "0123456789abcdef",
        "2.6.0",
        "nowhere",
        *FAMILIES,
    ):
        assert piece in words
    median = np.median(store["agreement"]["r"].sel(family="unet", predictor="linear"))
    assert f"{median:.2f} [" in words
    assert f"n = {SEEDS} seeds" in words


def test_page_is_one_file_that_fetches_nothing(page):
    tags = Text(page).tags
    links = [
        v
        for _, attrs in tags
        for k, v in attrs.items()
        if k in ("src", "href", "srcset", "action", "data")
    ]
    assert links
    assert all(link.startswith(("data:", "#")) for link in links)
    anchors = {attrs["href"][1:] for tag, attrs in tags if tag == "a"}
    assert anchors <= {attrs["id"] for _, attrs in tags if "id" in attrs}
    assert "url(" not in page
    assert "@import" not in page
    images = [attrs for tag, attrs in tags if tag == "img"]
    assert len(images) == 4
    assert all(
        base64.b64decode(i["src"].split(",")[1])[:4] == b"\x89PNG" and i["alt"] for i in images
    )


def test_content_policy_names_the_script_and_the_style(page):
    policy = next(
        a["content"] for t, a in Text(page).tags if a.get("http-equiv") == "Content-Security-Policy"
    )
    for tag in ("script", "style"):
        (inline,) = re.findall(rf"<{tag}[^>]*>(.*?)</{tag}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy


def test_names_cannot_become_markup():
    hostile = tree(families=(HOSTILE, 'a" onmouseover="x', "unet"), study=HOSTILE)
    hostile.attrs |= {
        "question": HOSTILE,
        "commit": "'; rm -rf ~; '",
        "images": json.dumps({"name": HOSTILE, "hash": HOSTILE, "n": 3, "shape": [1, 2, 3]}),
    }
    page = report.page(hostile, troubles=[(HOSTILE, HOSTILE)])
    tags = Text(page).tags
    assert [tag for tag, _ in tags].count("script") == 1
    assert not [attrs for _, attrs in tags if any(k.startswith("on") for k in attrs)]
    assert "window.broken" in page
    assert "<script>window" not in page
    assert "git checkout ''&#34;&#39;&#34;'" not in page
    # one quoted word
    assert (
        "git checkout &#39;&#39;&#34;&#39;&#34;&#39;; rm -rf ~; &#39;&#34;&#39;&#34;&#39;&#39;"
        in page
    )


def test_a_store_without_attributes_or_groups_still_gives_a_page(store):
    bare = xr.DataTree.from_dict({"samples": store["samples"].to_dataset()})
    words = " ".join(Text(report.page(bare)).words)
    assert "linear, rank 3" in words


def test_write_leaves_one_whole_file(tmp_path, store):
    path = report.write(store, path=tmp_path / "report.html")
    assert path.read_text().rstrip().endswith("</html>")
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]
    with pytest.raises(InputError, match="path"):
        report.write(store)
    with pytest.raises(InputError, match="archbias run"):
        report.write(tmp_path / "nothing")


STUDY = """
from dataclasses import dataclass, field
import numpy as np, xarray as xr
from archbias.posteriors.ideal import Ideal
from archbias.regressions.linear import Linear
from archbias.study import Cell, Study

@dataclass(frozen=True, kw_only=True)
class Settings:
    steps: int = 20
    name: str = "short"
    families: dict = field(default_factory=lambda: {"ideal": Ideal(), "linear, few": Linear()})

def cells(settings):
    def run(work):
        x = np.zeros((1, 2, 1, 3, 3), "f4")
        dims = ("family", "seed", "channel", "row", "column")
        return {"samples": xr.Dataset({"sample": (dims, x)}, {"family": ["ideal"], "seed": [0, 1]})}
    def fail(work):
        raise RuntimeError("<b>no luck</b>")
    return [Cell("ideal", run), Cell("broken", fail), Cell("after", run, after=("broken",))]

TOY = {"steps": 3, "name": "toy"}
STUDY = Study(name="tiny", question="Q?", settings=Settings(), cells=cells, presets={"toy": TOY})
"""


FIGURES = """
import pandas as pd

def figures(tree):
    return {'gone': tree['no such group']}

def summary(tree):
    row = {"family": "ideal", "copies <b>": "12 of 16", "r": "0.93 [0.91, 0.95]"}
    return pd.DataFrame([row | {"p": 0.01234, "q": float("nan")}])
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("studies") / "tiny"
    folder.mkdir()
    (folder / "study.py").write_text(STUDY)
    (folder / "figures.py").write_text(FIGURES)
    return folder


@pytest.mark.parametrize(
    ("preset", "changes", "words"),
    [
        (None, {}, []),
        ("toy", {}, ["--preset", "toy"]),
        ("toy", {"steps": 4}, ["--preset", "toy", "--set", "steps=4"]),
        (None, {"steps": 5, "name": "a b"}, ["--set", "steps=5", "--set", "name=a b"]),
        (None, {"name": "3"}, ["--set", "name='3'"]),
        (None, {"families.linear, few.rank": 7}, ["--set", "families.linear, few.rank=7"]),
        (None, {"families.ideal": "linear(rank=2)"}, ["--set", None]),
    ],
)
def test_the_command_given_leads_to_the_same_settings(folder, preset, changes, words):
    from archbias.cli import changes_of
    from archbias.denoise import to_json

    loaded = study.load(folder)
    wanted = json.loads(json.dumps(to_json(loaded.configure(preset, changes))))
    found = flags(loaded, wanted)
    assert len(found) == len(words)
    assert all(a == b for a, b in zip(found, words, strict=True) if b is not None)
    given = dict(zip(found[::2], found[1::2], strict=True)) if "--preset" in found else {}
    sets = [found[i + 1] for i, w in enumerate(found) if w == "--set"]
    reached = loaded.configure(given.get("--preset"), changes_of(sets))
    assert json.loads(json.dumps(to_json(reached))) == wanted


def test_families_are_shown_by_what_sets_them_apart():
    from archbias.denoise import to_json
    from archbias.regressions.linear import Linear

    store = tree(families=("linear", "linear, few", "mine"))
    specs = {
        "linear": to_json(Linear()),
        "linear, few": to_json(Linear(rank=2)),
        "mine": {"type": "Mine", "depth": [3], "name": "x"},
    }
    store.attrs["families"] = json.dumps(specs)
    shown = _families(store, {}, store.attrs)
    assert [f["settings"] for f in shown] == [
        "Linear()",
        "Linear(rank=2)",
        "Mine(depth=(3,), name='x')",
    ]
    assert [f["summary"] for f in shown] == [Linear.summary, Linear.summary, ""]


def test_settings_no_command_gives_are_said(folder):
    assert flags(study.load(folder), {"type": "Settings", "steps": 20}) is None


def test_a_run_with_failed_cells_says_so(folder, tmp_path):
    loaded = study.load(folder)
    study.run(loaded, loaded.configure("toy"), tmp_path / "run")
    with pytest.warns(UserWarning, match="want what this store lacks"):
        path = report.write(tmp_path / "run", folder)
    assert path == tmp_path / "run" / "report.html"
    words = re.sub(r"\s+", " ", " ".join(Text(path.read_text()).words))
    assert "RuntimeError: <b>no luck</b>" in words
    assert "after : not computed yet" in words
    assert "--preset toy" in words
    rows = [dict(attrs) for tag, attrs in Text(path.read_text()).tags if tag == "td"][:4]
    assert [row["data-value"] for row in rows] == ["12", "0.93", "0.01234", ""]
    assert "copies <b>" in words
    assert "0.93 [0.91, 0.95]" in words
    # the study's own figures need a group that is missing
    assert "samples : one column per family" in words
    assert str(tmp_path) not in path.read_text()


def column(browser, table: int, index: int) -> list[str]:
    rows = (
        "return Array.from(document.querySelectorAll('table.sortable')[arguments[0]]"
        ".tBodies[0].rows, r => r.cells[arguments[1]].innerText)"
    )
    return browser.execute_script(rows, table, index)


@pytest.fixture
def opened(browser, page, tmp_path):
    path = tmp_path / "report.html"
    path.write_text(page)
    browser.set_window_size(1100, 900)
    browser.get(Path(path).as_uri())
    return browser


def test_browser_renders_without_complaint(opened):
    loaded = (
        "return Array.from(document.querySelectorAll('#figures img'),"
        " i => i.complete && i.naturalWidth > 400"
        " && i.getBoundingClientRect().width > 400)"
    )
    assert opened.execute_script(loaded) == [True] * 4
    assert opened.get_log("browser") == []
    assert "Does the figure say" in opened.title


def test_browser_explores_the_samples(opened):
    from selenium.webdriver.support.ui import WebDriverWait

    def words(browser):  # empty until the samples, images in the page, are decoded
        return browser.execute_script(
            "return document.querySelector('#explore [role=status]').innerText"
        )

    count = "return document.querySelectorAll('#explore canvas').length"
    assert WebDriverWait(opened, 30).until(words).startswith("Pixel in row 3, column 3: sample ")
    assert opened.execute_script(count) == 4


def test_browser_sorts_a_table_both_ways_and_by_keyboard(opened, store):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    heads = opened.find_elements(By.CSS_SELECTOR, "table.sortable")[1].find_elements(
        By.CSS_SELECTOR, "th button"
    )
    by_r = (
        store["agreement"]["r"]
        .sel(predictor="ideal")
        .median("seed")
        .to_series()
        .sort_values()
        .index.tolist()
    )
    opened.execute_script(
        "arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", heads[1]
    )
    heads[1].click()
    assert column(opened, 1, 0) == by_r
    heads[1].send_keys(Keys.ENTER)
    assert column(opened, 1, 0) == by_r[::-1]
    heads[0].click()
    assert column(opened, 1, 0) == sorted(FAMILIES)
    sorts = (
        "return Array.from(document.querySelectorAll('table.sortable')[1].tHead.rows[0].cells,"
        " c => c.getAttribute('aria-sort'))"
    )
    assert opened.execute_script(sorts) == ["ascending", "none", "none", "none", "none"]


def test_browser_on_a_phone_scrolls_tables_not_the_page(opened):
    metrics = {"width": 375, "height": 700, "deviceScaleFactor": 2, "mobile": True}
    opened.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    width = opened.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
    small = (
        "return Array.from(document.querySelectorAll('p, li, td, th, dd'))"
        ".filter(e => parseFloat(getComputedStyle(e).fontSize) < 13).length"
    )
    found = opened.execute_script(small)
    opened.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert width == [375, 375]
    assert found == 0


def test_browser_runs_no_script_from_a_name(browser, tmp_path):
    hostile = tree(
        families=(HOSTILE, "<img src=x onerror='window.broken=1'>", "unet"), study=HOSTILE
    )
    hostile.attrs["question"] = HOSTILE
    path = report.write(hostile, path=tmp_path / "report.html")
    browser.get(Path(path).as_uri())
    assert (
        browser.execute_script(
            "return window.broken === undefined && document.querySelectorAll('#figures img').length"
        )
        == 4
    )
    assert browser.get_log("browser") == []
    assert HOSTILE in browser.title
    assert column(browser, 0, 0)[0] == HOSTILE
