"""Workflows, issue forms and the citation are what their schemas say, and call what there is."""

import re
import subprocess
import sys

import pytest
import release

SCHEMAS = {
    ".github/workflows/*.yml": "vendor.github-workflows",
    ".github/ISSUE_TEMPLATE/*.yml": "vendor.github-issue-forms",
    "CITATION.cff": "vendor.citation-file-format",
}


def checked(schema: str, files: list) -> subprocess.CompletedProcess:
    pytest.importorskip("check_jsonschema", reason="the schemas come with check-jsonschema")
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, *files]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.parametrize("pattern", SCHEMAS)
def test_files_are_what_their_schema_says(pattern):
    files = sorted(release.ROOT.glob(pattern))
    assert files
    found = checked(SCHEMAS[pattern], files)
    assert not found.returncode, found.stdout


def test_a_workflow_without_a_machine_is_refused(tmp_path):
    wrong = tmp_path / "wrong.yml"
    text = (release.ROOT / ".github/workflows/test.yml").read_text(encoding="utf-8")
    wrong.write_text(text.replace("    runs-on: ubuntu-latest\n", ""), encoding="utf-8")
    found = checked("vendor.github-workflows", [wrong])
    assert found.returncode == 1
    assert "runs-on" in found.stdout


def targets() -> set[str]:
    text = (release.ROOT / "Makefile").read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z]+):", text, re.MULTILINE))


@pytest.mark.parametrize(
    "file",
    [
        *sorted(str(p.relative_to(release.ROOT)) for p in release.ROOT.glob(".github/**/*.yml")),
        "README.md",
        "CONTRIBUTING.md",
    ],
)
def test_what_is_made_has_a_target(file):
    text = (release.ROOT / file).read_text(encoding="utf-8")
    called = set(re.findall(r"^\W*(?:run: )?make ([a-z]+)", text, re.MULTILINE))
    assert called <= targets()
    assert called or "ISSUE_TEMPLATE" in file, "no `make` found: does the pattern still fit?"


def test_every_phony_target_exists_and_is_described():
    text = (release.ROOT / "Makefile").read_text(encoding="utf-8")
    phony = set(re.search(r"^\.PHONY: (.*)$", text, re.MULTILINE)[1].split())
    assert phony == targets()
    assert set(re.findall(r"^# make ([a-z]+)", text, re.MULTILINE)) >= phony - {"clean"}
