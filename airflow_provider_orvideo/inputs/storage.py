"""Reads inputs where they lie, and has stores sign URLs for them.

Everything here blocks, and s3fs is built with an event loop of its own: never call it on an event loop.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, Final, TypeVar
from urllib.parse import parse_qsl, urlsplit

from airflow.sdk import ObjectStoragePath

from airflow_provider_orvideo.api.redaction import redact
from airflow_provider_orvideo.inputs.address import Place, local_path, place_of
from airflow_provider_orvideo.inputs.kinds import HEAD
from airflow_provider_orvideo.preflight.media_urls import is_public

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

#: Longest piece of a store's own words in a message, in characters.
_WORDS: Final = 240
#: What else a store is asked for when it signs: that it serves the true media type, whatever the object's own says;
#: and of Google's two signatures the one that is not deprecated.
_S3: Final = ("s3", "s3a", "s3n")
_GCS: Final = ("gs", "gcs")
_AZURE: Final = ("abfs", "abfss", "adl")
#: Parameters that a URL may have without being signed: s3fs gives such ones where there are no credentials.
_NO_SIGNATURE: Final = frozenset({"response-content-type", "versionid", "generation"})


class UnreadableError(Exception):
    """It cannot be read now. The message says why, without secrets."""


class UnusableError(Exception):
    """It can never be used like this. The message says why, without secrets."""


@dataclass(frozen=True)
class Stored:
    """What lies at an address.

    Attributes:
        size: bytes.
        head: its first `HEAD` bytes.
    """

    size: int
    head: bytes


def connect(address: str) -> None:
    """Read the connection of the store in which an address lies; Airflow keeps what it makes of it.

    Raises:
        UnreadableError: it cannot be read now.
    """
    if place_of(address) is Place.STORE:
        _at(address, lambda path: path.fs)


def look(address: str) -> Stored:
    """Return size and first bytes of what lies at an address.

    Raises:
        UnreadableError: there is nothing, or it cannot be read now.
        UnusableError: it is a folder, or no regular file.
    """
    if place_of(address) is Place.LOCAL:
        return _local(address, lambda file, size: Stored(size, file.read(HEAD)))

    def ask(path: ObjectStoragePath) -> Stored:
        path.fs.invalidate_cache()  # another task may just have put it there
        info = path.fs.info(path.path)
        if info.get("type", "file") != "file":
            raise UnusableError("it is a folder, not a file")
        size = int(info["size"])
        return Stored(size, path.fs.cat_file(path.path, start=0, end=min(size, HEAD)) if size else b"")

    return _at(address, ask)


def read(address: str, size: int) -> bytes:
    """Return all of it.

    Args:
        address: where it lies.
        size: bytes that `look` saw; no more are read.

    Raises:
        UnreadableError: it cannot be read now, or has changed since.
        UnusableError: as `look`.
    """
    if place_of(address) is Place.LOCAL:
        data = _local(address, lambda file, _: file.read(size + 1))
    else:
        data = _at(address, lambda path: bytes(path.fs.cat_file(path.path, start=0, end=size)))
    if len(data) != size:
        raise UnreadableError("it changed while it was read")
    return data


def sign(address: str, *, media_type: str, seconds: int) -> str:
    """Have the store sign an HTTPS URL that anybody can read the object with.

    Args:
        address: where it lies in object storage.
        media_type: what the store should say that it is.
        seconds: how long the URL can be used.

    Raises:
        UnreadableError: the store, or who signs for it, cannot be reached now.
        UnusableError: this store, or this connection, cannot sign; or what it signs could not be fetched from outside.
    """
    url = _at(address, lambda path: _signed(path, media_type, seconds))
    try:
        parts = urlsplit(url) if isinstance(url, str) else None
        scheme, host = (parts.scheme, parts.hostname or "") if parts else ("", "")
    except ValueError:
        parts, scheme, host = None, "", ""
    if parts is None or not host:
        raise UnusableError("the store gives no URL")
    if scheme != "https" or not is_public(host):
        raise UnusableError(
            f"the store signs for {scheme}://{redact(host, limit=80)}, and the API fetches only by HTTPS from public "
            "addresses (is this an emulator, or a store inside of your network?)"
        )
    if not {name.lower() for name, _ in parse_qsl(parts.query, keep_blank_values=True)} - _NO_SIGNATURE:
        raise UnusableError(
            "the URL that the store gives is not signed, so the connection has no credentials; if the object is "
            "public, give its HTTPS URL itself"
        )
    return str(url)


def _signed(path: ObjectStoragePath, media_type: str, seconds: int) -> Any:  # noqa: ANN401 - whatever a store gives
    wishes: dict[str, str] = {}
    if path.protocol in _S3:
        wishes = {"ResponseContentType": media_type}
    elif path.protocol in _GCS:
        wishes = {"response_type": media_type, "version": "v4"}
    elif path.protocol in _AZURE:
        wishes = {"content_type": media_type}
    try:
        return path.fs.sign(path.path, expiration=seconds, **wishes)
    except NotImplementedError:
        raise UnusableError("this kind of store cannot sign") from None
    except (AttributeError, TypeError, ValueError) as error:
        # Google's libraries and Azure's SDK say so of credentials without a key to sign with.
        raise UnusableError(f"its connection's credentials cannot sign: {_words(error)}") from None


def _local(address: str, act: Callable[[BinaryIO, int], T]) -> T:
    # Without O_NONBLOCK, a pipe that nobody writes to would hold the task for ever.
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        with open(os.open(local_path(address), flags), "rb") as file:  # noqa: PTH123 - a handle, not a path
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise UnusableError("it is a folder" if stat.S_ISDIR(found.st_mode) else "it is no regular file")
            return act(file, found.st_size)
    except FileNotFoundError:
        raise UnreadableError("there is no such file on this worker") from None
    except IsADirectoryError:
        raise UnusableError("it is a folder, not a file") from None
    except OSError as error:
        raise UnreadableError(f"{type(error).__name__}: {error.strerror}") from None
    except ValueError:
        raise UnusableError("the path holds a character that no path can") from None


def _at(address: str, act: Callable[[ObjectStoragePath], T]) -> T:
    """Do something at an object.

    Stores' errors hold URLs and headers at will, so they are not chained: what a traceback shows must hold no secret.
    """
    try:
        return act(ObjectStoragePath(address))
    except (UnreadableError, UnusableError):
        raise
    except FileNotFoundError:
        raise UnreadableError("there is no such object or bucket, or this connection does not see it") from None
    except Exception as error:  # noqa: BLE001 - each store has its own exceptions, and no common base
        raise UnreadableError(_words(error)) from None


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {redact(str(error), limit=_WORDS)}".rstrip(".: ")
