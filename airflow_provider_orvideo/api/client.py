"""The API's operations, blocking and asynchronous. Both clients share every rule; they differ in how they wait.

Operation names are the API's own: ``generate``, ``get_generation``, ``get_video_content``, ``list_videos_models``.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import httpx
from tenacity import AsyncRetrying, Retrying

from airflow_provider_orvideo.api import wire
from airflow_provider_orvideo.api.calls import (
    CONTENT,
    KEY,
    MODELS,
    ClientBase,
    ContentHead,
    Read,
    content,
    generation,
    made,
    poll,
    unwrap,
)
from airflow_provider_orvideo.api.retry import READ_AGAIN, SUBMIT_AGAIN, RetryPolicy, say_pause
from airflow_provider_orvideo.api.schema import (
    GenerationRecord,
    KeyInfo,
    VideoJob,
    VideoModel,
    VideoRequest,
    parse_answer,
    parse_models,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from types import TracebackType
    from typing import Self

    from airflow_provider_orvideo.api.config import ClientConfig

T = TypeVar("T")


class VideoClient(ClientBase):
    """Blocking client, for workers. Use it in a ``with`` block or call `close`.

    Args:
        config: where and as whom to call.
        transport: for tests; replaces the network.
        sleep: pauses between attempts, is given the seconds; for tests.

    Raises:
        ConfigurationError: the environment's proxy variables cannot be used; nothing was sent.

    Source: operations and statuses are those of OpenRouter's OpenAPI document of 2026-08-22 and of its official SDK
    1.3.84.
    """

    def __init__(
        self,
        config: ClientConfig,
        *,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__(config)
        self._transport = transport
        self._sleep = sleep
        self._reads = made(httpx.Client, transport=transport, **self._settings(keep_alive=True))

    def __enter__(self) -> Self:
        """Enter a block that closes the client at its end."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._reads.close()

    def generate(self, request: VideoRequest, *, retry: RetryPolicy | None = None) -> VideoJob:
        """Order one video (``POST /videos``). This costs money; the POST leaves once.

        Args:
            request: what to make.
            retry: for failures that left nothing accepted (no connection, 429). Default: the configuration's, three
                calls in all.

        Returns:
            The job as it was accepted, with its id.

        Raises:
            NotSentError: no connection; nothing was spent.
            ConfigurationError: the environment's proxy variables cannot be used; nothing was sent.
            ClientStatusError: refused; nothing was spent.
            RedirectError: the base URL leads elsewhere, and nothing follows it; nothing was accepted.
            OutcomeUnknownError: it left and no usable answer came; a job may exist and bill. Never repeated here.
        """
        body = request.to_wire()

        def once() -> VideoJob:
            # A connection of its own: on a kept-alive one that the server just closed, the POST would be lost in a way
            # that cannot be told from an accepted one.
            with made(httpx.Client, transport=self._transport, **self._settings(keep_alive=False)) as http:
                request = http.build_request("POST", self._submit_url(), json=body, headers=self._submit_headers())
                try:
                    response = http.send(request)
                except Exception as error:  # noqa: BLE001 - whatever it is, the POST may have left
                    raise wire.submit_failure(error, host=self._host) from wire.cause_of(error)
                return wire.submit_answer(response)

        return self._again(once, retry or self.config.submit_retry, SUBMIT_AGAIN)

    def get_generation(self, job_id: str, *, retry: RetryPolicy | None = None) -> VideoJob:
        """Read a job's status (``GET /videos/{jobId}``); free, as all reads.

        Args:
            job_id: the API's opaque job id.
            retry: how often and how fast to read again. Default: the configuration's, four calls in all.

        Returns:
            The job as it is now.

        Raises:
            NotFoundError: no such job of this account, or none yet.
            StatusError: the server refused otherwise; the subclasses say whether a retry helps.
            NotSentError: no connection, after the retries.
            ReadInterruptedError: no answer in time, after the retries.
            ResponseInvalidError: an answer that is not the API's.
        """
        return parse_answer(VideoJob, self._json(poll(job_id), retry), operation="getVideos")

    def list_videos_models(self, *, retry: RetryPolicy | None = None) -> tuple[VideoModel, ...]:
        """Read the catalogue of video models (``GET /videos/models``); public, so no test of the key.

        Args:
            retry: how often and how fast to read again. Default: the configuration's, four calls in all.

        Returns:
            The models, in the order of the answer; an entry without an id is left out and logged.

        Raises:
            StatusError: the server refused; the subclasses say whether a retry helps.
            NotSentError: no connection, after the retries.
            ReadInterruptedError: no answer in time, after the retries.
            ResponseInvalidError: an answer that is not the API's.
        """
        return parse_models(self._json(MODELS, retry))

    def get_current_key(self, *, retry: RetryPolicy | None = None) -> KeyInfo:
        """Read what the key may do (``GET /key``); 401 for a bad key. Amounts are US dollars, and lag by minutes.

        Args:
            retry: how often and how fast to read again. Default: the configuration's, four calls in all.

        Returns:
            The key's limits and kind, never the key.

        Raises:
            AuthenticationError: no such key.
            StatusError: the server refused; the subclasses say whether a retry helps.
            NotSentError: no connection, after the retries.
            ReadInterruptedError: no answer in time, after the retries.
            ResponseInvalidError: an answer that is not the API's.
        """
        return parse_answer(KeyInfo, unwrap(self._json(KEY, retry)), operation="getCurrentKey")

    def get_generation_record(self, generation_id: str, *, retry: RetryPolicy | None = None) -> GenerationRecord:
        """Read the accounting record (``GET /generation``); 404 for minutes after the job ended.

        Args:
            generation_id: of the job, which it tells once it was processed.
            retry: how often and how fast to read again. Default: the configuration's, four calls in all.

        Returns:
            What the job cost and who served it.

        Raises:
            NotFoundError: no such record of this account, or none yet.
            StatusError: the server refused; the subclasses say whether a retry helps.
            NotSentError: no connection, after the retries.
            ReadInterruptedError: no answer in time, after the retries.
            ResponseInvalidError: an answer that is not the API's.
        """
        payload = unwrap(self._json(generation(generation_id), retry))
        return parse_answer(GenerationRecord, payload, operation="getGeneration")

    @contextmanager
    def get_video_content(
        self, job_id: str, index: int = 0, *, retry: RetryPolicy | None = None
    ) -> Iterator[tuple[ContentHead, Iterator[bytes]]]:
        """Open one output of a completed job (``GET /videos/{jobId}/content``) and stream it in bounded memory.

        Args:
            job_id: the job.
            index: output, counted from 0.
            retry: for opening the stream. Default: the configuration's, four calls in all. A stream that breaks cannot
                be resumed, since the API knows no Range.

        Yields:
            What the headers say, and the bytes as they come.

        Raises:
            RequestInvalidError: ``index`` is negative; nothing was sent.
            StatusError: the server refused; ``NotFoundError``, ``ConflictError`` and ``GoneError`` say why there is no
                output.
            NotSentError: no connection, after the retries.
            ResponseInvalidError: JSON came instead of a video.
            ReadInterruptedError: no answer in time, after the retries; or, from the iterator, the stream ended before
                the server finished it.
        """
        response = self._again(lambda: self._open(content(job_id, index)), retry or self.config.read_retry, READ_AGAIN)
        try:
            head = ContentHead.of(response)
            if head.is_json:
                raise wire.not_media(response, operation=CONTENT)
            yield head, self._bytes(response)
        finally:
            response.close()

    def _bytes(self, response: httpx.Response) -> Iterator[bytes]:
        try:
            # No chunk size: measured, it costs half the speed.
            yield from response.iter_bytes()
        except httpx.HTTPError as error:
            raise wire.read_failure(error, operation=CONTENT, host=self._host) from wire.cause_of(error)

    def _json(self, read: Read, retry: RetryPolicy | None) -> Any:  # noqa: ANN401 - decoded JSON
        def once() -> Any:  # noqa: ANN401
            response = self._open(read, stream=False)
            return wire.read_answer(response, operation=read.operation)

        return self._again(once, retry or self.config.read_retry, READ_AGAIN)

    def _open(self, read: Read, *, stream: bool = True) -> httpx.Response:
        """Send a GET, follow redirects with the key staying at its origin, and return a success or raise."""
        request = self._request(read)
        for hop in range(wire.MAX_REDIRECTS + 1):
            try:
                response = self._reads.send(request, stream=stream)
                if not response.is_success or (stream and ContentHead.of(response).is_json):
                    response.read()
            except wire.FAILURES as error:
                host = wire.host_of(str(request.url))
                raise wire.read_failure(error, operation=read.operation, host=host) from wire.cause_of(error)
            target = self._redirected(read, request, response, hop)
            if target is None:
                break
            request = self._request(read, url=target)
        if not response.is_success:
            raise wire.status_error(response, operation=read.operation)
        return response

    def _again(self, once: Callable[[], T], policy: RetryPolicy, errors: tuple[type[Exception], ...]) -> T:
        retrying = Retrying(
            stop=policy.stop,
            wait=policy.wait,
            retry=policy.only(errors),
            before_sleep=say_pause,
            reraise=True,
            sleep=self._sleep,
        )
        return retrying(once)


class AsyncVideoClient(ClientBase):
    """Asynchronous client, for triggers. Use it in an ``async with`` block or await `aclose`.

    Args:
        config: where and as whom to call.
        transport: for tests; replaces the network.
        sleep: pauses between attempts, is given the seconds; for tests.

    Raises:
        ConfigurationError: the environment's proxy variables cannot be used; nothing was sent.

    Source: operations and statuses are those of OpenRouter's OpenAPI document of 2026-08-22 and of its official SDK
    1.3.84.
    """

    def __init__(
        self,
        config: ClientConfig,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        super().__init__(config)
        self._transport = transport
        self._sleep = sleep
        self._reads = made(httpx.AsyncClient, transport=transport, **self._settings(keep_alive=True))

    async def __aenter__(self) -> Self:
        """Enter a block that closes the client at its end."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._reads.aclose()

    async def generate(self, request: VideoRequest, *, retry: RetryPolicy | None = None) -> VideoJob:
        """Order one video, as `VideoClient.generate`: this costs money, and the POST leaves once.

        Args:
            request: what to make.
            retry: for failures that left nothing accepted (no connection, 429). Default: the configuration's, three
                calls in all.

        Returns:
            The job as it was accepted, with its id.

        Raises:
            OrVideoError: as `VideoClient.generate`, by the same rules: after an `OutcomeUnknownError` a job may exist.
        """
        body = request.to_wire()

        async def once() -> VideoJob:
            async with made(httpx.AsyncClient, transport=self._transport, **self._settings(keep_alive=False)) as http:
                request = http.build_request("POST", self._submit_url(), json=body, headers=self._submit_headers())
                try:
                    response = await http.send(request)
                except Exception as error:  # noqa: BLE001 - whatever it is, the POST may have left
                    raise wire.submit_failure(error, host=self._host) from wire.cause_of(error)
                return wire.submit_answer(response)

        return await self._again(once, retry or self.config.submit_retry, SUBMIT_AGAIN)

    async def get_generation(self, job_id: str, *, retry: RetryPolicy | None = None) -> VideoJob:
        """Read a job's status (``GET /videos/{jobId}``); free, as all reads.

        Args:
            job_id: the API's opaque job id.
            retry: how often and how fast to read again. Default: the configuration's, four calls in all.

        Returns:
            The job as it is now.

        Raises:
            OrVideoError: as `VideoClient.get_generation`.
        """
        return parse_answer(VideoJob, await self._json(poll(job_id), retry), operation="getVideos")

    async def list_videos_models(self, *, retry: RetryPolicy | None = None) -> tuple[VideoModel, ...]:
        """Read the catalogue of video models (``GET /videos/models``); public, so no test of the key.

        Args:
            retry: how often and how fast to read again. Default: the configuration's, four calls in all.

        Returns:
            The models, in the order of the answer; an entry without an id is left out and logged.

        Raises:
            OrVideoError: as `VideoClient.list_videos_models`.
        """
        return parse_models(await self._json(MODELS, retry))

    async def get_current_key(self, *, retry: RetryPolicy | None = None) -> KeyInfo:
        """Read what the key may do (``GET /key``); amounts are US dollars, and lag by minutes.

        Args:
            retry: how often and how fast to read again. Default: the configuration's, four calls in all.

        Returns:
            The key's limits and kind, never the key.

        Raises:
            OrVideoError: as `VideoClient.get_current_key`.
        """
        return parse_answer(KeyInfo, unwrap(await self._json(KEY, retry)), operation="getCurrentKey")

    async def get_generation_record(self, generation_id: str, *, retry: RetryPolicy | None = None) -> GenerationRecord:
        """Read the accounting record (``GET /generation``); 404 for minutes after the job ended.

        Args:
            generation_id: of the job, which it tells once it was processed.
            retry: how often and how fast to read again. Default: the configuration's, four calls in all.

        Returns:
            What the job cost and who served it.

        Raises:
            OrVideoError: as `VideoClient.get_generation_record`.
        """
        payload = unwrap(await self._json(generation(generation_id), retry))
        return parse_answer(GenerationRecord, payload, operation="getGeneration")

    @asynccontextmanager
    async def get_video_content(
        self, job_id: str, index: int = 0, *, retry: RetryPolicy | None = None
    ) -> AsyncIterator[tuple[ContentHead, AsyncIterator[bytes]]]:
        """Stream one output of a completed job, as `VideoClient.get_video_content`.

        Args:
            job_id: the job.
            index: output, counted from 0.
            retry: for opening the stream. Default: the configuration's, four calls in all.

        Yields:
            What the headers say, and the bytes as they come.

        Raises:
            OrVideoError: as `VideoClient.get_video_content`.
        """
        read = content(job_id, index)
        response = await self._again(lambda: self._open(read), retry or self.config.read_retry, READ_AGAIN)
        try:
            head = ContentHead.of(response)
            if head.is_json:
                raise wire.not_media(response, operation=CONTENT)
            yield head, self._bytes(response)
        finally:
            await response.aclose()

    async def _bytes(self, response: httpx.Response) -> AsyncIterator[bytes]:
        try:
            async for chunk in response.aiter_bytes():
                yield chunk
        except httpx.HTTPError as error:
            raise wire.read_failure(error, operation=CONTENT, host=self._host) from wire.cause_of(error)

    async def _json(self, read: Read, retry: RetryPolicy | None) -> Any:  # noqa: ANN401 - decoded JSON
        async def once() -> Any:  # noqa: ANN401
            return wire.read_answer(await self._open(read, stream=False), operation=read.operation)

        return await self._again(once, retry or self.config.read_retry, READ_AGAIN)

    async def _open(self, read: Read, *, stream: bool = True) -> httpx.Response:
        """Send a GET, follow redirects with the key staying at its origin, and return a success or raise."""
        request = self._request(read)
        for hop in range(wire.MAX_REDIRECTS + 1):
            try:
                response = await self._reads.send(request, stream=stream)
                if not response.is_success or (stream and ContentHead.of(response).is_json):
                    await response.aread()
            except wire.FAILURES as error:
                host = wire.host_of(str(request.url))
                raise wire.read_failure(error, operation=read.operation, host=host) from wire.cause_of(error)
            target = self._redirected(read, request, response, hop)
            if target is None:
                break
            request = self._request(read, url=target)
        if not response.is_success:
            raise wire.status_error(response, operation=read.operation)
        return response

    async def _again(
        self, once: Callable[[], Awaitable[T]], policy: RetryPolicy, errors: tuple[type[Exception], ...]
    ) -> T:
        if policy.attempts == 1:  # thousands of polls a minute go this way
            return await once()
        retrying = AsyncRetrying(
            stop=policy.stop,
            wait=policy.wait,
            retry=policy.only(errors),
            before_sleep=say_pause,
            reraise=True,
            sleep=self._sleep,
        )

        async def attempt() -> T:  # tenacity only awaits what is declared with "async def"
            return await once()

        return await retrying(attempt)
