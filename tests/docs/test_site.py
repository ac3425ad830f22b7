"""The site: every plot function has its picture, every public name its entry, and in a real browser
every picture loads, every link leads somewhere and no page complains.
"""

import inspect
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import archbias
from archbias import plots
from archbias.plots import crossed

ROOT = Path(__file__).parents[2]
GALLERY = ROOT / "docs" / "gallery"
LINKS = "return Array.from(document.querySelectorAll('a[href]'), a => a.href)"
BROKEN = """
document.querySelectorAll('img[loading=lazy]').forEach(i => { i.loading = 'eager'; });
return Promise.all(Array.from(document.images, i => i.decode().catch(() => {}))).then(
  () => Array.from(document.images).filter(i => !i.naturalWidth).map(i => i.src));
"""
ANCHORS = "return Array.from(document.querySelectorAll('[id]'), e => e.id)"
WIDER = "return document.documentElement.scrollWidth > window.innerWidth + 1"


def drawing() -> Iterator[str]:
    """Public functions that return a figure, as a script calls them."""
    for module, prefix in ((plots, "plots"), (crossed, "crossed")):
        for name, f in inspect.getmembers(module, inspect.isfunction):
            public = name in getattr(module, "__all__", []) or f.__module__ == crossed.__name__
            returns = str(inspect.signature(f).return_annotation)
            if public and not name.startswith("_") and re.search("Figure|Axes", returns):
                yield f"{prefix}.{name}("


@pytest.mark.parametrize("call", sorted(drawing()))
def test_every_plot_function_has_a_picture(call):
    sources = [p.read_text(encoding="utf-8") for p in GALLERY.glob("plot_*.py")]
    studies = (ROOT / "studies/score_machines/figures.py").read_text(encoding="utf-8")
    shown = any(call in source for source in sources)
    assert shown or (call == "plots.scales(" and call in studies)


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The site as `make docs` builds it: every warning is an error."""
    for module in ("sphinx", "myst_nb", "sphinx_gallery", "pydata_sphinx_theme", "latex2mathml"):
        pytest.importorskip(module, reason="install archbias[docs] to build the site")
    out = tmp_path_factory.mktemp("site")
    build = [sys.executable, "-m", "sphinx", "-W", "-n", "--keep-going", "-q", "-c", "docs"]
    env = dict(os.environ, PYTHONPATH=str(ROOT), OMP_NUM_THREADS="1", TMPDIR=str(out.parent))
    done = subprocess.run(
        [*build, ".", str(out)], cwd=ROOT, env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return out


@pytest.mark.slow
def test_every_public_name_has_an_entry(site):
    from sphinx.util.inventory import InventoryFile

    with (site / "objects.inv").open("rb") as file:
        known = set(InventoryFile.load(file, "", lambda base, uri: uri)["py:module"])
    wanted = {
        f"archbias.{name}"
        for name in archbias.__all__
        if inspect.ismodule(getattr(archbias, name, None))
    }
    assert wanted - known == set()
    with (site / "objects.inv").open("rb") as file:
        loaded = InventoryFile.load(file, "", lambda base, uri: uri)
    entries = {name for kind in loaded.values() for name in kind}
    for package in sorted(wanted):
        module = import_module(package)
        offered = {
            f"{package}.{name}"
            for name in getattr(module, "__all__", [])
            if inspect.isroutine(getattr(module, name)) or inspect.isclass(getattr(module, name))
        }
        assert offered - entries == set()


@pytest.mark.slow
def test_in_a_browser_nothing_is_broken(site, browser):
    browser.set_window_size(1300, 900)
    pages = sorted(p for p in site.rglob("*.html") if not {"_downloads", "_static"} & set(p.parts))
    assert len(pages) > 60
    anchors, links, faults = {}, {}, []
    for page in pages:
        if page == site / "index.html":  # leads on at once
            continue
        browser.get(page.as_uri())
        faults += [f"{page.name}: picture {src}" for src in browser.execute_script(BROKEN)]
        said = [e["message"] for e in browser.get_log("browser") if e["level"] == "SEVERE"]
        faults += [f"{page.name}: {message}" for message in said]
        faults += [f"{page.name}: wider than the window"] * browser.execute_script(WIDER)
        if page.name == "ideas.html":
            pictures = browser.execute_script("return document.images.length")
            faults += [f"{page.name}: {pictures} pictures, wanted 6 at least"] * (pictures < 6)
        anchors[page] = set(browser.execute_script(ANCHORS))
        links[page] = set(browser.execute_script(LINKS))
    for page, targets in links.items():
        for target in map(urlsplit, targets):
            if target.scheme != "file":
                continue
            path, anchor = Path(unquote(target.path)), unquote(target.fragment)
            if not path.is_file():
                faults.append(f"{page.name}: no file {path}")
            elif anchor and path in anchors and anchor not in anchors[path]:
                faults.append(f"{page.name}: no anchor {anchor} in {path.name}")
    assert not faults, "\n".join(faults[:40])
