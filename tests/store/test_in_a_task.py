"""Cells are written inside a task of a scheduler as anywhere else."""

import pytest
import xarray as xr

from archbias import store


def test_a_cell_is_written_in_a_task_of_a_scheduler(tmp_path, monkeypatch):
    """Without its locks, which know files by name: a file in memory has none."""
    distributed = pytest.importorskip("distributed")

    def locked(name):
        raise AssertionError(f"asked the scheduler for the lock {name}")

    monkeypatch.setattr("dask.distributed.Lock", locked)

    def write(name):
        x = (("family",), [1.0], {"long_name": "x", "units": "1"})
        groups = {"g": xr.Dataset({"x": x}, {"family": [name]})}
        store.write_cell(tmp_path / f"{name}.nc", groups, {"cell": name})
        return name

    options = {"processes": False, "n_workers": 1, "threads_per_worker": 2}
    with distributed.Client(**options, dashboard_address=None, silence_logs=50) as client:
        assert client.gather(client.map(write, ["a", "b", "c"])) == ["a", "b", "c"]
    found = [store.read_cell(tmp_path / f"{n}.nc")["g/x"].values.tolist() for n in "abc"]
    assert found == [[1.0]] * 3
