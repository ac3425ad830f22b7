"""Networks that other people trained, as denoisers: a catalogue, loaders, their training images."""

from .catalogue import check, describe, entries, entry, fetch, images, load, names, read
from .denoiser import Published, PublishedDenoiser
from .entry import Entry, github
from .facts import Facts

__all__ = [
    "Entry",
    "Facts",
    "Published",
    "PublishedDenoiser",
    "check",
    "describe",
    "entries",
    "entry",
    "fetch",
    "github",
    "images",
    "load",
    "names",
    "read",
]
