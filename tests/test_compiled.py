"""Kernels compile where nothing can be kept: read-only code, no home."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import archbias

CODE = """
import archbias.compiled as c

@c.njit(cache=True)
def double(x):
    return 2 * x

assert double(21) == 42
import os, numba
print(numba.config.CACHE_DIR)
"""


def test_a_process_that_can_keep_nothing_compiles_into_a_folder_of_its_own(tmp_path):
    package = tmp_path / "archbias"
    package.mkdir()
    source = Path(archbias.__file__).parent
    for name in ("__init__.py", "moved.py", "compiled.py"):
        shutil.copy(source / name, package)
    script = tmp_path / "script.py"
    script.write_text(CODE, encoding="utf-8")
    (tmp_path / "__pycache__").touch()  # a file where numba's folder would be
    nowhere = {"HOME": "/proc/none", "XDG_CACHE_HOME": "/proc/none", "PYTHONPATH": str(tmp_path)}
    env = {k: v for k, v in os.environ.items() if k != "NUMBA_CACHE_DIR"} | nowhere
    done = subprocess.run(
        [sys.executable, "-B", str(script)], env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("\n") == 1
    assert "NUMBA_CACHE_DIR" in done.stderr
    assert not Path(done.stdout.strip()).exists()  # gone with the process
