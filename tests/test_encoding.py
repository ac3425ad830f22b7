"""Text is UTF-8 at every door: nothing is read or written in the encoding of the locale.

The linter forbids it where it reads (PLW1514); here the doors are used while Python warns.
"""

import os
import subprocess
import sys

SCRIPT = """
import sys, warnings
warnings.filterwarnings("error", category=EncodingWarning, module=r"archbias(\\.|$)")
from archbias import cli, data, families

folder = sys.argv[1]
here = ["--root", folder]
images = data.load("digits", n=12)
path = images.manifest().write(f"{folder}/m.json")
data.load("digits", manifest=path)
data.prepare("digits", n=12, out=f"{folder}/p.npz")
families.save(families.FAMILIES["linear"]().fit(images), f"{folder}/d.safetensors")
families.load(f"{folder}/d.safetensors")
for words in (
    ["list"], ["doctor"], ["data", "list", *here], ["data", "show", "array", *here],
    ["run", "studies/families", "--preset", "toy", "--dry-run", "--out", f"{folder}/r"],
):
    assert cli.main(words) == 0, words
"""
RUN = """
from made_up_runs import ran
from archbias import store

run = f"{folder}/run"
ran(run, seeds=2)
for words in (
    ["status"], ["tables"], ["figures"], ["report"], ["verify"], ["diff", run],
    ["export", f"{folder}/n.nc"],
):
    assert cli.main([words[0], run, *words[1:]]) == 0, words
tree, numbers = (store.open_study(p)["novelty"] for p in (run, f"{folder}/n.nc"))
assert numbers.data_vars
assert all(v.equals(tree[name]) for name, v in numbers.data_vars.items())
"""


def test_no_file_is_opened_in_the_encoding_of_the_locale(tmp_path, request):
    """In a process that warns of it, with a locale that is not UTF-8."""
    here = [str(request.config.rootpath), str(request.path.parent)]
    paths = os.pathsep.join([*here, os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-X", "warn_default_encoding", "-c", SCRIPT + RUN, str(tmp_path)],
        env=os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONPATH": paths},
        cwd=request.config.rootpath,
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_answers_in_a_pipe_are_utf8_in_any_locale(tmp_path):
    """The licences in `data list` have dashes and an ellipsis, which an ASCII locale lacks."""
    done = subprocess.run(
        [sys.executable, "-m", "archbias", "data", "list", "--root", str(tmp_path)],
        env=os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "COLUMNS": "80"},
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    assert not done.stdout.isascii()
    done.stdout.decode("utf-8")


def test_the_warning_that_the_test_relies_on_is_an_error():
    """A module of the package that reads in the locale's encoding ends in an EncodingWarning."""
    script = SCRIPT.split("from archbias")[0] + (
        "code = compile('open(sys.argv[1]).read()', 'x', 'exec')\n"
        "exec(code, {'__name__': 'archbias.reader', 'sys': sys})\n"
    )
    done = subprocess.run(
        [sys.executable, "-X", "warn_default_encoding", "-c", script, __file__],
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    assert "EncodingWarning" in done.stderr
