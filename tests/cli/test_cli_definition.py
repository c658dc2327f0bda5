"""The commands as Airflow finds and parses them: known by name, light to import, strict about what is typed."""

from __future__ import annotations

import argparse
import importlib
import subprocess
import sys
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from airflow.cli.cli_parser import get_parser

from airflow_provider_orvideo.cli.definition import COMMANDS, amount, capability, get_commands, parameter
from airflow_provider_orvideo.get_provider_info import get_provider_info

if TYPE_CHECKING:
    from tests.cli.conftest import Run


def import_string(path: str) -> Any:  # noqa: ANN401 - whatever it is
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


NAMES = ["models", "estimate", "submit", "status", "fetch", "spend"]


def test_the_description_names_the_function_that_returns_the_commands() -> None:
    (path,) = get_provider_info()["cli"]
    assert import_string(path) is get_commands
    (group,) = get_commands()
    assert (group.name, [command.name for command in COMMANDS]) == ("orvideo", NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_airflow_knows_the_command(name: str, run: Run) -> None:
    ran = run(name, "--help")
    assert ran.code == 0
    assert f"airflow orvideo {name}" in ran.out


@pytest.mark.usefixtures("sim")
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["models"], 0),
        (["estimate", "--model", "google/veo-3.1"], 0),
        (["submit", "--model", "google/veo-3.1", "--prompt", "a red boat"], 1),
        (["status", "job-of-nobody"], 1),
        (["fetch", "job-of-nobody", "--destination", "/nowhere/{job_id}"], 1),
        (["spend", "/nowhere"], 1),
    ],
    ids=NAMES,
)
def test_the_command_leads_to_a_function_of_ours(arguments: list[str], code: int, run: Run) -> None:
    ran = run(*arguments)
    assert ran.code == code
    assert "--verbose shows where" not in ran.err  # which is said of errors that are not ours


def test_defining_the_commands_imports_none_of_what_they_use() -> None:
    program = (
        "import sys\n"
        "import airflow.cli.cli_config\n"
        "before = set(sys.modules)\n"
        "from airflow_provider_orvideo.cli.definition import get_commands\n"
        "assert get_commands()\n"
        "print(*sorted(set(sys.modules) - before))\n"
    )
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    # Whether the package itself is new depends on whether Airflow has asked for its description already.
    assert set(done.stdout.split()) - {"airflow_provider_orvideo"} == {
        "airflow_provider_orvideo.cli",
        "airflow_provider_orvideo.cli.definition",
    }


def test_submit_says_before_anything_else_that_nothing_remembers_the_job(run: Run) -> None:
    text = " ".join(run("submit", "--help").out.split())
    assert "Nothing but the job id that this command prints remembers the job" in text
    assert "Running the command again orders and pays again" in text


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("duration=8", ("duration", "8")),
        ("aspect_ratio=9:16", ("aspect_ratio", "9:16")),
        (" frames = last_frame ", ("frames", "last_frame")),
        ("audio", ("audio", "")),
    ],
)
def test_a_capability_is_a_name_or_a_name_and_a_value(text: str, read: tuple[str, str]) -> None:
    assert capability(text) == read


@pytest.mark.parametrize("text", ["", "colour=red", "duration", "duration=", "duration=soon", "audio=", "audio=yes"])
def test_any_other_capability_is_refused_with_the_list_or_the_form(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="duration=8"):
        capability(text)


def test_a_parameter_keeps_everything_behind_the_first_equals_sign() -> None:
    assert parameter("callback_url=https://example.com/?a=b") == ("callback_url", "https://example.com/?a=b")
    assert parameter("user=") == ("user", "")


@pytest.mark.parametrize("text", ["creativity", "=2", ""])
def test_a_parameter_without_a_name_or_a_value_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="name=value"):
        parameter(text)


def test_an_amount_is_exact() -> None:
    assert amount("1.10") == Decimal("1.10")


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "a lot", ""])
def test_an_amount_that_limits_nothing_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="above 0"):
        amount(text)


@pytest.mark.parametrize(
    "arguments",
    [
        ["models", "--supports", "colour=red"],
        ["models", "--output", "xml"],
        ["estimate", "--duration", "5"],
        ["estimate", "--model", "m", "--duration", "0"],
        ["submit", "--model", "m", "--max-cost-usd", "0"],
        ["submit", "--model", "m", "--param", "creativity"],
        ["status"],
        ["fetch", "job-1"],
        ["fetch", "job-1", "--destination", "/tmp/", "--on-existing", "shrug"],  # noqa: S108 - nothing is written
        ["spend", "/nowhere", "--by", "colour"],
    ],
)
def test_a_wrong_command_line_ends_with_two(arguments: list[str], run: Run) -> None:
    assert run(*arguments).code == 2


def test_the_arguments_reach_the_command_as_what_they_mean() -> None:
    args = get_parser().parse_args(
        [
            *("orvideo", "models", "--supports", "duration=8", "audio", "--supports", "seed"),
            *("--conn-id", "eu", "--output", "json"),
        ]
    )
    assert args.supports == [("duration", "8"), ("audio", ""), ("seed", "")]
    assert (args.conn_id, args.output) == ("eu", "json")
    args = get_parser().parse_args(["orvideo", "submit", "--model", "m", "--duration", "4", "--param", "user=a=b"])
    assert (args.duration, args.param, args.yes, args.max_cost_usd) == (4, [("user", "a=b")], False, None)
