"""Damage on the disk is a sentence with the file and the remedy, never a number."""

import json

import numpy as np
import pytest
import safetensors
import safetensors.torch
import torch
import xarray as xr

from archbias import FAMILIES, ImageSet, cli, families, store
from archbias.errors import InputError
from archbias.store import checksums


def flip(path, where: float = 0.5) -> None:
    """Change one bit."""
    data = bytearray(path.read_bytes())
    data[int(where * (len(data) - 1))] ^= 1
    path.write_bytes(data)


def made(folder, value: float = 1.0, seeds: int = 4):
    """A run of one cell with numbers, joined."""
    folder.mkdir(exist_ok=True)
    values = value + np.arange(seeds, dtype=float)
    ds = xr.Dataset(
        {"distance": (("family", "seed"), values[None])},
        {"family": ["linear"], "seed": np.arange(seeds)},
    )
    store.write_cell(folder / "a.nc", {"novelty": ds}, {})
    store.collect([folder / "a.nc"], folder / "store.zarr", {"study": "t"})
    return folder


FILES = ["novelty/distance/c/0/0", "novelty/family/c/0", "zarr.json", "checksums/zarr.json"]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["gone", "cut", "flipped"])
def test_a_store_with_a_lost_or_damaged_file_is_never_read_as_numbers(tmp_path, name, damage):
    file = made(tmp_path / "run") / "store.zarr" / name
    if damage == "gone":
        file.unlink()
    elif damage == "cut":
        file.write_bytes(file.read_bytes()[:-3])
    else:
        flip(file)
    with pytest.raises(InputError, match="archbias run"):
        store.open_study(tmp_path / "run")["novelty/distance"].load()
    made(tmp_path / "run")
    assert store.open_study(tmp_path / "run")["novelty/distance"].values[0, 0] == 1


def test_tables_of_a_damaged_store_end_with_a_sentence(tmp_path, capsys):
    file = made(tmp_path / "run") / "store.zarr" / "novelty/distance/c/0/0"
    flip(file)
    assert cli.main(["tables", str(tmp_path / "run")]) == 2
    said = capsys.readouterr().err
    assert str(file) in said.replace("\n", "")
    assert "Traceback" not in said


def test_a_stranger_who_damages_a_chunk_and_its_checksum_gets_a_sentence(tmp_path, capsys):
    place = made(tmp_path / "run") / "store.zarr"
    tree = store.open_study(tmp_path / "run")
    (place / "novelty/distance/c/0/0").write_bytes(b"no codec reads this")
    (place / checksums.LIST).unlink()
    (place / checksums.LIST).parent.rmdir()
    checksums.write(place)
    with pytest.raises(InputError, match="cannot be read"):
        store.loaded(store.open_study(tmp_path / "run"), place)
    assert cli.main(["tables", str(tmp_path / "run")]) == 2
    assert cli.main(["export", str(tmp_path / "run"), str(tmp_path / "n.nc")]) == 2
    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert not (tmp_path / "n.nc").exists()
    # what was opened before is a store that was written again
    with pytest.raises(InputError, match="written again"):
        tree["novelty/distance"].load()


def test_every_bit_of_a_cell_and_an_export_counts(tmp_path):
    made(tmp_path / "run")
    store.publish(store.open_study(tmp_path / "run"), tmp_path / "n.nc")
    rng = np.random.default_rng(0)
    for path, reader, error in (
        (tmp_path / "run" / "a.nc", store.read_cell, store.CorruptCell),
        (tmp_path / "n.nc", store.open_study, InputError),
    ):
        whole = path.read_bytes()
        # a flip within the seal's own mark leaves a file without a seal: its values are whole
        for at in [0, *rng.integers(0, len(whole) - 90, 40).tolist(), len(whole) - 1]:
            data = bytearray(whole)
            data[at] ^= 1 << int(rng.integers(8))
            path.write_bytes(data)
            with pytest.raises(error):
                reader(path)
        path.write_bytes(whole)
        reader(path)


def test_a_damaged_cell_does_not_keep_the_others_from_the_store(tmp_path):
    ds = xr.Dataset({"distance": ("seed", np.arange(3.0))}, {"seed": [0, 1, 2]})
    cells = [tmp_path / f"{i}.nc" for i in range(4)]
    for i, path in enumerate(cells):
        store.write_cell(path, {"novelty": ds.assign_coords(seed=ds.seed + 3 * i)}, {})
    flip(cells[1])
    store.write_cell(cells[2], {"novelty": ds.astype(str)}, {})
    left = store.collect(cells, tmp_path / "store.zarr", {})
    assert list(left) == [cells[1], cells[2]]
    assert "checksum" in left[cells[1]]
    assert "'distance': wanted numbers as in the cells before, got text" in left[cells[2]]
    found = store.open_study(tmp_path)["novelty/distance"]
    assert found["seed"].values.tolist() == [0, 1, 2, 9, 10, 11]
    assert found.values.tolist() == [0, 1, 2, 0, 1, 2]
    with pytest.raises(InputError, match=r"none of 1 cells can be joined: 1\.nc"):
        store.collect(cells[1:2], tmp_path / "other.zarr", {})


def test_a_store_replaced_while_it_is_read_gives_old_numbers_or_a_sentence(tmp_path):
    tree = store.open_study(made(tmp_path / "run"))
    held = store.open_study(tmp_path / "run")["novelty/distance"].load()
    made(tmp_path / "run", value=5.0, seeds=6)
    assert held.values.tolist() == [[1, 2, 3, 4]]
    with pytest.raises(InputError, match="written again since it was opened; open it again"):
        tree["novelty/distance"].load()
    assert store.open_study(tmp_path / "run")["novelty/distance"].values[0, 0] == 5


def test_readers_of_zarr_see_an_ordinary_store(tmp_path):
    """Warnings are errors here."""
    path = made(tmp_path / "run") / "store.zarr"
    with xr.open_datatree(path, engine="zarr") as tree:
        assert list(tree.children) == ["novelty"]
    for how in (None, False):
        with xr.open_zarr(path, group="novelty", consolidated=how) as ds:
            assert ds["distance"].values.tolist() == [[1, 2, 3, 4]]
    with xr.open_datatree(path, engine="zarr", consolidated=False) as tree:
        assert tree["novelty/distance"].values.tolist() == [[1, 2, 3, 4]]


def test_the_list_of_checksums_is_that_of_the_files(tmp_path):
    path = made(tmp_path / "run") / "store.zarr"
    files = {p.relative_to(path).as_posix() for p in path.rglob("*") if p.is_file()}
    assert set(checksums.read(path)) == files - {checksums.LIST}
    assert checksums.missing(path, checksums.read(path)) == []


def test_integers_with_holes_behind_overlapping_cells_show_them(tmp_path):
    """Blocks that overlap cover less than the sum of their sizes."""
    about = store.about("n")
    blocks = [("a", [0, 1, 2, 3]), ("a", [0, 1]), ("b", [0, 1])]
    cells = [tmp_path / f"{i}.nc" for i in range(3)]
    for path, (family, seeds) in zip(cells, blocks, strict=True):
        n = (("family", "seed"), np.ones((1, len(seeds)), int), about)
        store.write_cell(path, {"g": xr.Dataset({"n": n}, {"family": [family], "seed": seeds})}, {})
    store.collect(cells, tmp_path / "store.zarr", {})
    found = store.open_study(tmp_path)["g/n"].values
    np.testing.assert_array_equal(found, [[1, 1, 1, 1], [1, 1, np.nan, np.nan]])


def test_problems_are_listed_with_file_and_remedy(tmp_path):
    run = made(tmp_path / "run")
    (run / "cells").mkdir()
    (run / "a.nc").rename(run / "cells" / "a.nc")
    chunks = run / "store.zarr" / "novelty"
    store.publish(store.open_study(run), run / "n.nc")
    assert store.cell_problems(run) == []
    assert store.store_problems(run / "store.zarr") == []
    assert store.export_problems(run / "n.nc") == []
    flip(run / "cells" / "a.nc")
    flip(run / "n.nc", 0.3)
    flip(chunks / "distance/c/0/0")
    (chunks / "seed/c/0").unlink()
    (chunks / "more").write_text("x", encoding="utf-8")
    assert [p.path.name for p in store.cell_problems(run)] == ["a.nc"]
    assert [p.path.name for p in store.export_problems(run / "n.nc")] == ["n.nc"]
    found = {
        p.path.relative_to(chunks).as_posix(): p for p in store.store_problems(run / "store.zarr")
    }
    assert set(found) == {"distance/c/0/0", "seed/c/0", "more"}
    assert found["seed/c/0"].what == "it is missing"
    assert all("archbias run" in p.remedy for p in found.values())


@pytest.fixture
def model(tmp_path):
    images = ImageSet.from_array(torch.linspace(-1, 1, 20).reshape(5, 1, 2, 2))
    families.save(FAMILIES["linear"]().fit(images), tmp_path / "m.safetensors")
    return tmp_path / "m.safetensors"


def test_every_bit_of_a_denoiser_counts(model):
    whole = model.read_bytes()
    rng = np.random.default_rng(0)
    for at in [*rng.integers(0, len(whole), 40).tolist(), len(whole) - 1]:
        data = bytearray(whole)
        data[at] ^= 1 << int(rng.integers(8))
        model.write_bytes(data)
        for reader in (families.load, families.check):
            with pytest.raises(InputError, match=r"fit it again|install the newer|save it with"):
                reader(model)


def rewritten(path, change, header=None) -> None:
    """The file with other tensors and header, and no checksum, as an older version wrote it."""
    with safetensors.safe_open(path, framework="pt") as file:
        old = {k: v for k, v in file.metadata().items() if k in ("family", "spec")}
        state = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118 (not a dict)
    change(state)
    safetensors.torch.save_file(state, path, old if header is None else header(old))


@pytest.mark.parametrize(
    "change",
    [
        lambda state: state.pop(next(iter(state))),
        lambda state: state.clear(),
        lambda state: state.update({k: v[..., :1].clone() for k, v in state.items() if v.ndim > 1}),
        lambda state: state.update({k: v[None].clone() for k, v in state.items()}),
    ],
    ids=["missing", "none", "cut", "more dimensions"],
)
def test_wrong_tensors_are_one_sentence(model, change):
    rewritten(model, change)
    for reader in (families.load, families.check):
        with pytest.raises(InputError, match="wanted the tensors of Linear"):
            reader(model)


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (lambda h: {}, "no family"),
        (lambda h: {"family": "linear"}, "no spec"),
        (lambda h: h | {"spec": "{"}, "wanted settings of 'linear'"),
        (lambda h: h | {"spec": "[1]"}, "wanted settings of 'linear'"),
        (lambda h: h | {"spec": json.dumps({"no_such": 1})}, "no_such"),
        (lambda h: h | {"family": "liner"}, "did you mean 'linear'"),
    ],
)
def test_a_bad_header_is_one_sentence(model, header, said):
    rewritten(model, lambda state: None, header)
    for reader in (families.load, families.check):
        with pytest.raises(InputError, match=said):
            reader(model)


def test_a_denoiser_has_the_same_bytes_whenever_it_is_saved(tmp_path):
    """The entries of a header come in one order: their checksum in a cell is that of every run."""
    fitted = FAMILIES["ideal"]().fit(ImageSet.from_array(torch.rand(3, 1, 4, 4) * 2 - 1))
    found = set()
    for _ in range(20):
        families.save(fitted, tmp_path / "m.safetensors")
        found.add((tmp_path / "m.safetensors").read_bytes())
    assert len(found) == 1
