"""What is uploaded: a wheel that holds what runs and nothing else, and an sdist that builds the same wheel."""

from __future__ import annotations

import configparser
import email
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from airflow_provider_orvideo import __version__

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGE = "airflow_provider_orvideo"
PROJECT: dict[str, Any] = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]


def build(source: Path, target: str, into: Path) -> Path:
    """Build one distribution with the backend that pyproject.toml names, and return its file."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", target, "--directory", str(into)]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False, timeout=120)  # noqa: S603
    assert done.returncode == 0, done.stdout + done.stderr
    (file,) = into.iterdir()
    return file


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(REPOSITORY, "sdist", tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="module")
def unpacked(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sdist as somebody who downloads it has it."""
    folder = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    (tree,) = folder.iterdir()
    return tree


@pytest.fixture(scope="module")
def wheel(unpacked: Path, tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel, built out of the sdist."""
    return zipfile.ZipFile(build(unpacked, "wheel", tmp_path_factory.mktemp("wheel")))


@pytest.fixture(scope="module")
def metadata(wheel: zipfile.ZipFile) -> email.message.Message:
    return email.message_from_bytes(wheel.read(f"{PACKAGE}-{__version__}.dist-info/METADATA"))


def files_of(folder: Path) -> set[str]:
    """What lies in a folder of the checkout, without what Python and others leave there."""
    return {
        str(file.relative_to(REPOSITORY))
        for file in folder.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts and "_build" not in file.parts
    }


# ── The wheel ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_wheel_holds_the_whole_package_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    held = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert held == files_of(REPOSITORY / PACKAGE)


@pytest.mark.parametrize("ending", ["py.typed", "plugins/static/video.html", "plugins/static/gallery.js", ".css"])
def test_the_wheel_holds_what_is_no_code(wheel: zipfile.ZipFile, ending: str) -> None:
    assert any(name.startswith(f"{PACKAGE}/") and name.endswith(ending) for name in wheel.namelist())


def test_the_wheel_runs_on_every_platform(wheel: zipfile.ZipFile) -> None:
    text = wheel.read(f"{PACKAGE}-{__version__}.dist-info/WHEEL").decode()
    assert "Root-Is-Purelib: true" in text
    assert "Tag: py3-none-any" in text


def test_the_entry_points_are_those_by_which_airflow_and_pytest_find_it(wheel: zipfile.ZipFile) -> None:
    parser = configparser.ConfigParser()
    parser.read_string(wheel.read(f"{PACKAGE}-{__version__}.dist-info/entry_points.txt").decode())
    assert {section: dict(parser[section]) for section in parser.sections()} == {
        "apache_airflow_provider": {"provider_info": f"{PACKAGE}.get_provider_info:get_provider_info"},
        "airflow.plugins": {"orvideo": f"{PACKAGE}.plugins.orvideo:OrVideoPlugin"},
        "pytest11": {"orvideo": f"{PACKAGE}.testing.plugin"},
    }


def test_the_licence_goes_along(wheel: zipfile.ZipFile) -> None:
    licence = wheel.read(f"{PACKAGE}-{__version__}.dist-info/licenses/LICENSE")
    assert licence == (REPOSITORY / "LICENSE").read_bytes()


# ── Its metadata ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_version_stands_in_one_place(metadata: email.message.Message) -> None:
    assert metadata["Version"] == __version__
    assert "version" not in PROJECT
    # An option tells since when it exists, which is another thing.
    stated = re.compile(rf"""(?<!"version_added": )["']{re.escape(__version__)}["']""")
    files = [*(REPOSITORY / PACKAGE).rglob("*.py"), REPOSITORY / "pyproject.toml", REPOSITORY / "docs/conf.py"]
    assert [str(file.relative_to(REPOSITORY)) for file in files if stated.search(file.read_text())] == [
        f"{PACKAGE}/__init__.py"
    ]


def test_the_newest_changes_are_those_of_this_version() -> None:
    (newest, *_) = re.findall(r"^## (\S+?),? ", (REPOSITORY / "CHANGELOG.md").read_text(), flags=re.MULTILINE)
    assert newest == __version__


def test_the_classifiers_name_the_pythons_that_the_matrix_runs(metadata: email.message.Message) -> None:
    sys.path.insert(0, str(REPOSITORY / "scripts"))
    import matrix  # noqa: PLC0415 - a script, found in its folder

    found = [line for line in metadata.get_all("Classifier", []) if re.search(r"Python :: 3\.\d+$", line)]
    assert found == [f"Programming Language :: Python :: {version}" for version in matrix.PYTHONS]
    assert metadata["Requires-Python"] == f">={matrix.PYTHONS[0]}"
    assert any(
        line.startswith("Framework :: Apache Airflow :: Provider") for line in metadata.get_all("Classifier", [])
    )


def test_every_dependency_has_a_lower_bound(metadata: email.message.Message) -> None:
    requirements = [Requirement(line) for line in metadata.get_all("Requires-Dist", [])]
    assert requirements
    unbounded = [str(one) for one in requirements if not any(part.operator in {">=", "=="} for part in one.specifier)]
    assert unbounded == []


def test_airflow_has_no_upper_bound(metadata: email.message.Message) -> None:
    """A provider with an upper bound on Airflow keeps its users from security releases."""
    (airflow,) = [
        requirement
        for requirement in map(Requirement, metadata.get_all("Requires-Dist", []))
        if requirement.name == "apache-airflow"
    ]
    assert [part.operator for part in airflow.specifier] == [">="]


def test_the_extras_are_those_of_the_documentation(metadata: email.message.Message) -> None:
    extras = metadata.get_all("Provides-Extra", [])
    assert set(extras) == set(PROJECT["optional-dependencies"])
    page = (REPOSITORY / "docs" / "compatibility.md").read_text()
    assert {extra for extra in extras if f"`{extra}`" not in page} == set()


# ── The sdist ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_sdist_holds_all_that_its_tests_and_its_documentation_need(unpacked: Path) -> None:
    held = {str(file.relative_to(unpacked)) for file in unpacked.rglob("*") if file.is_file()}
    folders = (PACKAGE, "tests", "docs", "example_dags", "scripts", "benchmarks", "constraints")
    missing = {name for folder in folders for name in files_of(REPOSITORY / folder)} - held
    assert missing == set()
    files = {"README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "Makefile", "pyproject.toml", "PKG-INFO"}
    assert files <= held


def test_the_sdist_holds_nothing_that_a_machine_left(unpacked: Path) -> None:
    parts = {part for file in unpacked.rglob("*") for part in file.relative_to(unpacked).parts}
    assert not parts & {
        ".venv",
        ".venv-matrix",
        ".cache",
        ".tools",
        ".git",
        "__pycache__",
        "dist",
        "_build",
        ".hypothesis",
    }
