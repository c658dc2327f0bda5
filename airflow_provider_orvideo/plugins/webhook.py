"""Takes OpenRouter's calls at the end of a job: the one endpoint here that needs no session, and the one that writes.

What a call can do is little: it makes one small file say which job an order with this nonce became. Whoever follows it
reads the job with the key first. And nothing happens without a signature by the workspace's secret.

It needs no protection against forged requests of other sites (CSRF): no cookie and no session counts here, so there is
nothing that a browser could be made to lend. What counts is a signature over the body, which no site can make.
"""

from __future__ import annotations

import asyncio
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, TypeVar

from airflow.providers.common.compat.sdk import conf
from fastapi import HTTPException, Request, Response, status
from fastapi.responses import JSONResponse
from starlette.requests import ClientDisconnect

from airflow_provider_orvideo.exceptions import (
    ConfigurationError,
    LedgerUnavailableError,
    WebhookInvalidError,
    WebhookSignatureError,
)
from airflow_provider_orvideo.ledger.callbacks import Callbacks, is_nonce
from airflow_provider_orvideo.webhooks import (
    IDEMPOTENCY_HEADER,
    MAX_BODY,
    SIGNATURE_HEADER,
    read_event,
    verify_signature,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_orvideo.webhooks import WebhookEvent

T = TypeVar("T")

log = logging.getLogger(__name__)

#: Seconds for which the options are not read again: a secret may come from a command or a remote backend.
_SETTINGS_AGE: Final = 60.0
#: Seconds for a caller to send the body.
_BODY_TIMEOUT: Final = 10.0
#: Seconds for the store, the wait for a thread included; less than a caller waits.
_STORE_TIMEOUT: Final = 20.0
#: Threads that read and write; calls are few.
_THREADS: Final = 2
#: Seconds between two lines in the log about calls that are not signed, which anybody can make.
_QUIET: Final = 10.0
_RETRY_AFTER: Final = {"Retry-After": "30"}
#: For answers that leave some of the request unread.
_CLOSE: Final = {"Connection": "close"}


@dataclass(frozen=True)
class _Settings:
    """The options as they were read.

    Attributes:
        callbacks: where calls are kept; None where webhooks are off or cannot work.
        secret: the workspace's signing secret.
        problem: whether webhooks are meant to be on and cannot work.
    """

    callbacks: Callbacks | None = None
    secret: str = field(default="", repr=False)
    problem: bool = False


class Webhook:
    """The endpoint of one API server process.

    Args:
        clock: epoch seconds; for tests.
        monotonic: seconds; for tests.
    """

    def __init__(
        self, *, clock: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._monotonic = monotonic
        # Of its own, so that a slow store takes none of Airflow's threads; object storage never on the event loop.
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="orvideo-webhook")
        self._lock = asyncio.Lock()
        self._settings = _Settings()
        self._read_at = float("-inf")
        self._told_at = float("-inf")

    async def receive(self, request: Request, nonce: str) -> Response:
        """Answer a call.

        Raises:
            HTTPException: see the contract in `app`.
        """
        settings = await self._current()
        if settings.callbacks is None:
            if settings.problem:
                raise _later("Webhooks are not set up; the API server's log says why.")
            raise HTTPException(status.HTTP_404_NOT_FOUND, "Webhooks are off.")
        if not is_nonce(nonce):
            raise HTTPException(status.HTTP_404_NOT_FOUND, "There is no such address.")
        body = await _body(request)
        self._verify(request, body, settings.secret)
        event = _event(request, body)
        kept = await self._keep(settings.callbacks, nonce, event)
        if kept:
            log.info("A webhook reported job %s; kept for the task that ordered it.", event.job_id)
        # An answer of success to what was known, too: nothing would become better by a repetition.
        return JSONResponse({"kept": kept}, headers={"Cache-Control": "no-store"})

    def _verify(self, request: Request, body: bytes, secret: str) -> None:
        # Two headers make one with two times, which is malformed.
        header = ",".join(request.headers.getlist(SIGNATURE_HEADER)) or None
        try:
            verify_signature(body, header, secret, now=self._clock())
        except WebhookSignatureError as error:
            if self._monotonic() - self._told_at >= _QUIET:
                self._told_at = self._monotonic()
                log.warning("A call to the webhook was refused, and changed nothing: %s", error)
            raise HTTPException(status.HTTP_401_UNAUTHORIZED, "The call is not signed as it must be.") from None

    async def _keep(self, callbacks: Callbacks, nonce: str, event: WebhookEvent) -> bool:
        now = self._clock()
        try:
            return await self._run(lambda: callbacks.keep(nonce, event, now), _STORE_TIMEOUT)
        except TimeoutError:
            log.error("A webhook of job %s could not be kept: the store did not answer in time.", event.job_id)
        except (LedgerUnavailableError, ConfigurationError) as error:
            log.error("A webhook of job %s could not be kept: %s", event.job_id, error)
        raise _later("It could not be kept; the API server's log says why. Call again.")

    async def _current(self) -> _Settings:
        async with self._lock:
            if self._monotonic() - self._read_at >= _SETTINGS_AGE:
                try:
                    self._settings = await self._run(_read_settings, _STORE_TIMEOUT)
                except TimeoutError:
                    log.error("Webhooks are refused: the options could not be read in time.")
                    self._settings = _Settings(problem=True)
                self._read_at = self._monotonic()
            return self._settings

    async def _run(self, work: Callable[[], T], timeout: float) -> T:  # noqa: ASYNC109 - for a thread, which goes on
        async with asyncio.timeout(timeout):
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)


def _read_settings() -> _Settings:
    try:
        callbacks = Callbacks.configured()
        if callbacks is None:
            return _Settings()
        # What a command printed ends with the line.
        secret = (conf.get("orvideo", "webhook_secret", fallback="") or "").strip()
    except ConfigurationError as error:
        log.error("Webhooks are refused: %s", error)
        return _Settings(problem=True)
    except Exception as error:  # noqa: BLE001 - of Airflow's configuration or a secrets backend
        # Its text may hold what a command printed, which is the secret.
        log.error("Webhooks are refused: the options cannot be read (%s).", type(error).__name__)
        return _Settings(problem=True)
    if not secret:
        log.error(
            "Webhooks are refused: [orvideo] webhook_url is set and [orvideo] webhook_secret is not. Set it, on the "
            "API server only, to the signing secret of the OpenRouter workspace."
        )
        return _Settings(problem=True)
    return _Settings(callbacks, secret)


async def _body(request: Request) -> bytes:
    """Return the body, of which no more is taken than an event can have."""
    too_long = HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"At most {MAX_BODY} bytes are read.", _CLOSE)
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and (len(announced) > len(str(MAX_BODY)) or int(announced) > MAX_BODY):
        raise too_long
    body = bytearray()
    try:
        async with asyncio.timeout(_BODY_TIMEOUT):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_BODY:
                    raise too_long
    except TimeoutError:
        raise HTTPException(status.HTTP_408_REQUEST_TIMEOUT, "The body did not come in time.", _CLOSE) from None
    except ClientDisconnect:
        raise HTTPException(status.HTTP_400_BAD_REQUEST, "The body did not come whole.", _CLOSE) from None
    return bytes(body)


def _event(request: Request, body: bytes) -> WebhookEvent:
    try:
        event = read_event(body)
    except WebhookInvalidError as error:
        log.warning("A signed call to the webhook was refused, and changed nothing: %s", error)
        raise HTTPException(status.HTTP_400_BAD_REQUEST, str(error)) from None
    key = request.headers.get(IDEMPOTENCY_HEADER)
    if key not in {None, f"{event.job_id}-{event.status}"}:
        log.warning("A signed call to the webhook was refused, and changed nothing: its headers are of another call.")
        raise HTTPException(status.HTTP_400_BAD_REQUEST, f"{IDEMPOTENCY_HEADER} is not that of the body.")
    return event


def _later(detail: str) -> HTTPException:
    return HTTPException(status.HTTP_503_SERVICE_UNAVAILABLE, detail, _RETRY_AFTER)
