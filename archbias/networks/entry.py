"""An entry of the catalogue: where a network comes from, what it saw, how it is read.

A lab's own entry is the same dataclass behind an entry point of the group `archbias.networks`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict

from torch import Tensor, nn

from ..data import ImageSet
from ..data.source import File
from ..errors import InputError

MIT = """MIT License

{copyright}

Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files (the "Software"), to deal
in the Software without restriction, including without limitation the rights
to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all
copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
SOFTWARE.
"""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A published network.

    name: what `load` calls it. summary: one line.
    file: the name its weight file is kept under. sha256: of that file, as hex. bytes: its length.
    build: from the file's tensors to an `nn.Module` with `facts`, see `archbias.networks.facts`.
    scale, shift: from our pixels in [-1, 1] to those it was trained on, scale x + shift.
    trained_on: the training set and its preparation, one line. images: loads it so prepared, called
        with root, n, seed and ids.
    levels: (low, high) sigma it was trained at, in our pixels; None where the file tells.
    size: (H, W) of its training images, for a network that takes any size.
    known: further facts, one line each.
    url: where the file is served. origin: repository, commit and path in words.
    licence: its name. notice: the text that must travel with the file.
    """

    name: str
    summary: str
    file: str
    sha256: str
    build: Callable[[dict[str, Tensor]], nn.Module] = field(repr=False)
    trained_on: str
    licence: str
    bytes: int = 0
    scale: float = 1.0
    shift: float = 0.0
    images: Callable[..., ImageSet] | None = field(default=None, repr=False)
    levels: tuple[float, float] | None = None
    size: tuple[int, int] | None = None
    known: tuple[str, ...] = ()
    url: str = ""
    origin: str = ""
    notice: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        if len(self.sha256) != 64 or set(self.sha256) - set("0123456789abcdef"):
            raise InputError(
                f"wanted the sha256 of {self.file} as 64 hex digits, got {self.sha256!r}; compute "
                "it with sha256sum"
            )
        if not self.scale > 0:
            raise InputError(
                f"wanted a positive scale from [-1, 1] to the network's pixels, got {self.scale}; "
                "0.5 with shift 0.5 gives [0, 1]"
            )

    @property
    def download(self) -> File:
        """What `fetch` downloads."""
        if not self.url:
            raise InputError(
                f"{self.name} has no address to fetch from; put {self.file} into the root by hand"
            )
        return File(self.file, self.url, f"sha256:{self.sha256}", round(self.bytes / 1e6, 1))

    @property
    def notice_name(self) -> str:
        """The file its licence is written to, beside the weights."""
        return f"LICENSE-{Path(self.file).stem}"


class Address(TypedDict):
    """Where a file is served, and where it comes from in words."""

    url: str
    origin: str


def github(repository: str, commit: str, path: str) -> Address:
    """`url` and `origin` of a file as it was at a commit."""
    return {
        "url": f"https://github.com/{repository}/raw/{commit}/{path}",
        "origin": f"{repository} {commit}, {path}",
    }
