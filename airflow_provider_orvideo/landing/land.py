"""Lands every output of one job: fresh status, download, verify, publish, sidecar last."""

from __future__ import annotations

import json
import logging
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from airflow_provider_orvideo.api.schema import JobStatus
from airflow_provider_orvideo.exceptions import (
    DestinationError,
    LandingError,
    MediaInvalidError,
    NotFoundError,
    OrVideoError,
    OutputUnavailableError,
)
from airflow_provider_orvideo.landing import media
from airflow_provider_orvideo.landing.publish import (
    publish_bytes,
    publish_file,
    read_bytes,
    remove,
    sidecar_uri,
    size_of,
)
from airflow_provider_orvideo.landing.spool import download
from airflow_provider_orvideo.manifests import JobManifest, LandedFile, LandedManifest, iso

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_orvideo.api.client import VideoClient
    from airflow_provider_orvideo.landing.naming import Destination

log = logging.getLogger(__name__)


def land(client: VideoClient, job: JobManifest, where: Destination, *, spool_dir: str | None = None) -> LandedManifest:
    """Land every output of a completed job; what already lies there from the same job is not downloaded again.

    Args:
        client: of the connection that the job belongs to.
        job: the job; with no more than an id, the rest is read from the API.
        where: addresses of the outputs.
        spool_dir: folder for the download until it is verified; default the system's.

    Raises:
        LandingError: the destination is untouched, or holds whole files only. Nothing is ever ordered from here.
    """
    try:
        files = _already_landed(job, where)
        if files is None:
            job = _refreshed(client, job)
            files = [_land_one(client, job, index, where, spool_dir=spool_dir) for index in range(job.outputs)]
    except LandingError:
        raise
    except OrVideoError as error:
        # A key refused, a gateway in between: whatever the API said, the video is paid for and can be landed later.
        raise OutputUnavailableError(
            f"Job {job.job_id} could not be read for landing: {error} The video is paid for and the destination is "
            "untouched; mend the cause and run this task again. Nothing is ordered."
        ) from error
    return _landed(job, files, where)


def _refreshed(client: VideoClient, job: JobManifest) -> JobManifest:
    """Bring the manifest up to date with the API, and make sure that there is something to land."""
    try:
        now = client.get_generation(job.job_id)
    except NotFoundError as error:
        raise OutputUnavailableError(
            f"{error} Check the job id, and that the connection's key belongs to the account that ordered it."
        ) from error
    if now.status != JobStatus.COMPLETED:
        hint = "a new video must be ordered" if now.is_terminal else "wait for it to complete and run this task again"
        raise OutputUnavailableError(
            f"Job {job.job_id} has no video to land: its status is '{now.status}'"
            f"{f' ({now.error})' if now.error else ''}; {hint}."
        )
    cost = now.usage.cost if now.usage else None
    return job.model_copy(
        update={
            "status": now.status,
            # Never fewer than were promised: an answer without URLs still has its outputs behind /content.
            "outputs": max(job.outputs, now.output_count),
            "generation_id": job.generation_id or now.generation_id,
            "cost_usd": job.cost_usd if cost is None else float(cost),
        }
    )


def _land_one(
    client: VideoClient, job: JobManifest, index: int, where: Destination, *, spool_dir: str | None
) -> LandedFile:
    if found := _find(job, index, where):
        return found
    with _spool_folder(spool_dir) as folder:
        spooled = download(client, job.job_id, index, Path(folder) / "video")
        try:
            container = media.check(spooled.path)
        except MediaInvalidError as error:
            raise MediaInvalidError(
                f"Output {index} of job {job.job_id} did not pass the check and was not stored: {error} The server "
                f"called it {spooled.content_type or 'nothing'}; {spooled.size} bytes arrived. The destination is "
                "untouched; run this task again to download it anew."
            ) from error
        # A file system that guesses the media type does so by the name.
        path = spooled.path.rename(spooled.path.with_suffix(f".{container.extension}"))
        seen = media.probe(path)
        file = LandedFile(
            uri=where.uri(index, container.extension, outputs=job.outputs),
            index=index,
            bytes=spooled.size,
            sha256=spooled.sha256,
            content_type=container.content_type,
            **(vars(seen) if seen else {}),
        )
        _make_way(job, file, where)
        publish_file(path, file.uri)
    publish_bytes(_sidecar(job, file, where), sidecar_uri(file.uri))
    log.info("Landed %s: %d bytes, sha256 %s.", file.uri, file.bytes, file.sha256)
    return file


@contextmanager
def _spool_folder(spool_dir: str | None) -> Iterator[str]:
    """Make a folder for one download, removed at the end."""
    try:
        if spool_dir:
            Path(spool_dir).mkdir(parents=True, exist_ok=True)
        folder = tempfile.TemporaryDirectory(prefix="orvideo-", dir=spool_dir or None)
    except OSError as error:
        raise DestinationError(
            f"'[orvideo] spool_dir' is {spool_dir!r} and cannot be used for downloads: {error}. Set it to a folder "
            "that the worker may write."
        ) from error
    with folder as name:
        yield name


def _make_way(job: JobManifest, file: LandedFile, where: Destination) -> None:
    """Take away a sidecar that does not speak of the bytes that are about to be stored: it must not vouch for them.

    Raises:
        DestinationError: another task instance of this very task has landed there.
    """
    there = _read_sidecar(file.uri)
    if there is None:
        return
    if there.job_id != job.job_id:
        mine, theirs = (
            tuple(values.get(name) for name in ("dag_id", "run_id", "task_id"))
            for values in (where.values, there.model_dump())
        )
        if mine == theirs and there.map_index != where.values.get("map_index"):
            raise DestinationError(
                f"{file.uri} holds the video of job {there.job_id}, which map index {there.map_index} of this task "
                "landed. Nothing was overwritten; the video is paid for. Put {job_id} or {map_index} into the "
                "destination and run this task again."
            )
        log.warning("%s holds the video of another job, %s; it is replaced.", file.uri, there.job_id)
    remove(sidecar_uri(file.uri))


def _landed(job: JobManifest, files: list[LandedFile], where: Destination) -> LandedManifest:
    return LandedManifest(
        **job.model_dump(),
        dag_id=where.values.get("dag_id"),
        run_id=where.values.get("run_id"),
        task_id=where.values.get("task_id"),
        map_index=where.values.get("map_index"),
        files=tuple(files),
        landed_at=iso(time.time()),
    )


def _sidecar(job: JobManifest, file: LandedFile, where: Destination) -> bytes:
    return json.dumps(_landed(job, [file], where).to_json(), indent=2, ensure_ascii=False).encode()


def _already_landed(job: JobManifest, where: Destination) -> list[LandedFile] | None:
    """Return the files of a job that lies there completely, None for anything less. Asks the store only."""
    files = []
    for index in range(job.outputs):
        found = _find(job, index, where)
        if found is None:
            return None
        files.append(found)
    return files or None


def _find(job: JobManifest, index: int, where: Destination) -> LandedFile | None:
    """Return an output that lies there already, whatever container it turned out to be."""
    uris = (where.uri(index, container.extension, outputs=job.outputs) for container in media.CONTAINERS)
    return next((file for uri in dict.fromkeys(uris) if (file := _landed_file(job, uri))), None)


def _landed_file(job: JobManifest, uri: str) -> LandedFile | None:
    """Return what the sidecar at ``uri`` says, if it speaks of this job and the file has the size that it says."""
    manifest = _read_sidecar(uri)
    if manifest is None or manifest.job_id != job.job_id:
        return None
    file = next((file for file in manifest.files if file.uri == uri), None)
    if file is None or size_of(uri) != file.bytes:
        return None
    log.info("%s already holds this output; nothing was downloaded.", uri)
    return file


def _read_sidecar(uri: str) -> LandedManifest | None:
    try:
        data = read_bytes(sidecar_uri(uri))
        return None if data is None else LandedManifest.model_validate_json(data)
    except ValidationError:
        return None
    except DestinationError as error:
        # A role that may put objects but not list them is told "forbidden" where nothing lies.
        if isinstance(error.__cause__, PermissionError):
            log.info("Whether %s has landed before cannot be seen with these credentials.", uri)
            return None
        raise
