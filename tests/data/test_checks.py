"""The same array, label or number is read, converted or refused alike at every door."""

import warnings

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import zarr
from PIL import Image

from archbias import data
from archbias.data import ImageSet, checks, pictures, plane
from archbias.errors import InputError

RNG = np.random.default_rng(0)
BYTES = RNG.integers(0, 256, (6, 8, 9, 3), dtype=np.uint8)
FLOATS = (BYTES.transpose(0, 3, 1, 2) / 127.5 - 1).astype(np.float32)


def by_array(folder, images, **more):
    return ImageSet.from_array(images, **more)


def by_npz(folder, images, **more):
    np.savez(folder / "x.npz", images=images, **more)
    return data.load("array", root=folder / "x.npz")


def by_npy(folder, images):
    np.save(folder / "x.npy", images)
    return data.load("array", root=folder / "x.npy")


def by_zarr(folder, images, **more):
    group = zarr.open_group(str(folder / "x.zarr"), mode="w", zarr_format=2)
    for name, values in {"images": images, **more}.items():
        group[name] = np.asarray(values)
    return data.load("array", root=folder / "x.zarr")


def by_parquet(folder, images, labels):
    rows = [{"bytes": pictures.to_png(x), "path": None} for x in FLOATS]
    pq.write_table(pa.table({"image": rows, "label": labels}), folder / "x.parquet")
    return data.load("folder", root=folder / "x.parquet")


DOORS = [by_array, by_npz, by_npy, by_zarr]


# ---- pixels
# ------------------------------------------------------------------------------


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    "images",
    [
        BYTES,
        BYTES.transpose(0, 3, 1, 2),
        FLOATS,
        FLOATS.astype(np.float64),
        FLOATS.astype(">f4"),
        np.asfortranarray(FLOATS),
        BYTES[::-1][::-1],
    ],
    ids=["bytes", "bytes channels first", "f4", "f8", "big end", "fortran", "reversed"],
)
def test_one_set_in_many_forms_is_one_set(tmp_path, door, images):
    found = door(tmp_path, images)
    assert found.shape == (3, 8, 9)
    assert found.hash == ImageSet.from_array(FLOATS).hash


@pytest.mark.parametrize("door", DOORS)
def test_grey_forms_are_one_set(tmp_path, door):
    grey = BYTES[..., 0]
    forms = [grey, grey[..., None], grey[:, None], grey / 127.5 - 1, grey[:, None] / 127.5 - 1]
    assert len({door(tmp_path, x).hash for x in forms}) == 1


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    ("images", "match"),
    [
        (FLOATS.transpose(0, 2, 3, 1), r"channels come last; give numpy\.moveaxis\(x, -1, 1\)"),
        (BYTES.astype(np.int64), r"got int64 of shape .*; give x\.astype\('uint8'\)"),
        (BYTES > 127, r"got bool of shape .*; give x \* 2\.0 - 1"),
        (FLOATS.astype(np.complex64), "got complex64"),
        (np.concatenate([BYTES, BYTES[..., :1]], 3), "keep 1 or 3 channels"),
        (FLOATS[0, 0], r"got float32 of shape \(8, 9\); reshape it"),
        (FLOATS[:0], "N at least 1"),
        (FLOATS * 127.5 + 127.5, r"got \[\d+, 25\d\] .*; map bytes with x / 127\.5 - 1"),
        (FLOATS * 3, r"must lie in \[-1, 1\]"),
        (np.where(FLOATS.max() == FLOATS, np.nan, FLOATS), "must be finite"),
    ],
)
def test_what_is_no_image_set_is_refused_alike(tmp_path, door, images, match):
    with pytest.raises(InputError, match=match) as caught:
        door(tmp_path, images)
    assert "; " in str(caught.value)


def test_the_remedy_for_channels_that_come_last_mends_it():
    assert torch.equal(
        ImageSet.from_array(np.moveaxis(FLOATS.transpose(0, 2, 3, 1), -1, 1)).images,
        ImageSet.from_array(FLOATS).images,
    )


def test_many_channels_of_small_images_are_no_channels_last():
    for shape in [(4, 16, 1, 1), (4, 2, 1, 1), (4, 8, 4, 3), (4, 5, 7, 6), (4, 3, 8, 3)]:
        assert ImageSet.from_array(RNG.uniform(-1, 1, shape)).shape == shape[1:]


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_tensors_of_any_float_are_taken(kind):
    x = torch.from_numpy(FLOATS).to(kind)
    assert torch.equal(ImageSet.from_array(x).images, x.float())


# ---- pixels that are allowed and hardly meant
# ------------------------------------------------------------------------------


@pytest.mark.parametrize("door", DOORS)
def test_pixels_from_totensor_get_a_warning_whose_remedy_mends_it(tmp_path, door):
    unit = (FLOATS + 1) / 2
    with pytest.warns(UserWarning, match=r"ToTensor .*; give x \* 2 - 1"):
        door(tmp_path, unit)
    door(tmp_path, unit * 2 - 1)  # warnings are errors in the tests


def test_bright_bytes_and_a_handful_of_numbers_are_not_suspected():
    ImageSet.from_array(BYTES // 4 + 160)
    ImageSet.from_array(np.abs(FLOATS[:1, :, :4, :4]))


@pytest.mark.parametrize("door", DOORS)
def test_a_set_that_is_nearly_all_one_value_says_so(tmp_path, door):
    x = np.full((40, 1, 16, 16), -1.0, dtype=np.float32)
    x[:, 0, 3, 5] = RNG.uniform(-1, 1, 40)
    with pytest.warns(UserWarning, match=r"99\.61% of the pixels of array are -1; look at"):
        door(tmp_path, x)
    x[:, 0, :, 3:5] = RNG.uniform(-1, 1, (40, 16, 2))
    door(tmp_path, x)


def test_the_commonest_value_is_found_wherever_it_lies():
    """Also where a stride over the pixels would meet one place of the image again and again."""
    for n, shape in [(5, (3, 7, 11)), (300, (1, 25, 25)), (200, (1, 32, 32))]:
        x = RNG.uniform(-1, 1, (n, *shape)).astype(np.float32)
        x[:, :, :-2] = 0.25
        share, value = checks.mode(torch.from_numpy(x))
        assert value == 0.25
        assert share == pytest.approx((x == np.float32(0.25)).mean(), abs=1e-6)


# ---- labels
# ------------------------------------------------------------------------------


@pytest.mark.parametrize("door", [by_array, by_npz, by_zarr, by_parquet])
@pytest.mark.parametrize(
    "labels",
    [
        np.arange(6),
        np.arange(6, dtype=np.uint8),
        np.arange(6, dtype=np.uint64),
        np.arange(6, dtype=np.float32),
        np.array([0, 1, 0, 1, 0, 1], dtype=bool),
    ],
    ids=lambda v: str(v.dtype),
)
def test_labels_of_any_number_type_are_taken(tmp_path, door, labels):
    found = door(tmp_path, FLOATS, labels=labels).labels
    assert found.dtype == torch.int64
    assert found.tolist() == [int(v) for v in labels]


@pytest.mark.parametrize("door", [by_array, by_npz, by_zarr, by_parquet])
@pytest.mark.parametrize(
    ("labels", "got"),
    [
        (np.array(["cat", "dog"] * 3), "'cat' for image"),
        (np.array([0, 1, np.nan, 1, 0, 1]), "nan for image '000002'"),
        (np.array([0, 1, 1.5, 1, 0, 1]), "1.5 for image '000002'"),
        (np.array([0, 1, np.inf, 1, 0, 1]), "inf for image '000002'"),
        (np.array([2**64 - 1] + 5 * [0], dtype=np.uint64), "18446744073709551615 for image"),
    ],
    ids=["words", "nan", "fraction", "infinite", "too large"],
)
def test_labels_that_are_no_integers_are_refused_alike(tmp_path, door, labels, got):
    with pytest.raises(InputError, match=f"labels must be integers, got {got}.*; number"):
        door(tmp_path, FLOATS, labels=labels)


def test_missing_labels_are_refused(tmp_path):
    labels = [0, 1, None, 1, 0, 1]
    with pytest.raises(InputError, match="got none for image '000002'"):
        by_parquet(tmp_path, FLOATS, labels)
    with pytest.raises(InputError, match="got none for image '000002'"):
        ImageSet.from_array(FLOATS, labels=labels)
    masked = np.ma.masked_array(np.arange(6), mask=np.arange(6) == 2)
    with pytest.raises(InputError, match="got none for image '000002'"):
        ImageSet.from_array(FLOATS, labels=masked)


def test_columns_of_labels_and_one_hot_rows():
    assert ImageSet.from_array(FLOATS, labels=np.arange(6)[:, None]).labels.tolist() == [*range(6)]
    with pytest.raises(InputError, match=r"give labels\.argmax\(1\)"):
        ImageSet.from_array(FLOATS, labels=np.eye(6))
    with pytest.raises(InputError, match=r"wanted 6 labels .*one label per image"):
        ImageSet.from_array(FLOATS, labels=[1, 2])


# ---- numbers
# ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [np.int8, np.int64, np.uint64])
def test_integers_of_numpy_are_integers(tmp_path, kind):
    n, size, seed = kind(5), kind(10), kind(3)
    plain = data.load("digits", n=5, size=10, seed=3)
    assert data.load("digits", n=n, size=size, seed=seed).hash == plain.hash
    assert plain.resize((kind(4), kind(6))).shape == (1, 4, 6)
    assert plain.resize(kind(4)).hash == plain.resize(4).hash
    assert plain.subset(kind(3), seed=seed).ids == plain.subset(3, seed=3).ids
    assert len(plain.split(kind(2))[0]) == 2
    assert plane.plane("moons", kind(7), kind(2)).hash == plane.plane("moons", 7, 2).hash
    path = data.prepare("digits", n=n, size=size, seed=seed, out=tmp_path / "p.npz")
    assert data.load("array", root=path).hash == plain.hash
    assert data.Manifest.read(path.with_suffix(".json")) == plain.manifest()


@pytest.mark.parametrize("value", [2.0, "5", True, 0, -1, np.float64(3), np.array([3])])
def test_what_is_no_count_is_refused(value):
    with pytest.raises(InputError, match="number of images must be an integer"):
        data.load("digits", n=value)
    with pytest.raises(InputError, match="size must be a positive integer"):
        data.load("digits", n=3, size=value)


def test_a_warning_points_at_the_caller(tmp_path):
    unit = (FLOATS + 1) / 2
    np.save(tmp_path / "x.npy", unit)
    for call in (lambda: ImageSet.from_array(unit), lambda: data.load("array", root=tmp_path)):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            call()
        assert caught[0].filename == __file__


def test_a_picture_of_one_colour_is_refused_and_named(tmp_path):
    Image.fromarray(np.full((5, 5), 7, np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"got the constant .*a\.png"):
        data.load("folder", root=tmp_path)
