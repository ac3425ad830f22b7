"""A scene: labelled arrays as one dictionary that JSON can hold and `widget.js` draws.

    title, lead     what is seen, and what to do
    size            [H, W]
    choices         [{name, values}]  what is chosen from lists, the first varies slowest
    steps           {name, values}    what the slider runs through
    panels          [{label, hint}]   pictures side by side
    frames          [[tile, ...]]     of each choice and step, -1 where there is no picture
    words           [[text, ...]]     below each picture
    tiles           {src, columns}    all pictures in one PNG
    start           {choice, step, row, column}
    scale           {src, low, high}  colours of the last panel
    belief          of `of_ways` only: entropy, sources, weights, views, training tiles

Pictures are clipped to [-1, 1] and have 8 bits; every number in words and beliefs is exact.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
import xarray as xr

from ..errors import InputError
from ..metrics.agreement import pearson_r
from ..plots.colors import heat
from ..plots.grid import picture
from ..store.open import variable
from .tiles import Tiles, bits, packed, png

PIXEL = ("channel", "row", "column")
SEEDS = 8  # of a store that a scene shows
FRAMES = 2000  # of a store that a scene holds, unless seeds are asked for
COPIED = "the sample is a copy"
VISIBLE = 0.7  # noise level at which noise and garment are both seen


def scenes(tree: xr.DataTree) -> list[dict[str, Any]]:
    """Every scene a store has the groups for: ways, samples beside predictions."""
    found = [of_ways(tree["ways"].to_dataset())] if "ways" in tree.children else []
    return found + ([of_store(tree)] if dict(_parts(tree)) else [])


def of_ways(ds: xr.Dataset) -> dict[str, Any]:
    """The scene of one machine's ways (`ways.ways`): point at a pixel, scrub the noise."""
    h, w = ds.sizes["row"], ds.sizes["column"]
    tiles, training = Tiles(h, w), Tiles(h, w)
    used = {int(k): training.add(picture(ds["training"].sel(used=k).values))
            for k in ds["used"].values}  # fmt: skip
    top = float(ds["entropy"].max()) or 1.0
    panels = [
        {"label": "1. The noisy image", "hint": "the pixel sees what is framed"},
        {"label": f"3. Estimate of {ds['machine'].item()}", "hint": "their weighted mean"},
        *([{"label": "Network", "hint": "at the same noise"}] if "network" in ds else []),
        {"label": "How unsure", "hint": "entropy of each pixel's belief"},
    ]
    frames, words = [], []
    for seed in ds["seed"].values:
        for sigma in ds["sigma"].values:
            one = ds.sel(seed=seed, sigma=sigma)
            shown = [one["noisy"].transpose(*PIXEL).values / math.hypot(1.0, sigma)]
            shown += [one[k].transpose(*PIXEL).values for k in ("estimate", "network") if k in ds]
            frames.append([tiles.add(picture(v)) for v in shown])
            frames[-1].append(tiles.add(heat(one["entropy"].values, 0, top)))
            line = ["scaled to be visible" if sigma > 1 else "", *[""] * len(shown)]
            if "network" in ds:
                line[2] = f"r with the estimate {_r(one['network'], one['estimate'])}"
            line[-1] = f"mean {float(one['entropy'].mean()):.2f} nats"
            words.append(line)
    strip = np.round(255 * heat(np.linspace(0, 1, 64)[None], 0, 1)).astype(np.uint8)
    return {
        "title": "What a pixel believes",
        "lead": (
            "Point at a pixel of the noisy image, or move it with the arrow keys: it sees its "
            "window, weighs training patches that look alike, and takes their mean."
        ),
        "size": [h, w],
        "choices": [{"name": "seed", "values": [str(s) for s in ds["seed"].values]}],
        "steps": {"name": "noise level σ", "values": [f"{s:.3g}" for s in ds["sigma"].values]},
        "panels": panels,
        "frames": frames,
        "words": words,
        "tiles": tiles.sheet(),
        "start": _telling(ds["entropy"].isel(seed=0)),
        "scale": {"src": png(strip), "low": "0", "high": f"{top:.2f} nats"},
        "belief": _belief(ds, used, training),
    }


def _telling(entropy: xr.DataArray) -> dict[str, Any]:
    """Where to begin: noise that is seen, and the pixel of the middle that weighs about three
    patches.
    """
    h, w = entropy.sizes["row"], entropy.sizes["column"]
    step = int(np.abs(np.log(entropy["sigma"].values / VISIBLE)).argmin())
    rows, columns = slice(h // 4, h - h // 4), slice(w // 4, w - w // 4)
    middle = entropy.isel(sigma=step, row=rows, column=columns).transpose("row", "column").values
    row, column = np.unravel_index(np.abs(middle - math.log(3)).argmin(), middle.shape)
    return {"choice": [0], "step": step, "row": int(row) + h // 4, "column": int(column) + w // 4}


def _belief(ds: xr.Dataset, used: Mapping[int, int], training: Tiles) -> dict[str, Any]:
    order = ("seed", "sigma", "row", "column", "source")
    number = np.vectorize(lambda k: used.get(int(k), 0), otypes=[int])
    image = ds["image"].transpose(*order).values
    return {
        "top": ds.sizes["source"],
        "entropy": packed(ds["entropy"].transpose(*order[:-1]).values, "f4"),
        "tile": packed(number(image), "u4"),
        "row": packed(ds["source_row"].transpose(*order).values.clip(0), "u2"),
        "column": packed(ds["source_column"].transpose(*order).values.clip(0), "u2"),
        "weight": packed(ds["weight"].transpose(*order).values, "f4"),
        "training": training.sheet(),
        "names": [str(k) for k in used],
        "views": [bits(v) for v in ds["seen"].transpose("view", "pixel", "other").values],
        "view_of": ds["view_of"].values.tolist(),
        "wraps": bool(ds["wraps"]),
    }


def of_store(tree: xr.DataTree, seeds: Sequence[int] | None = None) -> dict[str, Any]:
    """The scene of a store: samples of every group, family and seed beside each prediction of
    them.

    Args:
        seeds: those shown; the first eight without it, fewer where much is compared.

    Raises:
        InputError: a store without samples.
    """
    parts = dict(_parts(tree))
    if not parts:
        groups = ", ".join(tree.children) or "nothing"
        raise InputError(
            f"exploring wants samples, the store holds {groups}; open the run's folder itself, an "
            "export has no pictures"
        )
    (samples, _, _), *_ = parts.values()
    h, w = samples.sizes["row"], samples.sizes["column"]
    parts = {k: v for k, v in parts.items() if v[0].sizes["row"] == h and v[0].sizes["column"] == w}
    groups = list(parts)
    families = _all(parts[g][0]["family"].values for g in groups)
    others = _all(parts[g][1] for g in groups) or families
    shown = min(SEEDS, max(1, FRAMES // (len(groups) * len(families) * len(others))))
    names = seeds or _all(parts[g][0]["seed"].values[:shown] for g in groups)
    tiles, frames, words = Tiles(h, w), [], []
    for group in groups:
        samples, predicted, near = parts[group]
        for family in families:
            for seed in names:
                for other in others:
                    found = _frame(samples, predicted, near, family, seed, other)
                    frames.append([-1 if v is None else tiles.add(v) for v in found[0]])
                    words.append(found[1])
    strip = np.round(255 * heat(np.linspace(0, 1, 64)[None], 0, 1, "cividis")).astype(np.uint8)
    sizes = (len(groups), len(families), len(names), len(others))
    begin = np.unravel_index(_first(frames, words), sizes)
    chosen = {"group": groups, "family": families, "seed": names}
    return {
        "title": "Who predicts what a family draws?",
        "lead": (
            "All pictures start from the same noise. Step through the predictions with the slider, "
            "point at a pixel or move it with the arrow keys."
        ),
        "size": [h, w],
        "choices": [
            {"name": k, "values": [str(v) for v in vs]}
            for k, vs in chosen.items()
            if k != "group" or len(vs) > 1
        ],
        "steps": {"name": "predicted by", "values": [str(v) for v in others]},
        "panels": [
            {"label": "Sample", "hint": "what the family draws"},
            {"label": "Prediction", "hint": "from the same noise"},
            {"label": "Nearest training image", "hint": "what it would copy"},
            {"label": "Difference", "hint": "sample and prediction, absolute"},
        ],
        "frames": frames,
        "words": words,
        "tiles": tiles.sheet(),
        "start": {
            "choice": list(map(int, begin[0 if len(groups) > 1 else 1 : 3])),
            "step": int(begin[3]),
            "row": h // 2,
            "column": w // 2,
        },
        "scale": {"src": png(strip), "low": "0", "high": "1 or more, of 2"},
        "belief": None,
    }


Part = tuple[xr.DataArray, dict[str, xr.DataArray], xr.Dataset]


def _parts(tree: xr.DataTree, group: str = "images") -> Iterator[tuple[str, Part]]:
    """(group, (samples, predictions by name, novelty)) of a store, one image set each."""
    if "samples" in tree.children and "sample" in tree["samples"]:
        predicted: dict[str, xr.DataArray] = {}
        for kind in ("predictions", "references"):
            if kind in tree.children and "prediction" in tree[kind]:
                values = variable(tree, f"{kind}/prediction")
                predicted |= {str(p): values.sel(predictor=p) for p in values["predictor"].values}
        near = tree["novelty"].to_dataset() if "novelty" in tree.children else xr.Dataset()
        yield group, (variable(tree, "samples/sample"), predicted, near)
        return
    for name, child in tree.children.items():
        yield from _parts(child, name)


def _frame(
    samples: xr.DataArray,
    predicted: Mapping[str, xr.DataArray],
    near: xr.Dataset,
    family: Any,
    seed: Any,
    other: Any,
) -> tuple[list[np.ndarray | None], list[str]]:
    """Sample, prediction, nearest image and difference as colours, with a line for each."""
    x = _pick(samples, family, seed)
    p = _pick(predicted[other], family, seed) if other in predicted else None
    if not predicted:
        p = _pick(samples, other, seed)
    n = _pick(near["nearest_image"], family, seed) if "nearest_image" in near else None
    words = [f"{family}, seed {seed}", str(other), "", ""]
    if "copy" in near and family in near["family"].values and seed in near["seed"].values:
        copied = float(near["copy"].sel(family=family, seed=seed)) == 1
        words[2] = COPIED if copied else "the sample is new"
    gap = None
    if x is not None and p is not None:
        words[1] = f"{other}: r {_r(x, p)}"
        gap = heat(abs(x - p).mean("channel").transpose("row", "column").values, 0, 1, "cividis")
        words[3] = f"root mean square {float(np.sqrt(np.square(x - p).mean())):.2f}"
    shown = [None if v is None else picture(v.transpose(*PIXEL).values) for v in (x, p, n)]
    return [*shown, gap], words


def _first(frames: list[list[int]], words: list[list[str]]) -> int:
    """The first frame worth a look: a new sample and a prediction that is not the same."""
    worth = (f[-1] >= 0 and w[2] != COPIED and not w[1].endswith("1.00")
             for f, w in zip(frames, words, strict=True))  # fmt: skip
    return next((i for i, good in enumerate(worth) if good), 0)


def _pick(values: xr.DataArray, family: Any, seed: Any) -> xr.DataArray | None:
    """One picture; None where the store has none."""
    for dim, name in (("family", family), ("seed", seed)):
        if dim in values.dims:
            if name not in values[dim].values:
                return None
            values = values.sel({dim: name})
    values = values.reset_coords(drop=True).astype(float)
    return values if np.isfinite(values).any() else None


def _r(x: xr.DataArray, p: xr.DataArray) -> str:
    """Pearson r over all pixels and channels."""
    pair = (torch.from_numpy(v.transpose(*PIXEL).values)[None].double() for v in (x, p))
    return f"{float(pearson_r(*pair)):.2f}"


def _all(lists: Any) -> list[Any]:
    """Every value of some lists, once, in the order met."""
    return list(dict.fromkeys(v for values in lists for v in values))
