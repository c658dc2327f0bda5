"""Downloads one output to a local file in bounded memory, hashing on the way."""

from __future__ import annotations

import hashlib
import logging
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tenacity import RetryCallState, Retrying

from airflow_provider_orvideo.api.retry import NO_RETRY, READ_AGAIN
from airflow_provider_orvideo.exceptions import (
    BadRequestError,
    ConflictError,
    DestinationError,
    DownloadIncompleteError,
    GoneError,
    NotFoundError,
    OutputUnavailableError,
    ReadInterruptedError,
)

if TYPE_CHECKING:
    from concurrent.futures import Future
    from io import FileIO
    from pathlib import Path
    from typing import Self

    from airflow_provider_orvideo.api.client import VideoClient
    from airflow_provider_orvideo.api.retry import RetryPolicy

log = logging.getLogger(__name__)

#: Bytes that are hashed and written at a time.
_BATCH: Final = 512 * 1024
#: How many of them there are: those that wait bridge a moment in which the disk is busy.
_BATCHES: Final = 4

_ADVICE = {
    ConflictError: "The video is not ready yet; wait for the job to complete and run this task again.",
    GoneError: "The API no longer keeps this output; waiting does not help, only a new video does.",
    NotFoundError: "The API does not know this job, or no longer; check the id and the connection's account.",
    BadRequestError: "The job does not have this output.",
}


@dataclass(frozen=True)
class Spooled:
    """One downloaded output.

    Attributes:
        path: where it lies for now.
        size: bytes.
        sha256: of all bytes, in hex.
        content_type: media type that the server claimed.
    """

    path: Path
    size: int
    sha256: str
    content_type: str


def download(client: VideoClient, job_id: str, index: int, path: Path) -> Spooled:
    """Stream one output to ``path``; a broken transfer starts again from the first byte, since the API knows no Range.

    Raises:
        OutputUnavailableError: the API does not have it; the message says whether waiting helps.
        DownloadIncompleteError: the transfer broke each time.
        DestinationError: the spool cannot be written (disk full, no permission).
    """
    policy: RetryPolicy = client.config.read_retry
    retrying = Retrying(
        stop=policy.stop,
        wait=policy.wait,
        retry=policy.only(READ_AGAIN),
        before_sleep=_log_restart,
        reraise=True,
    )
    try:
        return retrying(_download_once, client, job_id, index, path)
    except tuple(_ADVICE) as error:
        raise OutputUnavailableError(f"{error} {_ADVICE[type(error)]} Nothing was ordered again.") from error
    except READ_AGAIN as error:
        raise DownloadIncompleteError(
            f"Output {index} of job {job_id} could not be downloaded in {policy.attempts} tries. The destination is "
            f"untouched, the video is paid for and stays with the API for a while; run this task again. Last: {error}"
        ) from error
    except OSError as error:
        raise DestinationError(
            f"The download of job {job_id} cannot be written to {path.parent}: {error}. Free space there, or set "
            "[orvideo] spool_dir to a folder with room for one video."
        ) from error


def _download_once(client: VideoClient, job_id: str, index: int, path: Path) -> Spooled:
    with (
        client.get_video_content(job_id, index, retry=NO_RETRY) as (head, chunks),
        path.open("wb", buffering=0) as file,
        _Writer(file) as writer,
    ):
        for chunk in chunks:
            writer.add(chunk)
    if head.content_length is not None and writer.size != head.content_length:
        raise ReadInterruptedError(f"{writer.size} of {head.content_length} bytes arrived.")
    return Spooled(path, writer.size, writer.hex, head.content_type)


class _Writer:
    """Writes and hashes in another thread, a few batches behind the network: all three release the interpreter's lock.

    Use as a block; at its end all is written and hashed, or what went wrong is raised.

    Args:
        file: without a buffer of its own.
    """

    def __init__(self, file: FileIO) -> None:
        self.size = 0
        self.hex = ""
        self._file = file
        self._hash = hashlib.sha256()
        # Used again and again: memory that is new to the process costs more than copying into what is at hand.
        self._free = [memoryview(bytearray(_BATCH)) for _ in range(_BATCHES)]
        self._batch = self._free.pop()
        self._held = 0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="orvideo-spool")
        self._waiting: deque[Future[memoryview]] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._hand_over()
                while self._waiting:
                    self._take_back()
                self.hex = self._hash.hexdigest()
        finally:
            self._thread.shutdown(cancel_futures=True)

    def add(self, chunk: bytes) -> None:
        """Take the next bytes; waits where the thread falls too far behind.

        Raises:
            OSError: an earlier batch could not be written.
        """
        self.size += len(chunk)
        left = memoryview(chunk)
        while left:
            fits = min(len(left), _BATCH - self._held)
            self._batch[self._held : self._held + fits] = left[:fits]
            self._held += fits
            left = left[fits:]
            if self._held == _BATCH:
                self._hand_over()
                self._batch = self._free.pop() if self._free else self._take_back()

    def _hand_over(self) -> None:
        self._waiting.append(self._thread.submit(self._keep, self._batch, self._held))
        self._held = 0

    def _take_back(self) -> memoryview:
        return self._waiting.popleft().result()

    def _keep(self, batch: memoryview, size: int) -> memoryview:
        left = batch[:size]
        self._hash.update(left)
        while left:  # a disk that is nearly full takes a part, and raises at the next
            left = left[self._file.write(left) :]
        return batch


def _log_restart(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    log.warning("The download broke off and starts again from the first byte: %s", error)
