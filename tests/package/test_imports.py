"""What is imported: nothing slow with the package, and nothing that was not asked for."""

import ast
import json
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import release

from archbias.errors import InputError

SLOW = {"torch", "numpy", "xarray", "zarr", "pandas", "matplotlib", "seaborn", "scipy", "numba"}
PROJECT = tomllib.loads((release.ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PACKAGE = release.ROOT / "archbias"


def loaded(code: str) -> set[str]:
    """The packages a new interpreter has loaded after some code, whatever that printed."""
    tell = "import json, sys; print(); print(json.dumps(sorted(sys.modules)))"
    run = subprocess.run(
        [sys.executable, "-c", f"{code}\n{tell}"], capture_output=True, text=True, check=True
    )
    return {name.partition(".")[0] for name in json.loads(run.stdout.splitlines()[-1])}


def test_importing_the_package_imports_nothing_slow():
    assert not loaded("import archbias") & SLOW
    assert "torch" in loaded("import archbias; archbias.seeds")  # the question can be answered


@pytest.mark.parametrize("words", ["list", "list unet", "studies list"])
def test_these_commands_import_nothing_slow(words):
    code = f"from archbias.cli import main; main({words.split()!r})"
    assert not loaded(code) & SLOW


def test_help_imports_nothing_slow():
    code = "from archbias.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass"
    assert not loaded(code) & SLOW


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def required(lines: list[str]) -> set[str]:
    return {normal(re.match(r"[\w.-]+", line)[0]) for line in lines}


def imports(tree: ast.AST, lazy: bool = False) -> list[tuple[str, bool]]:
    """(package, whether the import waits until it is needed) of every absolute import."""
    found = []
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            found += [(alias.name, lazy) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.append((node.module, lazy))
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        else:
            inside = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            found += imports(node, lazy or inside)
    return found


def third_party() -> list[tuple[Path, str, bool]]:
    """(file, distribution's name, whether lazily) of every import from another project."""
    owners = packages_distributions()
    found = []
    for file in sorted(PACKAGE.rglob("*.py")):
        for module, lazy in imports(ast.parse(file.read_text(encoding="utf-8"))):
            top = module.partition(".")[0]
            if top not in sys.stdlib_module_names and top != "archbias":
                found.append((file, normal(owners.get(top, [top])[0]), lazy))
    return found


CORE = required(PROJECT["dependencies"])
EXTRAS = {k: required(v) for k, v in PROJECT["optional-dependencies"].items()}
OPTIONAL = ("cluster", "diffusers", "inception", "notebook")


def test_everything_imported_is_a_dependency_or_of_an_extra_and_lazy():
    found = third_party()
    assert {"torch", "numpy", "seaborn"} <= {name for _, name, _ in found}
    for file, name, lazy in found:
        extras = [e for e in OPTIONAL if name in EXTRAS[e] | CARRIED.get(e, set())]
        where = f"{file.relative_to(release.ROOT)} imports {name}"
        assert name in CORE or extras, f"{where}, which neither dependencies nor extras name"
        assert name in CORE or lazy, f"{where} of the extra {extras[0]}, and does not wait"


# what the packages of an extra bring with them and speak through
CARRIED = {"cluster": {"distributed", "cloudpickle"}, "notebook": {"traitlets"}}


def cluster(tmp_path):
    from archbias.study import cluster

    cluster.run(None, None, tmp_path, workers=1)


def diffusers(tmp_path):
    from archbias.judging.target import _pipeline

    _pipeline(tmp_path, None)


def inception(_):
    from archbias.metrics import features

    features.inception()


def notebook(_):
    from archbias.exploring import widget

    widget.kind.cache_clear()  # another test may have shown one
    widget.shown({})


MISSING = {
    "cluster": ("distributed", cluster),
    "diffusers": ("diffusers", diffusers),
    "inception": ("torch_fidelity.feature_extractor_inceptionv3", inception),
    "notebook": ("anywidget", notebook),
}


def test_every_extra_for_users_has_its_absence_tested():
    assert set(MISSING) == set(OPTIONAL)


@pytest.mark.parametrize("extra", MISSING)
def test_what_an_absent_extra_would_do_names_it(extra, monkeypatch, tmp_path):
    module, use = MISSING[extra]
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InputError, match=rf"pip install ['\"]?archbias\[{extra}\]"):
        use(tmp_path)
