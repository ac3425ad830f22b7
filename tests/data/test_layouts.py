"""Files as people have them: torchvision's, Kaggle's and the official layouts, class folders, and
everything that can be read two ways or is left out.
"""

import gzip
import io
import struct
import unicodedata
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zarr
from PIL import Image, features

from archbias import cli, data
from archbias.data import listing, source
from archbias.errors import InputError

RNG = np.random.default_rng(0)
FASHION = [9, 0, 0, 3, 0, 2, 7, 2, 5, 5]
DIGITS = [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]


def refused(match, **arguments):
    """load(...) fails with one sentence that matches and names a remedy."""
    with pytest.raises(InputError, match=match) as caught:
        data.load(**arguments)
    assert "; " in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def picture(path=None, kind="png", channels=3):
    """A small picture that varies, written to a path or as bytes."""
    pixels = RNG.integers(0, 256, (8, 8, channels), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.getvalue())
    return file.getvalue()


def idx(folder, labels, suffix=""):
    """The two training files of MNIST's format."""
    folder.mkdir(parents=True, exist_ok=True)
    pixels = RNG.integers(0, 256, (len(labels), 28, 28), dtype=np.uint8)
    pack = gzip.compress if suffix else bytes
    head = struct.pack(">4i", 2051, len(labels), 28, 28)
    (folder / f"train-images-idx3-ubyte{suffix}").write_bytes(pack(head + pixels.tobytes()))
    head = struct.pack(">2i", 2049, len(labels))
    (folder / f"train-labels-idx1-ubyte{suffix}").write_bytes(pack(head + bytes(labels)))


# ---- folders of pictures
# ------------------------------------------------------------------------------


def test_a_picture_beside_class_folders_is_refused(tmp_path):
    for name in ("a/0.png", "b/0.png", "preview.png"):
        picture(tmp_path / name)
    text = refused("read two ways", name="folder", root=tmp_path)
    assert "preview.png and a/0.png" in text
    assert f"root={tmp_path}/a" in text
    assert len(data.load("folder", root=tmp_path / "a")) == 1


def test_pictures_at_two_depths_are_refused_and_a_folder_too_deep_is_named(tmp_path):
    for name in ("train/cats/0.png", "train/dogs/0.png", "test/cats/0.png"):
        picture(tmp_path / name)
    assert f"root={tmp_path}/test" in refused("wanted pictures", name="folder", root=tmp_path)
    assert data.load("folder", root=tmp_path / "train").labels.tolist() == [0, 1]
    picture(tmp_path / "train" / "loose.png")
    refused("read two ways", name="folder", root=tmp_path)


def test_folders_around_everything_are_stepped_through(tmp_path):
    for name in ("archive/images/cats/0.png", "archive/images/dogs/0.png"):
        picture(tmp_path / name)
    (tmp_path / "archive" / "README.txt").write_text("about", encoding="utf-8")
    images = data.load("folder", root=tmp_path)
    assert images.ids == ("cats/0.png", "dogs/0.png")
    assert images.labels.tolist() == [0, 1]


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_class_folders_are_labels_on_disk_and_in_a_zip(tmp_path, kind):
    files = {f"set/{c}/{i}{c}.png": picture() for c in ("cats", "ants") for i in range(2)}
    files |= {"set/.DS_Store": b"", "__MACOSX/set/cats/._0cats.png": b"", "set/about.txt": b""}
    root = tmp_path / "root"
    if kind == "zip":
        root.mkdir()
        with zipfile.ZipFile(root / "a.zip", "w") as z:
            for name, body in files.items():
                # as Windows writes them
                z.writestr(name.replace("/", "\\") if "ants" in name else name, body)
        root = root / "a.zip"
    else:
        for name, body in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(body)
    images = data.load("folder", root=root)
    assert images.labels.tolist() == [0, 0, 1, 1]
    assert [i.split("/")[-1] for i in images.ids] == [
        "0ants.png",
        "1ants.png",
        "0cats.png",
        "1cats.png",
    ]
    about = data.describe("folder", root)
    assert "4 pictures in 2 folders, numbered as labels (ants, cats)" in about["found"]
    assert about["left_out"] == "1 .txt"


def test_every_suffix_of_a_kind_that_is_decoded_counts_in_any_case(tmp_path):
    kinds = {
        "JPG": "jpeg",
        "jfif": "jpeg",
        "jpe": "jpeg",
        "PNG": "png",
        "gif": "gif",
        "Tif": "tiff",
        "bmp": "bmp",
        "pgm": "ppm",
        "qoi": "qoi",
    }
    if features.check("webp"):
        kinds["webp"] = "webp"
    if features.check("avif"):
        kinds["avif"] = "avif"
    for i, (suffix, kind) in enumerate(kinds.items()):
        picture(tmp_path / f"{i}.{suffix}", kind)
    assert len(data.load("folder", root=tmp_path)) == len(kinds)


def test_pictures_that_are_not_read_are_said(tmp_path, capsys):
    for name in ("a.png", "b.png"):
        picture(tmp_path / name)
    for name in ("c.heic", "d.HEIC", "e.psd", "notes.txt"):
        (tmp_path / name).write_bytes(b"")
    with pytest.warns(UserWarning, match=r"are left out \(2 \.heic, 1 \.psd\); convert them"):
        assert len(data.load("folder", root=tmp_path)) == 2
    assert data.describe("folder", tmp_path)["left_out"] == "2 .heic, 1 .psd, 1 .txt"
    assert cli.main(["data", "show", "folder", "--root", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "2 pictures in " in shown
    assert "2 .heic, 1 .psd, 1 .txt" in shown
    for name in ("a.png", "b.png"):
        (tmp_path / name).unlink()
    assert "it holds 2 .heic" in refused("wanted image files", name="folder", root=tmp_path)


@pytest.mark.parametrize(
    ("name", "remedy"),
    [("a.png", "give its folder"), ("a.npz", 'load("array"'), ("a.7z", "unpack")],
)
def test_a_file_given_for_a_folder_says_what_to_give(tmp_path, name, remedy):
    (tmp_path / name).write_bytes(b"")
    assert remedy in refused("got the file", name="folder", root=tmp_path / name)


def test_a_folder_given_for_a_file_is_looked_into(tmp_path):
    x = RNG.integers(0, 256, (3, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "x.npz", images=x)
    (tmp_path / "x.npz").rename(tmp_path / "X.NPZ")
    assert len(data.load("array", root=tmp_path)) == 3
    np.savez(tmp_path / "y.npz", images=x)
    assert "X.NPZ, y.npz" in refused("wanted one file", name="array", root=tmp_path)
    assert len(data.load("array", root=tmp_path / "X.NPZ")) == 3


# ---- the sets by name
# ------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_torchvisions_folders(tmp_path, suffix):
    idx(tmp_path / "MNIST" / "raw", DIGITS, suffix)
    idx(tmp_path / "FashionMNIST" / "raw", FASHION, suffix)
    for name, labels, own in (
        ("mnist", DIGITS, "MNIST"),
        ("fashion_mnist", FASHION, "FashionMNIST"),
    ):
        for root in (tmp_path, tmp_path / own, tmp_path / own / "raw"):
            assert data.load(name, root=root).labels.tolist() == labels
    (tmp_path / "cifar-10-batches-py").mkdir()
    (tmp_path / "cifar-10-batches-py" / "data_batch_1").write_bytes(b"never opened")
    assert "archbias data fetch cifar10" in refused("pickled", name="cifar10", root=tmp_path)


def test_the_other_set_under_the_same_file_names_is_refused(tmp_path):
    idx(tmp_path / "a", FASHION)
    idx(tmp_path / "b", DIGITS)
    assert "'fashion_mnist'" in refused("wanted mnist", name="mnist", root=tmp_path / "a")
    assert "'mnist'" in refused("wanted fashion_mnist", name="fashion_mnist", root=tmp_path / "b")


@pytest.mark.parametrize(
    "folder",
    [
        "",
        "img_align_celeba",
        "img_align_celeba/img_align_celeba",
        "celeba/img_align_celeba",
        "Img/img_align_celeba",
    ],
)
def test_faces_where_people_keep_them(tmp_path, folder):
    for i in range(2):
        picture(tmp_path / folder / f"{i + 1:06d}.JPG", "jpeg")
    (tmp_path / folder / "list_attr_celeba.csv").write_text("a", encoding="utf-8")
    assert data.load("celeba", root=tmp_path).ids == ("000001.JPG", "000002.JPG")


def test_a_stray_picture_beside_the_faces_is_not_the_set(tmp_path):
    with zipfile.ZipFile(tmp_path / "img_align_celeba.zip", "w") as z:
        z.writestr("img_align_celeba/000001.jpg", picture(kind="jpeg"))
        z.writestr("img_align_celeba/000002.jpg", picture(kind="jpeg"))
    picture(tmp_path / "preview.png")
    assert len(data.load("celeba", root=tmp_path)) == 2
    (tmp_path / "z").mkdir()
    for name in ("a.zip", "b.zip"):
        zipfile.ZipFile(tmp_path / "z" / name, "w").close()
    refused("wanted one file", name="celeba", root=tmp_path / "z")


def test_tables_with_two_columns_of_images(tmp_path):
    rows = [{"bytes": picture(), "path": None} for _ in range(3)]
    pq.write_table(
        pa.table({"mask": rows, "image": rows, "text": list("abc")}), tmp_path / "t.parquet"
    )
    about = data.describe("folder", tmp_path / "t.parquet")
    assert about["left_out"] == "columns mask, text"
    assert len(data.load("folder", root=tmp_path / "t.parquet")) == 3
    pq.write_table(pa.table({"a": rows, "b": rows}), tmp_path / "t.parquet")
    assert "name the wanted one image" in refused(
        "got a, b", name="folder", root=tmp_path / "t.parquet"
    )


def test_labels_in_some_files_of_a_table_only(tmp_path):
    rows = [{"bytes": picture(), "path": None} for _ in range(2)]
    pq.write_table(pa.table({"image": rows, "label": [0, 1]}), tmp_path / "train-0.parquet")
    pq.write_table(pa.table({"image": rows}), tmp_path / "train-1.parquet")
    refused("in 1 of 2 files", name="mnist", root=tmp_path)


def test_arrays_beside_the_images_are_named(tmp_path):
    np.savez(tmp_path / "x.npz", images=RNG.random((3, 8, 8)), masks=np.zeros(3), labels=[1, 2, 3])
    about = data.describe("array", tmp_path / "x.npz")
    assert about["left_out"] == "arrays masks"
    assert about["found"] == "3 images of 1x8x8, float64, labels"
    group = zarr.open_group(str(tmp_path / "x.zarr"), mode="w")
    group["images"], group["masks"] = RNG.random((3, 8, 8)), np.zeros(3)
    assert data.describe("array", tmp_path / "x.zarr")["left_out"] == "arrays masks"


# ---- names and their order
# ------------------------------------------------------------------------------


def test_the_order_of_names_is_that_of_code_points_in_composed_form():
    """Neither the case rules of a system nor the form in which a disk keeps accents matter."""
    names = ["b", "B", "a", "\u00e9", "e", "f", "10", "2"]
    wanted = ["10", "2", "B", "a", "b", "e", "f", "\u00e9"]
    for form in ("NFC", "NFD"):
        given = [unicodedata.normalize(form, n) for n in names]
        found = sorted(given, key=lambda n: listing.key([n]))
        assert [unicodedata.normalize("NFC", n) for n in found] == wanted


def test_ids_are_composed_whatever_the_disk_keeps(tmp_path):
    nfd = unicodedata.normalize("NFD", "caf\u00e9.png")
    picture(tmp_path / nfd)
    picture(tmp_path / "b.png")
    assert data.load("folder", root=tmp_path).ids == ("b.png", "caf\u00e9.png")
    picture(tmp_path / "caf\u00e9.png")
    if len(list(tmp_path.iterdir())) == 3:  # a disk that keeps both
        refused("two Unicode forms", name="folder", root=tmp_path)


def test_a_name_that_is_no_text_is_refused(tmp_path):
    try:
        picture(tmp_path / "a\udcff.png")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    text = refused("must be UTF-8 text", name="folder", root=tmp_path)
    text.encode("utf-8")


def test_home_and_empty_paths_at_every_door(tmp_path, monkeypatch):
    home, here = tmp_path / "home", tmp_path / "here"
    home.mkdir()
    here.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    monkeypatch.chdir(here)
    images = data.load("digits", n=3)
    assert images.manifest().write("~/m.json") == home / "m.json"
    assert data.load("digits", manifest="~/m.json").hash == images.hash
    assert data.prepare("digits", n=3, out="~/p.npz") == home / "p.npz"
    assert data.load("array", root="~/p.npz").hash == images.hash
    assert cli.main(["data", "prepare", "digits", "--n", "3", "--out=~/q.npz"]) == 0
    assert (home / "q.npz").is_file()
    monkeypatch.setenv("ARCHBIAS_DATA", "~/sets")
    assert data.data_root() == home / "sets"
    assert list(here.iterdir()) == []
    refused("the root must be a path, got ''", name="folder", root="")
    refused("must be a path", name="folder", root="a\0b")
    with pytest.raises(InputError, match="out must be a path"):
        data.prepare("digits", n=3, out="")


def test_patterns_ignore_case_and_a_name_with_brackets_is_a_name(tmp_path):
    (tmp_path / "MNIST[1].NPZ").write_bytes(b"")
    assert source.pick(tmp_path, "mnist*.npz") == [tmp_path / "MNIST[1].NPZ"]
    (tmp_path / "[x]").mkdir()
    assert data.prepare("digits", n=2, out=tmp_path / "[x]" / "p[1].npz").is_file()
    assert [f.name for f in sorted((tmp_path / "[x]").iterdir())] == ["p[1].json", "p[1].npz"]
