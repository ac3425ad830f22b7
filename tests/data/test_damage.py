"""Files that are damaged, encrypted, oversized or hostile: one sentence each, and nothing run,
unfolded or written.
"""

import gzip
import io
import json
import pickle
import struct
import tarfile
import zipfile
import zlib

import damaged_files
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from archbias import data
from archbias.data import ImageSet, Manifest, limits, pictures
from archbias.errors import InputError

ABOUT = json.loads(data.load("digits", n=2).manifest().to_json())


def refused(match, **arguments):
    """load(...) fails with one sentence that matches and names a remedy."""
    with pytest.raises(InputError, match=match) as caught:
        data.load(**arguments)
    assert "; " in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    return file.getvalue()


def zipped(path, files, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as z:
        for name, body in files.items():
            z.writestr(name, body)
    return path


# ---- damage of every kind to files of every kind
# ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("damaged")
    yield folder
    damaged_files.forget(folder)


def test_hundreds_of_damaged_files_are_loaded_or_refused_in_one_sentence(place):
    faults = [damaged_files.attempt(case, place) for case in damaged_files.cases(0, 216)]
    assert [fault for fault in faults if fault] == []


def test_whole_files_load(place):
    """What the damage is done to: without it, every kind loads."""
    for name, kind in damaged_files.KINDS.items():
        folder = place / f"whole-{name.replace(' ', '-')}"
        folder.mkdir()
        kind.make(folder)
        assert len(kind.load(folder)) in (4, damaged_files.COUNT)


def test_a_reader_that_raises_anything_else_would_be_seen(place, monkeypatch):
    """The harness itself: a bare error and a changed file are faults."""
    broken = damaged_files.Kind(damaged_files.KINDS["npy"].make, lambda folder: 1 / 0)
    monkeypatch.setitem(damaged_files.KINDS, "bare", broken)
    case = damaged_files.Case("bare", "flip", 0)
    assert "ZeroDivisionError" in damaged_files.attempt(case, place)

    def writes(folder):
        (folder / "stray").write_bytes(b"x")

    monkeypatch.setitem(
        damaged_files.KINDS, "writes", damaged_files.Kind(damaged_files.KINDS["npy"].make, writes)
    )
    assert "stray" in damaged_files.attempt(damaged_files.Case("writes", "flip", 0), place)


@settings(deadline=None, max_examples=60)
@given(
    st.dictionaries(
        st.text(max_size=8),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.text(max_size=4), inner, max_size=3)
            ),
            max_leaves=6,
        ),
        max_size=4,
    ),
    st.sampled_from(["set", "shape", "transform", "sha256", "images", "labels", None]),
)
def test_any_json_is_a_manifest_or_one_sentence(changes, key):
    about = dict(ABOUT)
    if key is not None:
        about[key] = next(iter(changes.values()), None)
    text = json.dumps(about | changes)
    try:
        manifest = Manifest.from_json(text)
    except InputError as error:
        message = str(error)
    else:
        message = "one line" if Manifest.from_json(manifest.to_json()) == manifest else "\n"
    assert "\n" not in message


def test_an_encrypted_zip_says_so(tmp_path):
    path = zipped(tmp_path / "e.zip", {"0.png": png(np.eye(8, dtype="u1"))})
    body = bytearray(path.read_bytes())
    for sign, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        body[body.find(sign) + at] |= 1
    path.write_bytes(body)
    assert "password" in refused("encrypted", name="folder", root=path)


def test_a_compression_that_python_does_not_read_is_named(tmp_path):
    """Windows Explorer writes deflate64 above 2 GB."""
    path = zipped(tmp_path / "d.zip", {"0.png": png(np.eye(8, dtype="u1"))})
    body = bytearray(path.read_bytes())
    for sign, at in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        body[body.find(sign) + at] = 9
    path.write_bytes(body)
    assert "unpack the archive" in refused("deflate64", name="folder", root=path)


def test_a_tar_of_pictures_says_what_to_do(tmp_path):
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as tar:
        tar.addfile(tarfile.TarInfo("a.png"))
    assert "unpack it" in refused("got the file", name="folder", root=tmp_path / "a.tar.gz")


# ---- more than a file should unfold to
# ------------------------------------------------------------------------------


def test_members_of_zeros_are_refused_before_they_are_unpacked(tmp_path, monkeypatch):
    """An archive of 40 kB whose member unpacks to 40 MB; and one that declares more than a picture
    may have.
    """
    monkeypatch.setattr(
        zipfile.ZipExtFile, "read", lambda *_: pytest.fail("read although its size was known")
    )
    path = zipped(tmp_path / "z.zip", {"0.png": bytes(40 << 20)})
    refused("times its size", name="folder", root=path)
    monkeypatch.setattr(limits, "ENCODED", 1 << 20)
    path = zipped(tmp_path / "big.zip", {"0.png": bytes(2 << 20)}, zipfile.ZIP_STORED)
    with pytest.raises(InputError, match=r"declares 2\.1 MB, more than the 1\.05 MB"):
        limits.check_member("0.png", 2 << 20, 2 << 20, limits.ENCODED)


def test_gzipped_zeros_are_refused(tmp_path):
    path = tmp_path / "train-images-idx3-ubyte.gz"
    head = struct.pack(">4i", 2051, 40, 1 << 10, 1 << 10)
    path.write_bytes(gzip.compress(head + bytes(40 << 20)))
    refused("unpacks to more than", name="mnist", root=tmp_path)
    tar = tmp_path / "cifar-10-binary.tar.gz"
    with tarfile.open(tar, "w:gz") as out:
        info = tarfile.TarInfo("cifar-10-batches-bin/data_batch_1.bin")
        info.size = 40 << 20
        out.addfile(info, io.BytesIO(bytes(40 << 20)))
    refused("unpacks to more than", name="cifar10", root=tmp_path)


def npy_header(shape, kind="<f4"):
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        file, {"descr": kind, "fortran_order": False, "shape": shape}
    )
    return file.getvalue()


def test_headers_that_claim_more_than_the_file_holds(tmp_path):
    huge = npy_header((10**6, 3, 10**4, 10**4)) + bytes(100)
    (tmp_path / "x.npy").write_bytes(huge)
    refused("100 bytes where its header claims 12000", name="array", root=tmp_path / "x.npy")
    zipped(tmp_path / "x.npz", {"images.npy": huge})
    refused("100 bytes where its header claims 12000", name="array", root=tmp_path / "x.npz")
    (tmp_path / "train-images-idx3-ubyte").write_bytes(
        struct.pack(">4I", 2051, 2**32 - 1, 2**32 - 1, 2**32 - 1) + bytes(100)
    )
    refused("100 bytes where its header says 79228", name="mnist", root=tmp_path)


def test_a_zarr_array_that_claims_more_than_the_memory_is_not_asked_for(tmp_path):
    zarr.open_group(str(tmp_path / "a.zarr"), mode="w").create_array(
        "images", shape=(10**6, 10**4, 10**4, 3), chunks=(1, 100, 100, 3), dtype="u1"
    )
    refused(r"would take 300\.0 TB of memory", name="array", root=tmp_path / "a.zarr")
    about = json.loads((tmp_path / "a.zarr/images/zarr.json").read_text(encoding="utf-8"))
    about["shape"] = [2, 8, 8, 3]
    about["chunk_grid"]["configuration"]["chunk_shape"] = [10**6, 10**5, 100, 3]
    (tmp_path / "a.zarr/images/zarr.json").write_text(json.dumps(about), encoding="utf-8")
    refused("would take .* of memory", name="array", root=tmp_path / "a.zarr")


def test_a_zarr_array_that_claims_far_more_than_is_stored_is_refused(tmp_path):
    path = tmp_path / "a.zarr"
    zarr.save_array(str(path), np.arange(192, dtype="u1").reshape(1, 8, 8, 3))
    about = json.loads((path / "zarr.json").read_text(encoding="utf-8"))
    for n, match in ((2000, "1 chunks where its metadata says 2000"), (10**6, "times its size")):
        about["shape"] = [n, 8, 8, 3]
        (path / "zarr.json").write_text(json.dumps(about), encoding="utf-8")
        refused(match, name="array", root=path)


def test_rows_of_a_table_beyond_every_set_are_refused(tmp_path, monkeypatch):
    rows = [{"bytes": png(np.eye(8, dtype="u1") * 9), "path": None}] * 12
    pq.write_table(pa.table({"image": rows}), tmp_path / "t.parquet")
    monkeypatch.setattr(limits, "COUNT", 10)
    refused("declares 12 images", name="folder", root=tmp_path / "t.parquet")


def test_chunks_that_are_missing_are_said(tmp_path):
    """zarr reads a lost chunk as its fill value; whether it was written so is not known."""
    x = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), dtype=np.uint8)
    array = zarr.create_array(
        str(tmp_path / "a.zarr"), shape=x.shape, chunks=(4, 8, 4, 3), dtype="u1"
    )
    array[:] = x
    next(f for f in (tmp_path / "a.zarr" / "c").rglob("*") if f.is_file()).unlink()
    with pytest.warns(UserWarning, match="1 of 2 chunks .* are not stored and read as 0"):
        data.load("array", root=tmp_path / "a.zarr")


def test_a_picture_of_a_billion_pixels_is_named_and_not_decoded(tmp_path, monkeypatch):
    file = bytearray(png(np.eye(8, dtype="u1") * 9))
    for width in (30_000, 10_000):  # beyond what Pillow opens, and where it only warns
        file[16:24] = struct.pack(">2I", width, 9999)
        file[29:33] = struct.pack(">I", zlib.crc32(file[12:29]))
        (tmp_path / "a.png").write_bytes(file)
        refused("must have at most 89478485 pixels", name="folder", root=tmp_path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)  # as people do to silence Pillow
    refused("got 10000x9999 pixels", name="folder", root=tmp_path)


def test_a_size_names_its_memory_before_it_is_asked_for():
    text = refused("would take", name="digits", n=10, size=10**6)
    assert "10x1x1000000x1000000 would take 40.0 TB of memory" in text
    assert f"more than half of the {limits.memory() / 1e9:.1f} GB of this machine" in text
    with pytest.raises(InputError, match=r"would take 40\.0 TB"):
        data.load("digits", n=10).resize(10**6)
    with pytest.raises(InputError, match=r"would take 8\.0 PB"):
        ImageSet.from_array(np.broadcast_to(np.float32(0), (2, 1, 10**9 // 2, 2 * 10**6)))


# ---- nothing is run
# ------------------------------------------------------------------------------


class Evil:
    """Unpickled, it raises in a way that no reader would."""

    def __reduce__(self):
        return (exec, ("raise SystemExit('unpickled')",))


def test_a_codec_that_unpickles_is_refused(tmp_path):
    array = zarr.create_array(
        str(tmp_path / "a.zarr"), shape=(2, 8, 8), chunks=(2, 8, 8), dtype="u1", zarr_format=2
    )
    array[:] = np.arange(128, dtype="u1").reshape(2, 8, 8)
    (tmp_path / "a.zarr/0.0.0").write_bytes(pickle.dumps(Evil()))
    about = json.loads((tmp_path / "a.zarr/.zarray").read_text(encoding="utf-8"))
    codec = {"id": "pickle", "protocol": 2}
    for change, match in (
        ({"compressor": codec}, "pickle"),
        ({"filters": [codec], "dtype": "|O", "fill_value": None}, "pickle"),
    ):
        (tmp_path / "a.zarr/.zarray").write_text(json.dumps(about | change), encoding="utf-8")
        refused(match, name="array", root=tmp_path / "a.zarr")


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_a_pickle_where_an_array_belongs_is_refused(tmp_path, suffix):
    body = npy_header((1,), "|O") + pickle.dumps([Evil()])
    (tmp_path / "a.npy").write_bytes(body)
    zipped(tmp_path / "a.npz", {"images.npy": body})
    refused("which is pickled", name="array", root=tmp_path / f"a{suffix}")


def test_a_picture_that_would_start_another_program_is_refused(tmp_path, monkeypatch):
    """Pillow hands EPS to Ghostscript; under a picture's name it is no picture."""
    import subprocess

    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("a program was started"))
    eps = io.BytesIO()
    Image.fromarray(np.eye(9, dtype="u1") * 99).save(eps, "eps")
    (tmp_path / "a.png").write_bytes(eps.getvalue())
    refused("no kind of image", name="folder", root=tmp_path)


def test_suffixes_are_those_of_the_kinds_that_are_decoded():
    Image.init()
    known = {k: v for k, v in Image.registered_extensions().items() if v in pictures.FORMATS}
    ours = {suffix: kind for kind, some in pictures.FORMATS.items() for suffix in some}
    ours = {k: v for k, v in ours.items() if v in Image.OPEN}
    # .avifs holds a sequence, whose first frame alone would be read
    assert {k: v for k, v in known.items() if k != ".avifs"} == ours


def test_control_characters_of_a_name_do_not_reach_the_terminal(tmp_path):
    (tmp_path / "a\x1b[2Jb.png").write_bytes(b"no picture")
    text = refused("cannot be decoded", name="folder", root=tmp_path)
    assert "\x1b" not in text
    assert "a\\x1b[2Jb.png" in text


# ---- manifests
# ------------------------------------------------------------------------------


def test_the_hash_of_the_whole_is_compared(tmp_path):
    images = data.load("digits", n=4)
    about = json.loads(images.manifest().to_json())
    about["sha256"] = "0" * 64
    path = tmp_path / "m.json"
    path.write_text(json.dumps(about), encoding="utf-8")
    refused("contradicts itself", name="digits", manifest=path)
    kept = data.prepare("digits", n=4, out=tmp_path / "p.npz")
    with np.load(kept) as z:
        arrays = dict(z)
    arrays["manifest"] = np.frombuffer(json.dumps(about).encode(), np.uint8)
    np.savez(kept, **arrays)
    refused("differ as a whole", name="array", root=kept)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"shape": [3, 1, 8, 8]}, "4 images for the shape"),
        ({"sha256": "abc"}, "no sha256 for the whole"),
        ({"sha256": 7}, "numbers where text belongs"),
        ({"labels": [1, 2]}, "2 labels for 4 images"),
        ({"labels": [0, 1, 2.5, 3]}, "2.5 is no integer"),
        ({"images": []}, "0 images"),
        ({"images": None}, "TypeError"),
    ],
)
def test_a_manifest_whose_parts_do_not_fit_is_refused(tmp_path, change, match):
    about = json.loads(data.load("digits", n=4).manifest().to_json()) | change
    (tmp_path / "m.json").write_text(json.dumps(about), encoding="utf-8")
    refused(match, name="digits", manifest=tmp_path / "m.json")


def test_deeply_nested_json_is_one_sentence(tmp_path):
    (tmp_path / "m.json").write_text("[" * 100_000, encoding="utf-8")
    refused("must be a manifest", name="digits", manifest=tmp_path / "m.json")
