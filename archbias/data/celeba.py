"""CelebA: 202 599 aligned faces, 178 x 218 colour.

Read from a folder of JPEGs, the official zip, or parquet files. The usual crop is the centre 178 x
178 (rows 20 to 198); on files halved to 89 x 109 the same rule gives rows 10 to 99. `crop="none"`
resizes the whole image, as Kamb & Ganguli do.
"""

from __future__ import annotations

from pathlib import Path

from . import files
from .source import File, Source, pick

OFFICIAL = "https://drive.usercontent.google.com/download?export=download&confirm=t&id=0B7EVK8r0v71pZjFTYXZWM3FlRnM"


def find(place: Path) -> files.Listing | None:
    """The faces in a folder or file, or None."""
    if place.is_dir():
        for folder in (place / "img_align_celeba", place / "celeba" / "img_align_celeba", place):
            if pick(folder, "*.jpg", "*.png"):
                return files.folder(folder)
    if (
        found := pick(place, "img_align_celeba.zip", "*.zip")
        if place.is_dir() or place.suffix == ".zip"
        else []
    ):
        return files.archive(found[0])
    if found := pick(place, "train*.parquet", "*/train*.parquet", "*.parquet", "*/*.parquet"):
        return files.parquet(found)
    return None


SOURCE = Source(
    name="celeba",
    summary="CelebA, 202599 aligned faces of 3x218x178",
    licence="non-commercial research only, no redistribution",
    home="https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html",
    cite="Liu, Luo, Wang & Tang, Deep learning face attributes in the wild, ICCV 2015",
    find=find,
    files=(File("img_align_celeba.zip", OFFICIAL, "md5:00d2c5bc6d35e252742224ab0c1e8fcb", 1443),),
    crop="centre",
)
