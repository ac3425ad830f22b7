"""Networks by name: found, checked, loaded, described; other files refused in a sentence; a
stranger's entry joins.
"""

import hashlib
import http.server
import math
import os
import pickle
import re
import sys
import threading
from pathlib import Path

import network_standins as standins
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from archbias import cli, networks, noise, sample, seeds
from archbias.errors import InputError
from archbias.networks import blind_cnn, catalogue, flow_transformer, step_unet, time_cnn

PAGE = Path(__file__).parents[2] / "docs" / "networks.md"


@pytest.fixture
def faces(tmp_path, monkeypatch):
    """A catalogue with one more entry, whose file lies in tmp_path."""
    path = tmp_path / "tiny-faces.pt"
    torch.save(standins.blind_cnn(), path)
    more = dict(scale=0.5, shift=0.5, levels=(0.0, 2.0), size=(12, 10))
    entry = standins.entry_of(path, blind_cnn.build, **more)
    monkeypatch.setitem(networks.entries(), entry.name, entry)
    return path


def test_the_catalogue_is_complete():
    assert networks.names()[:4] == [
        "mnist-cnn",
        "mnist-transformer",
        "mnist-unet",
        "celeba40-blind-cnn",
    ]
    assert len({e.sha256 for e in networks.entries().values()}) == len(networks.names()) == 9
    for name in networks.names():
        about = networks.describe(name, root="/nowhere")
        assert about["licence"] == "MIT"
        assert re.search(r" [0-9a-f]{7,40}, ", about["origin"])
        assert "archbias networks fetch" in about["at hand"]
        assert networks.entry(Path(networks.entry(name).file).stem).name == name
        assert "Copyright (c)" in networks.entry(name).notice


def test_load_by_name(faces, tmp_path, monkeypatch):
    denoiser = networks.load("tiny-faces", root=tmp_path)
    assert (denoiser.shape, denoiser.levels, denoiser.blind) == ((1, 12, 10), (0.0, 2.0), True)
    y = seeds.normal(range(3), denoiser.shape, dtype=torch.float64)
    module = blind_cnn.build(standins.blind_cnn()).double()
    expected = 2 * module((y + 1) / 2, torch.ones(3)) - 1
    torch.testing.assert_close(denoiser(y, 0.7), expected, rtol=1e-6, atol=1e-6)
    assert denoiser(y.float(), 0.7).dtype == torch.float32
    torch.testing.assert_close(denoiser(y, 0.7)[1:2], denoiser(y[1:2], 0.7))
    assert networks.load("tiny-faces", root=tmp_path, size=7).shape == (1, 7, 7)
    monkeypatch.setenv("ARCHBIAS_NETWORKS", str(tmp_path))
    assert torch.equal(networks.load("tiny-faces")(y, 0.7), denoiser(y, 0.7))
    assert networks.check("tiny-faces")["sha256"].endswith("as published")


def test_a_file_is_found_by_what_it_holds(faces, tmp_path):
    faces.rename(tmp_path / "model (3).pt")
    (tmp_path / "other.pt").write_bytes(b"x" * (tmp_path / "model (3).pt").stat().st_size)
    assert networks.load("tiny-faces", root=tmp_path).blind
    assert networks.load("tiny-faces", root=tmp_path / "model (3).pt").blind


def test_a_level_it_was_not_trained_at_is_refused(faces, tmp_path):
    denoiser = networks.load("tiny-faces", root=tmp_path)
    y = seeds.normal(range(2), denoiser.shape)
    with pytest.raises(InputError, match=r"trained at sigma from 0 to 2, got 2\.5"):
        denoiser(y, torch.tensor([1.0, 2.5]))
    with pytest.raises(InputError, match=r"noise\.within"):
        sample.ddim(denoiser, y, noise.cosine(20))
    sigmas = noise.within(noise.cosine(20), denoiser.levels)
    assert sigmas[0] == 2
    assert set(sigmas[1:].tolist()) <= set(noise.cosine(20).tolist())
    assert torch.isfinite(sample.ddim(denoiser, y, sigmas)).all()


def test_a_schedule_within_a_range():
    sigmas = noise.cosine(20)
    assert torch.equal(noise.within(sigmas, (0.0, math.inf)), sigmas)
    inside = noise.within(sigmas, (0.3, 10.0))
    assert inside[0] == 10
    assert inside[-1] == 0
    assert inside[-2] >= 0.3
    with pytest.raises(InputError, match="give a schedule that reaches it"):
        noise.within(sigmas, (100.0, 200.0))


def test_another_checkpoint_is_refused_by_name_and_read_by_path(faces, tmp_path):
    torch.save(standins.blind_cnn((3, 1, 1, 3, 3), 4, seed=1), faces)
    with pytest.raises(InputError, match=r"got [0-9a-f]{16}\.\.\. at .*networks\.read"):
        networks.load("tiny-faces", root=tmp_path)
    denoiser = networks.read(faces, like="tiny-faces", size=9)
    assert (denoiser.shape, denoiser.facts.window, denoiser.levels) == ((1, 9, 9), 7, (0.0, 2.0))
    assert denoiser.spec.sha256 == hashlib.sha256(faces.read_bytes()).hexdigest()


@pytest.mark.parametrize("name", standins.ALL)
def test_any_checkpoint_of_a_known_architecture_is_read(name, tmp_path):
    path = tmp_path / "another lab's.pt"
    torch.save(standins.ALL[name](channels=1) if name != "time_cnn" else standins.time_cnn(), path)
    denoiser = networks.read(path, size=(9, 9) if name == "blind_cnn" else None)
    save_file(torch.load(path, weights_only=True), path.with_suffix(".safetensors"))
    again = networks.read(path.with_suffix(".safetensors"), size=denoiser.shape[1:])
    y = seeds.normal(range(2), denoiser.shape)
    low, high = denoiser.levels
    sigma = min(1.0, (low + high) / 2)
    assert torch.equal(denoiser(y, sigma), again(y, sigma))
    assert denoiser(y, sigma).shape == y.shape


def test_classes_and_none(tmp_path):
    path = tmp_path / "vit.pth"
    torch.save(standins.flow_transformer(), path)
    denoiser = networks.read(path)
    y = seeds.normal(range(3), denoiser.shape)
    assert denoiser.classes == (0, 1, 2)
    labels = torch.tensor([0, 1, 2])
    assert not torch.equal(denoiser(y, 1.0, labels), denoiser(y, 1.0))
    torch.testing.assert_close(denoiser(y[1:2], 1.0, labels[1:2]), denoiser(y, 1.0, labels)[1:2])
    none = networks.read(path, conditional=False)
    assert none.classes == ()
    assert torch.equal(none(y, 1.0), denoiser(y, 1.0))
    with pytest.raises(InputError, match="label 3 has no training image"):
        denoiser(y, 1.0, labels + 1)


def test_the_level_reaches_the_network_in_its_own_pixels(tmp_path):
    """[0, 1] pixels see half of our sigma, so t = 1 / (1 + sigma / 2)."""
    path = tmp_path / "vit.pth"
    torch.save(standins.flow_transformer(), path)
    denoiser = networks.read(path, like="mnist-transformer")
    module = flow_transformer.build(standins.flow_transformer()).double()
    y = seeds.normal(range(2), denoiser.shape, dtype=torch.float64)
    t = torch.full((2,), 1 / (1 + 0.8 / 2), dtype=torch.float64)
    expected = 2 * module.image(t[0] * (y + 1) / 2, t) - 1
    torch.testing.assert_close(denoiser(y, 0.8), expected, rtol=1e-6, atol=1e-6)


class Bomb:
    def __reduce__(self):
        return os.system, ("echo run > ran",)


@pytest.mark.parametrize(
    ("write", "says"),
    [
        (lambda p: torch.save(Bomb(), p), "code to be read, which is never run"),
        (lambda p: p.write_bytes(pickle.dumps({"w": Bomb()})), "code to be read|damaged|magic"),
        (lambda p: p.write_bytes(b"not a weight file"), "damaged"),
        (lambda p: p.write_bytes(b""), "wanted a weight file"),
        (lambda p: torch.save([torch.zeros(2)], p), "got list"),
        (lambda p: torch.save({"w": 3}, p), "got 'w' of int"),
        (lambda p: torch.save({"w": torch.tensor([torch.nan])}, p), "NaN or infinity in w"),
        (lambda p: torch.save({"w": torch.zeros(2)}, p), "a known architecture, got"),
        (lambda p: None, "got nothing there"),
    ],
)
def test_other_contents_are_refused_in_a_sentence(write, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "weights.pt"
    write(path)
    with pytest.raises(InputError, match=says) as caught:
        networks.read(path)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "ran").exists()


def test_a_cut_file_is_refused(faces, tmp_path):
    faces.write_bytes(faces.read_bytes()[:-200])
    with pytest.raises(InputError, match="sha256"):
        networks.load("tiny-faces", root=tmp_path)
    with pytest.raises(InputError, match=r"damaged|weight file"):
        networks.read(faces, like="tiny-faces")


def test_unknown_names_and_missing_files():
    with pytest.raises(InputError, match="did you mean 'mnist-cnn'"):
        networks.load("mnist-cn")
    with pytest.raises(InputError, match=r"archbias networks fetch mnist-cnn --root /nowhere"):
        networks.load("mnist-cnn", root="/nowhere")


@pytest.fixture
def serve():
    """The bytes under any name, from this machine."""
    body = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", str(len(body[0])))
            self.end_headers()
            self.wfile.write(body[0])

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/", body
    server.shutdown()
    server.server_close()


def test_fetch_checks_and_leaves_the_licence_beside(faces, tmp_path, monkeypatch, serve):
    mirror, body = serve
    body.append(faces.read_bytes())
    entry = standins.entry_of(
        faces, blind_cnn.build, url="http://not-asked.invalid/x.pt", notice="Copyright (c) us\n"
    )
    monkeypatch.setitem(networks.entries(), entry.name, entry)
    new = tmp_path / "new"
    path = networks.fetch("tiny-faces", root=new, mirror=mirror)
    assert path.read_bytes() == body[0]
    assert (new / "LICENSE-tiny-faces").read_text(encoding="utf-8") == "Copyright (c) us\n"
    body[0] = b"other bytes"
    with pytest.raises(InputError, match="checksum sha256"):
        networks.fetch("tiny-faces", root=tmp_path / "newer", mirror=mirror)
    assert not (tmp_path / "newer" / "tiny-faces.pt").exists()


@pytest.mark.parametrize(("size", "square"), [((109, 89), (14, 4, 2)), ((218, 178), (29, 9, 4))])
def test_faces_are_prepared_as_the_networks_saw_them(size, square, tmp_path):
    """Against the mean of the same bytes, block by block."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (2, *size, 3), dtype=np.uint8)
    for i, p in enumerate(pixels):
        Image.fromarray(p).save(tmp_path / f"{i:06d}.png")
    images = networks.images("celeba40-blind-cnn", root=tmp_path)
    top, left, block = square
    for r, c in ((0, 0), (39, 39), (7, 21)):
        cut = pixels[
            1, top + r * block : top + (r + 1) * block, left + c * block : left + (c + 1) * block
        ]
        assert float(images.images[1, 0, r, c]) == pytest.approx(cut.mean() / 127.5 - 1, abs=1e-6)
    assert images.shape == (1, 40, 40)
    assert any("mean of the colours" in t for t in images.transform)
    if size == (109, 89):
        with pytest.raises(InputError, match="as published, 218x178"):
            networks.images("celeba160-blind-cnn-window5", root=tmp_path)
    else:
        assert networks.images("celeba160-blind-cnn-window5", root=tmp_path).shape == (1, 160, 160)


def test_an_entry_checks_itself(faces):
    with pytest.raises(InputError, match="64 hex digits"):
        standins.entry_of(faces, blind_cnn.build, sha256="abc")
    with pytest.raises(InputError, match="positive scale"):
        standins.entry_of(faces, blind_cnn.build, scale=0.0)


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """The page's own example, its weights saved, its sha256 filled in, as pip leaves a package."""
    code = re.search(r"```python\n(# our_lab\.py.*?)```", PAGE.read_text(encoding="utf-8"), re.S)[1]
    made = {}
    exec(code.replace("SHA256", repr("0" * 64)), made)
    torch.save(made["Net"]().state_dict(), tmp_path / "net.pt")
    digest = hashlib.sha256((tmp_path / "net.pt").read_bytes()).hexdigest()
    (tmp_path / "our_lab.py").write_text(code.replace("SHA256", repr(digest)), encoding="utf-8")
    info = tmp_path / "our_lab-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: our-lab\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[archbias.networks]\nour-net = our_lab:ENTRY\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    networks.entries.cache_clear()
    yield tmp_path
    networks.entries.cache_clear()
    sys.modules.pop("our_lab", None)


def test_a_labs_entry_joins_as_the_page_says(lab):
    assert networks.names()[-1] == "our-net"
    denoiser = networks.load("our-net", root=lab)
    sigmas = noise.within(noise.cosine(5), denoiser.levels)
    x = sample.ddim(denoiser, seeds.normal(range(2), denoiser.shape), sigmas)
    assert x.shape == (2, 1, 32, 32)
    assert networks.check("our-net", lab)["images"] == "1x32x32"
    with pytest.raises(InputError, match=r"wanted net\.pt of our-net, got none in /nowhere; give"):
        networks.load("our-net", root="/nowhere")
    with pytest.raises(InputError, match="prepare them with"):
        networks.images("our-net")
    with pytest.raises(InputError, match="no address to fetch from"):
        networks.fetch("our-net", root=lab)


def test_an_entry_may_be_imported_before_the_catalogue(lab):
    import our_lab

    assert networks.entry("our-net") is our_lab.ENTRY


def test_a_broken_entry_is_a_warning_and_leaves_the_others(lab):
    (lab / "our_lab.py").write_text("ENTRY = [3]")
    with pytest.warns(UserWarning, match="'our-net' of our_lab:ENTRY cannot be loaded"):
        assert len(networks.names()) == 9


def test_architectures_are_all_in_the_catalogue():
    built = {e.build for e in networks.entries().values()}
    for module in (blind_cnn, time_cnn, flow_transformer, step_unet):
        assert module in catalogue.ARCHITECTURES
        assert module.build in built


def test_the_command(faces, tmp_path, capsys):
    def said(*words):
        code = cli.main(["networks", *words, "--root", str(tmp_path)])
        return code, capsys.readouterr()

    code, said_ = said("list")
    assert code == 0
    assert "* tiny-faces" in said_.out
    assert "  mnist-cnn" in said_.out
    assert max(map(len, said_.out.splitlines())) <= 80
    code, said_ = said("show", "tiny-faces")
    assert (code, "sigma 0 to 2" in said_.out) == (0, True)
    code, said_ = said("check", "tiny-faces")
    assert (code, "as published" in said_.out) == (0, True)
    code, said_ = said("check", "mnist-cnn")
    assert (code, "archbias networks fetch mnist-cnn" in said_.err) == (2, True)
    faces.write_bytes(b"cut")
    assert said("check", "tiny-faces")[0] == 2
    code, said_ = said("show")
    assert (code, "wants the name of a network" in said_.err) == (2, True)
