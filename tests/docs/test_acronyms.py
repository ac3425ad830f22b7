"""An acronym is spelt out where it first stands in a text that people read first."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXTS = [ROOT / "README.md", *sorted(ROOT.glob("studies/*/README.md"))]
NEAR = 120  # characters within which the words follow
WORDS = {
    "bbELS": "boundary-broken equivariant local",
    "ELS": "equivariant local",
    "LS": "local (score )?machine",
    "ES": "equivariant score",
    "IS": "ideal score",
    "EDM": "Karras",
    "DDIM": "denoising diffusion implicit|Song et al",
    "SSE": "sum of squared errors",
    "FID": "Fr[eé]chet",
    "EMA": "moving average",
    "MLP": "perceptron",
}


def unspelt(text: str) -> list[str]:
    """Acronyms that stand before their words."""
    text, found = re.sub(r"\s+", " ", text), []
    for short, words in WORDS.items():
        first = re.search(rf"(?<![\w`/]){short}\b", text)
        spelt = re.search(words, text, re.IGNORECASE)
        if first and (spelt is None or spelt.start() > first.start() + NEAR):
            found.append(short)
    return found


@pytest.mark.parametrize("path", TEXTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_spelt_out(path):
    assert unspelt(path.read_text(encoding="utf-8")) == []


def test_the_test_finds_what_is_not_spelt_out():
    assert unspelt("LS predicts.") == ["LS"]
    assert unspelt("LS, the local machine, predicts.") == []
    assert unspelt(f"LS predicts. {'x' * NEAR} The local machine.") == ["LS"]
