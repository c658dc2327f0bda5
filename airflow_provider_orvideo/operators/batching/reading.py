"""Reads the requests of a batch: from a list, an XCom, or a ``.jsonl`` or ``.csv`` file in object storage."""

from __future__ import annotations

import ast
import csv
import difflib
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_orvideo.api.redaction import redact
from airflow_provider_orvideo.api.schema import VideoRequest
from airflow_provider_orvideo.exceptions import ConfigurationError, DestinationError, RequestInvalidError

if TYPE_CHECKING:
    from collections.abc import Iterator

#: What an item may have beside the fields of a request.
OF_THE_ITEM: Final = ("id", "job_id")
COLUMNS: Final = (*OF_THE_ITEM, *VideoRequest.model_fields)

#: Problems that an error lists; a file with a wrong column has one for each line.
_LISTED: Final = 20
#: Characters of somebody else's words.
_SHOWN: Final = 120


class Problems:
    """What is wrong with a batch, all of it told at once: whoever mends a file wants the whole list."""

    def __init__(self) -> None:
        self._sentences: list[str] = []

    def add(self, place: str, *sentences: str) -> None:
        """Note what is wrong at a place."""
        self._sentences += [f"{place}: {sentence}" for sentence in sentences]

    def raise_if_any(self) -> None:
        """Refuse the batch.

        Raises:
            RequestInvalidError: something is wrong; nothing was ordered.
        """
        if not self._sentences:
            return
        shown, more = self._sentences[:_LISTED], len(self._sentences) - _LISTED
        if more > 0:
            shown.append(f"And {more} more problems.")
        raise RequestInvalidError((*shown, "No item of the batch was ordered; mend the list and run this task again."))


@dataclass(frozen=True)
class Row:
    """One item as its author wrote it.

    Attributes:
        place: where it stands, for messages.
        fields: of the request, and those of `OF_THE_ITEM`; what is not set is left out.
    """

    place: str
    fields: Mapping[str, Any]


def read_rows(requests: object, problems: Problems) -> list[Row]:
    """Read the ``requests`` argument.

    Args:
        requests: a list of prompts and mappings, such a list as a template rendered it, or the address of a file that
            ends in ``.jsonl`` or ``.csv``.
        problems: gets what is wrong with single rows.

    Raises:
        ConfigurationError: the file cannot be read, or is not there.
        RequestInvalidError: it is none of these.
    """
    if isinstance(requests, str):
        text = requests.strip()
        if text.startswith("["):
            requests = _literal(text)
        elif text.lower().endswith(".jsonl"):
            return list(_jsonl(text, _read(text), problems))
        elif text.lower().endswith(".csv"):
            return list(_csv(text, _read(text), problems))
    if isinstance(requests, str | bytes | Mapping) or not isinstance(requests, Iterable):
        shown = redact(repr(requests), limit=80)
        problem = (
            f"'requests' is {shown}; it must be a list of prompts or of mappings with a request's fields, or the "
            "address of a file that ends in .jsonl or .csv."
        )
        raise RequestInvalidError((problem,))
    return list(_listed("requests", enumerate(requests), problems))


def _literal(text: str) -> object:
    """Read a list that a template rendered to text: as JSON, or as Python prints it."""
    for read in (json.loads, ast.literal_eval):
        try:
            return read(text)
        except (ValueError, SyntaxError, RecursionError):
            continue
    return text


def _read(uri: str) -> str:
    # Object storage is heavy, and few lists come from there.
    from airflow_provider_orvideo.landing.publish import read_bytes, why  # noqa: PLC0415

    try:
        data = read_bytes(f"file://{uri}" if uri.startswith("/") else uri)
    except DestinationError as error:
        raise ConfigurationError(
            f"The file of 'requests', {uri}, cannot be read: {why(error)}. Nothing was ordered. Check the address and "
            "the storage connection in it."
        ) from error
    if data is None:
        raise ConfigurationError(f"The file of 'requests', {uri}, is not there. Nothing was ordered.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RequestInvalidError((f"{uri} is no text in UTF-8: {error}. Save it as UTF-8.",)) from None


def _listed(name: str, values: Iterable[tuple[int, object]], problems: Problems) -> Iterator[Row]:
    for index, value in values:
        yield from _row(f"{name}[{index}]", value, problems)


def _row(place: str, value: object, problems: Problems) -> Iterator[Row]:
    if isinstance(value, str):
        yield Row(place, {"prompt": value})
    elif isinstance(value, Mapping):
        yield Row(place, {str(name): field for name, field in value.items() if field is not None})
    else:
        problems.add(place, f"it is a {type(value).__name__}; write a prompt, or a mapping with a request's fields.")


def _jsonl(uri: str, text: str, problems: Problems) -> Iterator[Row]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        place = f"{uri}, line {number}"
        try:
            value = json.loads(line)
        except json.JSONDecodeError as error:
            problems.add(f"{place}, column {error.colno}", f"it is no JSON ({error.msg}); mend the line.")
        except (ValueError, RecursionError) as error:
            problems.add(place, f"it is no JSON ({redact(str(error), limit=_SHOWN)}); mend the line.")
        else:
            yield from _row(place, value, problems)


def _csv(uri: str, text: str, problems: Problems) -> Iterator[Row]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    begin = 1
    header: list[str] | None = None
    try:
        for cells in reader:
            place, begin = f"{uri}, line {begin}", reader.line_num + 1
            if not any(cell.strip() for cell in cells):
                continue
            if header is None:
                header = [cell.strip() for cell in cells]
                if not _check_header(place, header, problems):
                    return
            elif len(cells) > len(header):
                problems.add(place, f"it has {len(cells)} cells, and the header has {len(header)}; quote commas.")
            else:
                yield Row(place, {name: cell for name, cell in zip(header, cells, strict=False) if cell.strip()})
    except csv.Error as error:
        problems.add(f"{uri}, line {reader.line_num}", f"it is no CSV ({error}); mend the quotes.")


def _check_header(place: str, header: list[str], problems: Problems) -> bool:
    """Note each column that no request has; a wrong header would be wrong in each line."""
    found = len(header)
    for number, name in enumerate(header, start=1):
        if name in COLUMNS and name not in header[: number - 1]:
            found -= 1
            continue
        near = difflib.get_close_matches(name, COLUMNS, n=1)
        if name in COLUMNS:
            advice = "it is there twice."
        elif near:
            advice = f"did you mean '{near[0]}'?"
        else:
            advice = f"known columns: {', '.join(COLUMNS)}."
        problems.add(f"{place}, column {number}", f"'{redact(name, limit=80)}' is no column of a batch; {advice}")
    return found == 0
