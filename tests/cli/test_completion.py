"""The shell asks what may follow, and is answered without a heavy import."""

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("archbias ver", {"verify"}),
        ("archbias data sh", {"show"}),
        ("archbias run --pre", {"--preset"}),
    ],
)
def test_words_are_completed(line, wanted, tmp_path):
    answer = tmp_path / "answer"
    asked = {
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_IFS": "\n",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(answer),
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
    }
    code = "from archbias.cli import main; main()"
    subprocess.run([sys.executable, "-c", code], env=os.environ | asked, check=False)
    assert {word.strip() for word in answer.read_text(encoding="utf-8").split("\n")} == wanted
