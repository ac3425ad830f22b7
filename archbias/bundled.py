"""Where the studies lie that came with archbias."""

from __future__ import annotations

from pathlib import Path


def known() -> dict[str, Path]:
    """The studies that came with archbias, in the package or in its checkout: name -> folder."""
    package = Path(__file__).resolve().parent
    homes = [package / "studies"]
    if (package.parent / "pyproject.toml").is_file():  # else some other package's `studies`
        homes.append(package.parent / "studies")
    folders = [p for home in homes if home.is_dir() for p in sorted(home.iterdir())]
    return {p.name: p for p in folders if (p / "study.py").is_file()}
