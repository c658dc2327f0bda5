"""Lands every output of one job: fresh status, download, verify, publish, sidecar last."""

from __future__ import annotations

import logging
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from airflow_provider_orvideo import __version__
from airflow_provider_orvideo.api.retry import NO_RETRY
from airflow_provider_orvideo.api.schema import JobStatus
from airflow_provider_orvideo.exceptions import (
    ConfigurationError,
    DestinationExistsError,
    LandingError,
    MediaInvalidError,
    MediaUnexpectedError,
    NotFoundError,
    OrVideoError,
    OutputUnavailableError,
)
from airflow_provider_orvideo.landing import media, sidecar
from airflow_provider_orvideo.landing.expect import differences, expected_from
from airflow_provider_orvideo.landing.folders import spool_folder
from airflow_provider_orvideo.landing.publish import Publisher, publish_bytes, require_usable
from airflow_provider_orvideo.landing.spool import download
from airflow_provider_orvideo.manifests import JobManifest, LandedFile, LandedManifest, iso

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_provider_orvideo.api.client import VideoClient
    from airflow_provider_orvideo.landing.naming import Destination
    from airflow_provider_orvideo.landing.spool import Spooled

log = logging.getLogger(__name__)

OnExisting = Literal["verify", "overwrite", "fail", "skip"]
Expect = Literal["warn", "fail", "off"]

#: Outputs that are downloaded at the same time.
CONCURRENCY: Final = 4


@dataclass(frozen=True, kw_only=True)
class LandingOptions:
    """How to land.

    Attributes:
        on_existing: what to do where something lies at the destination. ``verify``: this job's file with the sha256 of
            its manifest is done, anything else is replaced. ``overwrite``: download and replace in any case. ``fail``:
            as ``verify`` for this job's own file, and an error for any other. ``skip``: leave whatever lies there.
        expect: what to do where what came is not what was ordered: log a warning and say so in the manifest, ``fail``
            with the destination untouched, or do not look (``off``).
        poster: whether to put a still image beside each video.
        look_up_cost: whether to ask for the accounting record where the job itself does not tell its cost. Asked once,
            and without waiting: the record appears minutes after the job ended.
        spool_dir: folder for downloads until they are verified; default the system's.
        concurrency: how many outputs to download at the same time, from 1.
    """

    on_existing: OnExisting = "verify"
    expect: Expect = "warn"
    poster: bool = False
    look_up_cost: bool = False
    spool_dir: str | None = None
    concurrency: int = CONCURRENCY

    def __post_init__(self) -> None:
        """Refuse what is not one of the choices.

        Raises:
            ConfigurationError: the message names the argument, its value and what is allowed.
        """
        for name, kind in (("on_existing", OnExisting), ("expect", Expect)):
            if getattr(self, name) not in get_args(kind):
                allowed = ", ".join(map(repr, get_args(kind)))
                raise ConfigurationError(f"'{name}' is {getattr(self, name)!r}; it must be one of {allowed}.")
        for name in ("poster", "look_up_cost"):
            if not isinstance(getattr(self, name), bool):
                raise ConfigurationError(f"'{name}' is {getattr(self, name)!r}; it must be True or False.")
        if type(self.concurrency) is not int or self.concurrency < 1:
            raise ConfigurationError(
                f"'concurrency' (the operator's 'max_concurrent_downloads') is {self.concurrency!r}; it must be a "
                "whole number from 1."
            )


def _unwatched(_file: LandedFile, _seconds: float) -> None:
    """Watch nothing."""


def land(
    client: VideoClient,
    job: JobManifest,
    where: Destination,
    options: LandingOptions | None = None,
    *,
    publisher: Publisher | None = None,
    on_landed: Callable[[LandedFile, float], None] = _unwatched,
) -> LandedManifest:
    """Land every output of a completed job; what already lies there from the same job is not downloaded again.

    Args:
        client: of the connection that the job belongs to.
        job: the job; with no more than an id, the rest is read from the API.
        where: addresses of the outputs.
        options: how to land.
        publisher: brings files into the destination's store, and says that it is usable; default one of its own. Given
            where several jobs land at the same time: Airflow's connections are read in the task's own thread only.
        on_landed: is told each file that was downloaded and stored now, and the seconds that this took; by several
            threads where there are several outputs. Must not raise.

    Raises:
        LandingError: the destination is untouched, or holds whole files only. Nothing is ever ordered from here.
    """
    options = options or LandingOptions()
    try:
        # Before anything is downloaded, and in this thread: Airflow reads the storage's connection here.
        first = where.uri(0, media.MP4.extension, outputs=1)
        if publisher is None:
            require_usable(first)
            publisher = Publisher(first)
        lying = {index: there(job, index, where, options) for index in range(job.outputs)}
        if not lying or None in lying.values():
            job = _refreshed(client, job)
            if options.look_up_cost and job.cost_usd is None:
                job = _with_cost(client, job)
            for index in range(len(lying), job.outputs):
                lying[index] = there(job, index, where, options)
        files = _Landing(client, job, where, options, publisher, on_landed).complete(lying)
    except LandingError:
        raise
    except OrVideoError as error:
        # A key refused, a gateway in between: whatever the API said, the video is paid for and can be landed later.
        raise OutputUnavailableError(
            f"Job {job.job_id} could not be read for landing: {error} The video is paid for and the destination is "
            "untouched; mend the cause and run this task again. Nothing is ordered."
        ) from error
    return manifest_of(job, files, where)


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


def _with_cost(client: VideoClient, job: JobManifest) -> JobManifest:
    """Take the cost from the accounting record, if there is one by now; a video lands whatever it costs."""
    if job.generation_id is None:
        return job
    try:
        cost = client.get_generation_record(job.generation_id, retry=NO_RETRY).total_cost
    except OrVideoError as error:
        log.info("What job %s cost is not known yet: %s", job.job_id, error)
        return job
    return job if cost is None else job.model_copy(update={"cost_usd": float(cost)})


def there(job: JobManifest, index: int, where: Destination, options: LandingOptions) -> LandedFile | None:
    """Return the file at an output's address that makes a download needless, None where there has to be one."""
    if options.on_existing == "overwrite":
        return None
    if found := sidecar.landed(job, index, where):
        return found
    if options.on_existing == "verify":
        return None
    found = sidecar.foreign(job, index, where)
    if found and options.on_existing == "fail":
        raise DestinationExistsError(
            f"{found.uri} holds {found.bytes} bytes that are not known to be output {index} of job {job.job_id}, and "
            "'on_existing' is 'fail'. Nothing was downloaded or overwritten; the video is paid for. Move that file "
            "away, choose another destination, or set on_existing to 'verify' to replace it."
        )
    if found:
        log.info("%s is left as it is, since 'on_existing' is 'skip'; nothing is downloaded.", found.uri)
    return found


@dataclass(frozen=True)
class _Landing:
    """One job on its way home."""

    client: VideoClient
    job: JobManifest
    where: Destination
    options: LandingOptions
    publisher: Publisher
    on_landed: Callable[[LandedFile, float], None]

    def complete(self, lying: dict[int, LandedFile | None]) -> list[LandedFile]:
        """Land what is missing, several outputs at a time; all are tried before the first failure is told."""
        missing = [index for index, file in lying.items() if file is None]
        if not missing:
            return [file for file in lying.values() if file]
        with spool_folder(self.options.spool_dir) as folder:
            if len(missing) == 1:
                lying[missing[0]] = self._land(missing[0], folder)
            else:
                with ThreadPoolExecutor(min(self.options.concurrency, len(missing))) as pool:
                    landings = {index: pool.submit(self._land, index, folder) for index in missing}
                for index, landing in landings.items():
                    if error := landing.exception():
                        log.error("Output %d of job %s did not land: %s", index, self.job.job_id, error)
                for index, landing in landings.items():
                    lying[index] = landing.result()
        return [file for _, file in sorted(lying.items()) if file]

    def _land(self, index: int, folder: Path) -> LandedFile:
        path = folder / f"output-{index}"
        started = time.monotonic()
        try:
            spooled = download(self.client, self.job.job_id, index, path)
            file = self._verified(index, spooled)
            still = media.poster(path) if self.options.poster else None
            sidecar.make_way(self.job, file, self.where)
            self.publisher.publish_file(path, file.uri, file.content_type)
        finally:
            path.unlink(missing_ok=True)  # room for the next output, where there are many
        if self.options.poster:
            file = with_poster(file, still)
        sidecar.write(manifest_of(self.job, [file], self.where), file)
        log.info("Landed %s: %d bytes, sha256 %s.", file.uri, file.bytes, file.sha256)
        self.on_landed(file, time.monotonic() - started)
        return file

    def _verified(self, index: int, spooled: Spooled) -> LandedFile:
        try:
            container = media.check(spooled.path)
        except MediaInvalidError as error:
            raise MediaInvalidError(
                f"Output {index} of job {self.job.job_id} did not pass the check and was not stored: {error} The "
                f"server called it {spooled.content_type or 'nothing'}; {spooled.size} bytes arrived. The destination "
                "is untouched; run this task again to download it anew."
            ) from error
        seen = media.probe(spooled.path)
        unexpected = self._unexpected(index, seen)
        return LandedFile(
            uri=self.where.uri(index, container.extension, outputs=self.job.outputs),
            index=index,
            bytes=spooled.size,
            sha256=spooled.sha256,
            content_type=container.content_type,
            has_c2pa=media.has_c2pa(spooled.path),
            unexpected=unexpected,
            **(vars(seen) if seen else {}),
        )

    def _unexpected(self, index: int, seen: media.Probe | None) -> tuple[str, ...]:
        if self.options.expect == "off" or not self.job.request:
            return ()
        found = differences(expected_from(self.job.request), seen)
        if found and self.options.expect == "fail":
            raise MediaUnexpectedError(
                f"Output {index} of job {self.job.job_id} is a whole video, but not what was ordered: "
                f"{' '.join(found)} It is paid for, and was not stored since 'expect' is 'fail'; set it to 'warn' and "
                "run this task again to land it. Nothing is ordered."
            )
        for sentence in found:
            log.warning("Output %d of job %s is not what was ordered: %s", index, self.job.job_id, sentence)
        return found


def with_poster(file: LandedFile, still: bytes | None) -> LandedFile:
    """Put the still image beside its video, where one could be made."""
    if still is None:
        log.warning("No poster could be made for %s; the video landed without.", file.uri)
        return file
    stem, _, end = file.uri.rpartition(".")
    # Only what says the kind of file gives way: "out.1" and "out.2" must not share a poster.
    kinds = {container.extension for container in media.CONTAINERS}
    uri = f"{stem if end in kinds and not stem.endswith('/') else file.uri}.jpg"
    publish_bytes(still, uri, content_type="image/jpeg")
    return file.model_copy(update={"poster_uri": uri})


def manifest_of(job: JobManifest, files: list[LandedFile], where: Destination) -> LandedManifest:
    """Describe a job whose files lie at a destination."""
    place: dict[str, Any] = {name: where.values.get(name) for name in ("dag_id", "run_id", "task_id", "map_index")}
    return LandedManifest(
        **{name: getattr(job, name) for name in JobManifest.model_fields if name != "schema_version"},
        **place,
        files=tuple(files),
        landed_at=iso(time.time()),
        provider_version=__version__,
    )
