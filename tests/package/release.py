"""What a release must be, checked: `make release` runs this and leaves wheel and sdist in dist/.

Versions agree, the metadata is whole, the wheel holds what it should and nothing else, and what is
installed from it alone lists, runs and draws.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
BUNDLED = "archbias/data/bundled/fashion_mnist_1000.npz"
PICTURES = {".png", ".jpg", ".jpeg", ".gif", ".svg", ".pdf", ".npz", ".npy", ".gz", ".zip"}
WEIGHTS = {".pt", ".pth", ".ckpt", ".bin", ".safetensors", ".onnx", ".pkl", ".h5"}


def versions(root: Path = ROOT) -> dict[str, str]:
    """The version each file states; of the changelog its first heading."""
    wanted = {
        "archbias/__init__.py": r'^__version__ = "(.+)"$',
        "CITATION.cff": r"^version: (\S+)$",
        "CHANGELOG.md": r"^## (\S+)(?: \(.+\))?$",
    }
    found = {}
    for file, pattern in wanted.items():
        match = re.search(pattern, (root / file).read_text(encoding="utf-8"), re.MULTILINE)
        found[file] = match[1] if match else "none"
    return found


def refuse_versions(found: dict[str, str]) -> None:
    """An error unless all versions are one; the changelog may still say Unreleased."""
    own = found["archbias/__init__.py"]
    if found["CITATION.cff"] != own or found["CHANGELOG.md"] not in (own, "Unreleased"):
        raise SystemExit(f"wanted one version everywhere, got {found}; change the others")


def build(out: Path, root: Path = ROOT) -> tuple[Path, Path]:
    """The wheel and the sdist of a checkout, built offline by what is installed here."""
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-d", out], cwd=root, check=True)
    return next(out.glob("*.whl")), next(out.glob("*.tar.gz"))


def wheel_of(sdist: Path, out: Path) -> Path:
    """The wheel that pip builds of an sdist, as a user without the wheel would."""
    flags = ["--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", out]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *flags, sdist], check=True)
    return next(out.glob("*.whl"))


def refuse_contents(names: list[str]) -> None:
    """An error where a wheel lacks a study, or holds pictures, weights or what was compiled; only
    networks that a study publishes for the replay of its numbers travel with it.
    """
    studies = {p.parent.name for p in (ROOT / "studies").glob("*/study.py")}
    held = {Path(n).parent.name for n in names if n.startswith("archbias/studies/")}
    kinds = PICTURES | WEIGHTS | {".pyc"}
    published = re.compile(r"archbias/studies/\w+/networks/[^/]+\.safetensors")
    over = [
        n for n in names if Path(n).suffix in kinds and n != BUNDLED and not published.fullmatch(n)
    ]
    needed = {BUNDLED, "archbias/py.typed", "archbias/templates/report.html.j2"}
    missing = sorted(studies - held) + sorted(needed - set(names))
    if over or missing:
        raise SystemExit(f"the wheel lacks {missing} and holds {over}, which it must not")


def contents(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as packed:
        return packed.namelist()


def environment(folder: Path, wheel: Path, *, offline: bool) -> Path:
    """A new environment with archbias from this wheel alone; the folder of its commands.

    offline: its dependencies are those installed here, seen through a path file, which does not
        bring an editable archbias along. Otherwise they are installed as constraints.txt has them.
    """
    commands = folder / ("Scripts" if os.name == "nt" else "bin")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    pip = [sys.executable, "-m", "pip", "--python", commands / "python"]
    pip += ["--disable-pip-version-check", "install", "--quiet"]
    more = ["--no-deps", "--no-index"] if offline else ["-c", ROOT / "constraints.txt"]
    subprocess.run([*pip, *more, wheel], check=True)
    if offline:  # after the wheel, so that pip sees no other archbias
        places = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
        own = next(folder.glob("[Ll]ib*/**/site-packages"))
        (own / "dependencies.pth").write_text("\n".join(sorted(places)), encoding="utf-8")
    return commands


def call(command: list[str | Path], folder: Path) -> str:
    """What a command prints, called in a folder without the tests' own paths."""
    hidden = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
    env = {k: v for k, v in os.environ.items() if k not in hidden}
    ran = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)
    if ran.returncode:
        raise SystemExit(f"{' '.join(map(str, command))} failed:\n{ran.stdout}{ran.stderr}")
    return ran.stdout


def smoke(commands: Path, folder: Path) -> Path:
    """A small run of the bundled study by name; its folder, with figures and a summary."""
    run = folder / "run"
    small = ["--preset", "toy", "--quiet", "--out", run]
    call([commands / "archbias", "run", "families", *small], folder)
    if not list(run.glob("figures/*.png")) or not (run / "summary.csv").is_file():
        raise SystemExit(f"wanted figures and a summary in {run}, got {sorted(run.iterdir())}")
    return run


def main() -> None:
    found = versions()
    refuse_versions(found)
    dist = ROOT / "dist"
    for old in (*dist.glob("*.whl"), *dist.glob("*.tar.gz")):
        old.unlink()
    wheel, sdist = build(dist)
    subprocess.run([sys.executable, "-m", "twine", "check", "--strict", wheel, sdist], check=True)
    refuse_contents(contents(wheel))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        commands = environment(folder / "venv", wheel, offline=False)
        smoke(commands, folder)
    print(f"{found['archbias/__init__.py']} is fit for release: {wheel}, {sdist}")


if __name__ == "__main__":
    main()
