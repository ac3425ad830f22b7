"""Labels as file names: one name each, inside its folder, on every system."""

import ntpath
import os
import posixpath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archbias.store.names import LONGEST, file_name, label_of, same_file

PLAIN = ["linear, rank 20", "mean image", "UNet r=0.5 (3 levels)", "a+b_c-d.e", "x.nc"]
SURROGATES = st.text(st.characters(categories=None), max_size=300)


@pytest.mark.parametrize("label", PLAIN)
def test_plain_labels_are_their_own_names(label):
    assert file_name(label) == label


def test_a_fixed_few():
    assert file_name("../a:b") == "%2E.%2Fa%3Ab"
    assert file_name("") == "%"
    assert file_name("é") == "%C3%A9"
    assert file_name("é") != file_name("e\u0301")  # one letter in two normal forms


DEVICES = ["CON", "prn", "Aux", "NUL", *(f"{d}{n}" for d in ("com", "LPT") for n in range(1, 10))]
PIECES = [
    *DEVICES,
    "C:",
    "C:\\x",
    "\\\\server\\share",
    "..",
    ".",
    " ",
    "/",
    "a",
    ".nc",
    "\u00b9",
    "$",
]


def windows_keeps(name: str) -> bool:
    """Whether Windows reads a name as a device, by its own rule: spaces and what follows the first
    dot or colon do not count, case neither.
    """
    stem = name.partition(".")[0].partition(":")[0].rstrip(" ").upper()
    return stem in {d.upper() for d in DEVICES} | {"CONIN$", "CONOUT$"}


@given(st.lists(st.sampled_from(PIECES), max_size=4).map("".join))
def test_no_label_is_a_device_a_drive_or_an_end_that_windows_cuts_off(label):
    name = file_name(label)
    for file in (name, f"{name}.nc", f"{name}.safetensors.part"):
        assert not windows_keeps(file)
        assert ntpath.splitdrive(file) == ("", file)
        assert ntpath.basename(file) == file
    assert name.rstrip(". ") == name
    assert label_of(name) == label


def test_the_rule_of_windows_knows_its_devices():
    assert all(windows_keeps(d) for d in ("CON", "nul.tar", "com1 .x", "Lpt9:x"))
    assert not any(windows_keeps(d) for d in ("CONE", "com", "x.con", "%43ON"))


@pytest.mark.parametrize("label", [".", "..", "CON", "nul.tar", "com1", "Lpt9 .x", "aux ", "end."])
def test_names_that_a_system_keeps_for_itself_are_written_otherwise(label):
    name = file_name(label)
    assert name != label
    assert label_of(name) == label
    assert not windows_keeps(f"{name}.nc")


@given(SURROGATES)
def test_every_label_has_a_name_in_its_folder_and_comes_back(label):
    name = file_name(label)
    assert name.isascii()
    assert len(name) <= LONGEST
    assert not set(name) & set('<>:"/\\|?*')
    assert name.isprintable()
    assert name[0] not in ". "
    assert name[-1] not in ". "
    for path in (posixpath, ntpath):
        assert path.normpath(path.join("run", "cells", name)) == path.join("run", "cells", name)
    if "~" in name:
        assert label_of(name) is None
    else:
        assert label_of(name) == label


@given(SURROGATES, SURROGATES)
def test_two_labels_have_two_names(a, b):
    assert (file_name(a) == file_name(b)) == (a == b)


def test_long_labels_that_begin_alike_differ(tmp_path):
    a, b = ("x" * 400 + end for end in "ab")
    assert file_name(a) != file_name(b)
    (tmp_path / f".{file_name(a)}.abcdefgh.safetensors.part").touch()


def test_labels_that_differ_in_case_alone_are_one_file_elsewhere():
    assert same_file(["els", "ELS", "x"]) == ("els", "ELS")
    assert same_file(["els", "es"]) is None


def test_names_from_the_system_that_are_no_text_have_a_name():
    label = os.fsdecode(b"caf\xe9")
    assert label_of(file_name(label)) == label
