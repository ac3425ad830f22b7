"""The site: `make docs`, that is `sphinx-build -W -n -c docs . runs/site`.

The source folder is the whole repository, so that READMEs of studies and notebooks are pages where
they lie, and nothing is copied. Nothing needs the network; ARCHBIAS_DOCS_ONLINE=1 adds links to the
manuals of Python, numpy, torch and xarray.
"""

import os
import pkgutil
import re
import shutil
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

from docutils import nodes
from latex2mathml.converter import convert

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(ROOT))

from docstrings import restructured  # noqa: E402
from pictures import Pictures  # noqa: E402

import archbias  # noqa: E402

project = "archbias"
version = release = archbias.__version__
copyright = "the authors of archbias, MIT licence"
root_doc = "docs/index"
language = "en"

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.napoleon",
    "myst_nb",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
include_patterns = [
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "docs/**",
    "studies/*/README.md",
    "notebooks/*.ipynb",
]
exclude_patterns = [
    ".*",
    "archbias",
    "benchmarks",
    "build",
    "data",
    "dist",
    "docs/_gallery/*.ipynb",
    "docs/gallery",
    "docs/static",
    "docs/templates",
    "runs",
    "tests",
    "**/.*",
    "**/runs",
]
templates_path = [str(ROOT / "docs" / "templates")]

html_theme = "pydata_sphinx_theme"
html_title = "archbias"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_additional_pages = {"index": "redirect.html"}
html_math_renderer = "mathml"
html_context = {"default_mode": "auto"}
html_show_sourcelink = False
html_copy_source = False
html_sidebars = {f"docs/{page}": [] for page in ("index", "start", "ideas", "theories")}
html_theme_options = {
    "logo": {"text": "archbias"},
    "navbar_end": ["theme-switcher"],
    "header_links_before_dropdown": 8,
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
    "show_prev_next": False,
    "footer_end": [],
}

myst_enable_extensions = ["attrs_inline", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "off"  # a page of its own asks for execution in its head
nb_execution_raise_on_error = True
nb_execution_timeout = 120
nb_merge_streams = True
nb_code_prompt_show = "The lines that drew it"
nb_code_prompt_hide = "Hide them"

autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
autosummary_generate = True
napoleon_numpy_docstring = False
default_role = "py:obj"  # a name in backticks is a link where it is one
nitpick_ignore_regex = [
    ("py:obj", "(?s).*"),  # backticks around what is no name
    ("py:.*", r"(?!archbias\.).*"),  # other libraries, and types by their short names
    # in signatures only, undocumented
    ("py:class", r".*\.(_\w+|T|Kind|Module|Address|Trial|Scale|Geometry)"),
]
suppress_warnings = ["config.cache"]  # the scraper of figures is an object

ONLINE = {
    "python": ("https://docs.python.org/3", None),
    "numpy": ("https://numpy.org/doc/stable", None),
    "torch": ("https://docs.pytorch.org/docs/stable", None),
    "xarray": ("https://docs.xarray.dev/en/stable", None),
}
intersphinx_mapping = ONLINE if os.environ.get("ARCHBIAS_DOCS_ONLINE") else {}

sphinx_gallery_conf = {
    "examples_dirs": ["docs/gallery"],
    "gallery_dirs": ["docs/_gallery"],
    "filename_pattern": r"/plot_",
    "ignore_pattern": r"^(toy|bench)\.py$",
    "image_scrapers": (Pictures(),),
    "capture_repr": (),
    "reset_modules": ("pictures.styled",),
    "download_all_examples": False,
    "show_signature": False,
    "write_computation_times": False,
    "remove_config_comments": True,
    "abort_on_example_error": True,
}


def rooms(package: str) -> list[str]:
    """The modules of a package and of its packages, by full name."""
    path = getattr(import_module(package), "__path__", [])
    found = pkgutil.walk_packages(path, f"{package}.")
    return [m.name for m in found if not m.name.rpartition(".")[2].startswith("_")]


def exported(package: str, module: str) -> list[str]:
    """What the package offers of a module's names: it stands there, not again in the module."""
    offered, own = import_module(package), import_module(module)
    names = [n for n in getattr(offered, "__all__", []) if n in vars(own)]
    return [n for n in names if getattr(offered, n) is vars(own)[n]]


def namesake(module: str) -> bool:
    """Does the package offer something else under the module's name?"""
    package, _, name = module.rpartition(".")
    offered = import_module(package)
    return name in getattr(offered, "__all__", []) and not isinstance(
        getattr(offered, name), ModuleType
    )


autosummary_context = {"rooms": rooms, "exported": exported, "namesake": namesake}


def to_readmes(text: str, here: Path) -> str:
    """A link to a folder leads to its README; without one it is its text."""

    def page(link):
        folder = here / link[2]
        if (folder / "README.md").exists():
            return f"[{link[1]}]({link[2].rstrip('/')}/README.md)"
        return link[1] if folder.is_dir() else link[0]

    return re.sub(r"\[([^\[\]]+)\]\(([\w./-]+)\)", page, text)


def read(app, docname, source):
    """A page as it is read."""
    source[0] = to_readmes(source[0], Path(app.env.doc2path(docname)).parent)


def included(app, path, docname, content):
    """A part of another page as it is read."""
    content[0] = to_readmes(content[0], (ROOT / path).parent)


def mathml(self, node):
    """Formulas as MathML, which a browser draws without a script."""
    display = "block" if isinstance(node, nodes.math_block) else "inline"
    self.body.append(convert(node.astext(), display=display))
    raise nodes.SkipNode


def setup(app):
    """What Sphinx calls."""
    shutil.rmtree(ROOT / "runs" / "gallery", ignore_errors=True)
    app.add_html_math_renderer("mathml", (mathml, None), (mathml, None))
    app.connect("source-read", read)
    app.connect("include-read", included)
    app.connect("autodoc-process-docstring", restructured, priority=100)
