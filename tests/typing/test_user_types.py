"""The types as a user's mypy sees them: right uses pass its strict mode, each wrong one is an error of its kind."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

USES = Path(__file__).with_name("uses")
Found = dict[str, dict[int, set[str]]]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Found:
    """What mypy says of the uses, as codes by file and line; in a folder of its own it knows no setting of ours."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("right.py", "wrong.py"):
        (folder / name).write_text((USES / name).read_text())
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--hide-error-context", "--no-pretty"]
    command += ["--config-file=", "--cache-dir=.cache", "--no-color-output", "right.py", "wrong.py"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=240)  # noqa: S603
    assert done.returncode in {0, 1}, done.stdout + done.stderr
    result: Found = defaultdict(lambda: defaultdict(set))
    for line in done.stdout.splitlines():
        match = re.match(r"([\w./]+):(\d+): error: .*\[([\w-]+)\]$", line)
        if match:
            result[match[1]][int(match[2])].add(match[3])
        else:
            assert ": note: " in line, line
    return result


def test_a_strict_type_checker_finds_nothing_in_right_uses(found: Found) -> None:
    assert dict(found["right.py"]) == {}


def expected() -> dict[int, str]:
    """Line by line, the code that `wrong.py` expects."""
    lines = (USES / "wrong.py").read_text().splitlines()
    marked = {number: re.search(r"# error: ([\w-]+)", line) for number, line in enumerate(lines, start=1)}
    return {number: mark[1] for number, mark in marked.items() if mark}


@pytest.mark.parametrize(("line", "code"), expected().items())
def test_a_strict_type_checker_finds_each_wrong_use(found: Found, line: int, code: str) -> None:
    assert found["wrong.py"].get(line) == {code}, (USES / "wrong.py").read_text().splitlines()[line - 1]


def test_it_finds_nothing_else(found: Found) -> None:
    assert set(found["wrong.py"]) == set(expected())


def test_no_other_file_has_errors(found: Found) -> None:
    assert set(found) <= {"right.py", "wrong.py"}
