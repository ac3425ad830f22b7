"""A file whose list of texts has no end is refused before HDF5 follows it for ever."""

import struct

import numpy as np
import pytest
import xarray as xr

from archbias import store
from archbias.errors import InputError
from archbias.store import heaps
from archbias.store.cell import CorruptCell, read_cell, write_cell
from archbias.store.files import SEALED


@pytest.fixture
def cell(tmp_path):
    """A cell with many texts; without its seal, so that what is damaged is not told by that."""
    names = [f"{'long ' * 9}{i}" for i in range(40)]
    of = store.about("of an item", "1")
    values = np.arange(40.0)
    ds = xr.Dataset({"name": (("item",), names, of), "value": (("item",), values, of)})
    write_cell(tmp_path / "a.nc", {"group": ds}, {"cell": "a", "text": "of any length " * 50})
    path = tmp_path / "a.nc"
    path.write_bytes(path.read_bytes()[:-SEALED])
    return path


def objects(data):
    """(place, index, size) of every object of every collection, by the format."""
    found, at = [], data.find(b"GCOL")
    while at >= 0:
        (size,) = struct.unpack_from("<Q", data, at + 8)
        place = at + 16
        while place + 16 <= at + size:
            index, _, _, length = struct.unpack_from("<HHIQ", data, place)
            found.append((place, index, length))
            place += length if index == 0 else 16 + -(-length // 8) * 8
        at = data.find(b"GCOL", at + 1)
    return found


def test_whole_files_end(cell):
    assert len(objects(cell.read_bytes())) > 3
    assert not heaps.endless(cell)
    assert read_cell(cell)["group/value"].shape == (40,)


@pytest.mark.parametrize(("index", "size"), [(0, 0), (1, 2**64 - 16), (0, 2**64 - 24), (3, 2**40)])
def test_an_object_without_a_next_one_is_refused(cell, tmp_path, index, size):
    data = bytearray(cell.read_bytes())
    place = objects(data)[2][0]
    struct.pack_into("<HHIQ", data, place, index, 1, 0, size)
    cell.write_bytes(data)
    assert heaps.endless(cell)
    with pytest.raises(CorruptCell, match="cannot be read"):
        read_cell(cell)
    with pytest.raises(InputError, match="no end"):
        store.collect([cell], tmp_path / "store.zarr", {})
    with pytest.raises(InputError, match=r"no end.*; export them again"):
        store.open_study(cell)


def test_what_only_looks_like_a_collection_is_let_be(tmp_path):
    for text in (
        b"",
        b"GCOL",
        b"GCOL" + bytes(12),
        b"GCOL\x01" + bytes(11),
        b"xGCOL\x01" + b"\xff" * 40,
    ):
        path = tmp_path / "x"
        path.write_bytes(text)
        assert not heaps.endless(path)
