"""What a command says: results on stdout, everything else on stderr."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow.cli.simple_table import AirflowConsole
from airflow.utils import yaml

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


class UsageError(Exception):
    """The arguments do not fit together; what argparse itself cannot see. Ends the command with 2."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The result of a command.

    Attributes:
        value: the result for programs; JSON, with numbers as numbers and None for unknown.
        rows: the same as a table for people.
        text: what to print for people instead of a table.
        problem: why the command failed although there is a result, one sentence; it then ends with 1.
    """

    value: Any
    rows: Sequence[Mapping[str, object]] = field(default=())
    text: str | None = None
    problem: str | None = None


def say(text: str) -> None:
    """Tell the person at the terminal something that is not the result."""
    sys.stderr.write(f"{printable(text)}\n")
    sys.stderr.flush()


def show(answer: Answer, output: str) -> None:
    """Print a result as ``--output`` wants it."""
    if output == "json":
        # Pure ASCII: no terminal reads control characters out of it.
        text = json.dumps(answer.value, indent=2, allow_nan=False)
    elif output == "yaml":
        text = yaml.safe_dump(answer.value, sort_keys=False).rstrip()
    elif answer.text is not None:
        text = printable(answer.text)
    else:
        _show_table(answer, output)
        return
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _show_table(answer: Answer, output: str) -> None:
    rows = [{name: printable(str(value)) for name, value in row.items()} for row in answer.rows]
    # What the API and file names say is text, however much it looks like markup.
    console = AirflowConsole(markup=False, emoji=False, highlight=False)
    console.print_as(rows, output)
    sys.stdout.flush()


def printable(text: str) -> str:
    """Return the text without what would steer a terminal."""
    return "".join(character if character.isprintable() else " " for character in text)


def listed(values: Iterable[object] | None) -> str:
    """Return a list of the catalogue for a table: ``?`` where it is not known, ``-`` where it is empty."""
    return "?" if values is None else ", ".join(map(str, values)) or "-"


def known(value: object) -> str:
    """Return a value for a table: ``unknown`` for None."""
    return "unknown" if value is None else str(value)


def as_dollars(cost: float | None) -> str:
    """Return US dollars for a table; unknown is never 0."""
    return "unknown" if cost is None else f"${cost:.4f}"
