"""Downloads against a server on this machine: checked, resumed, and never left half-written under
the final name.
"""

import hashlib
import http.server
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace

import numpy as np
import pytest

from archbias import cli, data
from archbias.data import catalogue, download
from archbias.data.source import File
from archbias.errors import InputError

BODY = np.random.default_rng(0).bytes(400_000)
MD5 = "md5:" + hashlib.md5(BODY).hexdigest()


class Server:
    """Serves BODY as any file; can cut an answer after some bytes, ignore ranges, or answer with an
    error.
    """

    def __init__(self):
        self.asked, self.cut, self.ranges, self.status = [], [], True, None
        self.stall, self.released = None, threading.Event()  # bytes after which an answer pauses
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                wanted = self.headers.get("Range")
                outer.asked.append((self.path, wanted))
                start = (
                    int(wanted.removeprefix("bytes=").removesuffix("-"))
                    if wanted and outer.ranges
                    else 0
                )
                if outer.status or start >= len(BODY):
                    self.send_response(outer.status or 416)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                body = BODY[start:]
                self.send_response(206 if start else 200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if outer.stall is not None:
                    self.wfile.write(body[: outer.stall])
                    self.wfile.flush()
                    outer.released.wait(60)
                    return
                # a short body: the connection closes
                self.wfile.write(body[: outer.cut.pop(0)] if outer.cut else body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/files"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()


@pytest.fixture
def server():
    s = Server()
    yield s
    s.server.shutdown()
    s.server.server_close()


def fetch(server, folder, known=MD5, **more):
    return download.get(
        File("faces.zip", "http://not-asked.invalid/faces.zip", known, 0.4),
        folder,
        mirror=server.url,
        **more,
    )


def visible(folder):
    return sorted(p.name for p in folder.iterdir() if not p.name.startswith("."))


def part_of(folder):
    """Where the bytes of an unfinished download lie."""
    (folder / ".faces.zip.part").mkdir(exist_ok=True)
    return folder / ".faces.zip.part" / "bytes"


def test_a_file_is_fetched_once(server, tmp_path):
    path = fetch(server, tmp_path / "new")
    assert path.read_bytes() == BODY
    assert fetch(server, tmp_path / "new") == path
    assert server.asked == [("/files/faces.zip", None)]


def test_a_cut_connection_is_continued_where_it_stopped(server, tmp_path):
    server.cut = [150_000, 100_000]
    assert fetch(server, tmp_path).read_bytes() == BODY
    starts = [int(r.removeprefix("bytes=").removesuffix("-")) for _, r in server.asked[1:]]
    block = download.BLOCK  # what arrived is written block by block
    assert starts == [150_000 // block * block, 150_000 // block * block + 100_000 // block * block]


def test_a_killed_process_is_resumed_by_the_next_call(server, tmp_path):
    """kill -9 in the middle of a download: nothing under the final name, and the next call asks for
    the rest only.
    """
    server.stall = 3 * download.BLOCK
    code = f"""
from pathlib import Path
from archbias.data import download
from archbias.data.source import File
file = File("faces.zip", "http://not-asked.invalid/faces.zip", {MD5!r}, 0.4)
download.get(file, Path({str(tmp_path)!r}), mirror={server.url!r})
"""
    process = subprocess.Popen([sys.executable, "-c", code])
    part = part_of(tmp_path)
    deadline = time.monotonic() + 90
    while not (part.exists() and part.stat().st_size >= 2 * download.BLOCK):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    server.released.set()
    server.stall = None
    assert visible(tmp_path) == []
    have = part.stat().st_size
    assert fetch(server, tmp_path).read_bytes() == BODY
    assert server.asked[-1] == ("/files/faces.zip", f"bytes={have}-")
    assert not part.parent.exists()


def test_a_part_that_is_already_whole_is_checked_and_kept(server, tmp_path):
    part_of(tmp_path).write_bytes(BODY)
    assert fetch(server, tmp_path).read_bytes() == BODY


def test_a_server_without_ranges_starts_again(server, tmp_path):
    server.ranges = False
    part_of(tmp_path).write_bytes(b"stale" * 100)
    assert fetch(server, tmp_path).read_bytes() == BODY


def test_a_wrong_checksum_leaves_nothing(server, tmp_path):
    with pytest.raises(
        InputError, match=r"checksum md5:0000.*download faces.zip by hand from here into"
    ):
        fetch(server, tmp_path, known="md5:" + "0" * 32, home="here")
    assert visible(tmp_path) == []
    assert fetch(server, tmp_path).read_bytes() == BODY  # the rejected bytes are not continued


def test_a_damaged_part_is_refused_then_fetched_afresh(server, tmp_path):
    part_of(tmp_path).write_bytes(b"\0" * 1000)
    with pytest.raises(InputError, match="checksum"):
        fetch(server, tmp_path)
    assert fetch(server, tmp_path).read_bytes() == BODY


def test_a_dead_server_is_one_sentence_and_keeps_the_part(server, tmp_path):
    server.cut = [90_000, 0]
    with pytest.raises(InputError, match=r"no answer from 127\.0\.0\.1; run it again to continue"):
        fetch(server, tmp_path)
    assert part_of(tmp_path).stat().st_size == 90_000 // download.BLOCK * download.BLOCK
    server.status = 404
    with pytest.raises(InputError, match="404"):
        fetch(server, tmp_path / "other")
    server.status = None
    assert fetch(server, tmp_path, progress=True).read_bytes() == BODY


def test_fetch_by_name_then_load(server, tmp_path, monkeypatch):
    """The whole path of a user: fetch into the default folder, load without a root; nothing is
    asked for by loading.
    """
    from dataclasses import replace

    monkeypatch.setenv("ARCHBIAS_DATA", str(tmp_path))
    files = tuple(replace(f, hash=MD5) for f in catalogue.SOURCES["mnist"].files)
    monkeypatch.setitem(
        catalogue.SOURCES, "mnist", replace(catalogue.SOURCES["mnist"], files=files)
    )
    with pytest.raises(InputError, match="archbias data fetch mnist"):
        data.load("mnist")
    assert server.asked == []
    paths = data.fetch("mnist", mirror=server.url)
    assert [p.name for p in paths] == ["train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"]
    assert all(p.parent == tmp_path / "mnist" for p in paths)
    # the server's bytes are no MNIST: found, opened, and said
    with pytest.raises(InputError, match="IDX"):
        data.load("mnist")


def test_sets_without_files_say_so(tmp_path):
    with pytest.raises(InputError, match="no files to fetch"):
        data.fetch("digits")
    with pytest.raises(InputError, match="give root=DIR"):
        data.fetch("folder")
    (tmp_path / "f").write_text("")
    with pytest.raises(InputError, match="got the file"):
        data.fetch("mnist", tmp_path / "f")


def test_the_command_line_fetches_from_a_mirror_and_prepares_a_crop(
    server, tmp_path, monkeypatch, capsys
):
    about = replace(
        catalogue.named("mnist"),
        files=(File("faces.zip", "http://not-asked.invalid/faces.zip", MD5, 0.4),),
    )
    monkeypatch.setattr(download, "named", lambda name: about)
    command = ["data", "fetch", "mnist", "--root", str(tmp_path), "--quiet"]
    assert cli.main([*command, "--mirror", server.url]) == 0
    assert (tmp_path / "faces.zip").read_bytes() == BODY
    out = tmp_path / "kept.npz"
    assert (
        cli.main(["data", "prepare", "digits", "--n", "5", "--crop", "none", "--out", str(out)])
        == 0
    )
    assert data.load("array", root=out).hash == data.load("digits", n=5, crop="none").hash
    assert cli.main(["data", "prepare", "digits", "--crop", "middle"]) == 2
    assert "unknown crop 'middle'" in capsys.readouterr().err


def test_what_a_killed_download_left_beside_a_whole_file_goes(server, tmp_path):
    """Killed between the rename and the removal of its folder."""
    fetch(server, tmp_path)
    (tmp_path / ".faces.zip.part").mkdir()
    fetch(server, tmp_path)
    assert not (tmp_path / ".faces.zip.part").exists()
