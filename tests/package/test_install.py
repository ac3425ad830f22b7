"""Wheel and sdist, installed into environments of their own, outside the checkout."""

import importlib.util
from pathlib import Path

import pytest
import release

import archbias

KINDS = ("wheel", "sdist")


@pytest.fixture(scope="session")
def built(tmp_path_factory) -> dict[str, Path]:
    if importlib.util.find_spec("hatchling") is None:
        pytest.skip("building a wheel needs hatchling")
    folder = tmp_path_factory.mktemp("built")
    wheel, sdist = release.build(folder / "dist")
    return {"wheel": wheel, "sdist": release.wheel_of(sdist, folder / "of_sdist")}


@pytest.fixture(scope="session", params=KINDS)
def installed(request, built, tmp_path_factory) -> tuple[Path, Path]:
    """The commands of an environment with the wheel, or with the sdist; an empty folder."""
    folder = tmp_path_factory.mktemp(request.param)
    commands = release.environment(folder / "venv", built[request.param], offline=True)
    work = folder / "work"
    work.mkdir()
    return commands, work


@pytest.mark.slow
def test_what_is_imported_was_installed_and_finds_its_images(installed):
    commands, work = installed
    code = "import archbias; print(archbias.__file__, archbias.load('fashion_mnist').hash)"
    file, found = release.call([commands / "python", "-c", code], work).split()
    assert Path(file).is_relative_to(commands.parent)
    assert found == archbias.load("fashion_mnist").hash


@pytest.mark.slow
def test_the_commands_of_an_installed_package(installed):
    commands, work = installed
    said = {
        words: release.call([commands / "archbias", *words.split()], work)
        for words in ("list", "studies list", "--version", f"studies copy families {work / 'own'}")
    }
    assert "score machine" in said["list"] or "bbels" in said["list"]
    assert set(archbias.bundled.known()) <= set(said["studies list"].split())
    assert said["--version"].split() == ["archbias", archbias.__version__]
    assert (work / "own" / "study.py").is_file()
    module = release.call([commands / "python", "-m", "archbias", "--help"], work)
    assert "archbias COMMAND --help describes one." in module


@pytest.mark.slow
def test_a_study_runs_by_name_from_an_installed_package(installed):
    commands, work = installed
    release.smoke(commands, work)


@pytest.mark.slow
def test_the_wheel_holds_the_studies_and_no_pictures_or_weights(built):
    for wheel in built.values():
        release.refuse_contents(release.contents(wheel))


@pytest.mark.slow
def test_a_wheel_of_the_sdist_is_the_wheel(built):
    own, other = (release.contents(built[kind]) for kind in KINDS)
    assert sorted(own) == sorted(other)


def test_a_picture_or_a_missing_study_is_refused():
    names = [release.BUNDLED, "archbias/py.typed", "archbias/templates/report.html.j2"]
    names += [f"archbias/studies/{p.name}/study.py" for p in (release.ROOT / "studies").iterdir()]
    release.refuse_contents(names)
    for wrong in ([*names, "archbias/a.png"], [*names, "archbias/net.pt"], names[:-1], names[1:]):
        with pytest.raises(SystemExit, match="wheel lacks"):
            release.refuse_contents(wrong)


def test_versions_agree():
    release.refuse_versions(release.versions())


@pytest.mark.parametrize("file", ["CITATION.cff", "CHANGELOG.md"])
def test_another_version_is_refused(file):
    found = dict.fromkeys(release.versions(), "1.2.3")
    release.refuse_versions(found)
    release.refuse_versions(found | {"CHANGELOG.md": "Unreleased"})
    with pytest.raises(SystemExit, match="one version everywhere"):
        release.refuse_versions(found | {file: "1.2.4"})
