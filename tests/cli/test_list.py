"""The list of families is read from the source and must say what the classes are."""

import dataclasses
import subprocess
import sys

import pytest

from archbias import cli
from archbias.cli import families as listed
from archbias.families import FAMILIES


@pytest.mark.parametrize("name", FAMILIES)
def test_settings_read_from_the_source_are_those_of_the_class(name):
    family = listed.families()[name]
    fields = {f.name: f for f in dataclasses.fields(FAMILIES[name])}
    assert [s.name for s in family.settings] == list(fields)
    assert family.summary == FAMILIES[name].summary
    for setting in family.settings:
        default = fields[setting.name].default
        if isinstance(default, int | float | str | bool | None | tuple):
            classes = {cls.__name__: cls for cls in FAMILIES.values()}
            assert eval(setting.default, {"__builtins__": {}} | classes) == default
        assert setting.text, f"{name}.{setting.name} wants a line in the class's docstring"


def test_list_is_one_line_a_family_within_80_columns(capsys):
    assert cli.main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert not any(line.endswith("...") for line in lines)
    for name in FAMILIES:
        assert sum(line.split()[0] == name for line in lines) == 1


@pytest.mark.parametrize("name", ["unet", "linear", "ideal"])
def test_list_of_one_family_fits_80_columns(name, capsys):
    assert cli.main(["list", name]) == 0
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    for field in dataclasses.fields(FAMILIES[name]):
        assert f"  {field.name}: " in text


def test_an_unknown_family_is_one_sentence(capsys):
    assert cli.main(["list", "unett"]) == 2
    assert "unknown family 'unett'" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", [["list"], ["list", "unet"], ["studies", "list"], ["--help"], ["run", "--help"]]
)
def test_help_and_list_import_no_torch(words):
    code = (
        "import sys\nfrom archbias.cli import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit:\n    pass\n"
        "print([m for m in ('torch', 'numba', 'xarray', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_help_groups_the_commands_with_an_example_each(capsys):
    text = cli.parser().format_help()
    for group in ("compute", "look", "check", "data and families"):
        assert f"{group}:  (example: archbias " in text
    for command in ("run", "status", "figures", "tables", "export", "report", "doctor", "list"):
        assert f"\n  {command} " in text
