"""The manifest beside each landed file, and what it says about what lies there."""

from __future__ import annotations

import json
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from airflow_provider_orvideo.exceptions import DestinationError, DestinationExistsError
from airflow_provider_orvideo.landing import media
from airflow_provider_orvideo.landing.publish import (
    digest_of,
    publish_bytes,
    read_bytes,
    remove,
    sidecar_uri,
    size_of,
)
from airflow_provider_orvideo.manifests import JobManifest, LandedFile, LandedManifest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_orvideo.landing.naming import Destination

log = logging.getLogger(__name__)


def write(manifest: LandedManifest, file: LandedFile) -> None:
    """Write the manifest of one file beside it; this says that the file is whole, so it comes last."""
    text = json.dumps(manifest.to_json(), indent=2, ensure_ascii=False)
    publish_bytes(text.encode(), sidecar_uri(file.uri))


def candidates(job: JobManifest, index: int, where: Destination) -> Iterator[str]:
    """Yield the addresses at which an output may lie, whatever container it turns out to be."""
    uris = (where.uri(index, container.extension, outputs=job.outputs) for container in media.CONTAINERS)
    yield from dict.fromkeys(uris)


def landed(job: JobManifest, index: int, where: Destination) -> LandedFile | None:
    """Return an output of this job that lies there whole: size and sha256 are those of the manifest beside it."""
    return next((file for uri in candidates(job, index, where) if (file := _verified(job, uri))), None)


def foreign(job: JobManifest, index: int, where: Destination) -> LandedFile | None:
    """Describe whatever file lies at the output's address, None for nothing."""
    for uri in candidates(job, index, where):
        size = size_of(uri)
        if size is None:
            continue
        manifest = _read(uri)
        known = next((file for file in manifest.files if file.uri == uri), None) if manifest else None
        digest = digest_of(uri) or ""
        if known and (known.bytes, known.sha256) == (size, digest):
            return known.model_copy(update={"index": index, "skipped": True})
        kind = {container.extension: container.content_type for container in media.CONTAINERS}
        return LandedFile(
            uri=uri,
            index=index,
            bytes=size,
            sha256=digest,
            content_type=kind.get(uri.rpartition(".")[2], "application/octet-stream"),
            skipped=True,
        )
    return None


def make_way(job: JobManifest, file: LandedFile, where: Destination) -> None:
    """Take away a manifest that does not speak of the bytes that are about to be stored: it must not vouch for them.

    Raises:
        DestinationExistsError: another task instance of this very task has landed there.
    """
    there = _read(file.uri)
    if there is None:
        with suppress(DestinationError):  # whoever may only put objects cannot see
            if size_of(file.uri) is not None:
                log.warning("%s holds a file that no manifest speaks of; it is replaced.", file.uri)
        return
    if there.job_id != job.job_id:
        mine, theirs = (
            tuple(values.get(name) for name in ("dag_id", "run_id", "task_id"))
            for values in (where.values, there.model_dump())
        )
        if mine == theirs and there.map_index != where.values.get("map_index"):
            raise DestinationExistsError(
                f"{file.uri} holds the video of job {there.job_id}, which map index {there.map_index} of this task "
                "landed. Nothing was overwritten; the video is paid for. Put {job_id} or {map_index} into the "
                "destination and run this task again."
            )
        log.warning("%s holds the video of another job, %s; it is replaced.", file.uri, there.job_id)
    remove(sidecar_uri(file.uri))


def _verified(job: JobManifest, uri: str) -> LandedFile | None:
    manifest = _read(uri)
    if manifest is None or manifest.job_id != job.job_id:
        return None
    file = next((file for file in manifest.files if file.uri == uri), None)
    if file is None or size_of(uri) != file.bytes:
        return None
    if digest_of(uri) != file.sha256:
        log.warning("%s is no longer the file that was landed there: its sha256 differs. It is landed again.", uri)
        return None
    log.info("%s already holds this output, sha256 %s; nothing is downloaded.", uri, file.sha256)
    return file


def _read(uri: str) -> LandedManifest | None:
    try:
        data: Any = read_bytes(sidecar_uri(uri))
        return None if data is None else LandedManifest.model_validate_json(data)
    except ValidationError:
        return None
    except DestinationError as error:
        # A role that may put objects but not list them is told "forbidden" where nothing lies.
        if isinstance(error.__cause__, PermissionError):
            log.info("Whether %s has landed before cannot be seen with these credentials.", uri)
            return None
        raise
