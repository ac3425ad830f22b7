"""A run as one page: question, figures, tables, families, data, provenance, how to reproduce.

The page is one file that opens offline: figures are in it, nothing is fetched, and its content
policy allows only the script and the style it was written with. Whatever comes from names and files
is escaped.
"""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any, cast

import jinja2
import pandas as pd
import xarray as xr
from markupsafe import Markup

from .. import __version__, exploring, plots, store
from .. import study as studies
from ..denoise import to_json
from ..errors import InputError
from ..exploring.page import policy_hash
from ..families import FAMILIES
from ..plots.styles import heading
from ..store.open import variable
from . import drawing, tables, words
from .command import attribute, reproduce, spelled

CAPTIONS = {
    "samples": (
        "one column per family, one row per seed; beside each sample its nearest training image"
    ),
    "agreement": (
        "how close each prediction comes to each family's samples, seed by seed; median and "
        "95 % bootstrap interval"
    ),
    "variance": (
        "variance of samples along the data's principal directions; bands are what the "
        "closed-form law allows"
    ),
    "covariance": (
        "eigenvalues of the samples' covariance; bands are what the closed-form law allows "
        "at this sample size"
    ),
    "training": "training loss",
}
PROVENANCE = (
    "archbias",
    "commit",
    "created",
    "seconds",
    "host",
    "platform",
    "python",
    "torch",
    "numpy",
    "threads",
)


def write(
    run: str | Path | xr.DataTree, study: str | Path | None = None, path: str | Path | None = None
) -> Path:
    """Write the page of a run, whole or not at all; returns its path.

    Args:
        run: a run folder, or a store already opened.
        study: the study's folder; its `figures.py` draws the figures (`CAPTIONS` there names them),
            and the command that reproduces the run is worked out from its defaults and presets.
        path: the file; RUN/report.html by default.
    """
    if isinstance(run, xr.DataTree):
        if path is None:
            raise InputError(
                "a report of an open store wants the path of a file, got none; give "
                "path='report.html'"
            )
        tree, troubles = run, []
    else:
        run = Path(run).expanduser()
        tree, troubles = store.open_study(run), _troubles(run)
        path = run / "report.html" if path is None else path
    path = Path(path).expanduser()
    store.write_text(path, page(tree, study=study, troubles=troubles))
    return path


def page(
    tree: xr.DataTree,
    *,
    study: str | Path | None = None,
    troubles: list[tuple[str, str]] | None = None,
) -> str:
    """The page as HTML text; troubles are (cell, what happened) of cells the store lacks."""
    attrs = {str(k): v for k, v in tree.attrs.items()}
    settings = attribute(attrs, "settings")
    images = attribute(attrs, "images")
    commands, notes = reproduce(attrs, settings, study)
    scenes = [json.dumps(scene) for scene in exploring.scenes(tree)]
    sections = [
        "figures",
        *(["explore"] if scenes else []),
        "tables",
        "families",
        "data",
        "provenance",
        "reproduce",
    ]
    module = studies.figures(Path(study)) if study else None
    style, script = _source("report.css"), _source("report.js")
    if scenes:
        draw, look = exploring.sources()
        style, script = style + look, script + draw
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("archbias", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template("report.html.j2").render(
        title=attrs.get("study", "study"),
        question=attrs.get("question", ""),
        version=__version__,
        findings=findings(tree, module),
        facts=_facts(attrs, images, tree),
        troubles=troubles or [],
        contents=[(name, name if name != "reproduce" else "how to reproduce") for name in sections],
        figures=_figures(tree, module),
        scenes=scenes,
        tables=[
            *_summary(tree, module),
            *(_table(title, frame) for title, frame in tables.tables(tree).items()),
        ],
        families=_families(tree, settings, attrs),
        data=[(k, "x".join(map(str, v)) if isinstance(v, list) else v) for k, v in images.items()],
        provenance=[(k, attrs[k]) for k in PROVENANCE if k in attrs],
        commands=commands,
        notes=notes,
        settings=json.dumps(settings, indent=1, ensure_ascii=False),
        style=Markup(style),
        script=Markup(script),
        style_hash=policy_hash(style),
        script_hash=policy_hash(script),
    )


def findings(tree: xr.DataTree, module: Any) -> list[str]:
    """What a study's `figures.py` says of a run in sentences, the most important first; without
    one, what the numbers of any study say. Nothing where a group it reads is missing.
    """
    try:
        return [str(line) for line in getattr(module, "findings", words.usual)(tree)]
    except KeyError:
        return []


def _figures(tree: xr.DataTree, module: Any) -> list[dict[str, Any]]:
    captions = CAPTIONS | getattr(module, "CAPTIONS", {})
    with plots.style("notebook"):
        figures, attrs = drawing.drawn(module, tree), {str(k): v for k, v in tree.attrs.items()}
        found = []
        for name, figure in figures.items():
            data = plots.render(figure, "png", attrs, name=name)
            # the PNG header
            width, height = (int.from_bytes(data[i : i + 4], "big") for i in (16, 20))
            caption = captions.get(name, "")
            told = " ".join([*heading(figure), caption]).strip()
            alt = f"{name}: {told}" if told else f"figure {name}"
            encoded = base64.b64encode(data).decode()
            found.append(
                {
                    "name": name,
                    "caption": caption,
                    "alt": alt,
                    "data": encoded,
                    "width": width,
                    "height": height,
                }
            )
    return found


def _summary(tree: xr.DataTree, module: Any) -> list[dict[str, Any]]:
    """The table by which the study answers its question; none where a group it reads is missing."""
    if not hasattr(module, "summary"):
        return []
    try:
        frame = module.summary(tree)
    except KeyError:
        return []
    rows = []
    for first, *rest in frame.itertuples(index=False):
        cells = [
            {
                "text": f"{v:.3g}" if isinstance(v, float) else str(v),
                "best": False,
                "value": _key(v),
            }
            for v in rest
        ]
        rows.append({"name": str(first), "cells": cells})
    return [
        {
            "title": "Summary",
            "note": "the study's own table",
            "columns": [str(c) for c in frame.columns],
            "rows": rows,
        }
    ]


def _key(value: Any) -> str:
    """What a cell is sorted by: the number it starts with, else its text."""
    if isinstance(value, float):
        return "" if math.isnan(value) else repr(float(value))
    number = re.match(r"-?\d+(\.\d+)?(e-?\d+)?(?= |$)", str(value))
    return number.group() if number else str(value)


def _table(title: str, frame: pd.DataFrame) -> dict[str, Any]:
    columns, rows, note = tables.layout(frame)
    values = {(v.family, v.column): repr(v.value) for v in frame.itertuples(index=False)}
    return {
        "title": title,
        "note": note,
        "columns": ["family", *columns],
        "rows": [
            {
                "name": family,
                "cells": [
                    {"text": text, "best": best, "value": values.get((family, column), "")}
                    for column, (text, best) in zip(columns, cells, strict=True)
                ],
            }
            for family, cells in rows
        ],
    }


def _families(
    tree: xr.DataTree, settings: Mapping[str, Any], attrs: Mapping[str, Any]
) -> list[dict[str, str]]:
    specs = attribute(attrs, "families") or settings.get("families") or {}
    if not specs and "samples" in tree.children:
        specs = {str(f): {} for f in variable(tree, "samples/family").values}
    known = {cls.__name__: cls for cls in FAMILIES.values()}
    found = []
    for label, spec in specs.items():
        cls = known.get(str(spec.get("type"))) if isinstance(spec, dict) else None
        unusual = _unusual(spec, _defaults(cls)) if cls else spec
        found.append(
            {"label": label, "summary": cls.summary if cls else "", "settings": spelled(unusual)}
        )
    return found


def _defaults(cls: type) -> dict[str, Any]:
    """The settings every field of a family has by default, as JSON; those that must be given are
    left out.
    """
    given = {
        f.name: cast(Any, f).default_factory() if f.default is MISSING else f.default
        for f in fields(cls)
        if f.init and _has_default(f)
    }
    return {"type": cls.__name__} | json.loads(json.dumps(to_json(given)))


def _has_default(f: Field) -> bool:
    return f.default is not MISSING or f.default_factory is not MISSING


def _unusual(spec: Any, default: Any) -> Any:
    """A spec without the settings that are its family's defaults."""
    if not (
        isinstance(spec, dict)
        and isinstance(default, dict)
        and spec.get("type") == default.get("type")
    ):
        return spec
    return {
        k: _unusual(v, default.get(k))
        for k, v in spec.items()
        if k == "type" or k not in default or v != default[k]
    }


def _facts(
    attrs: Mapping[str, Any], images: Mapping[str, Any], tree: xr.DataTree
) -> list[tuple[str, str]]:
    facts = []
    if images:
        shape = "x".join(map(str, images.get("shape", [])))
        facts.append(("images", f"{images.get('n', '?')} of {images.get('name', '?')}, {shape}"))
        facts.append(("sha256", str(images.get("hash", "?"))[:12]))
    if "samples" in tree.children:
        sizes = tree["samples"].sizes
        facts += [
            ("families", str(sizes.get("family", "?"))),
            ("seeds", str(sizes.get("seed", "?"))),
        ]
    return [
        *facts,
        *((k, str(attrs[k])[:n]) for k, n in (("created", 10), ("commit", 12)) if attrs.get(k)),
    ]


def _troubles(folder: Path) -> list[tuple[str, str]]:
    if not (folder / "run.json").is_file():
        return []
    state = studies.status(folder)[1]
    return [*state.failed.items(), *((name, "not computed yet") for name in state.waiting)]


def _source(name: str) -> str:
    return (Path(__file__).parents[1] / "templates" / name).read_text(encoding="utf-8")
