"""Every picture that is published says in a sentence what it shows; where the numbers behind it are
published too, the sentence is computed from them.
"""

import re
from pathlib import Path

import pytest
from PIL import Image

import archbias
from archbias import study
from archbias.report import drawing

ROOT = Path(__file__).parents[2]
PICTURES = sorted([*(ROOT / "studies").glob("*/*.png"), *(ROOT / "docs").glob("*.png")])
SENTENCE = re.compile(r"\S.*\d.*\.")  # with a number in it, and an end


def _told(path):
    """A picture's figure and what stands above it."""
    with Image.open(path) as picture:
        return picture.text.get("Title", "").partition(": ")[2], picture.text.get("Description", "")


@pytest.mark.parametrize("path", PICTURES, ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_it_says_what_it_shows(path):
    assert SENTENCE.match(_told(path)[1])


@pytest.mark.parametrize(
    "name", ["arena", "from_plane_to_faces", "score_machines", "unet_variants"]
)
def test_what_it_says_is_what_the_published_numbers_say(name):
    folder, checked = ROOT / "studies" / name, 0
    made = study.figures(folder)
    said = [drawing.sentences(archbias.open_study(p), made) for p in folder.glob("*.nc")]
    for path in folder.glob("*.png"):
        figure, above = _told(path)
        if any(figure in one for one in said):
            assert any(above.startswith(one[figure]) for one in said if figure in one), path.name
            checked += 1
    assert checked >= 3
