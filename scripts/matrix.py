"""``make matrix``: the built wheel on every supported Airflow and Python, with the lowest and the newest dependencies.

A cell is one combination, with an environment of its own in ``.venv-matrix/<cell>``. The tests come out of the built
sdist and run in a folder that has no package beside them, so that they can only test the installed wheel. A cell that
cannot be had on this machine is reported with the reason; its row stays in the table.

An interpreter is looked for in ``PYTHON_3_12=/path/to/python`` (and so on), on PATH, and where pyenv and uv keep
theirs.
"""

from __future__ import annotations

import argparse
import dataclasses
import fnmatch
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import time
import tomllib
import xml.etree.ElementTree as ET
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
FOLDER = REPOSITORY / ".venv-matrix"
UV = REPOSITORY / ".tools" / "bin" / "uv"
PAGE = REPOSITORY / "docs" / "compatibility.md"
BEGIN, END = "<!-- The report of make matrix: begin -->", "<!-- The report of make matrix: end -->"

AIRFLOWS = ("3.1", "3.2", "3.3", "3.4")
PYTHONS = ("3.11", "3.12", "3.13")
EXTRAS = ("s3", "media", "simulator")
#: What the tests themselves need; the newest that the cell's own pins allow.
TOOLS = ("hypothesis", "moto[s3,server]", "pytest", "pytest-asyncio")
#: The official SDK, which the simulator is compared with, asks for a newer pydantic than we do.
TOOLS_OF_NEWEST = ("openrouter",)
#: In need of a browser, of other stores, of a long time, of the development tools, or of PostgreSQL and Celery.
LEFT_OUT = ("stores", "plugins/browser", "chaos", "packaging", "typing", "distributed")
#: ``--short``: what touches Airflow.
SHORT = ("airflow_side", "cli", "conclusion", "inputs", "landing", "ledger", "observability", "plugins")
#: ``--smoke``: every import of Airflow that has moved, the real database, the real plugin, and whole DAGs.
SMOKE = (
    "airflow_side/test_download_events.py",
    "airflow_side/test_hook.py",
    "airflow_side/test_provider_info.py",
    "airflow_side/test_submit_runs.py",
    "airflow_side/test_trigger.py",
    "batch/test_batch_trigger.py",
    "batch/test_batch_whole.py",
    "cli",
    "ledger/test_stores.py",
    "testing/test_example_project.py",
)
#: Old releases next to new ones complain of each other; what is said of our own code stays an error.
WARNINGS = "filterwarnings=default\nerror:::airflow_provider_orvideo"
#: What an Airflow allows and does not work with, for the cells of this pattern; its own constraints file, which no
#: package index has, pins lower.
BROKEN_UPSTREAM = {
    # 3.1.0 cannot be imported with structlog 25.5, and its object storage needs universal-pathlib 0.2, as 3.1.8 says.
    "airflow3.1-*-lowest": ("structlog<25.5", "universal-pathlib<0.3"),
    # The API server cannot be loaded with the first two ("needs a discriminator field"); 3.3 refuses them itself.
    # With svcs 26.2, no task of a plain dag.test() starts ("no attribute 'svcs_registry'"): 3.2 drops the lifespan of
    # its in-process server, which takes the services along. 3.1 starts tasks without them, 3.3 keeps the lifespan.
    "airflow3.2-*": ("fastapi<0.137", "cadwyn<8", "svcs<26.2"),
    # The API server of 3.2 and later uses what came with pydantic 2.11.5 ("no attribute '_copy'"), and asks for 2.11.0.
    "airflow3.[234]-*-lowest": ("pydantic==2.11.5",),
}
#: Reported for each cell: what decides most about how it behaves.
TOLD = ("apache-airflow", "apache-airflow-providers-common-compat", "httpx", "pydantic", "tenacity")


class NotAvailableError(Exception):
    """The cell's interpreter or release cannot be had here."""


class UnsolvableError(Exception):
    """Our declared dependencies allow no environment for this cell."""


@dataclass(frozen=True)
class Cell:
    """One combination."""

    airflow: str
    python: str
    resolution: str

    @property
    def name(self) -> str:
        """As in ``CELLS=``."""
        return f"airflow{self.airflow}-py{self.python}-{self.resolution}"

    @property
    def folder(self) -> Path:
        """The environment."""
        return FOLDER / self.name


@dataclass
class Result:
    """What became of a cell."""

    cell: str
    date: str
    missing: str = ""
    python: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    passed: int = 0
    failed: list[str] = field(default_factory=list)
    skipped: dict[str, int] = field(default_factory=dict)
    seconds: float = 0
    scope: str = ""

    @property
    def good(self) -> bool:
        """Whether everything passed that ran, and something ran."""
        return bool(self.passed) and not self.failed


#: Every Airflow on every Python with the newest of everything; the lowest where it is lowest: on the oldest Python.
CELLS = tuple(Cell(airflow, python, "newest") for airflow in AIRFLOWS for python in PYTHONS) + tuple(
    Cell(airflow, PYTHONS[0], "lowest") for airflow in AIRFLOWS
)


def main() -> int:
    """Run the chosen cells, print the table; 1 where a test failed, or where nothing could run at all."""
    arguments = parse()
    chosen = select(arguments.cells)
    if arguments.list:
        print("\n".join(cell.name for cell in chosen))
        return 0
    tree, wheel = build()
    results = []
    for cell in chosen:
        say(f"── {cell.name}")
        result = run(cell, tree, wheel, arguments)
        keep(result)
        say(summary(result))
        results.append(result)
    say("\n" + report(results))
    if arguments.write:
        write_page(everything_kept())
    return 0 if any(result.good for result in results) and not any(result.failed for result in results) else 1


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cells", nargs="*", help="names or patterns such as 'airflow3.1-*'; default: all")
    parser.add_argument("--list", action="store_true", help="print the names and end")
    parser.add_argument("--e2e", action="store_true", help="the tests that start real Airflow processes, too")
    parser.add_argument("--short", action="store_true", help="only the tests of what touches Airflow")
    parser.add_argument("--smoke", action="store_true", help="only a few tests of each seam to Airflow, for CI")
    parser.add_argument("--write", action="store_true", help="put the latest result of every cell into the docs")
    parser.add_argument("--pytest", default="", help="arguments for pytest instead of the whole suite")
    return parser.parse_args()


def select(patterns: list[str]) -> list[Cell]:
    """The cells that one of the patterns names; an unknown name is an error."""
    if not patterns:
        return list(CELLS)
    for pattern in patterns:
        if not any(fnmatch.fnmatch(cell.name, pattern) for cell in CELLS):
            names = "\n  ".join(cell.name for cell in CELLS)
            raise SystemExit(f"CELLS={pattern}: no such cell. There are:\n  {names}")
    return [cell for cell in CELLS if any(fnmatch.fnmatch(cell.name, pattern) for pattern in patterns)]


# ── One cell ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def build() -> tuple[Path, Path]:
    """Build sdist and wheel (the wheel out of the sdist); unpack the sdist without the package.

    Returns:
        The folder of the tests, and the wheel.
    """
    FOLDER.mkdir(exist_ok=True)
    dist = FOLDER / "dist"
    shutil.rmtree(dist, ignore_errors=True)
    call([UV, "build", "--quiet", "--python", sys.executable, "--out-dir", dist])
    (sdist,) = dist.glob("*.tar.gz")
    (wheel,) = dist.glob("*.whl")
    unpacked = FOLDER / "sdist"
    shutil.rmtree(unpacked, ignore_errors=True)
    with tarfile.open(sdist) as archive:
        archive.extractall(unpacked, filter="data")
    (tree,) = unpacked.iterdir()
    shutil.rmtree(tree / "airflow_provider_orvideo")
    return tree, wheel


def run(cell: Cell, tree: Path, wheel: Path, arguments: argparse.Namespace) -> Result:
    """Make the environment and run the tests."""
    result = Result(cell.name, f"{datetime.now(UTC):%Y-%m-%d}")
    started = time.monotonic()
    try:
        python = interpreter(cell.python)
        environment(cell, python, wheel)
    except NotAvailableError as error:
        result.missing = str(error)
        return result
    except UnsolvableError as error:
        result.failed = [str(error)]
        return result
    result.python, result.versions = versions(cell, tree)
    outcome = FOLDER / f"{cell.name}.xml"
    outcome.unlink(missing_ok=True)
    if arguments.pytest:
        chosen, result.scope = arguments.pytest.split(), arguments.pytest
    else:
        chosen = [f"--ignore=tests/{name}" for name in LEFT_OUT]
        if arguments.short or arguments.smoke:
            chosen += [f"tests/{name}" for name in (SMOKE if arguments.smoke else SHORT)]
            result.scope = "smoke" if arguments.smoke else "short"
        chosen += [] if arguments.e2e else ["-m", "not e2e"]
        result.scope += " with e2e" if arguments.e2e else ""
    # Not ``python -m pytest``: that would put the working directory in front of what is installed.
    command: list[str | Path] = [cell.folder / "bin" / "pytest", "-q", "-p", "no:cacheprovider", "-o", WARNINGS]
    command += [f"--junitxml={outcome}", *chosen]
    with (FOLDER / f"{cell.name}.log").open("w") as log:
        subprocess.run(command, cwd=tree, env=surroundings(cell), stdout=log, stderr=log, check=False)  # noqa: S603
    read_outcome(outcome, result)
    result.seconds = time.monotonic() - started
    return result


def interpreter(version: str) -> Path:
    """Find a Python of this version.

    Raises:
        NotAvailableError: None is installed here; the message says how to name one.
    """
    variable = "PYTHON_" + version.replace(".", "_")
    candidates: list[Path] = []
    if named := os.environ.get(variable):
        candidates.append(Path(named))
    candidates.append(Path(sys.executable))
    on_path = shutil.which(f"python{version}")
    candidates += [Path(on_path)] if on_path else []
    candidates += sorted((Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/python"), reverse=True)
    candidates += sorted((Path.home() / ".local/share/uv/python").glob(f"cpython-{version}.*/bin/python"), reverse=True)
    for candidate in candidates:
        if is_python(candidate, version):
            return candidate
    raise NotAvailableError(f"no Python {version} on PATH; name one with {variable}=/path/to/python")


def is_python(path: Path, version: str) -> bool:
    """Whether it starts, is of that version, and has what Airflow needs of the standard library."""
    code = "import ctypes, lzma, sqlite3, ssl, sys; print('%d.%d' % sys.version_info[:2])"
    try:
        done = subprocess.run([path, "-c", code], capture_output=True, text=True, check=False, timeout=60)  # noqa: S603
    except OSError:
        return False
    return done.returncode == 0 and done.stdout.strip() == version


def environment(cell: Cell, python: Path, wheel: Path) -> None:
    """Resolve and install; what is there already and resolves to the same pins is kept.

    Raises:
        NotAvailableError: The index has no such release.
        UnsolvableError: There is no solution.
    """
    pins = FOLDER / f"{cell.name}.txt"
    limits = FOLDER / f"{cell.name}-limits.txt"
    limits.write_text("\n".join(limit(cell)) + "\n")
    resolution = "lowest-direct" if cell.resolution == "lowest" else "highest"
    extras = [word for extra in EXTRAS for word in ("--extra", extra)]
    compile_pins: list[str | Path] = [
        UV,
        "pip",
        "compile",
        "--quiet",
        "--no-header",
        "--no-annotate",
        "--upgrade",
        "--python",
        python,
    ]
    compile_pins += ["--resolution", resolution, *extras, REPOSITORY / "pyproject.toml", limits]
    done = subprocess.run([*compile_pins, "--output-file", pins], capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        refusal = " ".join(done.stderr.split())
        if re.search(r"Because only apache-airflow\S+ (is|are) available", refusal):
            raise NotAvailableError(f"the index has no Airflow {cell.airflow}")
        raise UnsolvableError(f"the dependencies do not go together: {refusal}")
    stamp = cell.folder / ".installed"
    tools = TOOLS + (TOOLS_OF_NEWEST if cell.resolution == "newest" else ())
    wanted = f"{python}\n{tools}\n{pins.read_text()}"
    here = cell.folder / "bin" / "python"
    if not (stamp.exists() and stamp.read_text() == wanted):
        call([UV, "venv", "--quiet", "--clear", "--python", python, cell.folder])
        call([UV, "pip", "install", "--quiet", "--python", here, "--compile-bytecode", "--requirement", pins])
        call([UV, "pip", "install", "--quiet", "--python", here, "--compile-bytecode", "--constraint", pins, *tools])
        stamp.write_text(wanted)
    call([UV, "pip", "install", "--quiet", "--python", here, "--no-deps", "--reinstall", wheel])


def limit(cell: Cell) -> list[str]:
    """What a cell asks for beside our own dependencies."""
    minor = int(cell.airflow.split(".")[1])
    # A bound that names a pre-release lets the resolver take one, but only for the package that it names.
    floor = f">={cell.airflow}.0b1,<3.{minor + 1}" if prerelease(cell) else f"~={cell.airflow}.0"
    held_back = [
        bound for name, bounds in BROKEN_UPSTREAM.items() if fnmatch.fnmatch(cell.name, name) for bound in bounds
    ]
    lines = [f"apache-airflow{floor}", *held_back]
    if prerelease(cell):
        lines += [f"apache-airflow-core{floor}", "apache-airflow-task-sdk>=1.4.0b1"]
    if cell.resolution == "lowest":
        # Without this, other packages' newest releases pull up what we claim to work with.
        project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
        for dependency in project["dependencies"]:
            name, bound = re.match(r"([\w-]+)>=([\d.]+)", dependency).groups()  # type: ignore[union-attr]
            if name != "apache-airflow" and not any(each.startswith(f"{name}==") for each in held_back):
                lines.append(f"{name}=={bound}")
    return lines


def prerelease(cell: Cell) -> bool:
    """Whether this line of Airflow has no final release yet."""
    return cell.airflow == "3.4"


def surroundings(cell: Cell) -> dict[str, str]:
    """The environment variables of the tests: none of ours."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PYTHON", "VIRTUAL"))}
    return {**kept, "PATH": f"{cell.folder / 'bin'}{os.pathsep}{os.environ['PATH']}"}


def versions(cell: Cell, tree: Path) -> tuple[str, dict[str, str]]:
    """The versions that matter; fails where the package does not come from the cell's environment."""
    code = (
        "import importlib.metadata as m, json, platform, airflow_provider_orvideo as p\n"
        f"print(json.dumps([p.__file__, platform.python_version(), {{n: m.version(n) for n in {TOLD!r}}}]))"
    )
    done = call([cell.folder / "bin" / "python", "-c", code], cwd=tree, env=surroundings(cell))
    file, python, found = json.loads(done)
    if not Path(file).is_relative_to(cell.folder):
        raise SystemExit(f"{cell.name} would test {file}, not the wheel.")
    return python, found


def read_outcome(path: Path, result: Result) -> None:
    """What pytest wrote."""
    if not path.exists():
        result.failed = [f"pytest ended early; see {path.with_suffix('.log').relative_to(REPOSITORY)}"]
        return
    reasons: Counter[str] = Counter()
    for case in ET.parse(path).getroot().iter("testcase"):  # noqa: S314 - written by our own pytest
        skipped = case.find("skipped")
        if skipped is not None:
            # Of a module that skips itself, only the text says why.
            inside = re.search(r"Skipped: (.*)['\"]\)$", skipped.text or "", re.DOTALL)
            reasons[inside[1] if inside else skipped.get("message") or "no reason given"] += 1
        elif case.find("failure") is not None or case.find("error") is not None:
            result.failed.append(f"{case.get('classname')}::{case.get('name')}")
        else:
            result.passed += 1
    result.skipped = dict(reasons)


# ── The report ───────────────────────────────────────────────────────────────────────────────────────────────────────


def keep(result: Result) -> None:
    """Remember it for the docs; a part of the suite is nobody's result."""
    if result.scope in {"", " with e2e", "short"}:
        (FOLDER / f"{result.cell}.json").write_text(json.dumps(dataclasses.asdict(result), indent=1))


def everything_kept() -> list[Result]:
    """The latest result of each cell; a cell that never ran says so."""
    results = []
    for cell in CELLS:
        path = FOLDER / f"{cell.name}.json"
        kept = Result(**json.loads(path.read_text())) if path.exists() else Result(cell.name, "", missing="not run")
        results.append(kept)
    return results


def summary(result: Result) -> str:
    """One line."""
    if result.missing:
        return f"   not available here: {result.missing}"
    if not result.versions:
        return f"   {result.failed[0]}"
    counts = f"{result.passed} passed, {len(result.failed)} failed, {sum(result.skipped.values())} skipped"
    return f"   Airflow {result.versions['apache-airflow']}, Python {result.python}: {counts} in {result.seconds:.0f} s"


def report(results: list[Result]) -> str:
    """The table in Markdown, what was skipped and why, and what failed."""
    lines = [
        "| cell | Airflow | Python | common-compat | httpx | pydantic | tenacity | passed | failed | skipped | on |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for result in results:
        if result.missing:
            reason = result.missing if result.missing == "not run" else f"not available here: {result.missing}"
            lines.append(f"| {result.cell} | {reason} | | | | | | | | | {result.date} |")
            continue
        found = {name: result.versions.get(name, "") for name in TOLD}
        told = [found["apache-airflow"], result.python, *(found[name] for name in TOLD[1:])]
        counts = [str(result.passed), str(len(result.failed)), str(sum(result.skipped.values())), result.date]
        name = f"{result.cell} ({result.scope.strip()})" if result.scope else result.cell
        lines.append("| " + " | ".join([name, *told, *counts]) + " |")
    skipped: dict[str, dict[str, int]] = {}
    for result in results:
        for reason, count in result.skipped.items():
            skipped.setdefault(reason, {})[result.cell] = count
    if skipped:
        lines += ["", "Skipped, and why:", ""]
        for reason, cells in sorted(skipped.items()):
            where = "every cell" if len(cells) == len([r for r in results if not r.missing]) else ", ".join(cells)
            lines.append(f"- {reason} ({'/'.join(str(n) for n in sorted(set(cells.values())))} in {where})")
    failed = [(result.cell, name) for result in results for name in result.failed]
    if failed:
        lines += ["", "Failed:", "", *(f"- {cell}: `{name}`" for cell, name in failed)]
    return "\n".join(lines)


def write_page(results: list[Result]) -> None:
    """Put the report into the docs, between its two marks."""
    page = PAGE.read_text()
    head, _, rest = page.partition(BEGIN)
    _, _, tail = rest.partition(END)
    machine = f"{platform.system()} {platform.machine()}"
    text = f"The state of {datetime.now(UTC):%Y-%m-%d}, on {machine}:\n\n{report(results)}"
    PAGE.write_text(f"{head}{BEGIN}\n{text}\n{END}{tail}")


def call(command: list[str | Path], cwd: Path = REPOSITORY, env: dict[str, str] | None = None) -> str:
    """Run it, and fail with what it said."""
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def say(text: str) -> None:
    """Print at once."""
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
