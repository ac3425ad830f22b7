"""Networks that other people trained, by name.

    faces = archbias.networks.load("celeba40-blind-cnn", root="weights/")
    images = archbias.networks.images("celeba40-blind-cnn", root="celeba/", n=1000)

A network is known by its origin, its sha256, its licence and its scaling; the weight file lies in a
folder the user names, or is fetched. A file of the same architecture with other weights is read
with `read`. A lab's own entries join through the entry point group `archbias.networks`: NAME =
"module:ENTRY", an `Entry` or a sequence of them.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import cast

from ..data import ImageSet, download
from ..data.writing import writing
from ..errors import InputError, nearest
from . import blind_cnn, flow_transformer, step_unet, time_cnn, weights
from .denoiser import Published, PublishedDenoiser
from .entry import Entry
from .facts import Facts
from .published import PUBLISHED

ARCHITECTURES = (blind_cnn, time_cnn, flow_transformer, step_unet)


@cache
def entries() -> dict[str, Entry]:
    """Every entry by name, those of other packages joined; they are looked for at the first call,
    so that a package of an entry may import this one.
    """
    known = {e.name: e for e in PUBLISHED}
    for point in entry_points(group="archbias.networks"):
        try:
            found = point.load()
            for e in [found] if isinstance(found, Entry) else found:
                if not isinstance(e, Entry):
                    raise TypeError(f"wanted an Entry, got {type(e).__name__}")
                known[e.name] = e
        except Exception as error:
            warnings.warn(
                f"networks {point.name!r} of {point.value} cannot be loaded: {error}", stacklevel=1
            )
    return known


def names() -> list[str]:
    """The names `load` knows.

    Example:
        >>> from archbias import networks
        >>> "mnist-cnn" in networks.names()
        True
    """
    return list(entries())


def entry(name: str) -> Entry:
    """An entry by name, or by the stem of its file; an InputError names the closest ones."""
    for e in entries().values():
        if name in (e.name, Path(e.file).stem):
            return e
    raise InputError(f"unknown network {name!r}; {nearest(str(name), entries())}")


def load(
    name: str,
    *,
    root: str | Path | None = None,
    size: tuple[int, int] | int | None = None,
    conditional: bool = True,
) -> PublishedDenoiser:
    """A published network as a denoiser. Nothing is downloaded.

    Args:
        root: the folder of weight files, or the file; ARCHBIAS_NETWORKS or the user's cache folder
            without it.
        size: side or (H, W) of the images, for networks that take any; what it was trained on
            without it.
        conditional: take labels, where the network has classes; without labels it is told "none".

    Raises:
        InputError: an unknown name, no file, or a file whose sha256 is not the published one.
    """
    about = entry(name)
    path = at_hand(about, root)
    if path is None:
        raise InputError(
            f"wanted {about.file} of {about.name}, got none in {_folder(root)}; "
            + _remedy(about, root)
        )
    digest = weights.sha256(path)
    if digest != about.sha256:
        raise InputError(
            f"wanted {about.name} with sha256 {about.sha256[:16]}..., got {digest[:16]}... at "
            f"{path}; fetch it again, or read another checkpoint with "
            f"archbias.networks.read(path, like={about.name!r})"
        )
    return _made(about, about.name, digest, weights.read(path), size, conditional)


def read(
    path: str | Path,
    *,
    like: str | None = None,
    size: tuple[int, int] | int | None = None,
    conditional: bool = True,
) -> PublishedDenoiser:
    """Another checkpoint of an architecture the catalogue knows: depth, widths, kernels, sizes,
    steps and classes are those of the file; pixels and, where the file does not tell, levels are
    those of the entry `like`.

    Args:
        like: a name of the catalogue; without it the first entry that reads such files.
        size, conditional: as in `load`.
    """
    path = Path(path).expanduser()
    state = weights.read(path)
    about = like_of(state, path) if like is None else entry(like)
    return _made(about, path.stem, weights.sha256(path), state, size, conditional)


def like_of(state: dict, path: Path) -> Entry:
    """The first entry whose architecture such tensors belong to."""
    for architecture in ARCHITECTURES:
        if architecture.recognise(state):
            return next(e for e in entries().values() if e.build is architecture.build)
    raise InputError(
        f"wanted weights of a known architecture, got {path} with {next(iter(state))!r} and "
        f"{len(state) - 1} more; adapt other networks with archbias.adapters.from_module"
    )


def images(
    name: str,
    *,
    root: str | Path | None = None,
    n: int | None = None,
    seed: int | None = None,
    ids: Sequence[str] | None = None,
) -> ImageSet:
    """The training images of a network, prepared as it saw them, in our [-1, 1].

    Args:
        root: the folder of the image set, not of the weights. n, seed, ids: as in `archbias.load`.
    """
    about = entry(name)
    if about.images is None:
        raise InputError(
            f"{about.name} was trained on {about.trained_on}, which the catalogue cannot load; "
            "prepare them with archbias.ImageSet.from_array"
        )
    return about.images(root=root, n=n, seed=seed, ids=ids)


def fetch(
    name: str,
    root: str | Path | None = None,
    *,
    mirror: str | None = None,
    progress: bool = False,
) -> Path:
    """Download a weight file that is not there yet, checked, with its licence beside it.

    Args:
        root: the folder to keep it in; by default the one `load` looks in.
        mirror: a URL that serves the file under its name.
    """
    about, folder = entry(name), _folder(root)
    if folder.is_file():
        raise InputError(f"wanted a folder to keep {about.file} in, got the file {folder}")
    path = download.get(about.download, folder, mirror=mirror, home=about.url, progress=progress)
    if about.notice:
        with writing(folder / about.notice_name) as part:
            part.write_text(about.notice, encoding="utf-8")
    return path


def check(name: str, root: str | Path | None = None) -> dict[str, str]:
    """Whether a network's file is at hand, is the published one and is read: one line each.

    Raises:
        InputError: it is not.
    """
    denoiser, path = load(name, root=root), at_hand(entry(name), root)
    c, h, w = denoiser.shape
    return {
        "name": entry(name).name,
        "file": str(path),
        "sha256": f"{denoiser.spec.sha256}, as published",
        "images": f"{c}x{h}x{w}",
        "parameters": f"{sum(p.numel() for p in denoiser.module.parameters()):,}",
    }


def describe(name: str, root: str | Path | None = None) -> dict[str, str]:
    """One line each about an entry: summary, origin, licence, training set, scaling, levels, what
    is known, and whether the file is at hand.

    Example:
        >>> from archbias import networks
        >>> networks.describe("mnist-cnn")["licence"]
        'MIT'
    """
    about, path = entry(name), at_hand(entry(name), root)
    levels = "the file tells" if about.levels is None else "{:g} to {:g}".format(*about.levels)
    return {
        "name": about.name,
        "summary": about.summary,
        "origin": about.origin or "not published",
        "file": f"{about.file} ({about.bytes / 1e6:.1f} MB, sha256 {about.sha256})",
        "licence": about.licence,
        "trained on": about.trained_on,
        "pixels": f"{about.scale:g} x {about.shift:+g} of x in [-1, 1]",
        "levels": f"sigma {levels}, for pixels in [-1, 1]",
        "known": "; ".join(about.known) or "nothing further",
        "at hand": f"no: {_remedy(about, root)}" if path is None else str(path),
    }


def at_hand(about: Entry, root: str | Path | None = None) -> Path | None:
    """The weight file in the root or the default folder, or None."""
    return weights.find(_folder(root), about.file, about.bytes, about.sha256)


def _folder(root: str | Path | None) -> Path:
    return weights.networks_root() if root is None else Path(root).expanduser()


def _remedy(about: Entry, root: str | Path | None) -> str:
    if not about.url:
        return f"give the root that holds {about.file}"
    at = "" if root is None else f" --root {root}"
    return f"run `archbias networks fetch {about.name}{at}` or give the root that holds it"


def _made(
    about: Entry,
    name: str,
    digest: str,
    state: dict,
    size: tuple[int, int] | int | None,
    conditional: bool,
) -> PublishedDenoiser:
    module = about.build(state)
    facts = cast(Facts, module.facts)
    size = (size, size) if isinstance(size, int) else size
    if facts.size is not None and size not in (None, facts.size):
        raise InputError(
            f"{name} takes images of {facts.size[0]}x{facts.size[1]} alone, got size {size}; leave "
            "it out"
        )
    size = facts.size or size or about.size
    if size is None:
        raise InputError(f"{name} takes images of any size, got none; give size=(H, W)")
    levels = about.levels
    if facts.levels is not None:
        low, high = facts.levels
        levels = low / about.scale, high / about.scale
    if levels is None:
        raise InputError(
            f"wanted the levels {name} was trained at, got none in its file or its entry; give "
            "Entry(levels=(low, high))"
        )
    spec = Published(
        network=name,
        sha256=digest,
        scale=about.scale,
        shift=about.shift,
        conditional=conditional and facts.classes > 0,
    )
    return PublishedDenoiser(spec, module, size, levels)
