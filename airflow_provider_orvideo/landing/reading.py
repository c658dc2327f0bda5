"""Reads what lies in object storage now, whatever this process remembers of an earlier listing.

fsspec gives all of a process the same file system for the same connection, and a file system keeps its listings. Read
in s3fs 2026.9: ``cat_file`` asks for the size first, and asks a listing before it asks S3, so that of a file which
another machine stored meanwhile it says that there is none. A record that is overlooked is a video that is paid twice.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_orvideo.landing.protocols import LOCAL

if TYPE_CHECKING:
    from airflow.sdk import ObjectStoragePath

#: The argument by which s3fs reads in one request, without a question for the size; older versions always do.
_IN_ONE: Final = "max_concurrency"


def whole(path: ObjectStoragePath) -> bytes:
    """Return a small file.

    Raises:
        FileNotFoundError: there is none.
        OSError: there is not even the bucket, which says nothing of the file: a mistyped name, or the wrong account.
            gcsfs keeps to itself what was not found.
        Exception: the store's own, where it refused.
    """
    if path.protocol in LOCAL:
        return Path(path.path).read_bytes()
    fs = current(path)
    reads = inspect.signature(getattr(fs, "_cat_file", fs.cat_file)).parameters
    try:
        data: bytes = fs.cat_file(path.path, **({_IN_ONE: 1} if _IN_ONE in reads else {}))
    except FileNotFoundError as error:
        if not _is_about_the_bucket(error):
            raise
        bucket = path.path.lstrip("/").partition("/")[0]
        raise OSError(f"there is no bucket or container {bucket!r}, or this connection does not see it") from error
    return data


def current(path: ObjectStoragePath) -> Any:  # noqa: ANN401 - fsspec has no types
    """Return the file system of a path, with its listings forgotten."""
    fs = path.fs
    fs.invalidate_cache()
    return fs


def _is_about_the_bucket(error: FileNotFoundError) -> bool:
    """Whether S3 or Azure said that it was the bucket that it did not find."""
    response: Any = getattr(error.__cause__, "response", None)
    said = response.get("Error", {}).get("Code") if isinstance(response, dict) else None
    return said == "NoSuchBucket" or getattr(error.__cause__, "error_code", None) == "ContainerNotFound"
