"""Downloads one output to a local file in bounded memory, hashing on the way."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

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
    from pathlib import Path

    from airflow_provider_orvideo.api.client import VideoClient
    from airflow_provider_orvideo.api.retry import RetryPolicy

log = logging.getLogger(__name__)

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
    digest = hashlib.sha256()
    size = 0
    with client.get_video_content(job_id, index, retry=NO_RETRY) as (head, chunks), path.open("wb") as file:
        for chunk in chunks:
            file.write(chunk)
            digest.update(chunk)
            size += len(chunk)
    if head.content_length is not None and size != head.content_length:
        raise ReadInterruptedError(f"{size} of {head.content_length} bytes arrived.")
    return Spooled(path, size, digest.hexdigest(), head.content_type)


def _log_restart(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    log.warning("The download broke off and starts again from the first byte: %s", error)
