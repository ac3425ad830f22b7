"""A scene as a page that opens offline: nothing is fetched, and its content policy allows only the
script and the style it was written with.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

FOLDER = Path(__file__).parent
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; \
style-src '{{ style_hash }}'; script-src '{{ script_hash }}'; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>{{ title }}</title>
<style>{{ style }}</style>
</head>
<body>
<main data-scene="{{ scene }}"></main>
<script type="module">{{ script }}</script>
</body>
</html>
"""


def page(scene: Mapping[str, Any]) -> str:
    """The page as HTML text; names in the scene are escaped."""
    script, style = sources()
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(PAGE).render(
        title=scene["title"],
        scene=json.dumps(scene),
        script=Markup(script),
        style=Markup(style),
        script_hash=policy_hash(script),
        style_hash=policy_hash(style),
    )


def sources() -> tuple[str, str]:
    """The script that draws every element with data-scene, and its style."""
    files = ("widget.js", "page.js", "widget.css")
    draw, start, style = ((FOLDER / name).read_text(encoding="utf-8") for name in files)
    return draw + start, style


def policy_hash(text: str) -> str:
    """The content policy's name of an inline script or style."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
