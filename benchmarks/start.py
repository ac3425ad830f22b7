"""What it costs to begin: importing the package, and the commands that compute nothing.

    python benchmarks/start.py

Every line is a new process, called in turn with `python -c pass`; printed are CPU seconds (user and
system, the least of several) and how many times those of `python -c pass` they are. CPU seconds
hardly feel what else the machine does.
"""

from __future__ import annotations

import platform
import resource
import subprocess
import sys

ROUNDS = 7
NOTHING = "python -c pass"
CALLS = {
    NOTHING: ["-c", "pass"],
    "import archbias": ["-c", "import archbias"],
    "archbias --help": ["-m", "archbias", "--help"],
    "archbias list": ["-m", "archbias", "list"],
    "archbias list unet": ["-m", "archbias", "list", "unet"],
    "archbias studies list": ["-m", "archbias", "studies", "list"],
    "archbias.FAMILIES (torch)": ["-c", "import archbias; archbias.FAMILIES"],
    "archbias.plots (matplotlib)": ["-c", "import archbias; archbias.plots"],
    "seaborn": ["-c", "import seaborn"],
}


def seconds(arguments: list[str]) -> float:
    """CPU time of one new interpreter, from the operating system."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    for arguments in CALLS.values():  # bytecode is written, files are read
        seconds(arguments)
    found = {name: float("inf") for name in CALLS}
    for _ in range(ROUNDS):
        for name, arguments in CALLS.items():
            found[name] = min(found[name], seconds(arguments))
    print(f"{platform.platform()}, Python {platform.python_version()}, least of {ROUNDS}")
    for name, taken in found.items():
        print(f"{name:<30}{taken:>8.3f} s{taken / found[NOTHING]:>8.1f}")


if __name__ == "__main__":
    main()
