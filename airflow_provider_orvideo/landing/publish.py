"""Puts a verified file at its destination in one step, and reads back what lies there."""

from __future__ import annotations

import os
import shutil
import uuid
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from airflow.sdk import ObjectStoragePath

from airflow_provider_orvideo.api.redaction import redact
from airflow_provider_orvideo.exceptions import DestinationError

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_LOCAL: Final = frozenset({"file", "local"})


def sidecar_uri(uri: str) -> str:
    """Return where the manifest of a landed file lies."""
    return f"{uri}.json"


def publish_file(spooled: Path, uri: str) -> None:
    """Copy a local file to ``uri``; until that is complete, what lay there stays as it was.

    Raises:
        DestinationError: the store refused, or what arrived there has another size.
    """
    size = spooled.stat().st_size

    def put(path: ObjectStoragePath) -> None:
        if path.protocol in _LOCAL:
            _replace(Path(path.path), lambda part: shutil.copyfile(spooled, part))
        else:
            path.fs.put_file(str(spooled), path.path)

    _at(uri, put)
    landed = size_of(uri)
    if landed != size:
        raise DestinationError(f"{uri} holds {landed} bytes after {size} were stored there; run this task again.")


def publish_bytes(data: bytes, uri: str) -> None:
    """Write a small object to ``uri`` in one step.

    Raises:
        DestinationError: the store refused.
    """

    def put(path: ObjectStoragePath) -> None:
        if path.protocol in _LOCAL:
            _replace(Path(path.path), lambda part: part.write_bytes(data))
        else:
            path.fs.pipe_file(path.path, data)

    _at(uri, put)


def read_bytes(uri: str) -> bytes | None:
    """Return what lies at ``uri``, None for nothing.

    Raises:
        DestinationError: the store cannot tell.
    """

    def get(path: ObjectStoragePath) -> bytes | None:
        try:
            data: bytes = path.fs.cat_file(path.path)
        except FileNotFoundError:
            return None
        return data

    return _at(uri, get)


def remove(uri: str) -> None:
    """Delete what lies at ``uri``; nothing there is fine.

    Raises:
        DestinationError: the store refused.
    """

    def delete(path: ObjectStoragePath) -> None:
        with suppress(FileNotFoundError):
            path.fs.rm_file(path.path)

    _at(uri, delete)


def size_of(uri: str) -> int | None:
    """Return the size in bytes of what lies at ``uri``, None for nothing.

    Raises:
        DestinationError: the store cannot tell.
    """

    def ask(path: ObjectStoragePath) -> int | None:
        path.fs.invalidate_cache()  # the answer must not come from before the upload
        try:
            size = path.fs.info(path.path)["size"]
        except FileNotFoundError:
            return None
        return int(size)

    return _at(uri, ask)


def _at(uri: str, act: Callable[[ObjectStoragePath], T]) -> T:
    """Do something at a destination; whatever its file system raises becomes one kind of error."""
    try:
        return act(ObjectStoragePath(uri))
    except Exception as error:
        # Each store has its own exceptions, and no common base.
        raise DestinationError(
            f"The destination {uri} cannot be used: {type(error).__name__}: {redact(str(error))}. The video is paid "
            "for and can be landed again: check the bucket, the connection's credentials and the installed file "
            "system, then run this task again."
        ) from error


def _replace(final: Path, write: Callable[[Path], object]) -> None:
    """Write beside the final name, then rename over it: the same folder is the same file system."""
    final.parent.mkdir(parents=True, exist_ok=True)
    part = final.with_name(f".{final.name}.{uuid.uuid4().hex}.part")
    try:
        write(part)
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(final)
    finally:
        part.unlink(missing_ok=True)
