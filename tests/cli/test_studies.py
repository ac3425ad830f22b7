"""Bundled studies by name: listed, shown, copied, run."""

import pytest

from archbias import cli, study
from archbias.cli.studies import question
from archbias.study.find import known


def test_list_shows_every_study_with_its_question(capsys):
    assert cli.main(["studies", "list"]) == 0
    text = capsys.readouterr().out
    for name in known():
        assert name in text


@pytest.mark.parametrize("name", known())
def test_the_question_read_from_the_source_is_the_studys(name):
    assert question(known()[name] / "study.py") == study.load(name).question


def test_a_copy_runs_under_its_own_folder(tmp_path, capsys):
    copy = tmp_path / "mine"
    assert cli.main(["studies", "copy", "families", str(copy)]) == 0
    assert (copy / "study.py").is_file()
    assert study.load(copy).name == "families"
    assert cli.main(["studies", "copy", "families", str(copy)]) == 2
    assert "exists already" in capsys.readouterr().err


def test_show_prints_the_page_and_names_are_checked(capsys):
    assert cli.main(["studies", "show", "plane"]) == 0
    assert "# What each architecture draws in the plane" in capsys.readouterr().out
    assert cli.main(["studies", "show", "plan"]) == 2
    assert "unknown study 'plan'" in capsys.readouterr().err
    assert cli.main(["studies", "copy", "plane"]) == 2
    assert "wants a folder" in capsys.readouterr().err
