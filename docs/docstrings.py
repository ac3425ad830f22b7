"""Docstrings are written to be read as they stand; here they become reStructuredText.

Formulas and aligned tables become literal blocks, marks that reStructuredText would read as its own
are escaped. Google sections are left to napoleon.
"""

import re
import textwrap
from itertools import groupby

SECTION = re.compile(r"(Args|Returns|Raises|Yields|Attributes|Examples?|Notes?|References):$")
EXAMPLES = re.compile(r"Examples?:$|>>>")
ITEM = re.compile(r"([-*]|\d+\.) ")
NAME = re.compile(r"[A-Za-z_][\w.]*(\(\))?")
SPAN = re.compile(
    r"``.+?``|`[^`]+`|\*\*\S.*?\*\*|(?<![\w*])\*[^*\s](?:[^*]*[^*\s])?\*(?![\w*])", re.S
)


def restructured(app, what, name, obj, options, lines):
    """The docstring's lines, changed in place."""
    head, tail = split(lines)
    paragraphs = [list(g) for empty, g in groupby(head, lambda s: not s.strip()) if not empty]
    made = [line for p in paragraphs for line in (*block(p), "")]
    at = next((i for i, line in enumerate(tail) if EXAMPLES.match(line)), len(tail))
    lines[:] = [*made, *marked("\n".join(tail[:at])).split("\n"), *tail[at:]]


def split(lines):
    """What comes before the first section, and the rest."""
    starts = (i for i, line in enumerate(lines) if SECTION.match(line) or EXAMPLES.match(line))
    at = next(starts, len(lines))
    return lines[:at], lines[at:]


def block(paragraph):
    """A paragraph as it is: a formula or a table literally, a list, or prose."""
    text = textwrap.dedent("\n".join(paragraph)).split("\n")
    set_apart = all(line.startswith("    ") for line in paragraph)
    if set_apart or any(re.search(r"\S {3,}\S", line) for line in paragraph):
        return ["::", "", *("    " + line for line in text)]
    if ITEM.match(text[0]):
        return marked("\n".join(text)).split("\n")
    return [marked(" ".join(line.strip() for line in text))]


def marked(text):
    """Text with names as links, code as code, and other marks escaped."""
    parts, last = [], 0
    for span in SPAN.finditer(text):
        parts += [escaped(text[last : span.start()]), code(span[0])]
        last = span.end()
    return "".join([*parts, escaped(text[last:])])


def code(span):
    """A name stays a name, anything else in backticks is code."""
    inner = span.strip("`")
    if not span.startswith("`") or span.startswith("``") or NAME.fullmatch(inner):
        return span
    return f"``{inner}``"


def escaped(text):
    """Text without marks of reStructuredText."""
    text = re.sub(r"([\\|*])", r"\\\1", text)
    return re.sub(r"(?<=\w)_(?!\w)", r"\\_", text)
