"""From a destination as the DAG author wrote it to the address of each file. Pure and deterministic."""

from __future__ import annotations

import re
from dataclasses import dataclass
from string import Formatter
from typing import TYPE_CHECKING, Final

from airflow_provider_orvideo.exceptions import DestinationError

if TYPE_CHECKING:
    from collections.abc import Mapping

#: What a destination that names a directory gets appended.
DEFAULT_NAME: Final = "{job_id}-{index}.{ext}"
PLACEHOLDERS: Final = (
    "job_id",
    "index",
    "ext",
    "model",
    "dag_id",
    "run_id",
    "task_id",
    "map_index",
    "logical_date",
)

_UNSAFE = re.compile(r"[^A-Za-z0-9._=+-]+")
# A "file" URL with two slashes would name a folder below the worker's current one.
_ABSOLUTE = re.compile(r"(?:file|local):///|(?!file:|local:)[A-Za-z][A-Za-z0-9+.-]*://")


@dataclass(frozen=True)
class Destination:
    """Where the outputs of one job go.

    Attributes:
        pattern: absolute URL with placeholders, not ending in a slash.
        values: what the placeholders stand for, ``index`` and ``ext`` excepted.
    """

    pattern: str
    values: Mapping[str, str]

    @property
    def folder(self) -> str:
        """The folder that is named before the first placeholder: the same for every video, with a slash at its end.

        Where the bucket's own name has a placeholder, it is the whole bucket.
        """
        fixed = ""
        for text, name, _, _ in Formatter().parse(self.pattern):
            fixed += text
            if name is not None:
                break
        folder = fixed.rpartition("/")[0] + "/"
        if not folder.endswith("://"):
            return folder
        bucket = self.uri(0, "", outputs=1).removeprefix(folder).partition("/")[0]
        return f"{folder}{bucket}/"

    def uri(self, index: int, extension: str, *, outputs: int) -> str:
        """Return the address of one output.

        Args:
            index: number of the output, from 0.
            extension: for ``{ext}``, without the dot.
            outputs: how many there are: without ``{index}`` in the pattern, each but the first gets ``-<index>``
                before its extension.
        """
        values = {**self.values, "index": str(index), "ext": extension}
        parts = [(text, name) for text, name, _, _ in Formatter().parse(self.pattern)]
        uri = "".join(text + (safe(values[name]) if name is not None else "") for text, name in parts)
        if index == 0 or outputs == 1 or "index" in {name for _, name in parts}:
            return uri
        folder, slash, name = uri.rpartition("/")
        stem, dot, end = name.rpartition(".")
        return f"{folder}{slash}{stem}-{index}.{end}" if dot else f"{uri}-{index}"


def destination(text: str, values: Mapping[str, str]) -> Destination:
    """Read a destination.

    Args:
        text: object storage URL (``s3://conn_id@bucket/folder/``), ``file://`` URL or absolute local path. One that
            ends in ``/`` is a directory and gets ``{job_id}-{index}.{ext}``; any other is the name of the file.
        values: what the placeholders stand for; a name that is not among the known ones adds a placeholder.

    Raises:
        DestinationError: not absolute, or an unknown placeholder; the message lists the known ones.
    """
    url = f"file://{text}" if text.startswith("/") else text
    if not _ABSOLUTE.match(url):
        raise DestinationError(
            f"'destination' is {text!r}; it must be an object storage URL such as s3://conn_id@bucket/folder/, "
            "a URL such as file:///folder/ or an absolute path."
        )
    pattern = url + DEFAULT_NAME if url.endswith("/") else url
    try:
        parts = list(Formatter().parse(pattern))
    except ValueError as error:
        raise DestinationError(f"'destination' is {text!r}: {error}. Write placeholders as {{job_id}}.") from None
    known = tuple(dict.fromkeys((*PLACEHOLDERS, *values)))
    odd = [
        name for _, name, spec, conversion in parts if name is not None and (name not in known or spec or conversion)
    ]
    if odd:
        raise DestinationError(
            f"'destination' is {text!r} with the placeholder {{{odd[0]}}}; known are "
            f"{', '.join('{' + name + '}' for name in known)}."
        )
    return Destination(pattern, values)


def safe(value: str) -> str:
    """Make a value fit for one path segment: it cannot leave the folder that the author wrote."""
    text = _UNSAFE.sub("_", value)
    return text if text.strip(".") else "_" * max(len(text), 1)
