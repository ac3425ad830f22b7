"""A cell's number of threads belongs to the run: the same number, the same bits."""

import json

import pytest
import torch
import xarray as xr

from archbias import cli, study
from archbias.errors import InputError


@pytest.fixture
def seen(monkeypatch):
    """The threads each computed cell saw; the process itself has two."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield []
    torch.set_num_threads(before)


def counting(seen, cells=1) -> study.Study:
    def run(work):
        seen.append(torch.get_num_threads())
        x = (("family",), [1.0], {"long_name": "x", "units": "1"})
        return {"g": xr.Dataset({"x": x}, {"family": [f"f{len(seen)}"]})}

    return study.Study("s", "?", None, lambda _: [study.Cell(f"c{i}", run) for i in range(cells)])


def test_the_number_is_recorded_kept_and_given_back(seen, tmp_path):
    study.run(counting(seen), None, tmp_path, threads=1)
    assert torch.get_num_threads() == 2
    assert json.loads((tmp_path / "run.json").read_text())["threads"] == 1
    (tmp_path / "cells/c0.nc").unlink()
    study.run(counting(seen), None, tmp_path)  # a resumed run keeps it
    assert seen == [1, 1]
    with pytest.raises(InputError, match="compute with 1 threads, got 2"):
        study.run(counting(seen), None, tmp_path, threads=2)


def test_the_usual_number_is_that_of_the_process(seen, tmp_path):
    study.run(counting(seen), None, tmp_path)
    assert seen == [2]
    cell = xr.open_datatree(tmp_path / "cells/c0.nc", engine="h5netcdf")
    assert cell.attrs["threads"] == 2
    cell.close()


def test_the_number_comes_back_with_a_lost_record(seen, tmp_path):
    study.run(counting(seen), None, tmp_path, threads=1)
    (tmp_path / "run.json").unlink()
    study.run(counting(seen), None, tmp_path)
    assert json.loads((tmp_path / "run.json").read_text())["threads"] == 1


def test_a_cell_that_raises_gives_the_threads_back(seen, tmp_path):
    def fail(work):
        raise ValueError("on purpose")

    s = study.Study("s", "?", None, lambda _: [study.Cell("c", fail)])
    assert study.run(s, None, tmp_path, threads=1).failed
    assert torch.get_num_threads() == 2


def test_no_threads_are_refused(tmp_path, capsys):
    assert cli.main(["run", "families", "--threads", "0", "--out", str(tmp_path / "r")]) == 2
    assert "at least one thread" in capsys.readouterr().err
    assert not (tmp_path / "r").exists()
