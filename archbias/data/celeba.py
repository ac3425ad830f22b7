"""CelebA: 202 599 aligned faces, 178 x 218 colour.

Read from a folder of JPEGs, the official zip, or parquet files. The usual crop is the centre 178 x
178 (rows 20 to 198); on files halved to 89 x 109 the same rule gives rows 10 to 99. `crop="none"`
resizes the whole image, as Kamb & Ganguli do.
"""

from __future__ import annotations

from pathlib import Path

from . import formats
from .source import File, Source, only, pick

OFFICIAL = "https://drive.usercontent.google.com/download?export=download&confirm=t&id=0B7EVK8r0v71pZjFTYXZWM3FlRnM"

# where the official archive, torchvision and Kaggle keep the files
FOLDERS = (
    "img_align_celeba",
    "img_align_celeba/img_align_celeba",
    "celeba/img_align_celeba",
    "Img/img_align_celeba",
)


def find(place: Path) -> formats.Listing | None:
    """The faces in a folder or file, or None."""
    if place.is_file() and place.suffix.lower() == ".zip":
        return formats.archive(place)
    for folder in FOLDERS if place.is_dir() else ():
        if pick(place / folder, "*.jpg", "*.png"):
            return formats.folder(place / folder)
    if found := pick(place, "img_align_celeba.zip"):
        return formats.archive(only(found))
    if place.is_dir() and pick(place, "*.jpg", "*.jpeg", "*.png"):
        return formats.folder(place)
    if found := pick(place, "train*.parquet", "*/train*.parquet", "*.parquet", "*/*.parquet"):
        return formats.parquet(found)
    if found := pick(place, "*.zip"):
        return formats.archive(only(found))
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
