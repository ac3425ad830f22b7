"""What is killed: commands on a small study, a training, a join, a download.

    operations(url)      all of them by name; each makes its folder and works in it
    serve()              the address of a server that is slow enough to be cut

None computes anything when this file is imported: a fork wants a process in which nothing has run.
"""

from __future__ import annotations

import http.server
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path

import numpy as np
import xarray as xr

from archbias import cli, seeds
from archbias.data import download
from archbias.data.source import File, Source
from archbias.nets import descent
from archbias.nets.mlp import MLP
from archbias.nets.train import Train
from archbias.study import Cell, Images, Study, Work, run

BODY = np.random.default_rng(0).bytes(2 << 20)
STUDY_FILE = "from killed import STUDY\n"


@dataclass(frozen=True)
class Operation:
    """A command and where in it the kills fall.

    work: does it in a folder.
    begin: makes the folder from the one of a finished run.
    within: the calls before which it is killed are those that touch a path that contains this.
    twice: killed once by a call and, in the command that resumes, once more.
    part: of all kills.
    share: of the kills that fall before a call; the others come after a random time.
    """

    name: str
    work: Callable[[Path], object]
    begin: Callable[[Path, Path], object] = lambda finished, folder: folder.mkdir()
    within: str = ""
    twice: bool = False
    part: float = 0.1
    share: float = 0.5


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Of the study that is killed: digits, and a small training."""

    data: Images = Images(name="digits", n=16)
    steps: int = 4


def _grid(settings: Settings) -> list[Cell]:
    """A training with a figure, a denoiser that is kept, and a cell that reads it."""

    def trained(work: Work) -> dict[str, xr.Dataset]:
        spec = MLP(width=32, depth=1, train=Train(steps=settings.steps, batch=8))
        fitted = spec.fit(settings.data.load(), runtime=work.runtime)
        work.save("mlp", fitted)
        step, loss = (fitted.history[k].numpy() for k in ("step", "loss"))
        labels = {"family": ["mlp"], "step": step}
        return {"training": xr.Dataset({"loss": (("family", "step"), loss[None])}, labels)}

    def drawn(work: Work) -> dict[str, xr.Dataset]:
        noise = seeds.normal(range(3), (1, 8, 8))
        values = work.denoiser("mlp")(noise, 1.0).numpy()[None]
        dims = ("family", "seed", "channel", "row", "column")
        labels = {"family": ["mlp"], "seed": range(3)}
        return {"drawn": xr.Dataset({"sample": (dims, values)}, labels)}

    return [Cell("trained", trained), Cell("drawn", drawn, after=("trained",))]


STUDY = Study(name="killed", question="Same bits?", settings=Settings(), cells=_grid)


def command(*words: str) -> int:
    """A command line, silent; an error code is an error."""
    silent = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    cli.shared.out.file = cli.shared.err.file = sys.stdout = silent
    code = cli.main([str(w) for w in words])
    if code:
        raise RuntimeError(f"{' '.join(map(str, words))} ended with {code}")
    return code


def _copied(finished: Path, folder: Path) -> None:
    shutil.copytree(finished, folder, ignore=shutil.ignore_patterns("figures", "report.html"))


def command_run(folder: Path) -> None:
    study = folder.parent / "killed"
    study.mkdir(exist_ok=True)
    (study / "study.py").write_text(STUDY_FILE, encoding="utf-8")
    command("run", study, "--out", folder, "--threads", 1, "--quiet")


def _training(folder: Path) -> None:
    """A training that writes a checkpoint after every step."""
    descent.steps.__kwdefaults__["every"] = 0.0
    run(STUDY, Settings(steps=10), folder, threads=1)


def _figures(folder: Path) -> None:
    command("figures", folder, "--format", "png,pdf,svg")


def _prepare(folder: Path) -> None:
    command("data", "prepare", "digits", "--n", 300, "--size", 24, "--out", folder / "p.npz")


def _fetch(folder: Path, url: str) -> None:
    known = f"sha256:{sha256(BODY).hexdigest()}"
    files = (File("faces.zip", f"{url}/faces.zip", known, 2), File("b.bin", url, known, 2))
    source = Source("digits", "x", "x", "x", "x", find=lambda place: None, files=files)
    download.named = lambda name: source
    command("data", "fetch", "digits", "--root", folder, "--mirror", url, "--quiet")


def operations(url: str) -> dict[str, Operation]:
    """All of them by name; `url` serves BODY under every path."""
    made = [
        Operation("run", command_run, part=0.1),
        Operation("training", _training, part=0.12),
        Operation("checkpoint", _training, within="checkpoints", share=1.0, part=0.13),
        Operation("resume", _training, within="checkpoints", twice=True, part=0.15),
        Operation("join", _join, _copied, within="store.zarr", share=1.0, part=0.13),
        Operation("report", lambda f: command("report", f), _copied, part=0.06),
        Operation("figures", _figures, _copied, part=0.05),
        Operation("export", lambda f: command("export", f, f / "numbers.nc"), _copied, part=0.1),
        Operation("data fetch", partial(_fetch, url=url), part=0.08),
        Operation("data prepare", _prepare, part=0.08),
    ]
    return {o.name: o for o in made}


def _join(folder: Path) -> None:
    run(STUDY, Settings(), folder, threads=1)


def serve() -> str:
    """Serve BODY, slowly enough to be cut; the address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.headers.get("Range", "bytes=0-")
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            rest = BODY[start:]
            self.send_response(416 if not rest else 206 if start else 200)
            self.send_header("Content-Length", str(len(rest)))
            self.end_headers()
            try:
                for i in range(0, len(rest), 1 << 17):
                    self.wfile.write(rest[i : i + (1 << 17)])
                    time.sleep(0.02)
            except OSError:
                return  # who asked is dead

        def log_message(self, *_: object) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}"
