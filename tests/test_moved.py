"""Names of version 0.1 open today's modules, as the same objects."""

import importlib
import subprocess
import sys

import pytest

import archbias
from archbias import moved


@pytest.mark.parametrize("old", moved.MOVED)
def test_an_old_name_is_the_same_module(old):
    new = importlib.import_module(f"archbias.{moved.MOVED[old]}")
    assert importlib.import_module(f"archbias.{old}") is new
    assert new.__spec__.name == f"archbias.{moved.MOVED[old]}"


def test_old_names_as_attributes_and_below():
    from archbias.analytic.linear import Linear
    from archbias.windows.schedule import SCHEDULES

    assert Linear is archbias.FAMILIES["linear"]
    assert archbias.SCHEDULES is SCHEDULES
    assert archbias.train.Train is archbias.nets.train.Train


@pytest.mark.parametrize("first", ["archbias.windows.schedule", "archbias.posteriors.windows"])
def test_a_module_is_loaded_once_whichever_name_comes_first(first):
    code = (
        f"import {first}\n"
        "import archbias.posteriors.windows.schedule as new, archbias.windows.schedule as old\n"
        "assert old is new and old.WindowSchedule is new.WindowSchedule"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_name_that_never_existed_is_refused():
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("archbias.never")
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("archbias.windows.never")
    assert moved.present("other.train") is None
