"""Examples in docstrings run as they stand, from the root of the repository."""

import doctest
import importlib
import pkgutil
from pathlib import Path

import pytest

import archbias

ROOT = Path(__file__).parents[2]
CENTRAL = [
    "adapters.adapted.from_callable",
    "adapters.adapted.from_module",
    "data.catalogue.load",
    "distributions.base.generated_by",
    "metrics.agreement.pearson_r",
    "metrics.coverage.coverage",
    "metrics.novelty.nearest",
    "networks.catalogue.names",
    "noise.cosine",
    "plots.colors.color",
    "posteriors.ideal.Ideal",
    "sample.ddim",
    "seeds.normal",
    "store.open.open_study",
    "store.tidy.tidy",
]


def examples() -> dict[str, doctest.DocTest]:
    """Every docstring with an example, by the name of what it describes."""
    found = {}
    for module in pkgutil.walk_packages(archbias.__path__, "archbias."):
        path = Path(module.module_finder.path, *module.name.rpartition(".")[2:])
        file = path / "__init__.py" if module.ispkg else path.with_suffix(".py")
        if ">>>" in file.read_text(encoding="utf-8"):
            loaded = importlib.import_module(module.name)
            found |= {t.name: t for t in doctest.DocTestFinder().find(loaded) if t.examples}
    return found


EXAMPLES = examples()


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_example(name, monkeypatch):
    monkeypatch.chdir(ROOT)
    said: list[str] = []
    options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    result = doctest.DocTestRunner(optionflags=options).run(EXAMPLES[name], out=said.append)
    assert result.failed == 0, "".join(said)


def test_what_is_central_has_an_example():
    assert len(EXAMPLES) >= 25
    assert {f"archbias.{name}" for name in CENTRAL} <= set(EXAMPLES)
