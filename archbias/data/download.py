"""Download a set's published files: only when asked, checked against the published checksum,
resumed where it stopped.

Pooch keeps the registry's promise (a file under its final name has its published hash); what had
arrived when a download was cut stays in the folder .NAME.part and is continued with an HTTP range
request.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import filelock
import requests
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from ..errors import InputError
from .catalogue import named
from .source import File, data_root

BLOCK = 1 << 16  # bytes
PATIENCE = 30.0  # seconds without an answer


def fetch(
    name: str, root: str | Path | None = None, *, mirror: str | None = None, progress: bool = False
) -> list[Path]:
    """Download the files of a set that are not there yet.

    Args:
        root: the folder to keep them in; by default the one `load` looks in.
        mirror: a URL that serves the same files under the same names.
        progress: show a bar on the terminal.

    Returns:
        The files, each with its published checksum.
    """
    about = named(name)
    if not about.files:
        raise InputError(
            f"{name} has no files to fetch; "
            + (about.manual or f"load it with archbias.load({name!r})")
        )
    folder = Path(root).expanduser() if root is not None else data_root() / name
    if folder.is_file():
        raise InputError(f"wanted a folder to keep {name} in, got the file {folder}; give root=DIR")
    return [
        get(file, folder, mirror=mirror, home=about.home, progress=progress) for file in about.files
    ]


def get(
    file: File, folder: Path, *, mirror: str | None = None, home: str = "", progress: bool = False
) -> Path:
    """One file, whole and with the right checksum, or an InputError; what had arrived is kept for
    the next call.
    """
    # here, because importing it in a notebook imports tqdm, which warns when widgets are missing
    import pooch

    url = file.url if mirror is None else urljoin(mirror.rstrip("/") + "/", file.name)
    by_hand = (
        f"download {file.name} by hand" + (f" from {home}" if home else "") + f" into {folder}"
    )
    pooch.get_logger().setLevel("WARNING")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        target, staging = folder / file.name, folder / f".{file.name}.part"
        with filelock.FileLock(folder / f".{file.name}.lock"):
            if target.is_file() and pooch.hashes.hash_matches(target, file.hash):
                # of a process that was killed after the last step but one
                shutil.rmtree(staging, ignore_errors=True)
                return target
            pull = _Resume(staging / "bytes", progress)
            whole = pooch.retrieve(
                url, known_hash=file.hash, fname=file.name, path=staging, downloader=pull
            )
            Path(whole).replace(target)
            shutil.rmtree(staging)
            return target
    except requests.RequestException as error:
        lost = isinstance(
            error,
            requests.ConnectionError | requests.Timeout | requests.exceptions.ChunkedEncodingError,
        )
        reason = (
            f"no answer from {urlsplit(url).hostname}" if lost else " ".join(str(error).split())
        )
        raise InputError(
            f"wanted {file.name}, got {reason}; run it again to continue where it stopped, or "
            f"{by_hand}"
        ) from error
    except OSError as error:
        raise InputError(
            f"wanted to write {folder / file.name}, got {error.strerror or error}; give another "
            "root or make room"
        ) from error
    except ValueError as error:  # pooch: the checksum
        raise InputError(
            f"wanted {file.name} with checksum {file.hash}, got another file from {url}; {by_hand}"
        ) from error


class _Resume:
    """A pooch downloader that continues `part`."""

    def __init__(self, part: Path, progress: bool):
        self.part, self.progress = part, progress

    def __call__(self, url: str, output_file: str, _: object) -> None:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, disable=not self.progress) as bar:
            task = bar.add_task(Path(url).name[:40], total=None)
            while True:
                before = self._size()
                try:
                    self._pull(
                        url, lambda done, total: bar.update(task, completed=done, total=total)
                    )
                    break
                except (
                    requests.ConnectionError,
                    requests.Timeout,
                    requests.exceptions.ChunkedEncodingError,
                ):
                    # cut again without a single byte: give up, keep the part
                    if self._size() == before:
                        raise
        self.part.replace(output_file)

    def _size(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _pull(self, url: str, report: Callable[[int, int | None], None]) -> None:
        have = self._size()
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
        with requests.get(url, headers=headers, stream=True, timeout=PATIENCE) as answer:
            # nothing after the part: it is whole, and the checksum decides
            if have and answer.status_code == 416:
                return
            answer.raise_for_status()
            resumed = answer.status_code == 206
            length = answer.headers.get("Content-Length")
            have = have if resumed else 0
            total = have + int(length) if length else None
            with self.part.open("ab" if resumed else "wb") as out:
                for block in answer.iter_content(BLOCK):
                    out.write(block)
                    have += len(block)
                    report(have, total)
