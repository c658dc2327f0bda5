"""What the documentation shows as code works: Python runs as Airflow parses a DAG, the rest is read by who reads it.

A block that cannot be run is marked, in the line before it, by a comment that MyST does not show::

    % not run: why
"""

from __future__ import annotations

import ast
import configparser
import json
import re
import shlex
import textwrap
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Never

import pytest
from airflow.providers_manager import ProvidersManager
from airflow.sdk import DAG, Asset, AssetAlias, BaseHook, Connection, Variable, task

from airflow_provider_orvideo.get_provider_info import get_provider_info
from airflow_provider_orvideo.hooks.connection import config_from_connection
from airflow_provider_orvideo.inputs.written import written
from airflow_provider_orvideo.operators.download import OrVideoDownloadOperator
from airflow_provider_orvideo.operators.generate import OrVideoGenerateOperator
from airflow_provider_orvideo.operators.submit import OrVideoSubmitOperator
from airflow_provider_orvideo.sensors.job import OrVideoJobSensor
from airflow_provider_orvideo.simulator import SimulatorSettings
from airflow_provider_orvideo.simulator.control import parse_rules

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
PAGES = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
OPTIONS: dict[str, dict[str, Any]] = get_provider_info()["config"]["orvideo"]["options"]
HAS_COMMANDS = hasattr(ProvidersManager, "cli_command_functions")

FENCE = re.compile(
    r"(?P<mark>^ *% *not run: *\S[^\n]*\n)?^(?P<indent> *)```(?P<language>[a-z]+)\n(?P<code>.*?)^(?P=indent)```$",
    re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True)
class Block:
    """One fenced block.

    Attributes:
        page: file name.
        line: number of its first line of code.
        language: as it is written behind the fence.
        code: its text, without the indentation of the fence.
        runs: whether nobody marked it as one that cannot be run.
    """

    page: str
    line: int
    language: str
    code: str
    runs: bool


def blocks_of(path: Path) -> Iterator[Block]:
    text = path.read_text(encoding="utf-8")
    for fence in FENCE.finditer(text):
        yield Block(
            page=path.name,
            line=text[: fence.start("code")].count("\n") + 1,
            language=fence["language"],
            code=textwrap.dedent(fence["code"]),
            runs=fence["mark"] is None,
        )


BLOCKS = [block for page in PAGES for block in blocks_of(page)]


def test_no_block_is_overlooked() -> None:
    opened = [line for page in PAGES for line in re.findall(r"^ *```[a-z]+$", page.read_text("utf-8"), re.MULTILINE)]
    assert len(BLOCKS) == len(opened) > 0


def shown_as(language: str, *, also_marked: bool = False) -> pytest.MarkDecorator:
    """Run a test for each block of a language."""
    blocks = [block for block in BLOCKS if block.language == language and (also_marked or block.runs)]
    assert blocks
    return pytest.mark.parametrize("block", blocks, ids=[f"{block.page}:{block.line}" for block in blocks])


# ── Python ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def given() -> dict[str, Any]:
    """Return what a fragment may take for given: the imports of a DAG file, and tasks that stand above it."""
    order = {"model": "google/veo-3.1-lite", "destination": "s3://aws_default@my-bucket/videos/{job_id}.mp4"}

    @task
    def products() -> list[dict[str, Any]]:
        return []

    return {
        "__name__": "shown",
        "Asset": Asset,
        "AssetAlias": AssetAlias,
        "DAG": DAG,
        "FOLDER": "s3://aws_default@my-bucket/videos/",
        "OrVideoDownloadOperator": OrVideoDownloadOperator,
        "OrVideoGenerateOperator": OrVideoGenerateOperator,
        "OrVideoJobSensor": OrVideoJobSensor,
        "OrVideoSubmitOperator": OrVideoSubmitOperator,
        "films": OrVideoGenerateOperator.partial(task_id="films_above", **order).expand(prompt=["A boat", "A plane"]),
        "order": order,
        "products": products,
        "prompts": ["A paper boat", "A paper plane"],
        "pytest": pytest,
        "task": task,
        "timedelta": timedelta,
        "video": OrVideoSubmitOperator(task_id="video_above", model="google/veo-3.1"),
    }


#: Fields of a request with short forms of their own; what a block assigns to them is taken as the operators take it.
MEDIA = ("frame_images", "input_references")


@pytest.fixture
def _untouchable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every lookup and every connection fail the test, as they would hold up Airflow's DAG processor."""

    def explode(*arguments: object, **_: object) -> Never:
        raise AssertionError(f"touched: {arguments[1:]}")

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(f"socket.socket.{name}", explode)
    for name in ("get_connection", "aget_connection"):
        monkeypatch.setattr(BaseHook, name, classmethod(explode))
    monkeypatch.setattr(Variable, "get", classmethod(explode))


@shown_as("python", also_marked=True)
def test_python_is_python(block: Block) -> None:
    compile(block.code, f"{block.page}:{block.line}", "exec")


@pytest.mark.usefixtures("_untouchable")
@shown_as("python")
def test_python_runs_as_airflow_parses_a_dag(block: Block) -> None:
    with DAG("shown", schedule=None):
        namespace = given()
        for number, statement in enumerate(ast.parse(block.code).body):
            code = compile(ast.Module([statement], []), f"{block.page}:{block.line}", "exec")
            exec(code, namespace)  # noqa: S102 - our own text
            fields = {name: namespace.pop(name) for name in MEDIA if name in namespace}
            OrVideoSubmitOperator(task_id=f"after_{number}", model="google/veo-3.1", **fields)
            # A template is no address before it is rendered.
            written({name: value for name, value in fields.items() if "{{" not in str(value)})


def test_what_is_not_run_is_rare() -> None:
    marked = [f"{block.page}:{block.line}" for block in BLOCKS if not block.runs]
    assert len(marked) <= 5, marked


# ── Configuration ────────────────────────────────────────────────────────────────────────────────────────────────────

#: What else a secret may come from.
SOURCES = ("_cmd", "_secret")
READERS: dict[str, Any] = {
    "string": str,
    "integer": int,
    "float": float,
    "boolean": lambda text: {"true": True, "false": False}[text.lower()],
}


@shown_as("ini")
def test_a_configuration_has_options_that_exist_with_values_of_their_types(block: Block) -> None:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(block.code)
    assert parser.sections()
    for name, value in parser["orvideo"].items() if "orvideo" in parser else ():
        READERS[OPTIONS[name]["type"]](value)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_an_option_that_is_named_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = {*re.findall(r"\[orvideo\] ([a-z_]+)", text)}
    named |= {name.lower() for name in re.findall(r"AIRFLOW__ORVIDEO__([A-Z_]+)", text)}
    secret = {f"{name}{source}" for name, option in OPTIONS.items() if "sensitive" in option for source in SOURCES}
    assert named - {*OPTIONS} - secret == set()


def test_each_option_is_said_to_be_read_by_some_process() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    table = page.partition("## Who reads what")[2].partition("##")[0]
    assert {*re.findall(r"`([a-z_]+)`", table)} == {*OPTIONS}


# ── The shell ────────────────────────────────────────────────────────────────────────────────────────────────────────

TARGETS = {*re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)}
EXTRAS = {"s3", "gcs", "azure", "media", "simulator", "openlineage"}


def commands(code: str) -> Iterator[list[str]]:
    """Yield the commands of a block, word by word; of ``name=$(command)``, the command."""
    for line in re.split(r"\n(?=\S)", code.replace("\\\n", " ")):
        inner = re.fullmatch(r"\w+=\$\((.*)\)\s*", line, re.DOTALL)
        words = shlex.split(inner[1] if inner else line, comments=True)
        if words:
            yield words


@shown_as("bash")
def test_a_command_is_one_that_its_program_takes(block: Block) -> None:
    for words in commands(block.code):
        _check_command(words)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_target_that_is_named_in_a_sentence_exists(page: Path) -> None:
    named = {*re.findall(r"`make\s+([a-z-]+)", page.read_text(encoding="utf-8"))}
    assert named - TARGETS == set()


def _check_command(words: list[str]) -> None:
    match words:
        case ["make", target, *_]:
            assert target in TARGETS
        case ["airflow", *_] if not HAS_COMMANDS:
            pytest.skip("Airflow 3.1 has no commands of providers")
        case ["airflow", *arguments]:
            from airflow.cli.cli_parser import get_parser  # noqa: PLC0415 - Airflow 3.1 warns about what it imports

            get_parser().parse_args(arguments)  # exits where it does not understand
        case ["python", "-m", "airflow_provider_orvideo.simulator", *arguments]:
            settings = [pair.partition("=")[0] for pair in arguments if "=" in pair]
            assert {*settings} <= {*SimulatorSettings.model_fields}
        case ["pip", "install", *what]:
            named = re.findall(r"\[([a-z0-9,]+)\]", " ".join(what))
            assert {extra for names in named for extra in names.split(",")} <= EXTRAS
        case ["export", assignment, *_] if "AIRFLOW_CONN_" in assignment:
            _check_connection(assignment.partition("=")[2])
        case [first, *_]:
            assert "AIRFLOW__" in first or first in {"pytest", "git", "cd"}, f"nothing here knows the command {first!r}"


def _check_connection(text: str) -> None:
    # A key with an ellipsis is none.
    text = text.replace("…", "of-yours")
    connection = Connection.from_json(text, "shown") if text.startswith("{") else Connection.from_uri(text, "shown")
    assert connection.conn_type == "orvideo"
    config_from_connection(connection)


# ── JSON ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@shown_as("json")
def test_json_is_json_and_rules_are_rules(block: Block) -> None:
    shown = json.loads(block.code)
    if "faults" in shown:
        assert len(parse_rules(shown)) == len(shown["faults"])
