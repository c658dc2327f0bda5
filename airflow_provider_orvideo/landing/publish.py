"""Puts a verified file at its destination in one step, and reads back what lies there."""

from __future__ import annotations

import errno
import glob
import hashlib
import os
import shutil
import time
import uuid
from contextlib import contextmanager, suppress
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from airflow.sdk import ObjectStoragePath
from fsspec.asyn import sync  # type: ignore[import-untyped]

from airflow_provider_orvideo.api.redaction import redact
from airflow_provider_orvideo.exceptions import DestinationError
from airflow_provider_orvideo.landing.protocols import AZURE, GCS, LOCAL
from airflow_provider_orvideo.landing.reading import current, whole
from airflow_provider_orvideo.landing.upload import ABANDONED, typed, uploader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")

#: Bytes that are read at a time.
_BLOCK: Final = 4 * 1024 * 1024
#: What a store says of credentials that nobody may use for anything, rather than of a right that they lack.
_BAD_KEY: Final = (
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "ExpiredToken",
    "InvalidToken",
    "TokenRefreshRequired",
    "AuthenticationFailed",  # Azure; a right that is lacking is "AuthorizationFailure" or the like
)


def sidecar_uri(uri: str) -> str:
    """Return where the manifest of a landed file lies."""
    return f"{uri}.json"


class Publisher:
    """Brings files into one store.

    Made in the task's own thread, since it reads the store's Airflow connection; it may then be used from several.

    Args:
        uri: any address in the store.

    Raises:
        DestinationError: the connection or the file system behind the URL cannot be used.
    """

    def __init__(self, uri: str) -> None:
        self._upload = _at(uri, lambda path: None if path.protocol in LOCAL else uploader(path))

    def publish_file(self, spooled: Path, uri: str, content_type: str) -> None:
        """Bring a local file to ``uri``; until that is complete, what lay there stays as it was.

        Args:
            spooled: the file; it is moved where the destination lies on the same file system.
            uri: where it goes.
            content_type: media type, for stores that keep one.

        Raises:
            DestinationError: the store refused, or what arrived there has another size.
        """
        size = spooled.stat().st_size

        def put(path: ObjectStoragePath) -> None:
            if self._upload is None:
                _move(spooled, Path(path.path))
            else:
                self._upload(spooled, path, content_type)

        _at(uri, put)
        try:
            landed = size_of(uri)
        except DestinationError as error:
            if isinstance(error.__cause__, PermissionError):
                return  # a role that may put and not look; an upload that did not arrive whole would have raised
            raise
        if landed != size:
            raise DestinationError(f"{uri} holds {landed} bytes after {size} were stored there; run this task again.")


def publish_bytes(data: bytes, uri: str, content_type: str = "application/json") -> None:
    """Write a small object to ``uri`` in one step.

    Args:
        data: what to write.
        uri: where it goes.
        content_type: media type, for stores that keep one.

    Raises:
        DestinationError: the store refused.
    """

    def put(path: ObjectStoragePath) -> None:
        if path.protocol in LOCAL:
            _replace(Path(path.path), lambda part: part.write_bytes(data))
        else:
            path.fs.pipe_file(path.path, data, **typed(path, content_type))

    _at(uri, put)


def require_usable(uri: str) -> None:
    """Find out by one cheap question whether ``uri`` can be written, before anything is downloaded.

    What only the write itself can tell, such as a quota or a role that may list and not put, still shows then.

    Raises:
        DestinationError: there is no such bucket, the folder cannot be written, the credentials are not valid, or the
            file system behind the URL is not installed.
    """

    def ask(path: ObjectStoragePath) -> None:
        if path.protocol in LOCAL:
            _require_writable(Path(path.path))
            return
        bucket = path.path.lstrip("/").split("/", 1)[0]
        try:
            found = _has_bucket(path, bucket)
        except PermissionError as error:
            if _is_about_the_key(error):
                raise
            return  # a role that may put objects need not be allowed to look at the bucket
        if not found:
            raise FileNotFoundError(f"there is no bucket or container {bucket!r}, or this connection does not see it")

    _at(uri, ask)


def read_bytes(uri: str) -> bytes | None:
    """Return what lies at ``uri``, None for nothing.

    Raises:
        DestinationError: the store cannot tell.
    """

    def get(path: ObjectStoragePath) -> bytes | None:
        try:
            return whole(path)
        except FileNotFoundError:
            return None

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


def digest_of(uri: str) -> str | None:
    """Return the sha256 in hex of what lies at ``uri``, read in bounded memory; None for nothing.

    Raises:
        DestinationError: the store cannot be read.
    """
    return _at(uri, _each_block)


def fetch(uri: str, to: Path) -> str | None:
    """Copy what lies at ``uri`` to a local file in bounded memory, and return its sha256 in hex; None for nothing.

    Raises:
        DestinationError: the store cannot be read.
    """
    with to.open("wb") as copy:
        return _at(uri, lambda path: _each_block(path, copy.write))


def _each_block(path: ObjectStoragePath, take: Callable[[bytes], object] = len) -> str | None:
    digest = hashlib.sha256()
    try:
        with current(path).open(path.path, "rb", block_size=_BLOCK) as file:
            while block := file.read(_BLOCK):
                digest.update(block)
                take(block)
    except FileNotFoundError:
        return None
    return digest.hexdigest()


def size_of(uri: str) -> int | None:
    """Return the size in bytes of what lies at ``uri``, None for nothing.

    Raises:
        DestinationError: the store cannot tell.
    """

    def ask(path: ObjectStoragePath) -> int | None:
        try:
            size = current(path).info(path.path)["size"]  # the answer must not come from before the upload
        except FileNotFoundError:
            return None
        return int(size)

    return _at(uri, ask)


def why(error: Exception) -> str:
    """Say what the file system said; a `DestinationError` around it speaks of videos."""
    cause = error.__cause__ or error
    return redact(f"{type(cause).__name__}: {cause}").rstrip(".")


def _at(uri: str, act: Callable[[ObjectStoragePath], T]) -> T:
    """Do something at a destination; whatever its file system raises becomes one kind of error."""
    try:
        with _plain_refusals():
            return act(ObjectStoragePath(uri))
    except Exception as error:
        # Each store has its own exceptions, and no common base.
        raise DestinationError(
            f"The destination {uri} cannot be used: {type(error).__name__}: {redact(str(error))}. The video is paid "
            "for and can be landed again: check the bucket, the connection's credentials and the installed file "
            "system, then run this task again."
        ) from error


@contextmanager
def _plain_refusals() -> Iterator[None]:
    """Make one error of all that mean "forbidden": s3fs has Python's own, gcsfs and Azure's SDK have not."""
    try:
        yield
    except PermissionError:
        raise
    except Exception as error:
        if str(error).startswith("Forbidden: ") or getattr(error, "status_code", None) == HTTPStatus.FORBIDDEN:
            raise PermissionError(str(error)) from error
        raise


def _move(spooled: Path, final: Path) -> None:
    final.parent.mkdir(parents=True, exist_ok=True)
    try:
        _sync(spooled)
        spooled.replace(final)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        _forget_abandoned(final)
        _replace(final, lambda part: shutil.copyfile(spooled, part))
    else:
        _sync(final.parent)


def _sync(path: Path) -> None:
    """Have the disk keep what was written: a name must not outlive its content."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _replace(final: Path, write: Callable[[Path], object]) -> None:
    """Write beside the final name, then rename over it: the same folder is the same file system."""
    final.parent.mkdir(parents=True, exist_ok=True)
    part = final.with_name(f".{final.name}.{uuid.uuid4().hex}.part")
    try:
        write(part)
        _sync(part)
        part.replace(final)
        _sync(final.parent)
    finally:
        part.unlink(missing_ok=True)


def _forget_abandoned(final: Path) -> None:
    """Remove what killed workers had half copied to this name."""
    for part in final.parent.glob(f".{glob.escape(final.name)}.*.part"):
        with suppress(OSError):  # somebody else was faster
            if time.time() - part.stat().st_mtime > ABANDONED:
                part.unlink()


def _require_writable(final: Path) -> None:
    folder = next(folder for folder in final.parents if folder.exists())
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, "a file lies where a folder is needed", str(folder))
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, "the worker may not write here", str(folder))


def _has_bucket(path: ObjectStoragePath, bucket: str) -> bool:
    """Ask whether there is a bucket, in a way that tells "no" from "forbidden" and says why it is forbidden.

    Raises:
        PermissionError: it is forbidden to ask.
    """
    fs = path.fs
    try:
        with _plain_refusals():
            if hasattr(fs, "call_s3"):
                try:
                    fs.call_s3("head_bucket", Bucket=bucket)
                except PermissionError:  # an answer to HEAD has no body, so it does not say why
                    fs.call_s3("list_objects_v2", Bucket=bucket, MaxKeys=1)
                return True
            if path.protocol in GCS:  # where `exists` says "no" of an empty bucket that may not be looked at
                fs.call("GET", f"b/{bucket}", json_out=True)
                return True
            if path.protocol in AZURE:  # where `exists` says "yes" whatever goes wrong
                return bool(sync(fs.loop, _has_container, fs, bucket))
            fs.invalidate_cache()
            return bool(fs.exists(bucket))
    except FileNotFoundError:
        return False


async def _has_container(fs: Any, name: str) -> bool:  # noqa: ANN401 - adlfs has no types, and is an extra
    async with fs.service_client.get_container_client(name) as container:
        return bool(await container.exists())


def _is_about_the_key(error: PermissionError) -> bool:
    link: BaseException | None = error
    while link is not None:
        if any(word in str(link) for word in _BAD_KEY):
            return True
        link = link.__cause__ or link.__context__
    return False
