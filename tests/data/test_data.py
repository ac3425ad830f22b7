"""Image sets: every source from files made here, manifests, subsets, and one sentence for every bad
input.
"""

import base64
import gzip
import io
import json
import re
import struct
import tarfile
import zipfile
from importlib.resources import files as resources

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import archbias
from archbias import data
from archbias.data import ImageSet, Manifest, pictures
from archbias.errors import InputError

RNG = np.random.default_rng(0)


def picture(h=109, w=89, c=3, seed=0):
    """A smooth random picture, bytes (h, w, c)."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (6, 6, c), dtype=np.uint8)
    return pictures.resize(coarse, h, w)


def encode(pixels, kind="png"):
    file = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(file, kind)
    return file.getvalue()


@pytest.fixture
def faces(tmp_path):
    """Six pictures of CelebA's size as PNG files in the official folder; their pixels."""
    pixels = [picture(218, 178, seed=i) for i in range(6)]
    folder = tmp_path / "img_align_celeba"
    folder.mkdir()
    for i, p in enumerate(pixels):
        (folder / f"{i + 1:06d}.png").write_bytes(encode(p))
    return tmp_path, pixels


def refused(match, **arguments):
    """load(...) fails with one sentence that matches and names a remedy."""
    with pytest.raises(InputError, match=match) as caught:
        data.load(**arguments)
    text = str(caught.value)
    assert ";" in text
    assert "\n" not in text
    return text


# ---- the bundled images
# -------------------------------------------------------------------------------------------


def test_bundled_images_come_with_their_notice():
    images = archbias.load("fashion_mnist")
    assert len(images) == 1000
    assert images.shape == (1, 28, 28)
    assert images.classes == tuple(range(10))
    # ankle boot, T-shirt, T-shirt, dress, T-shirt: as published
    assert images.labels[:5].tolist() == [9, 0, 0, 3, 0]
    folder = resources("archbias.data") / "bundled"
    assert "Zalando SE" in (folder / "LICENSE-fashion-mnist").read_text(encoding="utf-8")
    assert (folder / "fashion_mnist_1000.npz").stat().st_size < 1_000_000


def test_bundled_images_are_the_first_of_the_published_set(real_data):
    ours = archbias.load("fashion_mnist")
    whole = archbias.load("fashion_mnist", root=real_data, n=1000)
    assert whole.manifest().images == ours.manifest().images
    assert torch.equal(whole.labels, ours.labels)


def test_shipped_manifest_matches_the_bundled_images(request):
    path = request.config.rootpath / "data" / "fashion_mnist" / "fashion_mnist-1000.json"
    assert len(data.load("fashion_mnist", manifest=path)) == 1000


@pytest.mark.parametrize("size", [32, 64])
def test_shipped_face_manifests_match_the_halved_files(request, real_data, size):
    path = request.config.rootpath / "data" / "celeba" / f"celeba-halved-1000-{size}.json"
    images = data.load("celeba", root=real_data, size=size, manifest=path)
    assert images.shape == (3, size, size)
    assert len(images) == 1000


# ---- sources
# ------------------------------------------------------------------------------


def test_digits_are_exact_sixteenths():
    from sklearn.datasets import load_digits

    images = data.load("digits")
    np.testing.assert_array_equal(
        images.images[:, 0].numpy(), (load_digits().images / 8 - 1).astype(np.float32)
    )
    np.testing.assert_array_equal(images.labels, load_digits().target)


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
@pytest.mark.parametrize("suffix", [".gz", ""])
def test_idx_files(tmp_path, name, suffix):
    pixels, labels = RNG.integers(0, 256, (7, 28, 28), dtype=np.uint8), np.arange(7, dtype=np.uint8)
    pack = gzip.compress if suffix else bytes
    (tmp_path / f"train-images-idx3-ubyte{suffix}").write_bytes(
        pack(struct.pack(">4i", 2051, 7, 28, 28) + pixels.tobytes())
    )
    (tmp_path / f"train-labels-idx1-ubyte{suffix}").write_bytes(
        pack(struct.pack(">2i", 2049, 7) + labels.tobytes())
    )
    images = data.load(name, root=tmp_path)
    np.testing.assert_allclose(images.images[:, 0].numpy(), pixels / 127.5 - 1, atol=1e-7)
    assert images.labels.tolist() == list(range(7))
    (tmp_path / f"train-images-idx3-ubyte{suffix}").write_bytes(
        pack(struct.pack(">4i", 2051, 8, 28, 28) + pixels.tobytes())
    )
    refused("IDX file .*cut short", name=name, root=tmp_path)


@pytest.mark.parametrize("keys", [("images", "labels"), ("x_train", "y_train")])
def test_mnist_npz(tmp_path, keys):
    pixels = RNG.integers(0, 256, (4, 28, 28), dtype=np.uint8)
    np.savez(tmp_path / "mnist.npz", **{keys[0]: pixels, keys[1]: np.array([3, 1, 4, 1])})
    images = data.load("mnist", root=tmp_path)
    np.testing.assert_array_equal(pictures.to_bytes(images.images[:, 0].numpy()), pixels)
    assert images.labels.tolist() == [3, 1, 4, 1]


def test_cifar10_binary_archive_npz_and_parquet_agree(tmp_path):
    pixels, labels = RNG.integers(0, 256, (10, 32, 32, 3), dtype=np.uint8), RNG.integers(0, 10, 10)
    for kind in ("tar", "npz", "hub"):
        (tmp_path / kind).mkdir()
    with tarfile.open(tmp_path / "tar" / "cifar-10-binary.tar.gz", "w:gz") as tar:
        for batch in (2, 1):  # out of order in the archive, in order when read
            rows = range(5 * (batch - 1), 5 * batch)
            body = b"".join(
                bytes([labels[i]]) + pixels[i].transpose(2, 0, 1).tobytes() for i in rows
            )
            info = tarfile.TarInfo(f"cifar-10-batches-bin/data_batch_{batch}.bin")
            info.size = len(body)
            tar.addfile(info, io.BytesIO(body))
    np.savez(tmp_path / "npz" / "cifar10_20k.npz", images=pixels, labels=labels)
    table = {"img": [{"bytes": encode(p), "path": None} for p in pixels], "label": labels}
    pq.write_table(
        pa.table(table), tmp_path / "hub" / "train-00000-of-00001.parquet", row_group_size=3
    )
    sets = [data.load("cifar10", root=tmp_path / kind) for kind in ("tar", "npz", "hub")]
    assert len({s.hash for s in sets}) == 1
    assert all(s.labels.tolist() == labels.tolist() for s in sets)
    np.testing.assert_array_equal(
        pictures.to_bytes(sets[0].images.permute(0, 2, 3, 1).numpy()), pixels
    )
    assert data.load(
        "cifar10", root=tmp_path / "hub", ids=["000008", "000001"]
    ).labels.tolist() == [labels[8], labels[1]]


def test_pickled_cifar10_is_refused_unread(tmp_path):
    (tmp_path / "cifar-10-python.tar.gz").write_bytes(b"never opened")
    assert "archbias data fetch cifar10" in refused("pickled", name="cifar10", root=tmp_path)


def test_faces_from_folder_zip_and_parquet_agree(tmp_path, faces):
    root, pixels = faces
    (tmp_path / "z").mkdir()
    with zipfile.ZipFile(tmp_path / "z" / "img_align_celeba.zip", "w") as z:
        z.writestr("img_align_celeba/", "")
        z.writestr("__MACOSX/img_align_celeba/._000001.png", "not an image")
        for i, p in enumerate(pixels):
            z.writestr(f"img_align_celeba/{i + 1:06d}.png", encode(p))
    (tmp_path / "p" / "data").mkdir(parents=True)
    for k in range(2):
        rows = [
            {"bytes": encode(pixels[i]), "path": f"{i + 1:06d}.png"}
            for i in range(3 * k, 3 * k + 3)
        ]
        pq.write_table(
            pa.table({"image": rows}),
            tmp_path / "p" / "data" / f"train-0000{k}-of-00002.parquet",
            row_group_size=2,
        )
    (tmp_path / "p" / "data" / "valid-00000-of-00001.parquet").write_bytes(
        b"another partition: never opened"
    )
    sets = [data.load("celeba", root=r, size=32) for r in (root, tmp_path / "z", tmp_path / "p")]
    assert [s.ids for s in sets] == [sets[0].ids] * 3
    assert sets[0].ids[0] == "000001.png"
    assert len({s.hash for s in sets}) == 1
    some = data.load("celeba", root=tmp_path / "p", size=32, ids=["000006.png", "000002.png"])
    assert torch.equal(some.images, sets[0].subset(ids=["000006.png", "000002.png"]).images)


def test_face_crop_is_rows_20_to_198(faces):
    root, pixels = faces
    images = data.load("celeba", root=root)
    assert images.shape == (3, 178, 178)
    np.testing.assert_array_equal(
        pictures.to_bytes(images.images.permute(0, 2, 3, 1).numpy()), np.stack(pixels)[:, 20:198]
    )
    whole = data.load("celeba", root=root, crop="none")
    assert whole.shape == (3, 218, 178)
    assert data.load("celeba", root=root, crop="none", size=32).shape == (3, 32, 32)


def test_halved_face_crop_is_rows_10_to_99():
    pixels = picture(109, 89)
    np.testing.assert_array_equal(pictures.crop_centre(pixels), pixels[10:99])


def test_folder_labels_are_the_subfolders(tmp_path):
    for name in ("cats", "ants"):
        (tmp_path / name).mkdir()
        for i in range(2):
            (tmp_path / name / f"{i}.png").write_bytes(encode(picture(9, 9, seed=i)))
    images = data.load("folder", root=tmp_path)
    assert images.ids == ("ants/0.png", "ants/1.png", "cats/0.png", "cats/1.png")
    assert images.labels.tolist() == [0, 0, 1, 1]


def test_folder_of_photographs_of_any_size_when_asked(tmp_path):
    (tmp_path / "a.png").write_bytes(encode(picture(30, 50)))
    (tmp_path / "b.png").write_bytes(encode(picture(41, 20)))
    (tmp_path / ".hidden.png").write_bytes(b"")
    assert data.load("folder", root=tmp_path, size=16, crop="centre").images.shape == (2, 3, 16, 16)


def test_arrays_of_every_kind(tmp_path):
    pixels = RNG.integers(0, 256, (5, 6, 7, 3), dtype=np.uint8)
    floats = (pixels.transpose(0, 3, 1, 2) / 127.5 - 1).astype(np.float32)
    np.save(tmp_path / "a.npy", pixels)
    np.savez(tmp_path / "b.npz", images=floats, labels=np.arange(5), ids=np.array(list("abcde")))
    zarr.save_array(str(tmp_path / "c.zarr"), pixels)
    group = zarr.open_group(str(tmp_path / "d.zarr"), mode="w")
    group.create_array("images", data=floats)
    group.create_array("labels", data=np.arange(5))
    sets = [data.load("array", root=tmp_path / f) for f in ("a.npy", "b.npz", "c.zarr", "d.zarr")]
    assert len({s.hash for s in sets}) == 1
    assert sets[1].ids == tuple("abcde")
    assert sets[3].labels.tolist() == list(range(5))


def test_real_faces(real_data):
    images = data.load("celeba", root=real_data, n=20, size=64)
    assert images.shape == (3, 64, 64)
    assert images.ids[0] == "000001.jpg"
    assert not images.labels


# ---- pixels
# ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_resize_is_the_widened_triangle_filter(kind):
    """Against the definition: weights 1 - |distance| / scale around each output pixel's centre,
    normalised, per axis.
    """
    pixels = picture(24, 36, seed=3).astype(kind)

    def matrix(n, m):
        scale = n / m
        centres = (np.arange(m) + 0.5) * scale - 0.5
        w = np.clip(1 - np.abs(np.arange(n)[None] - centres[:, None]) / max(scale, 1), 0, None)
        return w / w.sum(1, keepdims=True)

    wanted = np.einsum("ih,jw,hwc->ijc", matrix(24, 8), matrix(36, 9), pixels.astype(float))
    got = pictures.resize(pixels, 8, 9)
    assert got.dtype == kind
    # bytes are rounded once per axis
    np.testing.assert_allclose(got, wanted, atol=1.01 if kind is np.uint8 else 1e-3)


def test_pixels_of_bytes_are_exact_and_invertible():
    b = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(pictures.to_float(b), (b / 127.5 - 1).astype(np.float32))
    np.testing.assert_array_equal(pictures.to_bytes(pictures.to_float(b)), b)


def test_resizing_a_set_differs_from_loading_small_by_rounding_only():
    small = data.load("fashion_mnist", n=20, size=14)
    floats = data.load("fashion_mnist", n=20).resize(14)
    assert (small.images - floats.images).abs().max() <= 1.01 / 127.5
    assert small.transform == ("resize 14x14 antialiased bilinear, bytes",)
    assert floats.transform == ("resize 14x14 antialiased bilinear, floats",)
    assert floats.resize((14, 10)).shape == (1, 14, 10)
    with pytest.raises(InputError, match="positive integer"):
        floats.resize(0)


# ---- subsets and manifests
# ----------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 40), st.integers(0, 2**32))
def test_a_drawn_subset_is_distinct_ordered_and_repeatable(n, seed):
    whole = ImageSet.from_array(
        torch.linspace(-1, 1, 40).reshape(40, 1, 1, 1).expand(40, 1, 2, 2).clone()
    )
    drawn = whole.subset(n, seed=seed)
    assert drawn.ids == whole.subset(n, seed=seed).ids
    assert list(drawn.ids) == sorted(set(drawn.ids))
    assert torch.equal(drawn.images, whole.images[[int(i) for i in drawn.ids]])


def test_draws_are_uniform():
    """Each of 10 images is in a draw of 3 with probability 0.3: 2000 draws, within 5 standard
    deviations.
    """
    whole = ImageSet.from_array(torch.zeros(10, 1, 1, 1))
    counts = np.bincount(
        [int(i) for s in range(2000) for i in whole.subset(3, seed=s).ids], minlength=10
    )
    assert np.abs(counts - 600).max() < 5 * np.sqrt(2000 * 0.3 * 0.7)


def test_a_set_keeps_its_images_whatever_becomes_of_what_it_was_made_of():
    x = np.linspace(-1, 1, 24, dtype="f4").reshape(2, 1, 3, 4)
    labels = np.array([3, 5])
    wanted = ImageSet.from_array(x.copy()).hash
    for array in (x, torch.from_numpy(x)):
        images = ImageSet.from_array(array, labels=labels)
        kept = x.copy(), labels.copy()
        x[:], labels[:] = 0, 0
        assert images.hash == wanted
        assert images.labels.tolist() == [3, 5]
        x[:], labels[:] = kept
    frozen = x.copy()
    frozen.flags.writeable = False
    for array in (
        frozen,
        x[::-1][::-1],
        x[::-1].copy()[::-1],
        x.astype(">f4"),
        torch.from_numpy(x).requires_grad_(),
    ):
        assert ImageSet.from_array(array).hash == wanted


def test_labels_are_integers():
    x = torch.zeros(2, 1, 1, 1)
    assert ImageSet.from_array(x, labels=torch.tensor([2.0, 7.0])).classes == (2, 7)
    with pytest.raises(InputError, match="labels must be integers"):
        ImageSet.from_array(x, labels=torch.tensor([0.5, 1.0]))


def test_numbers_of_numpy_count_too():
    assert data.load("fashion_mnist", n=np.int64(5)).hash == data.load("fashion_mnist", n=5).hash
    assert torch.equal(archbias.noise.cosine(np.int32(7)), archbias.noise.cosine(7))


def test_load_and_subset_choose_alike():
    whole = data.load("fashion_mnist")
    assert data.load("fashion_mnist", n=30, seed=7).hash == whole.subset(30, seed=7).hash
    assert whole.subset(30).ids == whole.ids[:30]
    one, other = whole.split(700, seed=1)
    assert (len(one), len(other)) == (700, 300)
    assert set(one.ids).isdisjoint(other.ids)
    with pytest.raises(InputError, match="both parts"):
        whole.split(1000)
    with pytest.raises(InputError, match="no image 'x'"):
        whole.subset(ids=["x"])
    with pytest.raises(InputError, match="leave one out"):
        whole.subset(3, ids=["000001"])


def test_manifest_names_the_first_difference(tmp_path):
    images = data.load("fashion_mnist", n=6)
    path = images.manifest().write(tmp_path / "m.json")
    manifest = Manifest.read(path)
    assert manifest == images.manifest()
    assert json.loads(path.read_text())["sha256"] == images.hash
    assert data.load("fashion_mnist", manifest=path).hash == images.hash
    x = images.images.clone()
    x[3, 0, 0, 0] += 1e-3
    x[5] = 0
    with pytest.raises(InputError, match=r"'000003' \(place 3\) is the first that differs"):
        manifest.check(
            ImageSet.from_array(x, ids=images.ids, labels=images.labels, name=images.name)
        )
    with pytest.raises(InputError, match="in place 2"):
        manifest.check(
            images.subset(ids=["000000", "000001", "000003", "000002", "000004", "000005"])
        )
    with pytest.raises(InputError, match="describes shape"):
        manifest.check(images.subset(5))
    with pytest.raises(InputError, match="labels '000001' 0, got 1"):
        manifest.check(
            ImageSet.from_array(
                images.images, ids=images.ids, labels=torch.tensor([9, 1, 0, 3, 0, 2])
            )
        )
    refused("already names", manifest=path, n=3)
    path.write_text("{}")
    refused("must be a manifest", manifest=path)


@pytest.mark.parametrize("name", ["fashion_mnist", "digits"])
def test_prepared_images_are_the_loaded_ones(tmp_path, name):
    path = data.prepare(name, n=12, size=10, seed=5, out=tmp_path / "kept.npz")
    loaded, kept = data.load(name, n=12, size=10, seed=5), data.load("array", root=path)
    assert (kept.hash, kept.ids, kept.name, kept.transform) == (
        loaded.hash,
        loaded.ids,
        loaded.name,
        loaded.transform,
    )
    assert torch.equal(kept.labels, loaded.labels)
    assert data.load("array", root=path, manifest=path.with_suffix(".json")).hash == loaded.hash
    assert sorted(p.name for p in tmp_path.iterdir()) == ["kept.json", "kept.npz"]
    with np.load(path) as z:
        arrays = dict(z)
    arrays["images"][4] = arrays["images"][4][..., ::-1, :]
    np.savez(path, **arrays)
    refused(f"image '{loaded.ids[4]}' .* differs from the manifest", name="array", root=path)


def test_prepare_goes_to_the_data_root_and_leaves_nothing_behind_when_it_fails(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("ARCHBIAS_DATA", str(tmp_path))
    assert data.prepare("digits", n=3).parent == tmp_path / "prepared"

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    with pytest.raises(InputError, match="No space left"):
        data.prepare("digits", n=4)
    assert len(list((tmp_path / "prepared").iterdir())) == 2


# ---- looking without loading
# --------------------------------------------------------------------------------------


def test_sources_say_what_they_are():
    assert set(data.sources()) == {
        "fashion_mnist",
        "mnist",
        "cifar10",
        "celeba",
        "digits",
        "folder",
        "array",
    }
    for name in data.sources():
        about = data.describe(name, root="no/such/place")
        assert all(isinstance(v, str) and v for v in about.values())
        assert about["licence"]
    assert data.describe("fashion_mnist")["at_hand"] == "1000 images, bundled"
    assert (
        "archbias data fetch celeba --root no/such/place"
        in data.describe("celeba", "no/such/place")["at_hand"]
    )
    assert (
        data.describe("digits", "no/such/place")["at_hand"]
        == "no: leave out the root, these images are embedded"
    )


def test_a_notebook_shows_thumbnails_with_escaped_names():
    nasty = '"><script>alert(1)</script>'
    images = ImageSet.from_array(
        torch.rand(2, 3, 4, 5) * 2 - 1, ids=[nasty, "b"], name="<i>set</i>"
    )
    page = images._repr_html_()
    assert repr(images).startswith("<<i>set</i>: 2 images of 3x4x5, sha256 ")
    assert "<script" not in page
    assert "<i>" not in page
    shown = [
        Image.open(io.BytesIO(base64.b64decode(m))) for m in re.findall(r"base64,([^\"]+)", page)
    ]
    assert len(shown) == 2
    assert shown[0].size == (65, 52)  # 5 x 4 pixels, each repeated 13 times
    got = np.asarray(shown[0])[::13, ::13]
    np.testing.assert_array_equal(got, pictures.to_bytes(images.images[0].permute(1, 2, 0).numpy()))
    assert "base64" not in ImageSet.from_array(torch.zeros(2, 2, 4, 5))._repr_html_()


# ---- bad input
# ------------------------------------------------------------------------------


def test_missing_and_empty_folders(tmp_path, monkeypatch):
    refused("does not exist", name="celeba", root=tmp_path / "nowhere")
    refused("does not exist", name="folder", root=tmp_path / "nowhere")
    refused("wanted image files", name="folder", root=tmp_path)
    refused("wanted CelebA", name="celeba", root=tmp_path)
    refused("got no root", name="folder")
    monkeypatch.setenv("ARCHBIAS_DATA", str(tmp_path))
    assert "archbias data fetch mnist" in refused("wanted MNIST", name="mnist")


@pytest.mark.parametrize("keep", [0, 10, 900])
def test_a_truncated_jpeg_is_named(tmp_path, keep):
    for i in range(3):
        (tmp_path / f"{i}.jpg").write_bytes(encode(picture(seed=i), "jpeg"))
    whole = (tmp_path / "1.jpg").read_bytes()
    assert len(whole) > 1000
    (tmp_path / "1.jpg").write_bytes(whole[:keep])
    refused(r"1\.jpg cannot be decoded", name="celeba", root=tmp_path)
    assert len(data.load("celeba", root=tmp_path, ids=["0.jpg", "2.jpg"])) == 2


def test_mixed_sizes_and_channels_are_named(tmp_path):
    (tmp_path / "a.png").write_bytes(encode(picture(20, 20)))
    (tmp_path / "b.png").write_bytes(encode(picture(20, 22)))
    refused(
        r"one size, got 3x20x22 in .*b\.png after 3x20x20 in .*a\.png", name="folder", root=tmp_path
    )
    refused("one size", name="celeba", root=tmp_path, size=16)
    (tmp_path / "b.png").write_bytes(encode(picture(20, 20, c=1)))
    refused(
        r"one size, got 1x20x20 in .*b\.png", name="folder", root=tmp_path, size=16, crop="centre"
    )


def test_fewer_images_than_asked():
    assert "archbias data fetch fashion_mnist" in refused(
        "wanted 2000 images, got the first 1000", name="fashion_mnist", n=2000
    )
    refused("wanted 2000 images, got 1797 in .*; ask for at most 1797", name="digits", n=2000)
    refused("at least 1", name="fashion_mnist", n=0)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 3.0])
def test_impossible_pixels_are_named(tmp_path, bad):
    x = RNG.uniform(-1, 1, (4, 1, 5, 5)).astype(np.float32)
    x[2, 0, 1, 1] = bad
    np.save(tmp_path / "x.npy", x)
    refused(r"in .*x\.npy image 000002", name="array", root=tmp_path / "x.npy")
    with pytest.raises(InputError):
        ImageSet.from_array(torch.from_numpy(x))


def test_constant_images_are_named(tmp_path):
    x = RNG.integers(0, 256, (4, 5, 5), dtype=np.uint8)
    x[1] = 7
    np.save(tmp_path / "x.npy", x)
    refused("constant .*image 000001", name="array", root=tmp_path / "x.npy")


def test_pickled_and_broken_arrays_are_refused(tmp_path):
    np.save(tmp_path / "o.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "o.npz", images=np.array([{"a": 1}], dtype=object))
    (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04 cut")
    np.save(tmp_path / "shape.npy", np.zeros((3, 5, 5, 4), np.uint8))
    np.savez(tmp_path / "two.npz", a=np.zeros(3), b=np.zeros(3))
    np.savez(tmp_path / "labels.npz", images=np.zeros((3, 5, 5), np.uint8), labels=np.zeros(2))
    for name in ("o.npy", "o.npz", "broken.npz"):
        refused("plain array", name="array", root=tmp_path / name)
    refused("must hold bytes", name="array", root=tmp_path / "shape.npy")
    refused("must hold an array named images, got a, b", name="array", root=tmp_path / "two.npz")
    refused("labels per image, got 2 for 3", name="array", root=tmp_path / "labels.npz")


def test_other_wrong_files(tmp_path):
    Image.fromarray(RNG.integers(0, 60000, (5, 5)).astype(np.uint16)).save(tmp_path / "deep.png")
    refused("8 bits", name="folder", root=tmp_path)
    (tmp_path / "x.zip").write_bytes(b"no zip")
    refused("wanted a zip", name="folder", root=tmp_path / "x.zip")
    pq.write_table(pa.table({"text": ["a"]}), tmp_path / "t.parquet")
    refused("column of images", name="folder", root=tmp_path / "t.parquet")
    pq.write_table(
        pa.table({"image": [{"bytes": None, "path": "a.png"}, {"bytes": b"x", "path": "b.png"}]}),
        tmp_path / "t.parquet",
    )
    refused(r"row 0 \(a\.png\) must hold the bytes", name="folder", root=tmp_path / "t.parquet")
    (tmp_path / "t.parquet").write_bytes(b"PAR1 no")
    refused("wanted a parquet file", name="folder", root=tmp_path / "t.parquet")
    (tmp_path / "data_batch_1.bin").write_bytes(bytes(3072))
    refused("3073-byte records", name="cifar10", root=tmp_path)


def test_unknown_names_and_settings():
    assert "'celeba'" in refused("unknown image set 'celebA'", name="celebA")
    refused("unknown crop 'center'; did you mean 'centre'", name="fashion_mnist", crop="center")
    refused("positive integer", name="fashion_mnist", size=0)
    with pytest.raises(InputError, match="distinct ids"):
        ImageSet.from_array(torch.zeros(2, 1, 3, 3), ids=["a", "a"])


@pytest.mark.parametrize("name", data.sources())
def test_what_is_at_hand_is_said_alike_without_reading_it(name, tmp_path):
    for root in (None, tmp_path):
        assert data.at_hand(name, root) == data.describe(name, root)["at_hand"]
