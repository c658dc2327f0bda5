"""Decides who gets which bytes: from an authorised request to a stream of one landed video or its still image."""

from __future__ import annotations

import asyncio
import logging
import re
from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from fastapi import HTTPException, Response, status
from fastapi.responses import RedirectResponse

from airflow_provider_orvideo.api.redaction import redact
from airflow_provider_orvideo.plugins.allowed import Allowed, NotAllowedError, Prefixes
from airflow_provider_orvideo.plugins.config import HOW_TO_ENABLE, PreviewConfig, preview_config
from airflow_provider_orvideo.plugins.landed import landed_file
from airflow_provider_orvideo.plugins.ranges import RangeError, Span, is_unmodified, span_of
from airflow_provider_orvideo.plugins.source import (
    ChangedError,
    open_video,
    read_poster,
    require_vouched,
    signed_url,
)
from airflow_provider_orvideo.plugins.streams import BusyError, MediaResponse, Readers, Reading

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeVar

    from fastapi import Request

    from airflow_provider_orvideo.manifests import LandedFile
    from airflow_provider_orvideo.plugins.landed import TaskInstance

    T = TypeVar("T")

log = logging.getLogger(__name__)

#: What is played, and its extension. A manifest's other words for its media type are not passed on.
MEDIA_TYPES: Final = {
    "video/mp4": "mp4",
    "video/webm": "webm",
    "video/quicktime": "mov",
    "video/matroska": "mkv",
    "video/x-matroska": "mkv",
}
_UNSAFE_NAME: Final = re.compile(r"[^A-Za-z0-9._\-]+")
#: Seconds after which a client that found all streams taken may ask again.
_RETRY_AFTER: Final = "2"
#: Seconds for which a browser may show a still image without asking.
_POSTER_AGE: Final = 300


class Preview:
    """The preview of one API server process."""

    def __init__(self) -> None:
        self._readers = Readers()
        self._places = asyncio.Semaphore(preview_config().max_streams)

    async def video(self, request: Request, task: TaskInstance, index: int) -> Response:
        """Answer a GET or HEAD for a landed video.

        Raises:
            HTTPException: see the contract in `app`.
        """
        config = _config()
        file = await landed_file(request, task, index)
        media_type = _media_type(file)
        allowed = _allowed(config.prefixes, file.uri)
        if config.redirect and (url := await self._signed(allowed, file, task.dag_id)):
            return RedirectResponse(url, headers={"Cache-Control": "no-store"})
        if request.method == "HEAD":
            source = await self._run(lambda: open_video(allowed, file, task.dag_id))
            source.close()
            return Response(headers=_headers(file, media_type, Span(0, source.size, partial=False), source.size))
        return await self._streamed(request, config, allowed, file, task)

    async def _streamed(
        self, request: Request, config: PreviewConfig, allowed: Allowed, file: LandedFile, task: TaskInstance
    ) -> Response:
        reading = Reading(self._readers, self._places, lambda: open_video(allowed, file, task.dag_id))
        try:
            with _answers():
                size = await reading.start()
            etag = _etag(file)
            if is_unmodified(request.headers, etag):
                reading.let_go()
                return Response(status_code=status.HTTP_304_NOT_MODIFIED, headers=_caching(etag))
            span = _span(request, size, etag)
            return MediaResponse(
                reading,
                span,
                stall_timeout=config.stall_timeout,
                status_code=status.HTTP_206_PARTIAL_CONTENT if span.partial else status.HTTP_200_OK,
                headers=_headers(file, _media_type(file), span, size),
            )
        except BaseException:
            reading.let_go()
            raise

    async def poster(self, request: Request, task: TaskInstance, index: int) -> Response:
        """Answer a GET or HEAD for the still image of a landed video.

        Raises:
            HTTPException: see the contract in `app`.
        """
        config = _config()
        file = await landed_file(request, task, index)
        if file.poster_uri is None:
            raise HTTPException(status.HTTP_404_NOT_FOUND, "This video was landed without a still image.")
        video, poster = (_allowed(config.prefixes, uri) for uri in (file.uri, file.poster_uri))
        etag = f'"{file.sha256}-poster"'
        caching = {**_caching(etag), "Cache-Control": f"private, max-age={_POSTER_AGE}"}
        if is_unmodified(request.headers, etag):
            await self._run(lambda: require_vouched(video, file, task.dag_id))
            return Response(status_code=status.HTTP_304_NOT_MODIFIED, headers=caching)
        data = await self._run(lambda: read_poster(video, poster, file, task.dag_id))
        return Response(data, headers={**caching, "Content-Disposition": "inline"}, media_type="image/jpeg")

    async def _signed(self, allowed: Allowed, file: LandedFile, dag_id: str) -> str | None:
        await self._run(lambda: require_vouched(allowed, file, dag_id))
        return await self._run(lambda: signed_url(allowed))

    async def _run(self, read: Callable[[], T]) -> T:
        with _answers():
            return await self._readers.run(read)


@contextmanager
def _answers() -> Iterator[None]:
    """Turn whatever reading from the store raises into an answer."""
    try:
        yield
    except BusyError:
        raise HTTPException(
            status.HTTP_503_SERVICE_UNAVAILABLE,
            "This API server plays as many videos as it may; try again in a moment.",
            headers={"Retry-After": _RETRY_AFTER},
        ) from None
    except NotAllowedError as error:
        raise _refused(error) from None
    except ChangedError as error:
        raise HTTPException(status.HTTP_404_NOT_FOUND, str(error)) from None
    except FileNotFoundError:
        raise HTTPException(status.HTTP_404_NOT_FOUND, "The file is no longer where it was landed.") from None
    except TimeoutError:
        raise HTTPException(status.HTTP_502_BAD_GATEWAY, "The storage does not answer in time.") from None
    except Exception as error:  # noqa: BLE001 - each store has its own exceptions, and no common base
        # Details may name hosts and accounts: they are the administrator's, not the viewer's.
        log.warning("The preview cannot read the storage: %s: %s", type(error).__name__, redact(str(error)))
        raise HTTPException(
            status.HTTP_502_BAD_GATEWAY, "The API server cannot read the storage; its log says why."
        ) from None


def _config() -> PreviewConfig:
    config = preview_config()
    if not config.is_on:
        raise HTTPException(status.HTTP_409_CONFLICT, HOW_TO_ENABLE)
    return config


def _allowed(prefixes: Prefixes, uri: str) -> Allowed:
    try:
        return prefixes.find(uri)
    except NotAllowedError as error:
        raise _refused(error) from None


def _refused(error: NotAllowedError) -> HTTPException:
    return HTTPException(status.HTTP_403_FORBIDDEN, f"The preview does not read this file: its address {error}.")


def _media_type(file: LandedFile) -> str:
    media_type = file.content_type.strip().lower()
    if media_type not in MEDIA_TYPES:
        raise HTTPException(status.HTTP_403_FORBIDDEN, "The preview plays MP4, WebM, QuickTime and Matroska only.")
    return media_type


def _span(request: Request, size: int, etag: str) -> Span:
    try:
        return span_of(request.headers, size=size, etag=etag)
    except RangeError as error:
        raise HTTPException(
            HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,  # Starlette renamed its own
            f"The Range header {error}.",
            headers={"Content-Range": f"bytes */{size}"},
        ) from None


def _etag(file: LandedFile) -> str:
    return f'"{_UNSAFE_NAME.sub("", file.sha256)}"'


def _caching(etag: str) -> dict[str, str]:
    return {"ETag": etag, "Cache-Control": "private, no-cache"}


def _headers(file: LandedFile, media_type: str, span: Span, size: int) -> dict[str, str]:
    name = _UNSAFE_NAME.sub("_", urlsplit(file.uri).path.rpartition("/")[2]).strip("._-")[:100]
    headers = {
        **_caching(_etag(file)),
        "Accept-Ranges": "bytes",
        # Airflow compresses what is not marked; older versions of its web framework do so even to video.
        "Content-Encoding": "identity",
        "Content-Disposition": f'inline; filename="{name or f"video.{MEDIA_TYPES[media_type]}"}"',
        "Content-Length": str(span.length),
        "Content-Type": media_type,
    }
    return {**headers, "Content-Range": span.content_range(size)} if span.partial else headers
