"""What an earlier version wrote opens; what a later one wrote is refused in words.

`old/` was written by version 0.1.0 before files carried a format: two cells, the store they join
to, its exported numbers, and a linear denoiser of five made-up images.
"""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

from archbias import FAMILIES, ImageSet, families, store
from archbias.errors import InputError
from archbias.store import versions

OLD = Path(__file__).parent / "old"


def expected() -> np.ndarray:
    """Distances of two families over seeds 0 to 3, as the cells were made."""
    return np.array([[0.0, 1.0, 2.0, np.nan], [np.nan, 10.0, 11.0, 12.0]])


@pytest.mark.parametrize("name", ["run", "run/store.zarr", "results.nc"])
def test_an_old_store_opens(name):
    ds = store.open_study(OLD / name)["novelty"].to_dataset()
    np.testing.assert_array_equal(ds["distance"], expected())
    assert ds["family"].values.tolist() == ["els", "é"]
    assert ds["nearest_id"].values.tolist()[1] == ["", "é-1", "é-2", "é-3"]
    assert ds["distance"].attrs["units"] == "pixel value"


def test_old_cells_are_read_and_joined_with_new_ones(tmp_path):
    cells = []
    for i in range(2):
        cells.append(tmp_path / f"{i}.nc")
        shutil.copy(OLD / "run" / "cells" / f"{i}.nc", cells[-1])
    tree = store.read_cell(cells[0])
    assert tree.attrs["seconds"] == 1.5
    assert tree["novelty"]["copy"].values.tolist() == [[True, False, True]]
    again = tmp_path / "2.nc"
    late = tree["novelty"].to_dataset().assign_coords(family=["late"])
    store.write_cell(again, {"novelty": late}, {})
    assert store.collect([*cells, again], tmp_path / "store.zarr", {}) == {}
    found = store.open_study(tmp_path)["novelty/distance"]
    np.testing.assert_array_equal(found[:2], expected())
    np.testing.assert_array_equal(found[2], expected()[0])


def test_an_old_denoiser_gives_the_same_images():
    denoiser = families.load(OLD / "linear.safetensors")
    families.check(OLD / "linear.safetensors")
    y = torch.linspace(-1, 1, 4).reshape(1, 1, 2, 2).double()
    # five images along one line, x = m + t u: the closed form by hand
    images = torch.linspace(-1, 1, 20).reshape(5, 4).double()
    mean, spread = images.mean(0), images - images.mean(0)
    cov = spread.T @ spread / 5
    wanted = mean + cov @ torch.linalg.solve(cov + 0.25 * torch.eye(4), y.reshape(4) - mean)
    torch.testing.assert_close(denoiser(y, 0.5).reshape(4), wanted, rtol=1e-5, atol=1e-6)


def test_what_a_later_version_wrote_is_refused(tmp_path, monkeypatch):
    ds = xr.Dataset({"v": ("seed", [1.0], store.about("v"))}, {"seed": [0]})
    denoiser = FAMILIES["linear"]().fit(
        ImageSet.from_array(torch.linspace(-1, 1, 16).reshape(4, 1, 2, 2))
    )
    with monkeypatch.context() as later:
        later.setattr(versions, "FORMAT", 3)
        store.write_cell(tmp_path / "a.nc", {"g": ds}, {})
        store.collect([tmp_path / "a.nc"], tmp_path / "store.zarr", {})
        store.publish(store.open_study(tmp_path), tmp_path / "numbers.nc")
        families.save(denoiser, tmp_path / "m.safetensors")
    for reader, name in (
        (store.read_cell, "a.nc"),
        (store.open_study, "store.zarr"),
        (store.open_study, "numbers.nc"),
        (families.load, "m.safetensors"),
        (families.check, "m.safetensors"),
    ):
        with pytest.raises(InputError) as refused:
            reader(tmp_path / name)
        said = str(refused.value)
        assert re.fullmatch(r".*has format 3.*; .*pip install --upgrade archbias", said)
        assert name in said
        assert ". " not in said, "wanted one sentence"
