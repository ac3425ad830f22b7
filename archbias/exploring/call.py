"""`archbias.explore`: a store or a fitted machine as pictures to point at."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import xarray as xr

from ..denoise import Denoiser
from ..errors import InputError
from ..store import open_study, write_text
from . import scene
from .page import page
from .ways import ways


def explore(
    what: Denoiser | xr.DataTree | str | Path,
    *,
    network: Denoiser | None = None,
    seeds: Iterable[int] | None = None,
    steps: int = 20,
    top: int = 5,
    path: str | Path | None = None,
) -> Any:
    """A store or a machine to look into, in a notebook or as a page.

    A machine (ideal, es, ls, els, bbels, masked): point at a pixel of a noisy image; its window,
    the training patches it believes in with their weights, its entropy and its estimate, at every
    noise level of a sample's way. A store: samples beside each prediction of them.

    Args:
        what: a fitted machine; a store, its group `ways`, or the path of a run.
        network: with a machine: its ways are followed and its estimates shown beside.
        seeds: of the noise; seed 0 of a machine, the first eight of a store without it.
        steps: noise levels of a machine's way. top: training patches kept for each pixel.
        path: where to write a page that opens in any browser, instead of a widget.

    Returns:
        The widget, whose `pixel`, `step` and `choice` can be read and set; or the page's path.

    Raises:
        InputError: nothing of the kind, or no anywidget where a widget is wanted.
    """
    if isinstance(what, Denoiser):
        found = ways(what, network=network, seeds=seeds or (0,), steps=steps, top=top)
        made = scene.of_ways(found)
    else:
        tree = _opened(what)
        if "seen" in tree.data_vars:
            made = scene.of_ways(tree.to_dataset())
        else:
            made = scene.of_store(tree, None if seeds is None else list(seeds))
    if path is not None:
        path = Path(path).expanduser()
        write_text(path, page(made))
        return path
    from .widget import shown

    return shown(made)


def _opened(what: Any) -> xr.DataTree:
    if isinstance(what, xr.DataTree):
        return what
    if isinstance(what, str | Path):
        return open_study(what)
    raise InputError(
        f"wanted a fitted machine, a store or the path of a run, got {type(what).__name__}; for "
        'example archbias.FAMILIES["ls"](window=7).fit(images)'
    )
