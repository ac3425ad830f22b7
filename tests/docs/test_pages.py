"""The pages keep their word: links lead somewhere, commands are understood, the README's Python
runs as it stands, only smaller.
"""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from archbias import cli, study

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    p for p in ROOT.glob("**/*.md") if not {".venv", "runs"} & set(p.relative_to(ROOT).parts)
)


def test_the_readmes_python_runs_in_a_fresh_interpreter():
    code = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)[1]
    small = (
        code.replace("n=1000", "n=20")
        .replace("range(16)", "range(2)")
        .replace("cosine(20)", "cosine(3)")
    )
    assert small != code
    done = subprocess.run(
        [sys.executable, "-c", small + "assert r.shape == (2,)"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_to_files(page):
    links = re.findall(r"\]\(([^)#]+)\)", re.sub(r"```.*?```", "", page.read_text(), flags=re.S))
    gone = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert not gone


def commands(page: Path) -> list[list[str]]:
    """`archbias ...` lines of a page as words, without the remark after three spaces, `...` and
    placeholders.
    """
    text = re.sub(r" \\\n +", " ", page.read_text(encoding="utf-8"))  # one command, two lines
    text = re.sub(r"; +archbias", "\narchbias", text)
    lines = re.findall(r"^(?:    |\| `)?(archbias [a-z].*?)(?:   |`|#|$)", text, re.M)
    return [[w for w in shlex.split(line)[1:] if not w.startswith("...")] for line in lines]


@pytest.mark.parametrize(
    "page", [p for p in PAGES if commands(p)], ids=lambda p: str(p.relative_to(ROOT))
)
def test_commands_are_understood(page, monkeypatch):
    monkeypatch.chdir(ROOT)
    for words in commands(page):
        if "--set" in words and words[-1] == "--set":
            words.pop()
        # of list|show|fetch the first
        asked = cli.parser().parse_args([w.split("|")[0] for w in words])
        if words[0] == "run" and asked.study.name != "STUDY":
            loaded = study.load(asked.study)
            loaded.plan(loaded.configure(asked.preset, cli.changes_of(asked.set)))
