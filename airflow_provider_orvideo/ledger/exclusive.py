"""Creates a file in object storage only where there is none, in one step, so that of two who try one is refused.

What does so, read in the sources of s3fs 2026.9, adlfs 2026.8 and gcsfs 2026.10: S3 by ``If-None-Match``, Azure Blob by
the same, Cloud Storage by ``ifGenerationMatch=0`` (but not in zonal buckets, where gcsfs writes over), and a hard link
on a local file system. fsspec's own ``mode="create"`` looks first and writes then, which is a race.
"""

from __future__ import annotations

import errno
import os
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_orvideo.landing.protocols import AZURE, GCS, LOCAL, S3

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow.sdk import ObjectStoragePath

#: How a file system says that it has no hard links.
_NO_LINKS: Final = frozenset({errno.EPERM, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP})
#: S3's words for "there is one already" and "another one is being written"; s3fs knows only the first, and not always.
_TAKEN: Final = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "412", "409"})


class NotExclusiveError(Exception):
    """This store does not promise to refuse what exists; the message is the reason, without an end."""


def create(path: ObjectStoragePath, data: bytes) -> bool:
    """Create a small file, whole or not at all.

    A file system that repeats a request, since its answer was lost, is refused by its own first one: False then says
    that the file is there, not that another one wrote it.

    Returns:
        Whether this call created it; False where there is one already.

    Raises:
        NotExclusiveError: the store cannot do so.
        Exception: the store's own, where it refused.
    """
    require_exclusive(path)
    try:
        _CREATE[path.protocol](path, data)
    except FileExistsError:
        return False
    except OSError as error:
        if not _is_taken(error):
            raise
        return False
    return True


def require_exclusive(path: ObjectStoragePath) -> None:
    """Make sure that the kind of store is one that is known to refuse what exists.

    Raises:
        NotExclusiveError: nothing is known of it.
    """
    if path.protocol not in _CREATE:
        raise NotExclusiveError(f"it is not known that '{path.protocol}' creates a file only where there is none")


def _create_local(path: ObjectStoragePath, data: bytes) -> None:
    """Show a file whole or not at all: who opened it under its own name could die before the first byte."""
    final = Path(path.path)
    final.parent.mkdir(parents=True, exist_ok=True)
    part = final.with_name(f".{final.name}.{uuid.uuid4().hex}.part")
    try:
        with part.open("xb") as file:
            file.write(data)
            file.flush()
            _link(part, final)
            # Only now, so that who comes second does not wait for the disk.
            os.fsync(file.fileno())
    finally:
        part.unlink(missing_ok=True)
    folder = os.open(final.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _link(part: Path, final: Path) -> None:
    try:
        final.hardlink_to(part)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        raise NotExclusiveError("its file system has no hard links") from error


def _create_by_mode(path: ObjectStoragePath, data: bytes) -> None:
    path.fs.pipe_file(path.path, data, mode="create")


def _create_azure(path: ObjectStoragePath, data: bytes) -> None:
    path.fs.pipe_file(path.path, data, overwrite=False)


_CREATE: Final[Mapping[str, Callable[[ObjectStoragePath, bytes], None]]] = {
    **dict.fromkeys(LOCAL, _create_local),
    **dict.fromkeys(S3 | GCS, _create_by_mode),
    **dict.fromkeys(AZURE, _create_azure),
}


def _is_taken(error: OSError) -> bool:
    response: Any = getattr(error.__cause__, "response", None)
    said = response.get("Error", {}) if isinstance(response, dict) else {}
    return str(said.get("Code")) in _TAKEN
