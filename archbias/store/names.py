"""Labels as file names: every label has one name, and that name stays in its folder.

    file_name("linear, rank 20")  "linear, rank 20"
    file_name("../a:b")           "%2E.%2Fa%3Ab"

Letters, digits and ` ._+=,()-` stay as they are, everything else is percent-encoded UTF-8. So no
name holds a separator, a drive or a character that some file system lacks or writes differently.
Names that a system keeps for itself (`.`, `CON`, `NUL`) and ends that Windows cuts off (a dot, a
space) are encoded too. A name of more than `LONGEST` characters is cut and ends in `~` and its
sha256.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from urllib.parse import quote, unquote

LONGEST = 200  # a temporary name adds up to 30 to it; file systems take 255
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d) *(\.|$)", re.IGNORECASE)


def file_name(label: str) -> str:
    """The name under which files of a label are kept, without suffix; `label_of` inverts it."""
    name = quote(label, safe=" +=,()", errors="surrogatepass").replace("~", "%7E")
    if not name:
        return "%"
    if name[0] in ". " or _DEVICES.match(name):
        name = f"%{ord(name[0]):02X}{name[1:]}"
    if name[-1] in ". ":
        name = f"{name[:-1]}%{ord(name[-1]):02X}"
    if len(name) > LONGEST:
        sha = hashlib.sha256(label.encode(errors="surrogatepass")).hexdigest()
        name = f"{name[: LONGEST - 33]}~{sha[:32]}"
    return name


def label_of(name: str) -> str | None:
    """The label of a file name; None for one that was cut."""
    return None if "~" in name else unquote(name.removesuffix("%"), errors="surrogatepass")


def same_file(labels: Iterable[str]) -> tuple[str, str] | None:
    """Two labels that are one file where case does not count (macOS, Windows), or None."""
    seen: dict[str, str] = {}
    for label in labels:
        other = seen.setdefault(file_name(label).casefold(), label)
        if other != label:
            return other, label
    return None
