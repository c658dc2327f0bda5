"""Opens what the preview may read: bounded blocks of a file, which the manifest beside it vouches for.

Everything here blocks, so it runs in the preview's own threads.
"""

from __future__ import annotations

import os
import stat
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final, Protocol

from pydantic import ValidationError

from airflow_provider_orvideo.landing.protocols import connection_of
from airflow_provider_orvideo.manifests import LandedManifest
from airflow_provider_orvideo.plugins.allowed import Allowed, NotAllowedError

if TYPE_CHECKING:
    from airflow.sdk import ObjectStoragePath

    from airflow_provider_orvideo.manifests import LandedFile

#: Longest manifest beside a file, in bytes.
_MAX_SIDECAR: Final = 1024 * 1024
#: Longest still image, in bytes.
MAX_POSTER: Final = 8 * 1024 * 1024
_JPEG: Final = b"\xff\xd8\xff"
#: Seconds for which a signed URL can be used.
_SIGNED_FOR: Final = 300


class ChangedError(Exception):
    """What lies there is not what was landed; the message is a whole sentence."""


class Source(Protocol):
    """A file that is open."""

    @property
    def size(self) -> int:
        """How many bytes it has."""

    def read(self, start: int, length: int) -> bytes:
        """Return bytes from an offset."""

    def close(self) -> None:
        """Let go of it."""


def open_video(allowed: Allowed, file: LandedFile, dag_id: str) -> Source:
    """Open a landed video.

    Raises:
        NotAllowedError: a link leads out of the allowed folder, or no manifest beside it says that this DAG landed it.
        ChangedError: its size is not what was landed.
        OSError: the store has it not, or refuses.
    """
    require_vouched(allowed, file, dag_id)
    source = _open(allowed)
    if source.size != file.bytes:
        source.close()
        raise ChangedError(f"The file has {source.size} bytes by now, and had {file.bytes} when it was landed.")
    return source


def read_poster(video: Allowed, poster: Allowed, file: LandedFile, dag_id: str) -> bytes:
    """Return the still image beside a landed video.

    Raises:
        NotAllowedError, ChangedError, OSError: as `open_video`; also where it is not a JPEG.
    """
    require_vouched(video, file, dag_id)
    data = _read_small(poster, MAX_POSTER)
    if not data.startswith(_JPEG):
        raise ChangedError("The still image is no JPEG.")
    return data


def require_vouched(allowed: Allowed, file: LandedFile, dag_id: str) -> None:
    """Make sure that the landing put this file there, for this DAG.

    XCom alone does not say so: whoever may write it could name any file below the allowed prefixes, those of other
    DAGs included. The manifest beside the file is written by the landing and by nobody who cannot write the storage.

    Raises:
        NotAllowedError: no manifest beside it lists this very file, or it names another DAG.
        OSError: the store refuses.
    """
    sidecar = Allowed(allowed.place.beside(".json"), allowed.prefix)
    try:
        manifest = LandedManifest.model_validate_json(_read_small(sidecar, _MAX_SIDECAR))
    except FileNotFoundError:
        raise NotAllowedError("has no manifest beside it that says what was landed there") from None
    except (ValidationError, ChangedError):
        raise NotAllowedError("has something beside it that is no manifest of a landed video") from None
    if manifest.dag_id not in {None, dag_id}:
        raise NotAllowedError("was landed by another DAG, as the manifest beside it says")
    told = {(known.uri, known.sha256, known.bytes, known.poster_uri) for known in manifest.files}
    if (file.uri, file.sha256, file.bytes, file.poster_uri) not in told:
        raise NotAllowedError("is not what the manifest beside it says was landed there")


def signed_url(allowed: Allowed) -> str | None:
    """Return an https URL with which anybody can read the file for a few minutes; None where the store has none."""
    if allowed.place.is_local:
        return None
    path = _store_path(allowed)
    try:
        url = path.fs.sign(path.path, expiration=_SIGNED_FOR)
    except (NotImplementedError, ValueError, TypeError, AttributeError):  # no such thing, or credentials that cannot
        return None
    return url if isinstance(url, str) and url.startswith("https://") else None


def _read_small(allowed: Allowed, limit: int) -> bytes:
    source = _open(allowed)
    try:
        if source.size > limit:
            raise ChangedError(f"The file has {source.size} bytes; more than {limit} are not read.")
        return source.read(0, source.size) if source.size else b""
    finally:
        source.close()


def _open(allowed: Allowed) -> Source:
    return _LocalSource(allowed) if allowed.place.is_local else _StoreSource(allowed)


class _LocalSource:
    """A file of this machine, opened once; what it is called later does not matter."""

    def __init__(self, allowed: Allowed) -> None:
        path, root = (os.path.realpath(f"/{place.key}") for place in (allowed.place, allowed.prefix))
        _require(path.startswith(f"{root}/"), "leads out of the allowed folder by a link")
        # Neither a link that was put there meanwhile, nor a pipe that would block.
        with ExitStack() as stack:
            self._handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            stack.callback(os.close, self._handle)
            found = os.fstat(self._handle)
            _require(stat.S_ISREG(found.st_mode), "is no regular file")
            _require(os.path.realpath(path) == path, "leads out of the allowed folder by a link")
            stack.pop_all()
        self.size = found.st_size

    def read(self, start: int, length: int) -> bytes:
        return os.pread(self._handle, length, start)

    def close(self) -> None:
        os.close(self._handle)


class _StoreSource:
    """An object; each block is a request of its own, so nothing is held while the client takes its time."""

    def __init__(self, allowed: Allowed) -> None:
        self._path = _store_path(allowed)
        info = self._path.fs.info(self._path.path)
        _require(info.get("type", "file") == "file", "is no file")
        self.size = int(info["size"])

    def read(self, start: int, length: int) -> bytes:
        data: bytes = self._path.fs.cat_file(self._path.path, start=start, end=start + length)
        return data

    def close(self) -> None:
        """Nothing is held."""


def _store_path(allowed: Allowed) -> ObjectStoragePath:
    from airflow.sdk import ObjectStoragePath  # noqa: PLC0415 - in the thread that uses it

    place = allowed.place
    path = ObjectStoragePath(place.uri)
    # What was allowed and what the file system is asked for must be the same, whatever a later version parses.
    same = (connection_of(path), path.path.lstrip("/")) == (place.conn_id, f"{place.bucket}/{place.key}")
    _require(same, "is read in another way by Airflow's ObjectStoragePath")
    return path


def _require(condition: bool, otherwise: str) -> None:  # noqa: FBT001 - reads as an assertion
    if not condition:
        raise NotAllowedError(otherwise)
