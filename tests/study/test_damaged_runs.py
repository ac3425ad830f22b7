"""Run folders whose files are damaged, and settings that mean nothing: one sentence each."""

import damaged_files
import damaged_runs
import pytest

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    yield folder
    damaged_files.forget(folder)


def test_damaged_run_files_are_read_or_refused_in_one_sentence(place):
    cases = damaged_files.cases(0, 132, damaged_runs.KINDS)
    faults = [damaged_files.attempt(case, place, damaged_runs.KINDS) for case in cases]
    assert [fault for fault in faults if fault] == []


def test_settings_that_mean_nothing_are_one_sentence():
    faults = [damaged_runs.configured(damaged_runs.setting(seed)) for seed in range(200)]
    assert [fault for fault in faults if fault] == []


def test_a_bare_error_of_a_setting_would_be_seen(monkeypatch):
    def broken(pairs):
        raise RecursionError("deep")

    monkeypatch.setattr(damaged_runs, "changes_of", broken)
    assert "RecursionError" in damaged_runs.configured("seeds=1")
